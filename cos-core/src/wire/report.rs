//! What an agent tells of its host: when it is ready, why it is not, what it noticed.

use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use super::message::MirrorReport;
use crate::ids::{AttemptId, SlotId};

/// What a host that is ready tells of itself.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct HostReport {
    /// Its node name.
    pub node: String,
    /// Its architecture and system, as `x86_64 Linux`.
    pub system: String,
    /// Its kernel's release.
    pub kernel: String,
    /// Cores that the agent may use (its affinity mask, its cgroup).
    pub cores: u32,
    /// Slots, by the client's wish and the cores.
    pub slots: u32,
    /// Main memory in KiB.
    pub memory_kib: u64,
    /// The one-minute load average, in hundredths.
    pub load_hundredths: u32,
    /// The host's wall clock, seconds since 1970.
    pub clock: u64,
    /// How left-over processes are contained.
    pub containment: Containment,
    /// Where jobs run.
    pub directory: DirectoryReport,
    /// logind kills the processes of a session that ended.
    pub kills_user_processes: bool,
    /// Other agents of the same user on this host.
    pub neighbours: Vec<Neighbour>,
    /// What dead agents had left there and was removed now.
    pub swept: Vec<Swept>,
    /// What came of [`Preparation::mirrors`](super::message::Preparation::mirrors).
    pub mirrors: Vec<MirrorReport>,
    /// What came of [`Preparation::clear_store`](super::message::Preparation::clear_store).
    pub cleared: Option<Result<ClearedStore, String>>,
}

/// What is gone from a host's store of files.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct ClearedStore {
    /// How many files are gone.
    pub files: u64,
    /// How many bytes those had.
    pub bytes: u64,
    /// How many stay, since runs are using them.
    pub in_use: u64,
}

/// Something that an agent which is gone had left on its host.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Swept {
    /// The run that the agent belonged to, where that can be told.
    pub run: Option<String>,
    /// What it was, for a message.
    pub what: String,
}

/// What keeps a job's processes together.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Containment {
    /// Subreapers and /proc walks.
    Subreaper,
    /// A process namespace, emptied by the kernel.
    PidNamespace,
    /// A delegated control group.
    ControlGroup,
    /// Nothing: slots are threads of the client.
    Threads,
}

/// Where the jobs of a run start on a host.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum DirectoryReport {
    /// The client's directory, proven to be the same.
    Shared {
        /// Its path on the host.
        path: ByteBuf,
    },
    /// An empty scratch directory.
    Scratch {
        /// Its path on the host.
        path: ByteBuf,
        /// Why the client's directory was not used; empty when it was not asked for.
        reason: Option<String>,
    },
}

/// Another agent of the same user on the host.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Neighbour {
    /// Its run.
    pub run: String,
    /// Its process number.
    pub pid: u32,
    /// Its release and protocol version.
    pub release: String,
    /// Its slots.
    pub slots: u32,
}

/// Why a host cannot be used for this run.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum PrepareError {
    /// The setup script failed.
    Setup {
        /// How it ended.
        ended: String,
        /// The last lines that it wrote.
        output: String,
    },
    /// No scratch directory could be made.
    Scratch {
        /// The host's own words.
        cause: String,
    },
    /// The shell cannot be executed.
    Shell {
        /// The host's own words.
        cause: String,
    },
    /// Anything else that the host refuses.
    Other {
        /// The host's own words.
        cause: String,
    },
}

/// Something an agent noticed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum AgentNote {
    /// A job left processes behind; they were killed.
    LeftOver {
        /// Which attempt.
        attempt: AttemptId,
        /// How many.
        killed: u32,
    },
    /// A slot process died and was replaced.
    SlotRestarted {
        /// Which slot.
        slot: SlotId,
        /// What it died of.
        cause: String,
    },
    /// Anything else worth a line.
    Text(String),
}
