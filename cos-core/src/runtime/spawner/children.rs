//! The client's end: the children of the tasks that run, and the calls that tasks ask for.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::pieces::{Assembly, cut};
use super::protocol::{FromSpawner, Room, Serial, Submission, ToSpawner};
use crate::event::RunEvent;
use crate::ids::{AttemptId, HostId, TaskId};
use crate::job::{Call, TaskError, TaskLabel};
use crate::kernel::{Kernel, SubmitError, TaskRequest};
use crate::time::Time;

/// The most children that an attempt may have under way, and calls that it may have asked for: far beyond any use, so that a
/// host gone mad cannot fill the memory.
const MOST_UNDER_WAY: usize = 1 << 17;

/// Tasks that have asked for something, and what became of that.
#[derive(Default)]
pub(in crate::runtime) struct Children {
    parents: HashMap<AttemptId, Parent>,
    /// Whose each child is.
    of: HashMap<TaskId, (AttemptId, Serial)>,
    /// What tasks want to be called here, in order.
    calls: VecDeque<SpawnerCall>,
}

/// An attempt that has asked for something.
#[derive(Default)]
struct Parent {
    heard: Assembly,
    children: HashMap<Serial, TaskId>,
    calls: usize,
    /// What it was told last.
    room: Option<Room>,
}

/// A call that a task wants to be made here.
pub(in crate::runtime) struct SpawnerCall {
    pub(in crate::runtime) call: Call,
    /// Who wants it; `None` for the program itself.
    pub(in crate::runtime) caller: Option<AttemptId>,
    /// The caller's number for it, if it waits for the result.
    pub(in crate::runtime) answer: Option<u64>,
}

impl Children {
    /// A task has said something.
    pub(in crate::runtime) fn hear(
        &mut self,
        attempt: AttemptId,
        piece: &[u8],
        kernel: &mut Kernel,
        now: Time,
    ) {
        self.parents.entry(attempt).or_default().heard.feed(piece);
        while let Some(parent) = self.parents.get_mut(&attempt) {
            let under_way = parent.children.len() + parent.calls;
            let message = match parent.heard.next() {
                Ok(None) => return,
                Ok(Some(message)) if under_way < MOST_UNDER_WAY => message,
                Ok(Some(_)) | Err(_) => {
                    // What it says is no message, so nothing that follows is: it has no way to go on.
                    self.forget(attempt);
                    return kernel.cancel(attempt.task, Duration::ZERO, now);
                }
            };
            match message {
                ToSpawner::Spawn(submission) => self.spawn(attempt, *submission, kernel, now),
                ToSpawner::Cancel { child, grace } => {
                    if let Some(task) = parent.children.get(&child) {
                        kernel.cancel(*task, grace, now);
                    }
                }
                ToSpawner::Call { call, answer } => {
                    parent.calls += 1;
                    let answer = answer.map(|Serial(number)| number);
                    self.calls.push_back(SpawnerCall {
                        call,
                        caller: Some(attempt),
                        answer,
                    });
                }
            }
        }
    }

    fn spawn(&mut self, attempt: AttemptId, asked: Submission, kernel: &mut Kernel, now: Time) {
        let Submission {
            child,
            index,
            work,
            needs,
            class,
            policy,
        } = asked;
        let label = TaskLabel::of(&work, TaskId(child.0));
        let request = TaskRequest {
            index,
            work: Arc::new(work),
            parent: Some(attempt),
            needs,
            class,
            policy,
        };
        match kernel.submit(request, now) {
            Ok(task) => {
                self.of.insert(task, (attempt, child));
                if let Some(parent) = self.parents.get_mut(&attempt) {
                    parent.children.insert(child, task);
                }
            }
            Err(SubmitError::ParentGone) => {}
            Err(error) => {
                let error = TaskError::NoHostLeft {
                    task: label,
                    cause: error.to_string(),
                };
                let ended = FromSpawner::Ended {
                    child,
                    outcome: Box::new(Err(error)),
                    host: None,
                    tries: 0,
                };
                tell(attempt, &ended, kernel);
            }
        }
    }

    /// A task was handed to a host: its parent is told, if it has one.
    pub(in crate::runtime) fn handed(&self, task: TaskId, host: HostId, kernel: &mut Kernel) {
        if let Some((parent, child)) = self.of.get(&task) {
            let child = *child;
            tell(*parent, &FromSpawner::Handed { child, task, host }, kernel);
        }
    }

    /// Something has happened. To be told before the kernel's next action is taken, so that a parent that has its licence
    /// back in that one has heard why.
    pub(in crate::runtime) fn observe(&mut self, event: &RunEvent, kernel: &mut Kernel) {
        match event {
            RunEvent::TaskAgain { attempt, .. } => self.forget(*attempt),
            RunEvent::TaskEnded {
                attempt,
                task,
                host,
                tries,
                outcome,
                ..
            } => {
                if let Some(attempt) = attempt
                    && !self.parents.is_empty()
                {
                    self.forget(*attempt);
                }
                if let Some((parent, child)) = self.of.remove(task) {
                    if let Some(parent) = self.parents.get_mut(&parent) {
                        parent.children.remove(&child);
                    }
                    let ended = FromSpawner::Ended {
                        child,
                        outcome: Box::new(outcome.clone()),
                        host: *host,
                        tries: *tries,
                    };
                    self.tell_room(parent, kernel);
                    tell(parent, &ended, kernel);
                }
            }
            _ => {}
        }
    }

    /// An attempt is over. The kernel cancels what it had spawned.
    fn forget(&mut self, attempt: AttemptId) {
        if let Some(parent) = self.parents.remove(&attempt) {
            for task in parent.children.values() {
                self.of.remove(task);
            }
        }
    }

    /// Tells parents how much the hosts can take, if they know of none and there is some.
    pub(in crate::runtime) fn tell_rooms(&mut self, kernel: &mut Kernel) {
        if self.parents.is_empty() || kernel.wanting() == 0 {
            return;
        }
        let knows_none = |parent: &Parent| parent.room.is_none_or(|room| room.wanting == 0);
        let parents = self.parents.iter();
        let ignorant: Vec<AttemptId> = parents
            .filter(|(_, parent)| knows_none(parent))
            .map(|(attempt, _)| *attempt)
            .collect();
        for attempt in ignorant {
            self.tell_room(attempt, kernel);
        }
    }

    fn tell_room(&mut self, attempt: AttemptId, kernel: &mut Kernel) {
        let number = |many: usize| u32::try_from(many).unwrap_or(u32::MAX);
        let room = Room {
            slots: number(kernel.slots()),
            free: number(kernel.free_slots()),
            wanting: number(kernel.wanting()),
        };
        if let Some(parent) = self.parents.get_mut(&attempt) {
            parent.room = Some(room);
            tell(attempt, &FromSpawner::Room(room), kernel);
        }
    }

    /// The next call that a task wants to be made here.
    pub(in crate::runtime) fn next_call(&mut self) -> Option<SpawnerCall> {
        self.calls.pop_front()
    }

    /// A call that a task wanted has been made.
    pub(in crate::runtime) fn returned(
        &mut self,
        caller: AttemptId,
        answer: Option<u64>,
        result: Result<Bytes, Box<TaskError>>,
        kernel: &mut Kernel,
    ) {
        if let Some(parent) = self.parents.get_mut(&caller) {
            parent.calls -= 1;
        }
        if let Some(number) = answer {
            let call = Serial(number);
            tell(caller, &FromSpawner::Returned { call, result }, kernel);
        }
    }
}

/// Tells an attempt something, if it still runs.
fn tell(attempt: AttemptId, message: &FromSpawner, kernel: &mut Kernel) {
    if let Ok(pieces) = cut(message) {
        for piece in pieces {
            if !kernel.tell(attempt, piece) {
                return;
            }
        }
    }
}
