//! The smaller system calls, and questions about the OS that are none.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use super::behind::Behind;
use super::context;
use super::remote::Progress;
use super::value::Ending;
use crate::ids::{HostId, TaskId, Tid};
use crate::kernel::microthread::{MAIN, Place, SCHEDULER, ThreadInfo};

/// Lets every other microthread that is ready have its turn.
///
/// # Panics
/// Outside of an OS.
pub fn yield_now() -> YieldNow {
    YieldNow { turn: None }
}

/// A yield that is awaited. See [`yield_now`].
#[must_use = "nothing happens before this is awaited"]
pub struct YieldNow {
    turn: Option<Behind>,
}

impl Future for YieldNow {
    type Output = ();

    #[expect(
        clippy::panic,
        reason = "documented: a system call outside of an OS has no answer"
    )]
    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        match &mut this.turn {
            Some(turn) => turn.poll(context),
            none => match context::with(|os| Behind::begin(os, context)) {
                // Its turn cannot have come yet; only a waker of another's must be left behind.
                Ok(Ok(turn @ Behind::Own { .. })) => {
                    *none = Some(turn);
                    Poll::Pending
                }
                Ok(Ok(turn)) => none.insert(turn).poll(context),
                Ok(Err(error)) | Err(error) => panic!("{error}"),
            },
        }
    }
}

/// The tid of the calling microthread: 1 for main; 0, the scheduler's, where none is running.
pub fn tid() -> Tid {
    context::with(|os| os.running()).unwrap_or(SCHEDULER)
}

/// How many slots the hosts that are up have together; `None` without a machine.
pub fn slots() -> Option<usize> {
    context::with(|os| Some(os.inner.borrow().backend.as_ref()?.slots())).ok()?
}

/// How many of them are free: slots less the tasks that were accepted and have not ended, never below 0; `None` without a
/// machine. A slot is used from the spawn to the end of its task, joined or not.
pub fn free_slots() -> Option<usize> {
    context::with(|os| Some(os.inner.borrow().backend.as_ref()?.free_slots())).ok()?
}

/// How many children of plain spawns, of all microthreads together, have finished and were not joined; `None` without a
/// machine.
pub fn finished_tasks() -> Option<usize> {
    context::with(|os| {
        let inner = os.inner.borrow();
        let has_machine = inner.backend.is_some();
        has_machine.then(|| inner.threads.finished_count())
    })
    .ok()?
}

/// How many microthreads there are that have not finished, local and remote, main among them; 0 outside of an OS.
pub fn task_count() -> usize {
    context::with(|os| os.inner.borrow().threads.count()).unwrap_or(0)
}

/// How many of them are local.
pub fn local_task_count() -> usize {
    context::with(|os| os.inner.borrow().threads.local_count()).unwrap_or(0)
}

/// How many of them are remote.
pub fn remote_task_count() -> usize {
    context::with(|os| os.inner.borrow().threads.remote_count()).unwrap_or(0)
}

/// What is known of a microthread.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct TaskInfo {
    /// Its tid.
    pub tid: Tid,
    /// Its parent; the scheduler for main.
    pub parent: Tid,
    /// Its task, if it is remote and was handed to a host.
    pub task_id: Option<TaskId>,
    /// Its host then; before that the one that was asked for, if one was.
    pub host_id: Option<HostId>,
    /// The name of its task, or the type of its future.
    pub name: String,
    /// Its children that nobody has joined, ascending; those of task sets and dispatches are among them.
    pub children: Vec<Tid>,
    /// Those of them that have finished and that [`join`](crate::join()) would find by an empty list, ascending.
    pub finished_children: Vec<Tid>,
    /// What it does.
    pub status: TaskStatus,
}

/// What a microthread does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum TaskStatus {
    /// It waits for a host.
    Queued,
    /// It has turns, or its task was handed to a host.
    Running,
    /// It waits in a system call.
    Waiting,
    /// It has ended, and nobody has joined it.
    Finished,
}

/// What is known of a microthread; `None` if there is none of this tid, or it was joined.
pub fn task_info(tid: Tid) -> Option<TaskInfo> {
    context::with(|os| {
        let inner = os.inner.borrow();
        let info = inner.threads.info(tid)?;
        let ThreadInfo {
            parent,
            children,
            finished_children,
            place,
            is_finished,
            waits,
        } = info;
        let row = inner.threads.row(tid)?;
        let mut status = match (is_finished, waits) {
            (true, _) => TaskStatus::Finished,
            (false, true) => TaskStatus::Waiting,
            (false, false) => TaskStatus::Running,
        };
        let (mut task_id, mut host_id, mut name) = (None, None, String::new());
        match (inner.threads.value(tid), place) {
            (Some(ending), _) => {
                host_id = ending.host();
                ending.name().clone_into(&mut name);
                if let Ending::Remote(ending) = ending {
                    task_id = Some(ending.task);
                }
            }
            (None, Place::Remote(task)) => {
                let known = task.and_then(|task| Some((task, inner.remote.get(task)?)));
                if let Some((id, task)) = known {
                    task.name().clone_into(&mut name);
                    match task.progress {
                        Progress::Queued { target, .. } => {
                            host_id = target;
                            status = TaskStatus::Queued;
                        }
                        Progress::Handed { host } => {
                            host_id = Some(host);
                            task_id = Some(id);
                        }
                    }
                }
            }
            (None, Place::Local) => match inner.bodies.get(row) {
                Some(body) => body.name().clone_into(&mut name),
                None if tid == MAIN => "main".clone_into(&mut name),
                // It asks about itself, so its body is out.
                None => "running".clone_into(&mut name),
            },
        }
        let backend = inner.backend.as_ref();
        let known = |task| backend.map_or(Some(task), |backend| backend.task_id(task));
        let task_id = task_id.and_then(known);
        Some(TaskInfo {
            tid,
            parent,
            task_id,
            host_id,
            name,
            children,
            finished_children,
            status,
        })
    })
    .ok()?
}
