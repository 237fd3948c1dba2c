//! `TaskHandle`: a child of a known type.

use std::cell::Cell;
use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use super::remote::Progress;
use super::shared::Shared;
use super::value::Ending;
use super::wait::Wait;
use crate::ids::{HostId, TaskId, Tid};
use crate::job::{TaskError, TaskLabel};
use crate::kernel::microthread::Answer;

/// A microthread that was spawned, and the right to its result: awaiting the handle joins it.
///
/// As every join, that puts the caller behind the ready queue, even with the result at hand. Any microthread may await a
/// handle, not only the parent. Dropping a handle, or a wait for it, gives nothing up: the child can be joined by its tid.
/// A handle whose child was joined by tid gives [`TaskError::AlreadyJoined`]. Children end with their parent.
pub struct TaskHandle<T> {
    os: Rc<Shared>,
    tid: Tid,
    parent: Tid,
    task: Option<Outsourced>,
    wait: Option<Wait>,
    value: PhantomData<fn() -> T>,
}

/// What is known of a remote child.
struct Outsourced {
    task: TaskId,
    target: Option<HostId>,
    /// Where it is, once that was seen.
    host: Cell<Option<HostId>>,
}

impl<T> TaskHandle<T> {
    pub(super) fn new(
        os: &Rc<Shared>,
        tid: Tid,
        parent: Tid,
        task: Option<(TaskId, Option<HostId>)>,
    ) -> Self {
        Self {
            os: Rc::clone(os),
            tid,
            parent,
            task: task.map(|(task, target)| Outsourced {
                task,
                target,
                host: Cell::new(None),
            }),
            wait: None,
            value: PhantomData,
        }
    }

    pub(super) fn os(&self) -> &Rc<Shared> {
        &self.os
    }

    /// The tid of the child.
    pub fn tid(&self) -> Tid {
        self.tid
    }

    /// The task of a remote child; `None` for a local one, and until it was handed to a host.
    pub fn task_id(&self) -> Option<TaskId> {
        let outsourced = self.task.as_ref()?;
        self.host(outsourced)?;
        let inner = self.os.inner.borrow();
        match &inner.backend {
            Some(backend) => backend.task_id(outsourced.task),
            None => Some(outsourced.task),
        }
    }

    /// The host of a remote child; before it was handed over the one that was asked for, if one was.
    pub fn host_id(&self) -> Option<HostId> {
        let outsourced = self.task.as_ref()?;
        self.host(outsourced).or(outsourced.target)
    }

    fn host(&self, outsourced: &Outsourced) -> Option<HostId> {
        let inner = self.os.inner.borrow();
        // It may move while it runs.
        let seen = match inner.remote.get(outsourced.task) {
            Some(task) => match task.progress {
                Progress::Handed { host } => Some(host),
                Progress::Queued { .. } => None,
            },
            None => inner.threads.value(self.tid).and_then(Ending::host),
        };
        if seen.is_some() {
            outsourced.host.set(seen);
        }
        outsourced.host.get()
    }

    /// Whether the child has finished. Not a system call: nobody else gets a turn.
    pub fn is_finished(&self) -> bool {
        !self.os.inner.borrow().threads.is_live(self.tid)
    }

    /// Discards the result of the child, now or when it ends. The child itself goes on while its parent does.
    pub fn detach(self) {
        self.os.with(|inner| inner.threads.detach(self.tid));
    }
}

impl<T: 'static> Future for TaskHandle<T> {
    type Output = Result<T, TaskError>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        let tid = this.tid;
        if this.wait.is_none() {
            match this
                .os
                .wait(|threads, caller| threads.join_one(caller, tid))
            {
                Ok(wait) => this.wait = Some(wait),
                // Nothing is polled by the OS, so nothing ever comes.
                Err(_) => return Poll::Ready(Err(this.gone())),
            }
        }
        let Some(wait) = &mut this.wait else {
            return Poll::Pending;
        };
        let Poll::Ready(answer) = wait.poll(context) else {
            return Poll::Pending;
        };
        this.wait = None;
        Poll::Ready(match answer {
            Answer::Joined(Some((_, ending))) => this.os.result(tid, ending),
            _ => Err(this.gone()),
        })
    }
}

impl<T> TaskHandle<T> {
    /// Why there is no child to be joined.
    fn gone(&self) -> TaskError {
        match self.os.inner.borrow().threads.is_live(self.parent) {
            true => TaskError::AlreadyJoined { tid: self.tid },
            false => TaskError::Cancelled {
                task: TaskLabel::default(),
                end: None,
            },
        }
    }
}

impl Shared {
    /// The result of a child whose type is known.
    pub(crate) fn result<T: 'static>(&self, tid: Tid, ending: Ending) -> Result<T, TaskError> {
        // The type was fixed when it was spawned.
        ending
            .into_result()
            .unwrap_or(Err(TaskError::AlreadyJoined { tid }))
    }
}

impl<T> fmt::Debug for TaskHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskHandle")
            .field("tid", &self.tid)
            .field("task_id", &self.task_id())
            .field("host_id", &self.host_id())
            .finish()
    }
}
