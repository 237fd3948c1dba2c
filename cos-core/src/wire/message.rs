//! What client and agent say to each other.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

pub use super::report::{
    AgentNote, ClearedStore, Containment, DirectoryReport, HostReport, Neighbour, PrepareError,
    Swept,
};
use super::staging::{FromStaging, ToStaging};
use crate::ids::{AttemptId, SlotId};
use crate::job::{Amounts, AttemptResult, Stream, Work};

/// Sequence number of a message on one link; the first message of a link has 1.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize,
)]
pub struct Sequence(pub u64);

/// The header of every frame between client and agent.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Envelope<M> {
    /// The number of this message; `None` for messages that need no delivery (hello, heartbeat, acknowledgement),
    /// which are never sent again.
    pub sequence: Option<Sequence>,
    /// The last message of the other side that was received, with all before it.
    pub acknowledged: Sequence,
    /// The message.
    pub message: M,
}

/// What a client says to an agent.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum ToAgent {
    /// The first message. An agent of another protocol version answers with its own hello and ends.
    /// The layout of this variant never changes.
    Hello(ClientHello),
    /// Says that the client lives. Sent whenever nothing else was for a heartbeat interval. Answered at once by a
    /// [`FromAgent::Heartbeat`] with the same stamp, which measures the round trip.
    Heartbeat {
        /// Any number.
        stamp: u64,
    },
    /// Nothing but the acknowledgement in its envelope.
    Acknowledge,
    /// How jobs are to see the host. Sent once, before any attempt. Answered by [`FromAgent::Prepared`].
    Prepare(Box<Preparation>),
    /// Run this, as soon as the amounts are free; attempts start in the order of arrival.
    Start {
        /// Which attempt.
        attempt: AttemptId,
        /// Which try this is, from 1, for `COS_TRY`; lost hosts do not count.
        try_number: u32,
        /// What it takes.
        amounts: Amounts,
        /// What to run; of a call's arguments the first part.
        work: Box<Work>,
        /// How many bytes of a call's arguments follow, once the agent wants them.
        more_arguments: u64,
    },
    /// The next part of the arguments of a call, no more of them than were [wanted](FromAgent::ArgumentsWanted); it is the frame's
    /// payload.
    Arguments {
        /// Which attempt.
        attempt: AttemptId,
    },
    /// Stop an attempt, running or waiting: TERM to its process group, KILL to its whole tree after `grace`.
    /// Answered by [`FromAgent::Ended`] with `Stopped` (or by the result that was already on its way).
    Stop {
        /// Which attempt.
        attempt: AttemptId,
        /// From TERM to KILL; zero means KILL at once.
        grace: Duration,
    },
    /// Give an attempt back if it has not started. Answered by [`FromAgent::Returned`], or not at all when it has.
    Recall {
        /// Which attempt.
        attempt: AttemptId,
    },
    /// An attempt that has [lent](FromAgent::Lent) its licence has it again, whether it has said that it is
    /// [wanted](FromAgent::Wanted) or not.
    Resume {
        /// Which attempt.
        attempt: AttemptId,
    },
    /// The client's runtime tells an attempt something; the words are the frame's payload.
    Tell {
        /// Which attempt.
        attempt: AttemptId,
    },
    /// So many more bytes of output and value of this attempt may be sent, beyond the first [`OUTPUT_WINDOW`].
    Credit {
        /// Which attempt.
        attempt: AttemptId,
        /// How many bytes were consumed.
        bytes: u64,
    },
    /// About files.
    Staging(ToStaging),
    /// End everything at once: kill every job's tree, remove the scratch, say [`FromAgent::Bye`], exit.
    Shutdown {
        /// From TERM to KILL for jobs that run.
        grace: Duration,
    },
}

/// How much output and value of one attempt an agent may send before the client has granted more (256 KiB).
pub const OUTPUT_WINDOW: u64 = 256 * 1024;

/// What an agent says to its client.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum FromAgent {
    /// The first message. The layout of this variant never changes.
    Hello(AgentHello),
    /// Says that the agent lives.
    Heartbeat {
        /// The stamp of the heartbeat that this one answers; `None` when the agent speaks of its own accord.
        stamp: Option<u64>,
        /// The host's one-minute load average, in hundredths.
        load_hundredths: u32,
        /// How many of its processes are COS's own jobs of this agent, running.
        running: u32,
    },
    /// Nothing but the acknowledgement in its envelope.
    Acknowledge,
    /// The host is ready for jobs, or is not.
    Prepared(Box<Result<HostReport, PrepareError>>),
    /// An attempt has begun.
    Started {
        /// Which attempt.
        attempt: AttemptId,
        /// On which slot.
        slot: SlotId,
    },
    /// Bytes that an attempt wrote; they are the frame's payload.
    Output {
        /// Which attempt.
        attempt: AttemptId,
        /// On which stream.
        stream: Stream,
    },
    /// Every microthread of an attempt that runs waits: what it takes is free. Its process stays.
    Lent {
        /// Which attempt.
        attempt: AttemptId,
    },
    /// An attempt that has lent its licence could go on.
    Wanted {
        /// Which attempt.
        attempt: AttemptId,
    },
    /// An attempt that runs says something to the client's runtime; the words are the frame's payload.
    Told {
        /// Which attempt.
        attempt: AttemptId,
    },
    /// The next part of the value that a call has returned; it is the frame's payload. It needs credit, as output does;
    /// the last part comes with the end.
    Value {
        /// Which attempt.
        attempt: AttemptId,
    },
    /// So many more bytes of the arguments of a call may be sent.
    ArgumentsWanted {
        /// Which attempt.
        attempt: AttemptId,
        /// How many bytes.
        bytes: u64,
    },
    /// An attempt has ended. All of its output was sent before.
    Ended {
        /// Which attempt.
        attempt: AttemptId,
        /// How.
        result: AttemptResult,
    },
    /// An attempt that had not started was given back.
    Returned {
        /// Which attempt.
        attempt: AttemptId,
    },
    /// About files.
    Staging(FromStaging),
    /// Something worth a line.
    Note(AgentNote),
    /// The host's administrator asked the agent to leave (SIGTERM): no attempt starts any more, those that run
    /// are killed and are to be run elsewhere. [`FromAgent::Bye`] follows.
    Leaving {
        /// The signal.
        signal: i32,
    },
    /// The last message: nothing of this run is left on the host but what is listed.
    Bye {
        /// What could not be removed or killed, empty when all is clean.
        left: Vec<String>,
    },
}

/// The client's first message.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ClientHello {
    /// [`PROTOCOL_VERSION`](super::PROTOCOL_VERSION) of the client.
    pub protocol: u32,
    /// The client's release, for messages.
    pub release: String,
    /// Rises with every attach of this client; the newest wins.
    pub generation: u32,
    /// The last message that the client received on an earlier channel of the same link; 0 on the first.
    pub received: Sequence,
}

/// The agent's first message.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct AgentHello {
    /// [`PROTOCOL_VERSION`](super::PROTOCOL_VERSION) of the worker.
    pub protocol: u32,
    /// The worker's release, for messages.
    pub release: String,
    /// The agent's process number on its host.
    pub pid: u32,
    /// The last message that the agent received on an earlier channel; 0 on the first.
    pub received: Sequence,
}

/// How jobs of this run are to see the host.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Preparation {
    /// The run's id, for names of directories and for `COS_RUN`.
    pub run: String,
    /// The host's name as the user wrote it, for `COS_HOST`.
    pub host: String,
    /// Added to the priority of jobs, as nice(1) does.
    pub nice: i32,
    /// The shell of command lines, an absolute path or a name in `PATH`.
    pub shell: String,
    /// A script for that shell, run once; what it exports reaches every job. It failing leaves the host out.
    pub setup: Option<String>,
    /// How long the setup may take.
    pub setup_timeout: Duration,
    /// Variables for every job, over the host's own.
    pub environment: Vec<(ByteBuf, ByteBuf)>,
    /// Where jobs run.
    pub directory: RunDirectory,
    /// The parent of the run's scratch; `{user}` stands for the login name.
    pub local_storage: String,
    /// How many cores jobs may take.
    pub slots: SlotCount,
    /// How long the agent works on when it hears nothing.
    pub lease: Duration,
    /// Directory trees that the client asks a proof for, whatever jobs do; [`HostReport::mirrors`] answers in this
    /// order.
    pub mirrors: Vec<Mirror>,
    /// The client's own mirrored storage, where the host is the client's machine and there is nothing to prove: tasks
    /// there translate paths by the same list. `None` where they are to find it as any program does.
    pub own_storage: Option<Vec<ByteBuf>>,
    /// Empty the host's store of files, but for what runs are using; [`HostReport::cleared`] answers.
    pub clear_store: bool,
}

/// A directory tree that client and host are said to share.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Mirror {
    /// Where it may be on the host, as in [`RunDirectory::Proven`].
    pub paths: Vec<ByteBuf>,
    /// What the client put there, or why it could put nothing there.
    pub token: Result<cos_storage::Token, String>,
}

/// What came of a [`Mirror`].
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct MirrorReport {
    /// Its path on the host; the likeliest one where it was found under none.
    pub path: ByteBuf,
    /// Why it is not proved to be the client's; `None` when it is.
    pub problem: Option<String>,
}

/// The run's directory on a host.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum RunDirectory {
    /// An empty scratch directory.
    Scratch {
        /// Why the client's directory cannot be used, for [`DirectoryReport::Scratch`]; `None` when it was not asked for.
        reason: Option<String>,
    },
    /// The first of these directories in which the token can be read; where there is none a scratch directory, and
    /// [`DirectoryReport::Scratch`] says why.
    Proven {
        /// Where the client's directory may be on this host, the likeliest path first. A leading `~` is the home
        /// directory there.
        paths: Vec<ByteBuf>,
        /// What the client put there.
        token: cos_storage::Token,
    },
    /// This directory, unproven: the host is the client's own machine.
    Here {
        /// The directory.
        path: ByteBuf,
    },
}

/// How many slots a host gives, by what it has.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum SlotCount {
    /// So many.
    Number(u32),
    /// One for each core.
    Cores,
    /// One for each core but so many; at least one.
    CoresMinus(u32),
    /// This percentage of the cores, rounded down; at least one.
    Percent(u32),
}

impl SlotCount {
    /// The slots of a host with `cores` cores.
    pub fn of(self, cores: u32) -> u32 {
        match self {
            Self::Number(number) => number,
            Self::Cores => cores.max(1),
            Self::CoresMinus(less) => cores.saturating_sub(less).max(1),
            Self::Percent(percent) => {
                let share = u64::from(cores) * u64::from(percent) / 100;
                u32::try_from(share).unwrap_or(u32::MAX).max(1)
            }
        }
    }
}
