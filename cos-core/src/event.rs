//! The one stream of events that progress display, journal, job log, report and tests consume.
//!
//! A [`RunEvent`] says what has happened, in the words of tasks and hosts. Observers get a reference to each, in
//! order, on the thread that runs the OS; what they do delays the OS, but no lease.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::ids::{AttemptId, HostId, SlotId, TaskId};
use crate::job::{CallFailure, CommandEnd, Exit, Outcome, Stream, Work};
use crate::time::Time;
use crate::vm::host::{HostFailure, HostInfo, HostLoss, HostNote, Stage};

/// Something that has happened, and when.
#[derive(Clone, Debug, PartialEq)]
pub struct Stamped {
    /// When.
    pub at: Time,
    /// What.
    pub event: RunEvent,
}

/// Something that has happened.
#[derive(Clone, Debug, PartialEq)]
pub enum RunEvent {
    /// A host's start has come to this stage.
    HostStage {
        /// Which host.
        host: HostId,
        /// Its stage.
        stage: Stage,
    },
    /// A host is ready.
    HostUp {
        /// Which host.
        host: HostId,
        /// What it is.
        info: Arc<HostInfo>,
    },
    /// A host could not be made ready.
    HostFailed {
        /// Which host.
        host: HostId,
        /// Why.
        failure: Arc<HostFailure>,
        /// When it is tried again; `None`: not in this run.
        retry_in: Option<Duration>,
    },
    /// A host that was ready is gone.
    HostLost {
        /// Which host.
        host: HostId,
        /// How.
        loss: HostLoss,
        /// How many of its tasks go elsewhere.
        requeued: u32,
        /// When it is tried again; `None`: not in this run.
        retry_in: Option<Duration>,
    },
    /// Nothing was heard of a host for so long; `None`: it was heard again.
    HostSilent {
        /// Which host.
        host: HostId,
        /// For how long.
        silent_for: Option<Duration>,
        /// When it is given up.
        lost_in: Duration,
    },
    /// A host gets no more tasks of one class: its tool is missing there (exit 126 or 127).
    HostLeftOut {
        /// Which host.
        host: HostId,
        /// What its shell said.
        exit: Exit,
        /// How many tasks went elsewhere for it so far.
        moved: u32,
    },
    /// A host is paused: it fails tasks fast while others succeed, or other people need it.
    HostPaused {
        /// Which host.
        host: HostId,
        /// Why.
        cause: PauseCause,
    },
    /// A paused host takes tasks again.
    HostResumed {
        /// Which host.
        host: HostId,
    },
    /// Something worth a line about a host.
    HostNote {
        /// Which host.
        host: HostId,
        /// What.
        note: HostNote,
    },
    /// A host was disconnected as asked.
    HostClosed {
        /// Which host.
        host: HostId,
        /// What could not be removed or killed there.
        left: Vec<String>,
    },
    /// A task runs.
    TaskStarted {
        /// Which attempt.
        attempt: AttemptId,
        /// Its number among the caller's jobs, from 0.
        index: u64,
        /// Where.
        host: HostId,
        /// On which slot.
        slot: SlotId,
        /// Which try, from 1.
        try_number: u32,
        /// What it executes.
        work: Arc<Work>,
    },
    /// A task wrote.
    TaskOutput {
        /// Which attempt.
        attempt: AttemptId,
        /// Its number among the caller's jobs.
        index: u64,
        /// On which stream.
        stream: Stream,
        /// What; not escaped.
        bytes: Bytes,
    },
    /// A task takes longer than most.
    TaskSlow {
        /// Which attempt.
        attempt: AttemptId,
        /// Its number among the caller's jobs.
        index: u64,
        /// Where.
        host: HostId,
        /// The threshold that it has passed.
        threshold: Duration,
    },
    /// An attempt did not settle its task, which runs again; the attempt's output is void.
    TaskAgain {
        /// Which attempt has ended.
        attempt: AttemptId,
        /// Its number among the caller's jobs.
        index: u64,
        /// Where it ran.
        host: HostId,
        /// Why it runs again.
        cause: AgainCause,
    },
    /// A task has its outcome.
    TaskEnded {
        /// Which attempt settled it; `None` when it never ran.
        attempt: Option<AttemptId>,
        /// Which task.
        task: TaskId,
        /// Its number among the caller's jobs.
        index: u64,
        /// Where it ran last.
        host: Option<HostId>,
        /// How many tries were made.
        tries: u32,
        /// What came of it.
        outcome: Outcome,
    },
    /// Messages of attempts that are no longer current were dropped.
    LateDropped {
        /// How many in all so far.
        total: u64,
    },
}

/// Why a host is paused.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum PauseCause {
    /// It fails tasks fast while others succeed.
    FailsFast {
        /// How many in a row.
        failures: u32,
    },
    /// Other people's load per core is above the host's `max_load`.
    Load {
        /// The load.
        others_per_core: f64,
        /// The limit.
        limit: f64,
    },
}

/// Why a task runs again.
#[derive(Clone, Debug, PartialEq)]
pub enum AgainCause {
    /// Its command failed and it has tries left.
    Retry {
        /// How it ended.
        end: CommandEnd,
        /// Which try that was.
        try_number: u32,
        /// How many it may have.
        tries: u32,
    },
    /// Its call failed and it has tries left.
    CallFailed {
        /// How.
        failure: CallFailure,
        /// Which try that was.
        try_number: u32,
        /// How many it may have.
        tries: u32,
    },
    /// It took too long and has tries left.
    TimedOut {
        /// Its limit.
        after: Duration,
        /// Which try that was.
        try_number: u32,
        /// How many it may have.
        tries: u32,
    },
    /// The host was lost, or its slot died.
    Crash {
        /// How many crashes the task has seen.
        crashes: u32,
        /// How many it may see.
        limit: u32,
        /// What happened.
        cause: String,
    },
    /// The host was lost before the task had started, or gave it back.
    NotStarted {
        /// Why.
        cause: String,
    },
    /// The host lacks the command.
    CommandMissing {
        /// What its shell said.
        exit: Exit,
    },
}
