//! The life of a host: connecting, failing, coming up, being lost, leaving.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use super::host::{self, AfterClose, Gone, Hope, Host, HostState, Intake, Load, Up};
use super::planted::Bug;
use super::task::{Intent, Progress, StopCause, Task};
use super::timers::Timer;
use super::{Kernel, Mode};
use crate::event::{PauseCause, RunEvent};
use crate::ids::HostId;
use crate::job::Amounts;
use crate::time::Time;
use crate::vm::VmCommand;
use crate::vm::host::{FailureKind, HostFailure, HostInfo, HostLoss, Stage};

/// The load at which a busy host is free again, as a share of its limit: a load average that swings around the limit must
/// not pause and resume it every second.
const FREE_AGAIN: f64 = 0.8;

/// Whose turn it is to be connected.
#[derive(Default, Debug)]
pub(super) struct Connecting {
    waiting: VecDeque<HostId>,
    open: usize,
}

impl Connecting {
    /// `host` is to be connected when its turn comes.
    pub(super) fn wish(&mut self, host: HostId) {
        self.waiting.push_back(host);
    }

    /// How many hosts are being connected, for the invariants.
    #[cfg(any(test, feature = "sim"))]
    pub(super) fn open(&self) -> usize {
        self.open
    }

    /// Whether `host` waits for its turn, for the invariants.
    #[cfg(any(test, feature = "sim"))]
    pub(super) fn waits(&self, host: HostId) -> bool {
        self.waiting.contains(&host)
    }
}

impl Kernel {
    /// Puts the first connection to a host off by a random moment, but for the first host.
    pub(super) fn schedule_first_connect(&mut self, host: HostId, now: Time) {
        if host == HostId(0) {
            self.connecting.wish(host);
        } else {
            let pause = self.config.connect.jitter.mul_f64(self.rng.f64());
            self.timers.set(Timer::Connect(host), now + pause);
        }
    }

    /// Connects hosts in turn, as many at once as may be.
    pub(super) fn connect_next(&mut self, now: Time) {
        while self.connecting.open < self.config.connect.at_once.max(1) {
            let Some(host) = self.connecting.waiting.pop_front() else {
                return;
            };
            let row = &mut self.hosts[host.0 as usize];
            if !matches!(row.state, HostState::Idle | HostState::Waiting) {
                continue;
            }
            row.state = HostState::Connecting;
            self.connecting.open += 1;
            let limit = self.config.connect.stage_limit;
            self.timers.set(Timer::Stage(host), now + limit);
            self.vm(VmCommand::Connect { host });
        }
    }

    /// A host's start has come further.
    pub(super) fn host_stage(&mut self, host: HostId, stage: Stage, now: Time) {
        if self.is_connecting(host) {
            let limit = self.config.connect.stage_limit;
            self.timers.set(Timer::Stage(host), now + limit);
            self.emit(RunEvent::HostStage { host, stage });
        }
    }

    /// A host is ready.
    pub(super) fn host_up(&mut self, host: HostId, info: Arc<HostInfo>, now: Time) {
        if !self.is_connecting(host) {
            return;
        }
        self.connecting_over(host);
        let total = Amounts::cores(info.report.slots.min(self.config.max_slots));
        let row = &mut self.hosts[host.0 as usize];
        row.crowded = 0;
        row.known_total = Some(total);
        row.state = HostState::Up(Box::new(Up::new(&info, total, now)));
        self.emit(RunEvent::HostUp { host, info });
    }

    /// A host could not be made ready.
    pub(super) fn host_failed(&mut self, host: HostId, failure: Arc<HostFailure>, now: Time) {
        if self.is_connecting(host) {
            self.connecting_over(host);
            self.note_failure(host, failure, now);
        } else if self.is_closing(host) {
            self.closed(host, now);
        }
    }

    /// A start has hung: it is given up and tried again later.
    pub(super) fn stage_overdue(&mut self, host: HostId, now: Time) {
        if !self.is_connecting(host) {
            return;
        }
        let row = &self.hosts[host.0 as usize];
        let minutes = self.config.connect.stage_limit.as_secs() / 60;
        let failure = HostFailure {
            stage: Stage::Connecting,
            headline: format!("{} did not get ready", row.spec.name),
            cause: format!("no progress in {minutes} min"),
            cure: None,
            kind: FailureKind::Retry,
        };
        self.disconnect(host, Duration::ZERO, AfterClose::Again);
        self.note_failure(host, Arc::new(failure), now);
    }

    /// Decides about a host that failed; it is either waiting for another try or gone then.
    fn note_failure(&mut self, host: HostId, failure: Arc<HostFailure>, now: Time) {
        let connect = &self.config.connect;
        let row = &mut self.hosts[host.0 as usize];
        row.trouble = Some(failure.headline.clone());
        let pause = match failure.kind {
            FailureKind::Permanent => None,
            FailureKind::Crowded if row.crowded < connect.crowded_tries => {
                row.crowded += 1;
                Some(host::crowded_pause(connect, row.crowded, &mut self.rng))
            }
            FailureKind::Crowded | FailureKind::Retry => {
                row.count_failure(connect, now);
                Some(host::pause(connect, row.failures, &mut self.rng))
            }
        };
        let pause = pause.filter(|_| self.mode != Mode::Closing);
        match pause {
            Some(pause) => {
                if !self.is_closing(host) {
                    self.hosts[host.0 as usize].state = HostState::Waiting;
                }
                self.timers.set(Timer::Connect(host), now + pause);
            }
            None => self.gone(host, Gone::Refused(Arc::clone(&failure))),
        }
        self.emit(RunEvent::HostFailed {
            host,
            failure,
            retry_in: pause,
        });
    }

    /// A host that was up is gone.
    pub(super) fn host_lost(&mut self, host: HostId, loss: HostLoss, now: Time) {
        if self.is_closing(host) {
            let left = vec![format!("{loss}: what ran there may still run")];
            self.lose_attempts(host, &loss, now);
            self.emit(RunEvent::HostClosed { host, left });
            self.closed(host, now);
            return;
        }
        let Some(row) = self.hosts.get_mut(host.0 as usize) else {
            return;
        };
        let Some(up) = row.up() else { return };
        let draining = up.intake == Intake::Draining;
        let connect = &self.config.connect;
        if up.is_stable(connect, now) {
            row.failures = 0;
            row.hope = Hope::Waited {
                at_least_until: Some(now + connect.hope),
            };
        }
        row.count_failure(connect, now);
        row.trouble = Some(loss.to_string());
        let for_good = draining
            || self.mode == Mode::Closing
            || matches!(loss, HostLoss::Left { .. } | HostLoss::Protocol { .. });
        let for_good = for_good && !self.planted(Bug::ReconnectsLeaver);
        let row = &mut self.hosts[host.0 as usize];
        let retry_in =
            (!for_good).then(|| host::pause(&self.config.connect, row.failures, &mut self.rng));
        let requeued = self.count_requeued(host);
        self.emit(RunEvent::HostLost {
            host,
            loss: loss.clone(),
            requeued,
            retry_in,
        });
        self.lose_attempts(host, &loss, now);
        match retry_in {
            Some(pause) => {
                self.hosts[host.0 as usize].state = HostState::Waiting;
                self.timers.set(Timer::Connect(host), now + pause);
            }
            None if draining => self.gone(host, Gone::Closed),
            None => self.gone(host, Gone::Lost(loss)),
        }
    }

    /// How many attempts of a host go elsewhere when it is lost.
    pub(super) fn count_requeued(&self, host: HostId) -> u32 {
        let attempts = self.hosts[host.0 as usize].up().map(|up| &up.attempts);
        let requeued = attempts.into_iter().flatten().filter(|&&id| {
            self.tasks.get(id).is_some_and(|task| {
                !self.falls_with(task, host)
                    && task.placed().is_some_and(|placed| match placed.intent {
                        Intent::Stop(StopCause::Cancelled) => false,
                        Intent::Stop(StopCause::TimedOut { .. }) => task.has_tries_left(),
                        Intent::Run | Intent::Recall => {
                            placed.progress == Progress::Sent
                                || task.crashes + 1 < self.config.crash_limit
                        }
                    })
            })
        });
        u32::try_from(requeued.count()).unwrap_or(u32::MAX)
    }

    /// Whether a task does not go elsewhere when a host is lost: it may not start any more, or one that it was spawned by
    /// is lost, too.
    fn falls_with(&self, task: &Task, host: HostId) -> bool {
        let mut ancestors = std::iter::successors(self.parent(task), |task| self.parent(task));
        let is_there = |task: &Task| task.placed().is_some_and(|placed| placed.host == host);
        !self.may_start(task.depth) || ancestors.any(is_there)
    }

    fn parent(&self, task: &Task) -> Option<&Task> {
        task.parent.and_then(|parent| self.tasks.get(parent))
    }

    /// Every attempt on a host is gone with it.
    pub(super) fn lose_attempts(&mut self, host: HostId, loss: &HostLoss, now: Time) {
        self.clear_reservation(host);
        let attempts = match &self.hosts[host.0 as usize].state {
            HostState::Up(up) => up.attempts.clone(),
            HostState::Closing { attempts, .. } => attempts.clone(),
            _ => return,
        };
        if self.planted(Bug::ForgetsLostAttempts) {
            return;
        }
        for task in attempts {
            self.lose(host, task, loss, now);
        }
    }

    /// Other people's load on a host was measured.
    pub(super) fn host_load(&mut self, host: HostId, others_per_core: f64) {
        let ignored = self.planted(Bug::IgnoresLoad);
        let Some(row) = self.hosts.get_mut(host.0 as usize) else {
            return;
        };
        let (Some(limit), Some(up)) = (row.spec.max_load, row.up_mut()) else {
            return;
        };
        match up.load {
            Load::Free if others_per_core > limit => {
                if !ignored {
                    up.load = Load::Busy;
                }
                let cause = PauseCause::Load {
                    others_per_core,
                    limit,
                };
                self.emit(RunEvent::HostPaused { host, cause });
                self.recall_all(host);
            }
            Load::Busy if others_per_core <= limit * FREE_AGAIN => {
                up.load = Load::Free;
                self.emit(RunEvent::HostResumed { host });
            }
            Load::Free | Load::Busy => {}
        }
    }

    /// A host was not heard for a while, or is heard again.
    pub(super) fn host_silent(&mut self, host: HostId, silent_for: Option<Duration>) {
        if self.host_mut(host).and_then(Host::up_mut).is_some() {
            let lost_in = self
                .config
                .lease
                .saturating_sub(silent_for.unwrap_or_default());
            self.emit(RunEvent::HostSilent {
                host,
                silent_for,
                lost_in,
            });
        }
    }

    pub(super) fn connecting_over(&mut self, host: HostId) {
        self.connecting.open -= 1;
        self.timers.cancel(Timer::Stage(host));
    }

    fn is_connecting(&self, host: HostId) -> bool {
        self.hosts
            .get(host.0 as usize)
            .is_some_and(|host| matches!(host.state, HostState::Connecting))
    }

    pub(super) fn is_closing(&self, host: HostId) -> bool {
        self.hosts
            .get(host.0 as usize)
            .is_some_and(|host| matches!(host.state, HostState::Closing { .. }))
    }
}
