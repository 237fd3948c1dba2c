//! What an agent and its slots say to each other, in frames over a socket pair.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use crate::ids::AttemptId;
use crate::job::{AttemptResult, CommandJob, Stream};

/// What an agent says to a slot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::worker) enum ToSlot {
    /// The first message.
    Configure(Box<Configuration>),
    /// Run this now; the slot is idle.
    Run(Box<Order>),
    /// Stop it: TERM to its process group, KILL to its tree after `grace`.
    Stop { attempt: AttemptId, grace: Duration },
    /// So many more bytes of its output may be sent.
    Credit { attempt: AttemptId, bytes: u64 },
}

/// A job for a slot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::worker) struct Order {
    pub(in crate::worker) attempt: AttemptId,
    pub(in crate::worker) try_number: u32,
    pub(in crate::worker) cores: u32,
    /// The job's own directory, which the slot makes and removes, if it has one.
    pub(in crate::worker) directory: Option<ByteBuf>,
    /// The agent has made that directory, put files into it, and will remove it.
    pub(in crate::worker) is_staged: bool,
    pub(in crate::worker) job: Box<CommandJob>,
}

/// What is the same for every command of a slot. Its environment is the slot's own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::worker) struct Configuration {
    pub(in crate::worker) slot: u32,
    pub(in crate::worker) run: String,
    pub(in crate::worker) host: String,
    /// The absolute path of the shell.
    pub(in crate::worker) shell: ByteBuf,
    /// Where commands start.
    pub(in crate::worker) directory: ByteBuf,
    pub(in crate::worker) nice: i32,
}

/// What a slot says to its agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::worker) enum FromSlot {
    /// The payload was written by the command.
    Output { attempt: AttemptId, stream: Stream },
    /// It has ended, and the slot is idle.
    Ended {
        attempt: AttemptId,
        result: AttemptResult,
    },
}
