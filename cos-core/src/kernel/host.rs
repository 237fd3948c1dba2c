//! The host table: what the kernel knows of each host.
//!
//! ```text
//!            turn              Up                  drain, disconnect           Closed
//!   Idle ----------> Connecting -------> Up --------------------------> Closing -------> Gone
//!    ^                   |               |
//!    | due               | Failed        | Lost                          Gone: for good. A permanent failure,
//!    |                   v               v                               a protocol error, SIGTERM from the
//!    +---------------- Waiting <---------+                               host's administrator, or as asked.
//! ```
//!
//! A host that is up takes tasks while its intake is open, other people's load is below its limit and its health
//! is not in doubt ([`Health`]).

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use super::blame::Health;
use super::config::ConnectConfig;
use super::prefetch::Pace;
use super::queue::{DemandKey, Rank};
use crate::ids::TaskId;
use crate::job::Amounts;
use crate::time::Time;
use crate::vm::host::{HostFailure, HostInfo, HostLoss, HostSpec};

/// One host.
#[derive(Debug)]
pub(super) struct Host {
    /// As its user described it.
    pub(super) spec: HostSpec,
    /// What it is doing.
    pub(super) state: HostState,
    /// How often in a row it failed or was lost soon after it came up.
    pub(super) failures: u32,
    /// Whether it is waited for while it is not up.
    pub(super) hope: Hope,
    /// How often in a row its sshd had too many logins.
    pub(super) crowded: u32,
    /// What it had when it was last up.
    pub(super) known_total: Option<Amounts>,
    /// The last thing that went wrong with it, in words.
    pub(super) trouble: Option<String>,
    /// Whether it is suspected of failing good tasks. Outlives a connection.
    pub(super) health: Health,
}

/// What a host is doing.
#[derive(Debug)]
pub(super) enum HostState {
    /// It waits for its turn to be connected, at once or by [`Timer::Connect`](super::timers::Timer::Connect).
    Idle,
    /// It is being connected.
    Connecting,
    /// It runs tasks.
    Up(Box<Up>),
    /// It failed or was lost, and is tried again by [`Timer::Connect`](super::timers::Timer::Connect).
    Waiting,
    /// It was asked to disconnect. What still runs there ends with the connection.
    Closing {
        /// Its attempts.
        attempts: BTreeSet<TaskId>,
        /// What follows.
        next: AfterClose,
    },
    /// It takes no part any more.
    Gone(Gone),
}

/// Whether a host that is not up is waited for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Hope {
    /// It is, at least until this moment when it has worked before.
    Waited {
        /// So long its failures are overlooked.
        at_least_until: Option<Time>,
    },
    /// It is tried on, but nobody waits for it.
    GivenUp,
}

/// What follows a disconnection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum AfterClose {
    /// Nothing: it was asked for.
    Gone,
    /// Another try later: the host did not do what it should.
    Again,
}

/// Why a host takes no part any more.
#[derive(Clone, Debug)]
pub(super) enum Gone {
    /// It cannot work until somebody changes something.
    Refused(Arc<HostFailure>),
    /// It was lost in a way that forbids another try.
    Lost(HostLoss),
    /// It was disconnected as asked.
    Closed,
}

/// A host that is up.
#[derive(Debug)]
pub(super) struct Up {
    /// Since when.
    pub(super) since: Time,
    /// What it has for tasks.
    pub(super) total: Amounts,
    /// What its granted attempts take. Within `total`, unless the host starts attempts that it has no room for.
    pub(super) used: Amounts,
    /// Every attempt that is there.
    pub(super) attempts: BTreeSet<TaskId>,
    /// Those that wait there for room, in the order in which the agent starts them.
    pub(super) queued: VecDeque<TaskId>,
    /// Those that have lent their licence and do not want it back yet. The others are in the table of the woken.
    pub(super) lent: BTreeSet<Rank>,
    /// How many of the queued ones were asked back.
    pub(super) recalled: usize,
    /// Whether it may take tasks at all.
    pub(super) intake: Intake,
    /// Whether other people leave it free.
    pub(super) load: Load,
    /// The kind of task for several cores that the host is kept free for.
    pub(super) reserved: Option<DemandKey>,
    /// Whether it has shown that it works.
    pub(super) proof: Proof,
    /// How long its tasks take against its round trip.
    pub(super) pace: Pace,
}

/// Whether a host that is up may take tasks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Intake {
    /// It may.
    Open,
    /// It ends what it has and is then disconnected.
    Draining,
}

/// Whether other people leave a host free, with hysteresis.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Load {
    /// Their load is below the host's limit.
    Free,
    /// It rose above the limit and has not fallen well below it since.
    Busy,
}

/// Whether a host has shown on this connection that it works.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Proof {
    /// Not yet.
    None,
    /// It has completed a task.
    Completed,
}

impl Host {
    pub(super) fn new(spec: HostSpec) -> Self {
        Self {
            spec,
            state: HostState::Idle,
            failures: 0,
            hope: Hope::Waited {
                at_least_until: None,
            },
            crowded: 0,
            known_total: None,
            trouble: None,
            health: Health::default(),
        }
    }

    /// The connection, when there is one.
    pub(super) fn up(&self) -> Option<&Up> {
        match &self.state {
            HostState::Up(up) => Some(up),
            _ => None,
        }
    }

    /// The connection, when there is one.
    pub(super) fn up_mut(&mut self) -> Option<&mut Up> {
        match &mut self.state {
            HostState::Up(up) => Some(up),
            _ => None,
        }
    }

    /// The connection, when it takes tasks now (it may be full).
    pub(super) fn accepting(&self) -> Option<&Up> {
        self.up().filter(|up| {
            up.intake == Intake::Open && up.load == Load::Free && self.health.accepts()
        })
    }

    /// Counts one more failure in a row. A host that has failed too often is given up.
    pub(super) fn count_failure(&mut self, connect: &ConnectConfig, now: Time) {
        self.failures = self.failures.saturating_add(1);
        if let Hope::Waited { at_least_until } = self.hope
            && self.failures >= connect.patience
            && at_least_until.is_none_or(|moment| now >= moment)
        {
            self.hope = Hope::GivenUp;
        }
    }

    /// Whether a task that takes `amounts` may run here, now or later.
    pub(super) fn is_possible(&self, amounts: Amounts) -> bool {
        let alive = match &self.state {
            HostState::Idle | HostState::Connecting | HostState::Waiting => {
                self.hope != Hope::GivenUp
            }
            HostState::Up(up) => up.intake == Intake::Open,
            HostState::Closing { next, .. } => {
                *next == AfterClose::Again && self.hope != Hope::GivenUp
            }
            HostState::Gone(_) => false,
        };
        alive && self.known_total.is_none_or(|total| amounts.fits(total))
    }

    /// Why a task cannot run here, for its user.
    pub(super) fn why_impossible(&self, amounts: Amounts) -> String {
        let reason = match (&self.state, &self.trouble, self.known_total) {
            (HostState::Gone(Gone::Refused(failure)), ..) => match first_line(&failure.cause) {
                "" => failure.headline.clone(),
                line => line.to_owned(),
            },
            (HostState::Gone(Gone::Lost(loss)), ..) => loss.to_string(),
            (HostState::Gone(Gone::Closed), ..) => "disconnected".to_owned(),
            (_, _, Some(total)) if !amounts.fits(total) => format!("has {total} only"),
            (_, Some(trouble), _) => trouble.clone(),
            (_, None, _) => "not available".to_owned(),
        };
        format!("{}: {reason}", self.spec.name)
    }

    /// Whether it never comes (back) in this run.
    pub(super) fn is_gone(&self) -> bool {
        match &self.state {
            HostState::Gone(_) => true,
            HostState::Closing { next, .. } => *next == AfterClose::Gone,
            HostState::Up(up) => up.intake == Intake::Draining,
            HostState::Idle | HostState::Connecting | HostState::Waiting => false,
        }
    }
}

impl Up {
    pub(super) fn new(info: &HostInfo, total: Amounts, now: Time) -> Self {
        Self {
            since: now,
            total,
            used: Amounts::default(),
            attempts: BTreeSet::new(),
            queued: VecDeque::new(),
            lent: BTreeSet::new(),
            recalled: 0,
            intake: Intake::Open,
            load: Load::Free,
            reserved: None,
            proof: Proof::None,
            pace: Pace::new(info.round_trip),
        }
    }

    /// What is free.
    pub(super) fn free(&self) -> Amounts {
        self.total.checked_sub(self.used).unwrap_or_default()
    }

    /// Whether an attempt that takes `amounts` would start at once.
    pub(super) fn has_room(&self, amounts: Amounts) -> bool {
        self.queued.is_empty() && amounts.fits(self.free())
    }

    /// Takes an attempt out of those that wait for room; mostly it is the first.
    pub(super) fn leave_queue(&mut self, task: TaskId) {
        if self.queued.front() == Some(&task) {
            self.queued.pop_front();
        } else {
            self.queued.retain(|queued| *queued != task);
        }
    }

    /// Whether it has been up long enough, or done enough, to be taken at its word.
    pub(super) fn is_stable(&self, connect: &ConnectConfig, now: Time) -> bool {
        self.proof == Proof::Completed || now.since(self.since) >= connect.stable_after
    }
}

/// The pause before the next try of a host that has failed `failures` times in a row, between three quarters of its nominal
/// length and all of it.
pub(super) fn pause(connect: &ConnectConfig, failures: u32, rng: &mut fastrand::Rng) -> Duration {
    let doublings = failures.saturating_sub(1).min(16);
    let nominal = connect
        .pause
        .saturating_mul(1 << doublings)
        .min(connect.max_pause);
    nominal.mul_f64(0.75 + rng.f64() / 4.0)
}

/// The pause before the next try of a host whose sshd had too many logins, `crowded` times in a row.
pub(super) fn crowded_pause(
    connect: &ConnectConfig,
    crowded: u32,
    rng: &mut fastrand::Rng,
) -> Duration {
    let longest = connect
        .crowded_pause
        .saturating_mul(1 << crowded.min(16))
        .min(connect.max_crowded_pause)
        .max(connect.crowded_pause);
    connect.crowded_pause + (longest - connect.crowded_pause).mul_f64(rng.f64())
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}
