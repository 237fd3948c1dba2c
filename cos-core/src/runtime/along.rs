//! Children of a dispatch: made without a turn each, and told when there is room for more.

use std::rc::Rc;

use super::context::NoOs;
use super::remote::{RemoteResult, RemoteTask};
use super::shared::Shared;
use super::value::Ending;
use super::wait::Wait;
use crate::clock;
use crate::ids::{TaskId, Tid};
use crate::job::TaskError;
use crate::kernel::microthread::{GroupId, Place, SCHEDULER, Visibility};
use crate::kernel::{SubmitError, TaskRequest};

impl Shared {
    pub(crate) fn open_group(&self) -> GroupId {
        self.inner.borrow_mut().threads.open_group()
    }

    pub(crate) fn close_group(&self, group: GroupId) {
        self.with(|inner| inner.threads.close_group(group));
    }

    /// How many children of a group have finished and were not joined.
    pub(crate) fn finished_in(&self, group: GroupId) -> usize {
        self.inner.borrow().threads.finished_in(group)
    }

    /// Whether remote tasks have somewhere to run.
    pub(crate) fn has_machine(&self) -> bool {
        self.inner.borrow().backend.is_some()
    }

    /// How many more tasks keep every slot busy.
    pub(crate) fn wanting(&self) -> usize {
        let inner = self.inner.borrow();
        let backend = inner.backend.as_ref();
        backend.map_or(0, |backend| backend.wanting())
    }

    /// The slots of all hosts that are up.
    pub(crate) fn slots(&self) -> Option<usize> {
        let inner = self.inner.borrow();
        inner.backend.as_ref().map(|backend| backend.slots())
    }

    /// Begins a wait that is over when there is room for more tasks than there was.
    pub(crate) fn wait_for_room(self: &Rc<Self>) -> Result<Wait, NoOs> {
        let wait = self.wait(|threads, tid| threads.open_wait(tid))?;
        self.inner.borrow_mut().room_waits.push(wait.id());
        Ok(wait)
    }

    /// Makes a remote child of a group, whose spawner goes on in its turn.
    pub(crate) fn submit(
        &self,
        group: GroupId,
        request: TaskRequest,
        captures: bool,
        result: Box<dyn RemoteResult>,
    ) -> Result<(Tid, Option<TaskId>), SubmitError> {
        let target = request.needs.host;
        let made = {
            let inner = &mut *self.inner.borrow_mut();
            let backend = inner.backend.as_mut().ok_or(SubmitError::Stopping)?;
            let task = backend.submit(request, clock::now())?;
            let tid = self.child_of(inner, group, task);
            let row = RemoteTask::new(tid, None, target, captures, result);
            inner.remote.insert(task, row);
            // A task's OS does not know yet what its children are called elsewhere.
            let is_link = inner.backend.as_ref().is_some_and(|it| it.is_link());
            (tid, (!is_link).then_some(task))
        };
        self.carry_out();
        Ok(made)
    }

    /// Makes a child of a job that cannot be run: it has its outcome, as others have.
    pub(crate) fn submit_failed(
        &self,
        group: GroupId,
        index: u64,
        error: TaskError,
        result: Box<dyn RemoteResult>,
    ) -> (Tid, Option<TaskId>) {
        let made = {
            let inner = &mut *self.inner.borrow_mut();
            match &mut inner.backend {
                Some(backend) => {
                    let task = backend.submit_failed(index, error, clock::now());
                    let tid = self.child_of(inner, group, task);
                    let row = RemoteTask::new(tid, None, None, false, result);
                    inner.remote.insert(task, row);
                    (tid, Some(task))
                }
                None => {
                    let caller = self.caller().unwrap_or(SCHEDULER);
                    let (visibility, place) = (Visibility::Grouped(group), Place::Remote(None));
                    let (child, wait) = inner.threads.spawn(caller, visibility, place);
                    inner.threads.withdraw(wait);
                    inner
                        .threads
                        .finish(child.tid, Ending::Error(Box::new(error)));
                    (child.tid, None)
                }
            }
        };
        self.carry_out();
        made
    }

    fn child_of(&self, inner: &mut super::shared::Inner, group: GroupId, task: TaskId) -> Tid {
        let caller = self.caller().unwrap_or(SCHEDULER);
        let visibility = Visibility::Grouped(group);
        inner.threads.spawn_along(caller, visibility, task).tid
    }
}
