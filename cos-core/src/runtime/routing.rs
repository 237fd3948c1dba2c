//! What has happened elsewhere, brought to those whom it concerns: the tables' half of [`Shared`](super::shared::Shared).

use std::sync::Arc;
use std::time::Duration;

use super::backend::Happening;
use super::log::log;
use super::remote::RemoteTask;
use super::shared::Inner;
use super::value::Ending;
use crate::clock;
use crate::event::RunEvent;
use crate::ids::{HostId, TaskId};
use crate::job::{Outcome, TaskError};
use crate::kernel::microthread::{Orphan, Place};

impl Inner {
    /// Ends what ran for microthreads that are gone. Returns whether tasks elsewhere were among it.
    pub(super) fn end_orphans(&mut self, orphans: Vec<Orphan>, grace: Duration) -> bool {
        let mut has_remote = false;
        for Orphan { row, place, .. } in orphans {
            match place {
                Place::Local => {
                    let body = self.bodies.remove(row);
                    self.graveyard.extend(body.map(Ending::Value));
                }
                Place::Remote(Some(task)) => {
                    has_remote = true;
                    self.remote.remove(task);
                    if let Some(backend) = &mut self.backend {
                        backend.cancel(task, grace, clock::now());
                    }
                }
                Place::Remote(None) => {}
            }
        }
        has_remote
    }

    /// Machines that have ended are gone.
    pub(super) fn forget_retired(&mut self) {
        self.retired.retain(|backend| !backend.is_over());
        if self.retired.is_empty() {
            for wait in self.retirement_waits.drain(..) {
                self.threads.resolve(wait);
            }
        }
    }

    /// The machine is put away: remote microthreads have ended.
    pub(super) fn cancel_remote(&mut self) {
        for (id, task) in self.remote.drain() {
            let error = TaskError::Cancelled {
                task: task.label(id),
                end: None,
            };
            self.refuse_or_end(&task, error);
        }
    }

    pub(super) fn refuse_or_end(&mut self, task: &RemoteTask, error: TaskError) {
        let error = Box::new(error);
        match task.waiting_caller() {
            // Its spawner still waits, and hears of it there. There was never a child.
            Some(wait) => {
                self.threads.resolve(wait);
                self.refusals.insert(task.tid, error);
                self.threads.cancel(task.tid);
            }
            None => {
                self.threads.finish(task.tid, Ending::Error(error));
            }
        }
    }

    pub(super) fn wake_for_room(&mut self) {
        for wait in self.room_waits.drain(..) {
            self.threads.resolve(wait);
        }
    }

    pub(super) fn wake(&mut self) {
        if let Some(waker) = &self.waker {
            waker.wake_by_ref();
        }
    }

    pub(super) fn carry_out(&mut self) {
        // What a machine says that was put away concerns observers only: its tasks are nobody's.
        for backend in &mut self.retired {
            while let Some(happening) = backend.next() {
                if let Happening::Event(stamped) = happening {
                    log(&stamped.event, backend.hosts());
                    self.events.push_back(stamped);
                }
            }
        }
        while let Some(backend) = &mut self.backend
            && let Some(happening) = backend.next()
        {
            match happening {
                Happening::Handed { task, host } => {
                    if let Some(wait) = self.remote.handed(task, host) {
                        self.threads.resolve(wait);
                    }
                }
                Happening::Event(stamped) => {
                    log(&stamped.event, backend.hosts());
                    self.route(&stamped.event);
                    self.events.push_back(stamped);
                }
                Happening::Call(call) => self.calls_wanted.push_back(call),
                Happening::Returned { call, result } => {
                    if let Some(wait) = self.calls_under_way.remove(&call) {
                        self.calls_returned.insert(call, result);
                        self.threads.resolve(wait);
                    }
                }
            }
        }
    }

    pub(super) fn route(&mut self, event: &RunEvent) {
        match event {
            RunEvent::TaskOutput {
                attempt,
                stream,
                bytes,
                ..
            } => self.remote.capture(attempt.task, *stream, bytes),
            RunEvent::TaskAgain { attempt, .. } => self.remote.again(attempt.task),
            RunEvent::TaskEnded {
                task,
                outcome,
                host,
                tries,
                ..
            } => self.task_ended(*task, outcome, *host, *tries),
            _ => {}
        }
    }

    pub(super) fn task_ended(
        &mut self,
        id: TaskId,
        outcome: &Outcome,
        host: Option<HostId>,
        tries: u32,
    ) {
        let Some(task) = self.remote.remove(id) else {
            return;
        };
        let tid = task.tid;
        if task.waiting_caller().is_some()
            && let Err(error) = outcome
        {
            return self.refuse_or_end(&task, error.clone());
        }
        let host = host.map(|host| (host, self.host_name(host)));
        let ending = task.end(id, outcome.clone(), host, tries);
        self.threads.finish(tid, Ending::Remote(Box::new(ending)));
    }

    /// A host's name, for messages.
    pub(super) fn host_name(&self, HostId(host): HostId) -> Arc<str> {
        match self.host_names.get(host as usize) {
            Some(name) => Arc::clone(name),
            None => format!("host {host}").into(),
        }
    }
}
