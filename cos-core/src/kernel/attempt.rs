//! The life of an attempt: sent, started, stopped, ended, given back, lost.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::Kernel;
use super::blame::Verdict;
use super::host::HostState;
use super::planted::Bug;
use super::task::{Grant, Intent, LostAttempt, Placed, Progress, Speed, StopCause, TaskState};
use super::timers::Timer;
use crate::event::RunEvent;
use crate::ids::{AttemptId, HostId, SlotId, TaskId};
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
            work: task.work.clone(),
        };
        let (amounts, class) = (task.amounts, task.class);
        self.classes.of(class).placed += 1;
        if let Some(up) = self.hosts[host.0 as usize].up_mut() {
            up.attempts.insert(id);
            if grant == Grant::Granted {
                up.used = up.used.plus(amounts);
            } else {
                up.queued.push_back(id);
                self.waiting_on_hosts += 1;
            }
        }
        self.note_probe(host, id);
        self.vm(command);
    }

    /// The task of a message, if the message is of its current attempt; else the message is counted and dropped.
    pub(super) fn current(&mut self, host: HostId, attempt: AttemptId) -> Option<TaskId> {
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
        self.count_late();
        None
    }

    /// Something came too late.
    pub(super) fn count_late(&mut self) {
        self.late += 1;
        let total = self.late;
        self.emit(RunEvent::LateDropped { total });
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
        let work = Arc::clone(&task.work);
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
            work,
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
    pub(super) fn promote(&mut self, host: HostId) {
        while let Some(up) = self.hosts[host.0 as usize].up()
            && let Some(&next) = up.queued.front()
            && let Some(task) = self.tasks.get(next)
            && task.amounts.fits(up.free())
        {
            self.steps += 1;
            self.grant(host, next);
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
        self.withdraw_wish(host, id);
        self.timers.cancel(Timer::Limit(id));
        self.timers.cancel(Timer::Slow(id));
        let limit = grace + self.config.stop_margin;
        self.timers.set(Timer::Stop(id), now + limit);
        self.vm(VmCommand::Stop {
            host,
            attempt,
            grace,
        });
        self.cancel_children(id, grace, now);
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
        let Some(placed) = self.take_off(id, now) else {
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
        let Some(placed) = self.take_off(id, now) else {
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

    /// Takes an attempt off its host: from here on it is on none, and what it spawned is wanted no more.
    fn take_off(&mut self, id: TaskId, now: Time) -> Option<Placed> {
        self.timers.cancel_task(id);
        self.cancel_children(id, self.config.grace, now);
        let task = self.tasks.get_mut(id)?;
        if !matches!(task.state, TaskState::Placed(_)) {
            return None;
        }
        let TaskState::Placed(placed) = std::mem::replace(&mut task.state, TaskState::Deciding)
        else {
            return None;
        };
        let (amounts, class, depth) = (task.amounts, task.class, task.depth);
        let rank = self.rank(id, depth);
        if !placed.has_lent() {
            self.classes.of(class).placed -= 1;
        }
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
                    Grant::Lent => {
                        up.lent.remove(&rank);
                    }
                    Grant::Wanted { .. } => self.woken.remove(host, rank),
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
        let Some(placed) = self.take_off(id, now) else {
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
