//! The task table: every task that was accepted and has no outcome yet.
//!
//! ```text
//!            submit                Start                      Ended (settled)
//!   request ------> Queued -------------------> Placed -----------------------> outcome
//!                     ^                           |  |
//!                     |  failed with tries left,  |  | host silent for a lease
//!                     |  crash, Returned, lost    |  v
//!                     +---------------------------+  InDoubt
//!                     |                                |
//!                     +--------------------------------+  when its agent is dead for certain
//!
//!   a placed attempt:   Sent ------> Running           Stop or Recall may be on its way in either;
//!                                                      its licence: `licence.rs`
//! ```
//!
//! The epoch rises whenever a task goes back to the queue, so that from then on nothing that an earlier attempt says
//! is believed.

use std::sync::Arc;
use std::time::Duration;

use super::id_map::IdMap;
use super::queue::DemandKey;
use super::request::TaskPolicy;
use crate::ids::{AttemptId, ClassId, Epoch, HostId, SlotId, TaskId};
use crate::job::{Amounts, CommandEnd, TaskLabel, Work};
use crate::time::Time;

/// A task without an outcome.
#[derive(Debug)]
pub(super) struct Task {
    /// The caller's number.
    pub(super) index: u64,
    /// What to run.
    pub(super) work: Arc<Work>,
    /// The task that spawned it and still wants it.
    pub(super) parent: Option<TaskId>,
    /// How deep it is nested; 0 for the client's own.
    pub(super) depth: u32,
    /// What it takes.
    pub(super) amounts: Amounts,
    /// Which tasks need the same tool.
    pub(super) class: ClassId,
    /// How far COS goes for it.
    pub(super) policy: TaskPolicy,
    /// Where it may run, and its queue.
    pub(super) demand: DemandKey,
    /// Its current attempt, or its next one while it is queued.
    pub(super) epoch: Epoch,
    /// How many tries it has used.
    pub(super) tries: u32,
    /// How many of its attempts crashed.
    pub(super) crashes: u32,
    /// Its last attempt, and where that was.
    pub(super) last: Option<(Epoch, HostId)>,
    /// The last time a host could not run it at all.
    pub(super) refusal: Option<Box<Refusal>>,
    /// What is being done about it.
    pub(super) state: TaskState,
}

/// A host could not run a task, which is not held against the task.
#[derive(Clone, Debug)]
pub(super) enum Refusal {
    /// The command is not there.
    CommandMissing {
        /// Where.
        host: HostId,
        /// How it ended.
        end: CommandEnd,
    },
    /// The host could not start it.
    NotStarted {
        /// Where, and the host's own words.
        cause: String,
    },
}

/// What is being done about a task.
#[derive(Debug)]
pub(super) enum TaskState {
    /// It waits for a host.
    Queued {
        /// Since when.
        since: Time,
    },
    /// An attempt is on a host that is connected.
    Placed(Placed),
    /// Its attempt has ended and it is being decided what that means; never so between two calls.
    Deciding,
    /// Its host was lost in silence and may still run it for a moment.
    InDoubt {
        /// Where.
        host: HostId,
        /// What becomes of it then.
        lost: LostAttempt,
    },
}

/// What the loss of a host means for an attempt that was there.
#[derive(Clone, Debug)]
pub(super) enum LostAttempt {
    /// It had not started, or its host left in an orderly way: it goes elsewhere, nothing counts.
    GivenBack {
        /// What happened to the host.
        cause: String,
    },
    /// It ran: one crash counts.
    Crashed {
        /// What happened to the host.
        cause: String,
    },
    /// It was being stopped because it had run too long.
    TimedOut {
        /// Its limit.
        after: Duration,
    },
}

/// An attempt on a host.
#[derive(Debug)]
pub(super) struct Placed {
    /// Where.
    pub(super) host: HostId,
    /// When it was sent.
    pub(super) sent: Time,
    /// Whether the host's amounts are taken for it.
    pub(super) grant: Grant,
    /// How far it has come.
    pub(super) progress: Progress,
    /// What was asked about it since.
    pub(super) intent: Intent,
    /// Bytes of its output that were consumed and not yet credited.
    pub(super) uncredited: u64,
}

/// Whether a host's amounts are taken for an attempt.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Grant {
    /// They are: it runs, or starts as soon as it arrives.
    Granted,
    /// It waits on the host behind others.
    Waiting,
    /// It runs, but every microthread of it waits: they are free for others.
    Lent,
    /// It could go on, and waits for them.
    Wanted {
        /// Since when.
        since: Time,
    },
}

/// How far an attempt has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Progress {
    /// It is on its way or waits on the host.
    Sent,
    /// It runs.
    Running {
        /// On which slot.
        slot: SlotId,
        /// Since when.
        since: Time,
        /// Whether it was called slow.
        speed: Speed,
    },
}

/// Whether a running attempt was called slow.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Speed {
    /// It was not.
    Usual,
    /// It was, once.
    Slow,
}

/// What was asked about an attempt after it was sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Intent {
    /// Nothing: it is to run.
    Run,
    /// It is to come back if it has not started.
    Recall,
    /// It is to stop.
    Stop(StopCause),
}

/// Why an attempt is to stop.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum StopCause {
    /// Its task was cancelled.
    Cancelled,
    /// It has run too long.
    TimedOut {
        /// Its limit.
        after: Duration,
    },
}

impl Placed {
    /// Whether it has lent its licence, and has not got it back.
    pub(super) fn has_lent(&self) -> bool {
        matches!(self.grant, Grant::Lent | Grant::Wanted { .. })
    }
}

impl Task {
    /// The attempt on a host, when there is one.
    pub(super) fn placed(&self) -> Option<&Placed> {
        match &self.state {
            TaskState::Placed(placed) => Some(placed),
            _ => None,
        }
    }

    /// The attempt on a host, when there is one.
    pub(super) fn placed_mut(&mut self) -> Option<&mut Placed> {
        match &mut self.state {
            TaskState::Placed(placed) => Some(placed),
            _ => None,
        }
    }

    /// What errors call it.
    pub(super) fn label(&self, id: TaskId) -> TaskLabel {
        TaskLabel::of(&self.work, id)
    }

    /// Whether a further try is left when the current one fails.
    pub(super) fn has_tries_left(&self) -> bool {
        self.tries + 1 < self.policy.tries
    }

    /// The number of the current try, from 1.
    pub(super) fn try_number(&self) -> u32 {
        self.tries + 1
    }
}

/// The tasks without an outcome, by id. Ids rise by one and are never used again.
///
/// A hash table and not a slab: an index into a slab would have to be used again, or the slab would grow with every
/// task that was ever submitted.
#[derive(Default, Debug)]
pub(super) struct TaskTable {
    tasks: IdMap<TaskId, Task>,
    next: u64,
}

impl TaskTable {
    /// Takes a task in.
    pub(super) fn insert(&mut self, task: Task) -> TaskId {
        let id = self.fresh();
        self.tasks.insert(id, task);
        id
    }

    /// The id of a task that has its outcome from the start.
    pub(super) fn fresh(&mut self) -> TaskId {
        let id = TaskId(self.next);
        self.next += 1;
        id
    }

    /// Takes a task out.
    pub(super) fn remove(&mut self, id: TaskId) -> Option<Task> {
        self.tasks.remove(&id)
    }

    /// A task, if it has no outcome yet.
    pub(super) fn get(&self, id: TaskId) -> Option<&Task> {
        self.tasks.get(&id)
    }

    /// A task, if it has no outcome yet.
    pub(super) fn get_mut(&mut self, id: TaskId) -> Option<&mut Task> {
        self.tasks.get_mut(&id)
    }

    /// The name of a task's current attempt.
    pub(super) fn attempt(&self, id: TaskId) -> Option<AttemptId> {
        self.get(id).map(|task| AttemptId {
            task: id,
            epoch: task.epoch,
        })
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.tasks.len()
    }

    /// All of them, in no order; for the invariants.
    #[cfg(any(test, feature = "sim"))]
    pub(super) fn iter(&self) -> impl Iterator<Item = (TaskId, &Task)> {
        self.tasks.iter().map(|(id, task)| (*id, task))
    }
}
