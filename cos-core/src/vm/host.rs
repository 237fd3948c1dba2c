//! What a host is, how it gets ready and how it fails.

use std::fmt;
use std::time::Duration;

use thiserror::Error;

use crate::wire::message::{AgentNote, HostReport};

/// A host as the kernel needs to know it before it is reached.
#[derive(Clone, PartialEq, Debug)]
pub struct HostSpec {
    /// Its name as the user wrote it.
    pub name: String,
    /// Its tags.
    pub tags: Vec<String>,
    /// Other people's load per core above which no new task starts there.
    pub max_load: Option<f64>,
}

/// How far a host's start has come.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Stage {
    /// The connection is being made.
    Connecting,
    /// Its system and its worker are being looked at.
    Probing,
    /// The worker is being uploaded.
    Uploading {
        /// Its size in bytes.
        bytes: u64,
    },
    /// The agent is starting.
    Starting,
    /// Directory, setup and sweeping.
    Preparing,
    /// It runs tasks.
    Running,
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connecting => "connect",
            Self::Probing => "probe",
            Self::Uploading { .. } => "upload",
            Self::Starting => "start",
            Self::Preparing => "prepare",
            Self::Running => "run",
        })
    }
}

/// A host that is ready.
#[derive(Clone, PartialEq, Debug)]
pub struct HostInfo {
    /// Its name as the user wrote it.
    pub name: String,
    /// What it tells of itself.
    pub report: HostReport,
    /// The release of its worker.
    pub release: String,
    /// Bytes of worker that had to be sent, 0 when it was there.
    pub uploaded: u64,
    /// From the connect command to now.
    pub start_time: Duration,
    /// The measured round trip to its agent.
    pub round_trip: Duration,
}

/// Why a host could not be made ready, in words for its user.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[error("{headline}")]
pub struct HostFailure {
    /// Where it failed.
    pub stage: Stage,
    /// One sentence that names the host: `ws04 is unreachable`.
    pub headline: String,
    /// The cause in the words of ssh or of the host; several lines are possible. Not yet escaped.
    pub cause: String,
    /// What the user can do.
    pub cure: Option<String>,
    /// What to do about it.
    pub kind: FailureKind,
}

/// What the kernel does about a host that failed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FailureKind {
    /// It may work later: try again, with growing pauses.
    Retry,
    /// sshd has too many logins at once: try again soon, after a random pause.
    Crowded,
    /// It cannot work until somebody changes something: a refused login, a changed key, a wrong architecture.
    Permanent,
}

/// How a host that was up was lost.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum HostLoss {
    /// The connection ended.
    #[error("the connection ended: {cause}")]
    Disconnected {
        /// ssh's own words, or what the stream said.
        cause: String,
    },
    /// The agent's process ended without a word.
    #[error("the agent died: {cause}")]
    AgentDied {
        /// How.
        cause: String,
    },
    /// Nothing was heard for a whole lease.
    #[error("silent for {} s", silent_for.as_secs())]
    Silent {
        /// For how long.
        silent_for: Duration,
    },
    /// It broke the protocol.
    #[error("{cause}; host dropped")]
    Protocol {
        /// What it sent.
        cause: String,
    },
    /// Its administrator sent the agent a signal.
    #[error("stopped there by {}", crate::job::Exit::Signal(*signal))]
    Left {
        /// Which.
        signal: i32,
    },
}

/// Something worth a line about a host.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum HostNote {
    /// Its login prints text.
    IgnoredLines {
        /// How many lines.
        lines: u32,
        /// The first. Not yet escaped.
        first: String,
    },
    /// A cached worker was not what its name says.
    Redeployed {
        /// Where it lies.
        path: String,
    },
    /// A directory could not be used for the worker, another is.
    DirectorySkipped {
        /// The directory.
        path: String,
        /// Why not.
        cause: String,
    },
    /// An input went there, as a whole or from where an earlier transfer had ended.
    Sent {
        /// The file here, escaped for a terminal.
        path: String,
        /// Its size in bytes.
        bytes: u64,
    },
    /// What its agent noticed.
    Agent(AgentNote),
}
