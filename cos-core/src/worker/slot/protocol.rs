//! What an agent and its slots say to each other, in frames over a socket pair.

use std::borrow::Cow;
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
    /// Run this when those before it have ended.
    Run(Box<Order>),
    /// Stop it, begun or not: TERM to its process group, KILL to its tree after `grace`.
    Stop { attempt: AttemptId, grace: Duration },
    /// So many more bytes of its output may be sent.
    Credit { attempt: AttemptId, bytes: u64 },
    /// Give this back if it has not begun: answered by [`FromSlot::Returned`], or else not at all.
    Recall { attempt: AttemptId },
    /// Make this call when those before it have ended; the payload is the beginning of its arguments. For call slots, as
    /// what follows.
    Call(Box<CallOrder>),
    /// The payload is the next part of a call's arguments.
    Arguments { attempt: AttemptId },
    /// A call that has lent its licence has it again.
    Resume { attempt: AttemptId },
    /// The client's runtime tells a call the payload.
    Tell { attempt: AttemptId },
}

/// A call for a slot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::worker) struct CallOrder {
    pub(in crate::worker) attempt: AttemptId,
    pub(in crate::worker) task: Cow<'static, str>,
    pub(in crate::worker) fingerprint: u64,
    /// How many bytes of arguments follow those of the payload, once the slot has asked for them.
    pub(in crate::worker) more_arguments: u64,
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
    /// By which list calls translate paths; as any program here does where there is none.
    pub(in crate::worker) storage: Option<Vec<StorageEntry>>,
}

/// An entry of the mirrored storage of this host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::worker) struct StorageEntry {
    /// Its directory here.
    pub(in crate::worker) path: ByteBuf,
    /// Why it is not the client's.
    pub(in crate::worker) problem: Option<String>,
}

/// What a slot says to its agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::worker) enum FromSlot {
    /// The payload was written by the command.
    Output { attempt: AttemptId, stream: Stream },
    /// It has ended. The next that the slot was handed, if there is one, begins at once.
    Ended {
        attempt: AttemptId,
        result: AttemptResult,
    },
    /// The payload is the next part of the value that a call has returned; the last part comes with its end.
    Value { attempt: AttemptId },
    /// Every microthread of the call that runs waits: what it takes is free.
    Lent { attempt: AttemptId },
    /// The call that has lent its licence could go on.
    Wanted { attempt: AttemptId },
    /// The call that runs tells the client's runtime the payload.
    Told { attempt: AttemptId },
    /// So many more bytes of a call's arguments may be sent.
    ArgumentsWanted { attempt: AttemptId, bytes: u64 },
    /// What had not begun was given back.
    Returned { attempt: AttemptId },
    /// This process ends itself: whatever it was handed and has not begun will not begin here.
    Leaving,
}
