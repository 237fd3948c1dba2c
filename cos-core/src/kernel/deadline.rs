//! Deadlines of running attempts: how long each may take, when it is called slow, what becomes of a host that does not stop
//! it. A deadline that depends on a median is checked again when it is due, since the median may have risen.

use std::time::Duration;

use super::Kernel;
use super::host::{AfterClose, HostState};
use super::planted::Bug;
use super::request::TimeLimit;
use super::task::{Grant, Intent, Placed, Progress, Speed, StopCause, Task};
use super::timers::Timer;
use crate::event::RunEvent;
use crate::ids::{AttemptId, ClassId, TaskId};
use crate::time::Time;
use crate::vm::host::HostLoss;

impl Kernel {
    /// Sets the deadlines of a running attempt, by what its class usually takes as far as that is known.
    pub(super) fn watch(&mut self, id: TaskId) {
        let Some(task) = self.tasks.get(id) else {
            return;
        };
        let Some(Placed {
            progress: Progress::Running { since, speed, .. },
            intent: Intent::Run,
            grant,
            ..
        }) = task.placed()
        else {
            return;
        };
        // The clock of one that wants its licence back stands still.
        if matches!(grant, Grant::Wanted { .. }) {
            return;
        }
        if let Some(after) = self.limit(task)
            && !self.planted(Bug::ForgetsLimit)
        {
            self.timers.set(Timer::Limit(id), *since + after);
        }
        if *speed == Speed::Usual
            && let Some(after) = self.slow_threshold(task.class)
        {
            self.timers.set(Timer::Slow(id), *since + after);
        }
    }

    /// Sets the deadlines of a class's running attempts anew when its median has become known, or has changed so much
    /// that they would be far off.
    pub(super) fn watch_class(&mut self, class: ClassId) {
        let config = &self.config;
        let row = self.classes.of(class);
        let Some(median) = row.median(config) else {
            return;
        };
        let far_off = row.armed.is_none_or(|armed| {
            median.max(config.median_floor) * 2 <= armed || armed * 2 <= median
        });
        if !far_off {
            return;
        }
        row.armed = Some(median.max(config.median_floor));
        let running: Vec<TaskId> = self
            .hosts
            .iter()
            .filter_map(|host| host.up())
            .flat_map(|up| up.attempts.iter().copied())
            .filter(|id| self.tasks.get(*id).is_some_and(|task| task.class == class))
            .collect();
        self.steps += running.len() as u64;
        for id in running {
            self.watch(id);
        }
    }

    fn limit(&self, task: &Task) -> Option<Duration> {
        self.resolve(task.policy.limit, task.class)
    }

    fn slow_threshold(&self, class: ClassId) -> Option<Duration> {
        self.resolve(self.config.slow, class)
    }

    /// What a limit means for a class now; a median that is not known yet limits nothing.
    fn resolve(&self, limit: TimeLimit, class: ClassId) -> Option<Duration> {
        match limit {
            TimeLimit::Never => None,
            TimeLimit::After(limit) => Some(limit),
            TimeLimit::OfMedian(percent) => {
                let class = self.classes.get(class)?;
                class.share_of_median(&self.config, percent)
            }
        }
    }

    /// An attempt may have run as long as it may: it is stopped, or its limit has risen meanwhile.
    pub(super) fn limit_due(&mut self, id: TaskId, now: Time) {
        let Some(task) = self.tasks.get(id) else {
            return;
        };
        let Some(after) = self.limit(task) else {
            return;
        };
        if let Some(Placed {
            progress: Progress::Running { since, .. },
            intent: Intent::Run,
            ..
        }) = task.placed()
        {
            if *since + after > now {
                self.timers.set(Timer::Limit(id), *since + after);
            } else {
                self.stop(id, StopCause::TimedOut { after }, self.config.grace, now);
            }
        }
    }

    /// An attempt may have become slow.
    pub(super) fn slow_due(&mut self, id: TaskId, now: Time) {
        let Some(task) = self.tasks.get(id) else {
            return;
        };
        let Some(threshold) = self.slow_threshold(task.class) else {
            return;
        };
        let (index, epoch) = (task.index, task.epoch);
        let Some(placed) = self.tasks.get_mut(id).and_then(|task| task.placed_mut()) else {
            return;
        };
        let host = placed.host;
        if let Progress::Running { since, speed, .. } = &mut placed.progress {
            if *since + threshold > now {
                self.timers.set(Timer::Slow(id), *since + threshold);
            } else {
                *speed = Speed::Slow;
                self.emit(RunEvent::TaskSlow {
                    attempt: AttemptId { task: id, epoch },
                    index,
                    host,
                    threshold,
                });
            }
        }
    }

    /// A host has not stopped an attempt as it was told: it is disconnected, which ends everything there.
    pub(super) fn stop_overdue(&mut self, id: TaskId, now: Time) {
        let Some(host) = self
            .tasks
            .get(id)
            .and_then(|task| task.placed())
            .map(|placed| placed.host)
        else {
            return;
        };
        if !matches!(self.hosts[host.0 as usize].state, HostState::Up(_)) {
            return;
        }
        let loss = HostLoss::Protocol {
            cause: format!("it did not stop task {id}"),
        };
        let requeued = self.count_requeued(host);
        let row = &mut self.hosts[host.0 as usize];
        row.count_failure(&self.config.connect, now);
        row.trouble = Some(loss.to_string());
        let pause = super::host::pause(&self.config.connect, row.failures, &mut self.rng);
        self.disconnect(host, Duration::ZERO, AfterClose::Again);
        self.timers.set(Timer::Connect(host), now + pause);
        self.emit(RunEvent::HostLost {
            host,
            loss,
            requeued,
            retry_in: Some(pause),
        });
    }
}
