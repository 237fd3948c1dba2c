//! Messages between a task and the runtime of the client: what a task asks of its spawner, and what it is told.
//!
//! The kernel does not know what they mean. It sees to it that they come from and go to an attempt that is current and runs;
//! the others are dropped and counted. Messages of one attempt keep their order, also among its other events.
//!
//! Nothing is stored here: each message is passed on by the call that brings it. How many bytes may be under way is settled
//! between the two runtimes, which alone know when a message is consumed; on the way the machine holds a host back that
//! speaks faster than the client listens, as it does for output.

use bytes::Bytes;

use super::task::Progress;
use super::{Action, Kernel};
use crate::ids::{AttemptId, HostId, TaskId};
use crate::vm::VmCommand;

impl Kernel {
    /// The attempt by which a task runs now, if it does: where a message to the task goes.
    pub fn running_attempt(&self, task: TaskId) -> Option<AttemptId> {
        let placed = self.tasks.get(task)?.placed()?;
        (placed.progress != Progress::Sent)
            .then(|| self.tasks.attempt(task))
            .flatten()
    }

    /// Sends a message to an attempt. Returns false, and drops the message, when the attempt does not run any more. A caller that
    /// tells parents of their children's outcomes does so before it takes the action that follows
    /// [`TaskEnded`](crate::event::RunEvent::TaskEnded): the parent may have its licence back in that one.
    pub fn tell(&mut self, attempt: AttemptId, bytes: Bytes) -> bool {
        let current = self.running_attempt(attempt.task) == Some(attempt);
        let host = self.tasks.get(attempt.task).and_then(|task| task.placed());
        let Some(host) = host.filter(|_| current).map(|placed| placed.host) else {
            self.count_late();
            return false;
        };
        self.tells.push_back(VmCommand::Tell {
            host,
            attempt,
            bytes,
        });
        true
    }

    /// An attempt says something to the client's runtime.
    pub(super) fn told(&mut self, host: HostId, attempt: AttemptId, bytes: Bytes) {
        let Some(id) = self.current(host, attempt) else {
            return;
        };
        if self.running_attempt(id).is_some() {
            self.actions.push_back(Action::Deliver { attempt, bytes });
        }
    }
}
