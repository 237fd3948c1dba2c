//! The life of an attempt: sent, started, stopped, ended, given back, lost.

use std::time::Duration;

use bytes::Bytes;

use super::Kernel;
use super::blame::Verdict;
use super::host::{AfterClose, HostState};
use super::planted::Bug;
use super::request::TimeLimit;
use super::task::{
    Grant, Intent, LostAttempt, Placed, Progress, Speed, StopCause, Task, TaskState,
};
use super::timers::Timer;
use crate::event::RunEvent;
use crate::ids::{AttemptId, ClassId, HostId, SlotId, TaskId};
use crate::job::{AttemptResult, Stream};
use crate::time::Time;
use crate::vm::VmCommand;
use crate::vm::host::HostLoss;
use crate::wire::message::OUTPUT_WINDOW;

/// How much output of an attempt is consumed before the host is told so: a quarter of what it may send unasked. A job that
/// writes less costs no message at all.
const CREDIT_STEP: u64 = OUTPUT_WINDOW / 4;

impl Kernel {
    /// Sends a task from the queue to a host.
    pub(super) fn send(&mut self, id: TaskId, host: HostId, grant: Grant, now: Time) {
        self.leave_queue(id);
        let Some(task) = self.tasks.get_mut(id) else {
            return;
        };
        task.last = Some((task.epoch, host));
        task.state = TaskState::Placed(Placed {
            host,
            sent: now,
            grant,
            progress: Progress::Sent,
            intent: Intent::Run,
            uncredited: 0,
        });
        let attempt = AttemptId {
            task: id,
            epoch: task.epoch,
        };
        let command = VmCommand::Start {
            host,
            attempt,
            try_number: task.try_number(),
            amounts: task.amounts,
            job: task.job.clone(),
        };
        let (amounts, class) = (task.amounts, task.class);
        self.classes.of(class).placed += 1;
        if let Some(up) = self.hosts[host.0 as usize].up_mut() {
            up.attempts.insert(id);
            match grant {
                Grant::Granted => up.used = up.used.plus(amounts),
                Grant::Waiting => {
                    up.queued.push_back(id);
                    self.waiting_on_hosts += 1;
                }
            }
        }
        self.note_probe(host, id);
        self.vm(command);
    }

    /// The task of a message, if the message is of its current attempt; else the message is counted and dropped.
    fn current(&mut self, host: HostId, attempt: AttemptId) -> Option<TaskId> {
        let current = self.tasks.get(attempt.task).is_some_and(|task| {
            let same_host = task.placed().is_some_and(|placed| placed.host == host);
            if self.planted(Bug::IgnoresEpoch) {
                return task.placed().is_some();
            }
            task.epoch == attempt.epoch && same_host
        });
        if current {
            return Some(attempt.task);
        }
        self.late += 1;
        let total = self.late;
        self.emit(RunEvent::LateDropped { total });
        None
    }

    /// An attempt has begun.
    pub(super) fn started(&mut self, host: HostId, attempt: AttemptId, slot: SlotId, now: Time) {
        let Some(id) = self.current(host, attempt) else {
            return;
        };
        let Some(task) = self.tasks.get_mut(id) else {
            return;
        };
        let (index, try_number) = (task.index, task.try_number());
        let Some(placed) = task.placed_mut() else {
            return;
        };
        if placed.progress != Progress::Sent {
            return;
        }
        placed.progress = Progress::Running {
            slot,
            since: now,
            speed: Speed::Usual,
        };
        let intent = placed.intent;
        if intent == Intent::Recall {
            placed.intent = Intent::Run;
        }
        self.recall_answered(host, intent);
        self.grant(host, id);
        self.emit(RunEvent::TaskStarted {
            attempt,
            index,
            host,
            slot,
            try_number,
        });
        self.watch(id);
    }

    /// An attempt that waited on a host has room there now: the host's amounts are taken for it.
    fn grant(&mut self, host: HostId, id: TaskId) {
        let Some(task) = self.tasks.get_mut(id) else {
            return;
        };
        let amounts = task.amounts;
        let Some(placed) = task.placed_mut() else {
            return;
        };
        let Some(up) = self.hosts[host.0 as usize].up_mut() else {
            return;
        };
        if placed.grant == Grant::Waiting {
            placed.grant = Grant::Granted;
            up.used = up.used.plus(amounts);
            up.leave_queue(id);
            self.waiting_on_hosts -= 1;
        }
    }

    /// Grants attempts that wait on a host what has come free, in the order in which the agent starts them.
    fn promote(&mut self, host: HostId) {
        while let Some(up) = self.hosts[host.0 as usize].up()
            && let Some(&next) = up.queued.front()
            && let Some(task) = self.tasks.get(next)
            && task.amounts.fits(up.free())
        {
            self.steps += 1;
            self.grant(host, next);
        }
    }

    /// Sets the deadlines of a running attempt, by what its class usually takes as far as that is known.
    fn watch(&mut self, id: TaskId) {
        let Some(task) = self.tasks.get(id) else {
            return;
        };
        let Some(Placed {
            progress: Progress::Running { since, speed, .. },
            intent: Intent::Run,
            ..
        }) = task.placed()
        else {
            return;
        };
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
        match task.policy.limit {
            TimeLimit::Never => None,
            TimeLimit::After(limit) => Some(limit),
            TimeLimit::OfMedian(percent) => {
                let class = self.classes.get(task.class)?;
                class.share_of_median(&self.config, percent)
            }
        }
    }

    fn slow_threshold(&self, class: ClassId) -> Option<Duration> {
        let percent = self.config.slow_percent?;
        let class = self.classes.get(class)?;
        class.share_of_median(&self.config, percent)
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

    /// Has an attempt stopped.
    pub(super) fn stop(&mut self, id: TaskId, cause: StopCause, grace: Duration, now: Time) {
        let Some(attempt) = self.tasks.attempt(id) else {
            return;
        };
        let Some(placed) = self.tasks.get_mut(id).and_then(|task| task.placed_mut()) else {
            return;
        };
        let host = placed.host;
        let intent = std::mem::replace(&mut placed.intent, Intent::Stop(cause));
        self.recall_answered(host, intent);
        self.timers.cancel(Timer::Limit(id));
        self.timers.cancel(Timer::Slow(id));
        let limit = grace + self.config.stop_margin;
        self.timers.set(Timer::Stop(id), now + limit);
        self.vm(VmCommand::Stop {
            host,
            attempt,
            grace,
        });
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
        row.failures = row.failures.saturating_add(1);
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

    /// An attempt wrote. Observers have consumed it when they return, so what they got is credited behind it.
    pub(super) fn output(
        &mut self,
        host: HostId,
        attempt: AttemptId,
        stream: Stream,
        bytes: Bytes,
    ) {
        let Some(id) = self.current(host, attempt) else {
            return;
        };
        let Some(task) = self.tasks.get_mut(id) else {
            return;
        };
        let index = task.index;
        let Some(placed) = task.placed_mut() else {
            return;
        };
        placed.uncredited = placed.uncredited.saturating_add(bytes.len() as u64);
        let credit =
            (placed.uncredited >= CREDIT_STEP).then(|| std::mem::take(&mut placed.uncredited));
        self.emit(RunEvent::TaskOutput {
            attempt,
            index,
            stream,
            bytes,
        });
        if let Some(bytes) = credit {
            self.vm(VmCommand::Credit {
                host,
                attempt,
                bytes,
            });
        }
    }

    /// An attempt has ended.
    pub(super) fn ended(
        &mut self,
        host: HostId,
        attempt: AttemptId,
        result: AttemptResult,
        now: Time,
    ) {
        let Some(id) = self.current(host, attempt) else {
            return;
        };
        let Some(placed) = self.take_off(id) else {
            return;
        };
        self.settle_result(id, placed, result, now);
        self.drained(host);
    }

    /// An attempt that had not started came back.
    pub(super) fn returned(&mut self, host: HostId, attempt: AttemptId, now: Time) {
        let Some(id) = self.current(host, attempt) else {
            return;
        };
        let Some(placed) = self.take_off(id) else {
            return;
        };
        self.judge(host, id, Verdict::Nothing, now);
        if let Intent::Stop(cause) = placed.intent {
            self.settle_stopped(id, host, cause, None, now);
        } else if !self.planted(Bug::LosesReturned) {
            self.requeue(id, now);
        }
        self.drained(host);
    }

    /// Takes an attempt off its host: from here on it is on none.
    fn take_off(&mut self, id: TaskId) -> Option<Placed> {
        self.timers.cancel_task(id);
        let task = self.tasks.get_mut(id)?;
        if !matches!(task.state, TaskState::Placed(_)) {
            return None;
        }
        let TaskState::Placed(placed) = std::mem::replace(&mut task.state, TaskState::Deciding)
        else {
            return None;
        };
        let amounts = task.amounts;
        let class = task.class;
        self.classes.of(class).placed -= 1;
        let host = placed.host;
        let keep = self.planted(Bug::KeepsAmounts);
        match &mut self.hosts[host.0 as usize].state {
            HostState::Up(up) => {
                up.attempts.remove(&id);
                match placed.grant {
                    Grant::Granted if keep => {}
                    Grant::Granted => up.used = up.used.checked_sub(amounts).unwrap_or_default(),
                    Grant::Waiting => {
                        up.leave_queue(id);
                        self.waiting_on_hosts -= 1;
                    }
                }
                self.recall_answered(host, placed.intent);
                self.promote(host);
            }
            HostState::Closing { attempts, .. } => {
                attempts.remove(&id);
            }
            _ => {}
        }
        Some(placed)
    }

    /// An attempt is gone with its host.
    pub(super) fn lose(&mut self, host: HostId, id: TaskId, loss: &HostLoss, now: Time) {
        let Some(placed) = self.take_off(id) else {
            return;
        };
        self.judge(host, id, Verdict::Nothing, now);
        let cause = format!("{}: {loss}", self.hosts[host.0 as usize].spec.name);
        let lost = match (placed.intent, placed.progress) {
            (Intent::Stop(StopCause::Cancelled), _) => {
                return self.settle_stopped(id, host, StopCause::Cancelled, None, now);
            }
            (Intent::Stop(StopCause::TimedOut { after }), _) => LostAttempt::TimedOut { after },
            (_, Progress::Sent) => LostAttempt::GivenBack { cause },
            (_, Progress::Running { .. }) if matches!(loss, HostLoss::Left { .. }) => {
                LostAttempt::GivenBack { cause }
            }
            (_, Progress::Running { .. }) => LostAttempt::Crashed { cause },
        };
        if matches!(loss, HostLoss::Silent { .. }) && !self.planted(Bug::DoubtsNothing) {
            // Nothing that the lost connection may still bring is believed.
            if let Some(task) = self.tasks.get_mut(id) {
                task.epoch = task.epoch.next();
                task.state = TaskState::InDoubt { host, lost };
            }
            if !self.planted(Bug::DoubtsForEver) {
                self.timers.set(Timer::Doubt(id), now + self.config.doubt);
            }
        } else {
            self.settle_lost(id, host, lost, now);
        }
    }

    /// The agent of a silent host has ended its attempts by now.
    pub(super) fn doubt_over(&mut self, id: TaskId, now: Time) {
        if let Some(task) = self.tasks.get_mut(id)
            && let TaskState::InDoubt { host, lost } = &task.state
        {
            let (host, lost) = (*host, lost.clone());
            self.settle_lost(id, host, lost, now);
        }
    }
}
