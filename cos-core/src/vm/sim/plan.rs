//! What simulated hosts and jobs do.

use std::collections::VecDeque;
use std::time::Duration;

use crate::job::{CommandEnd, Exit, StreamTotals, Usage};
use crate::vm::host::{FailureKind, HostInfo, HostSpec};
use crate::wire::message::{Containment, DirectoryReport, HostReport};

/// What a host does.
#[derive(Clone, PartialEq, Debug)]
pub struct HostPlan {
    /// As the kernel is told of it.
    pub spec: HostSpec,
    /// How many cores it gives.
    pub slots: u32,
    /// From the client to its agent, and back.
    pub latency: Duration,
    /// How long its start takes.
    pub start_time: Duration,
    /// How its first starts fail; the next one succeeds.
    pub failures: VecDeque<FailureKind>,
    /// How its first connections end; the next one lasts.
    pub losses: VecDeque<PlannedLoss>,
    /// What other people's load is after so long on each connection, in order.
    pub loads: Vec<(Duration, f64)>,
    /// Whether it has the tool that some jobs need.
    pub tool: Toolbox,
    /// What it makes of jobs.
    pub sanity: Sanity,
    /// The probability that a slot dies under an attempt.
    pub slot_deaths: f64,
    /// The probability that a result comes twice.
    pub duplicates: f64,
    /// The probability that a result still comes after its host was lost.
    pub late: f64,
}

impl HostPlan {
    /// A host that does all as it should, 1 ms away.
    pub fn sound(name: impl Into<String>, slots: u32) -> Self {
        Self {
            spec: HostSpec {
                name: name.into(),
                tags: Vec::new(),
                max_load: None,
            },
            slots,
            latency: Duration::from_millis(1),
            start_time: Duration::from_millis(200),
            failures: VecDeque::new(),
            losses: VecDeque::new(),
            loads: Vec::new(),
            tool: Toolbox::Complete,
            sanity: Sanity::Sound,
            slot_deaths: 0.0,
            duplicates: 0.0,
            late: 0.0,
        }
    }
}

/// How a connection ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PlannedLoss {
    /// How long after the host came up.
    pub after: Duration,
    /// In which way.
    pub kind: LossKind,
}

/// The ways in which a host is lost.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LossKind {
    /// The connection breaks, and the agent ends at once.
    Disconnected,
    /// The agent is killed.
    AgentDied,
    /// Nothing gets through any more; the agent works on until its lease ends.
    Silent,
    /// The host's administrator sends the agent away.
    Left,
    /// The agent says something that it must not.
    Protocol,
}

/// Whether a host has the tool that some jobs need.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Toolbox {
    /// It has.
    Complete,
    /// It has not: jobs that need it exit 127.
    Lacking,
}

/// Whether a job needs the tool.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Tool {
    /// It does.
    Needed,
    /// It does not.
    NotNeeded,
}

/// What a host makes of jobs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sanity {
    /// It runs them.
    Sound,
    /// Each fails within milliseconds.
    FailsAll,
    /// It cannot start any.
    StartsNone,
}

/// Whether a job may wait on a host.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Waits {
    /// It may.
    Allowed,
    /// It must start when it arrives.
    Never,
}

/// What a job does.
#[derive(Clone, PartialEq, Debug)]
pub struct JobPlan {
    /// How long it computes.
    pub duration: Duration,
    /// How it ends then.
    pub end: JobEnd,
    /// How many of its first tries exit 1 instead.
    pub failures: u32,
    /// How many bytes it writes.
    pub output: u64,
    /// Whether it needs the tool.
    pub tool: Tool,
    /// Whether it may wait on a host.
    pub waits: Waits,
    /// What it does after that, before it ends.
    pub then: Vec<Step>,
}

/// A part of what a job does.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Step {
    /// It computes for so long.
    Compute(Duration),
    /// It spawns the jobs with these sequence numbers and waits for all of them.
    Spawn(Vec<u64>),
    /// It waits for something that happens after so long.
    Nap(Duration),
}

impl JobPlan {
    /// A job that succeeds after `duration`.
    pub fn good(duration: Duration) -> Self {
        Self {
            duration,
            end: JobEnd::Exit(Exit::Code(0)),
            failures: 0,
            output: 0,
            tool: Tool::NotNeeded,
            waits: Waits::Never,
            then: Vec::new(),
        }
    }
}

/// How a job ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum JobEnd {
    /// So.
    Exit(Exit),
    /// Only when it is stopped.
    Never,
    /// It takes its slot down.
    KillsSlot,
    /// It takes its agent down.
    KillsAgent,
}

/// How a command is said to have ended.
pub(crate) fn end(exit: Exit, elapsed: Duration) -> CommandEnd {
    CommandEnd {
        exit,
        usage: Usage::default(),
        elapsed,
        stdout: StreamTotals::default(),
        stderr: StreamTotals::default(),
        left_over: 0,
        out_of_memory_kills: 0,
    }
}

/// What a host tells of itself.
pub(crate) fn host_info(plan: &HostPlan) -> HostInfo {
    HostInfo {
        name: plan.spec.name.clone(),
        report: HostReport {
            node: plan.spec.name.clone(),
            system: "x86_64 Linux".into(),
            kernel: "simulated".into(),
            cores: plan.slots,
            slots: plan.slots,
            memory_kib: 1 << 20,
            load_hundredths: 0,
            clock: 0,
            containment: Containment::Subreaper,
            directory: DirectoryReport::Scratch {
                path: b"/tmp".to_vec().into(),
                reason: None,
            },
            kills_user_processes: false,
            neighbours: Vec::new(),
            swept: Vec::new(),
            mirrors: Vec::new(),
            cleared: None,
        },
        release: "simulated".into(),
        uploaded: 0,
        start_time: plan.start_time,
        round_trip: plan.latency * 2,
    }
}
