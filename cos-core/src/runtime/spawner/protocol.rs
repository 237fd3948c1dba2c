//! What a task's OS and its spawner say.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::ids::{ClassId, HostId, TaskId};
use crate::job::{Call, Needs, Outcome, TaskError, Work};
use crate::kernel::TaskPolicy;

/// A number that a task's OS has given to something that it asks for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub(super) struct Serial(pub(super) u64);

/// What a task's OS says to the client's.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum ToSpawner {
    /// Run this as a child of mine. Answered by [`FromSpawner::Handed`], whenever it is handed to a host, and one
    /// [`FromSpawner::Ended`].
    Spawn(Box<Submission>),
    /// I do not want this child any more: TERM, and KILL after `grace`.
    Cancel { child: Serial, grace: Duration },
    /// Make this call yourself. Answered by [`FromSpawner::Returned`] if that is asked for.
    Call { call: Call, answer: Option<Serial> },
}

/// A child that is to be run.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Submission {
    pub(super) child: Serial,
    /// The parent's own number for it.
    pub(super) index: u64,
    pub(super) work: Work,
    pub(super) needs: Needs,
    pub(super) class: ClassId,
    pub(super) policy: TaskPolicy,
}

/// What the client's OS says to a task's.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum FromSpawner {
    /// A child was handed to a host.
    Handed {
        child: Serial,
        task: TaskId,
        host: HostId,
    },
    /// A child has its outcome.
    Ended {
        child: Serial,
        outcome: Box<Outcome>,
        host: Option<HostId>,
        tries: u32,
    },
    /// How much the hosts can take.
    Room(Room),
    /// A call has returned: its encoded value, or why there is none.
    Returned {
        call: Serial,
        result: Result<bytes::Bytes, Box<TaskError>>,
    },
}

/// How much the hosts can take.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
pub(super) struct Room {
    pub(super) slots: u32,
    pub(super) free: u32,
    /// How many more tasks keep every slot busy.
    pub(super) wanting: u32,
}
