//! Who is to blame: hosts that lack a tool, hosts that fail good tasks.
//!
//! **Tools.** For each class of tasks and each host:
//!
//! ```text
//!   Unknown --- exit 126/127 ---> LeftOut      gets no more tasks of the class
//!      |                             |
//!      | any other exit              | any other exit of one that still ran there
//!      v                             v
//!    Works <-------------------------+         keeps its place, whatever exits 126/127 there later
//! ```
//!
//! **Health.** A host is paused when its last five results were failures, each within a second or within the median of
//! its class's successes, while at least 80 percent of the recent results of the other hosts (5 or more) are successes.
//! It is also paused when it could not even start three tasks in a row.
//!
//! ```text
//!   Trusted --- thresholds ---> Paused --- 30 s ---> Probing --- its one task does well ---> Trusted
//!                                 ^                     |
//!                                 +-- twice as long ----+ its one task fails too
//! ```

use std::collections::BTreeMap;
use std::time::Duration;

use super::Kernel;
use super::config::KernelConfig;
use super::median::Median;
use super::timers::Timer;
use crate::event::{PauseCause, RunEvent};
use crate::ids::{ClassId, HostId, TaskId};
use crate::job::Exit;
use crate::time::Time;

/// What is known of each class of tasks.
#[derive(Default, Debug)]
pub(super) struct Classes(BTreeMap<ClassId, Class>);

/// What is known of one class of tasks.
#[derive(Default, Debug)]
pub(super) struct Class {
    /// What is known of the tool on each host; hosts that are absent are unknown.
    tools: BTreeMap<HostId, Tool>,
    /// How long its successes took.
    pub(super) durations: Median,
    /// How many of its attempts are on hosts and have not lent their licence.
    pub(super) placed: usize,
    /// The median by which the running attempts' deadlines are set.
    pub(super) armed: Option<Duration>,
}

/// Whether a host has what a class of tasks needs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Tool {
    /// A task of the class has ended there otherwise than by 126 or 127.
    Works,
    /// It has not, and one ended so.
    LeftOut {
        /// With which of the two.
        exit: Exit,
        /// How many tasks have gone elsewhere for it.
        moved: u32,
    },
}

impl Classes {
    /// A class; made on first use.
    pub(super) fn of(&mut self, class: ClassId) -> &mut Class {
        self.0.entry(class).or_default()
    }

    /// Whether `host` gets no tasks of `class`.
    pub(super) fn is_left_out(&self, class: ClassId, host: HostId) -> bool {
        self.0
            .get(&class)
            .is_some_and(|class| class.left_out(host).is_some())
    }

    /// A class, if it was ever used.
    pub(super) fn get(&self, class: ClassId) -> Option<&Class> {
        self.0.get(&class)
    }
}

impl Class {
    /// What the shell of `host` said, if the host is left out.
    pub(super) fn left_out(&self, host: HostId) -> Option<Exit> {
        match self.tools.get(&host) {
            Some(Tool::LeftOut { exit, .. }) => Some(*exit),
            Some(Tool::Works) | None => None,
        }
    }

    /// Whether a task of the class has ended on any host otherwise than by 126 or 127.
    pub(super) fn works_anywhere(&self) -> bool {
        self.tools.values().any(|tool| *tool == Tool::Works)
    }

    /// Whether all that is known is that the command is missing somewhere.
    pub(super) fn is_unproven(&self) -> bool {
        !self.tools.is_empty() && !self.works_anywhere()
    }

    /// A task has ended otherwise on `host`.
    pub(super) fn note_works(&mut self, host: HostId) {
        self.tools.insert(host, Tool::Works);
    }

    /// A task has ended by 126 or 127 on `host` and `more` tasks go elsewhere for it: how many did so far, if the host is
    /// left out now.
    pub(super) fn note_missing(&mut self, host: HostId, exit: Exit, more: u32) -> Option<u32> {
        match self
            .tools
            .entry(host)
            .or_insert(Tool::LeftOut { exit, moved: 0 })
        {
            Tool::Works => None,
            Tool::LeftOut { moved, .. } => {
                *moved += more;
                Some(*moved)
            }
        }
    }

    /// The median of its successes, once there are enough of them.
    pub(super) fn median(&self, config: &KernelConfig) -> Option<Duration> {
        self.durations
            .value()
            .filter(|_| self.durations.samples() >= config.median_samples)
    }

    /// So much of a median, but no less than the floor below which a percentage says nothing.
    pub(super) fn share_of_median(&self, config: &KernelConfig, percent: u32) -> Option<Duration> {
        let share = self.median(config)?.mul_f64(f64::from(percent) / 100.0);
        Some(share.max(config.median_floor))
    }
}

/// Whether a host is suspected of failing good tasks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Health {
    state: HealthState,
    /// Whether each of the last 32 results was a success, the newest in the lowest bit.
    recent: u32,
    /// How many of those bits are results.
    results: u32,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum HealthState {
    /// It takes tasks.
    Trusted {
        /// Fast failures in a row.
        failures: u32,
        /// Tasks in a row that it could not start.
        not_started: u32,
    },
    /// It takes none until [`Timer::Probe`].
    Paused {
        /// How long this pause is.
        length: Duration,
    },
    /// It takes one.
    Probing {
        /// How long the last pause was.
        length: Duration,
        /// The one, once it is placed.
        task: Option<TaskId>,
    },
}

impl Default for Health {
    fn default() -> Self {
        Self {
            state: HealthState::TRUSTED,
            recent: 0,
            results: 0,
        }
    }
}

impl HealthState {
    const TRUSTED: Self = Self::Trusted {
        failures: 0,
        not_started: 0,
    };
}

impl Health {
    /// Whether the host may take a task.
    pub(super) fn accepts(&self) -> bool {
        match self.state {
            HealthState::Trusted { .. } => true,
            HealthState::Paused { .. } => false,
            HealthState::Probing { task, .. } => task.is_none(),
        }
    }

    /// Whether attempts may wait on the host.
    pub(super) fn is_trusted(&self) -> bool {
        matches!(self.state, HealthState::Trusted { .. })
    }

    /// Whether the host is paused, for the invariants.
    #[cfg(any(test, feature = "sim"))]
    pub(super) fn is_paused(&self) -> bool {
        matches!(self.state, HealthState::Paused { .. })
    }

    fn note(&mut self, success: bool) {
        self.recent = self.recent << 1 | u32::from(success);
        self.results = (self.results + 1).min(u32::BITS);
    }

    fn successes(&self) -> u32 {
        self.recent.count_ones()
    }
}

/// What an attempt says about its host.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Verdict {
    /// The task succeeded.
    Success,
    /// The task failed after so long.
    Failure(Duration),
    /// The host could not start it.
    NotStarted,
    /// Nothing.
    Nothing,
}

impl Kernel {
    /// A task was placed on `host`: it may be the one that probes it.
    pub(super) fn note_probe(&mut self, host: HostId, id: TaskId) {
        if let HealthState::Probing { task, .. } = &mut self.hosts[host.0 as usize].health.state {
            *task = Some(id);
        }
    }

    /// The attempt of `id` on `host` is over.
    pub(super) fn judge(&mut self, host: HostId, id: TaskId, verdict: Verdict, now: Time) {
        let usual = self.tasks.get(id).and_then(|task| {
            let class = self.classes.get(task.class)?;
            class.median(&self.config)
        });
        let fast = self.config.blame.fast.max(usual.unwrap_or_default());
        let others_do_well = matches!(verdict, Verdict::Failure(elapsed) if elapsed <= fast)
            && self.others_do_well(host);
        let blame = &self.config.blame;
        let health = &mut self.hosts[host.0 as usize].health;
        match verdict {
            Verdict::Success => health.note(true),
            Verdict::Failure(_) => health.note(false),
            Verdict::NotStarted | Verdict::Nothing => {}
        }
        let bad = match verdict {
            Verdict::Failure(elapsed) => elapsed <= fast,
            Verdict::NotStarted => true,
            Verdict::Success | Verdict::Nothing => false,
        };
        match &mut health.state {
            HealthState::Trusted {
                failures,
                not_started,
            } => {
                let suspect = match verdict {
                    Verdict::Success => {
                        (*failures, *not_started) = (0, 0);
                        None
                    }
                    Verdict::Failure(_) if bad => {
                        (*failures, *not_started) = (*failures + 1, 0);
                        (*failures >= blame.failures && others_do_well).then_some(*failures)
                    }
                    Verdict::Failure(_) => {
                        (*failures, *not_started) = (0, 0);
                        None
                    }
                    Verdict::NotStarted => {
                        *not_started += 1;
                        (*not_started >= blame.not_started).then_some(*not_started)
                    }
                    Verdict::Nothing => None,
                };
                if let Some(failures) = suspect {
                    let length = blame.pause;
                    self.pause_host(host, failures, length, now);
                }
            }
            HealthState::Paused { .. } => {}
            HealthState::Probing { length, task } if *task == Some(id) => match verdict {
                Verdict::Nothing => *task = None,
                _ if bad => {
                    let length = length.saturating_mul(2).min(blame.max_pause);
                    self.pause_host(host, 1, length, now);
                }
                _ => {
                    health.state = HealthState::TRUSTED;
                    self.emit(RunEvent::HostResumed { host });
                }
            },
            HealthState::Probing { .. } => {}
        }
    }

    fn others_do_well(&mut self, host: HostId) -> bool {
        let (mut results, mut successes) = (0, 0);
        for (id, other) in (0..).map(HostId).zip(&self.hosts) {
            self.steps += 1;
            if id != host {
                results += other.health.results;
                successes += other.health.successes();
            }
        }
        let blame = &self.config.blame;
        results >= blame.others && successes * 100 >= results * blame.others_percent
    }

    fn pause_host(&mut self, host: HostId, failures: u32, length: Duration, now: Time) {
        self.hosts[host.0 as usize].health.state = HealthState::Paused { length };
        self.timers.set(Timer::Probe(host), now + length);
        self.emit(RunEvent::HostPaused {
            host,
            cause: PauseCause::FailsFast { failures },
        });
        self.recall_all(host);
    }

    /// A pause is over.
    pub(super) fn probe_due(&mut self, host: HostId) {
        let health = &mut self.hosts[host.0 as usize].health;
        if let HealthState::Paused { length } = health.state {
            health.state = HealthState::Probing { length, task: None };
        }
    }
}
