//! Outcomes: what an ended attempt means for its task, and the one outcome of each.
//!
//! | the attempt | the task |
//! |---|---|
//! | succeeded | has its outcome, even if it was being stopped |
//! | failed (a call: see [`call`](super::call)), or ran too long | has used a try: runs again while it has one left |
//! | exit 126, 127 | runs on another host, no try used; when none is left that could have the command, it has failed |
//! | was not started | runs on another host, no try used; when none is left that could start it, it was not run |
//! | crashed (host lost, slot died) | runs again, one crash counted; quarantined at the limit |
//! | was given back | runs again |
//! | was stopped by a cancellation | is cancelled |
//!
//! A task that goes back to the queue keeps its age, so it is served before younger ones.

use std::time::Duration;

use super::blame::Verdict;
use super::planted::Bug;
use super::queue::{Demand, Rank, note_host};
use super::task::{Intent, LostAttempt, Placed, Refusal, StopCause, TaskState};
use super::{Kernel, Prefetch};
use crate::event::{AgainCause, RunEvent};
use crate::ids::{AttemptId, ClassId, HostId, TaskId};
use crate::job::{AttemptResult, CommandEnd, Exit, Outcome, TaskEnd, TaskError, TaskLabel};
use crate::time::Time;

impl Kernel {
    /// An attempt has ended on its host and was taken off it.
    pub(super) fn settle_result(
        &mut self,
        id: TaskId,
        placed: Placed,
        result: AttemptResult,
        now: Time,
    ) {
        let host = placed.host;
        match (result, placed.intent) {
            (AttemptResult::Command(end), intent) => {
                self.settle_end(id, placed.sent, host, intent, end, now);
            }
            (AttemptResult::Call { result, report }, _) => {
                self.settle_call(id, placed, result, report, now);
            }
            (AttemptResult::Stopped(end), Intent::Stop(cause)) => {
                self.judge(host, id, Verdict::Nothing, now);
                self.settle_stopped(id, host, cause, end, now);
            }
            (_, Intent::Stop(StopCause::Cancelled)) => {
                self.judge(host, id, Verdict::Nothing, now);
                self.settle_stopped(id, host, StopCause::Cancelled, None, now);
            }
            (AttemptResult::SlotDied { exit }, _) => {
                self.judge(host, id, Verdict::Nothing, now);
                let cause = format!("{}: slot process: {exit}", self.name(host));
                self.settle_lost(id, host, LostAttempt::Crashed { cause }, now);
            }
            (AttemptResult::NotStarted { cause }, _) => {
                self.settle_not_started(id, host, cause, now);
            }
            (AttemptResult::Stopped(_), Intent::Run | Intent::Recall) => {
                self.settle_not_started(id, host, "stopped without being asked".into(), now);
            }
        }
    }

    fn settle_end(
        &mut self,
        id: TaskId,
        sent: Time,
        host: HostId,
        intent: Intent,
        end: CommandEnd,
        now: Time,
    ) {
        let Some(task) = self.tasks.get(id) else {
            return;
        };
        let (policy, class, tries) = (task.policy, task.class, task.tries);
        // A host cannot make a task longer than it was away.
        let elapsed = end.elapsed.min(now.since(sent));
        self.note_completed(host, policy.prefetch, elapsed);
        let success = policy.success.contains(end.exit);
        let missing = matches!(end.exit, Exit::NOT_FOUND | Exit::NOT_EXECUTABLE) && !success;
        if !missing {
            self.classes.of(class).note_works(host);
        }
        if success {
            self.classes.of(class).durations.add(elapsed);
            self.judge(host, id, Verdict::Success, now);
            self.count_try(id);
            self.finish(id, Ok(TaskEnd::Command(end)));
            self.watch_class(class);
            return;
        }
        if intent == Intent::Stop(StopCause::Cancelled) {
            self.judge(host, id, Verdict::Nothing, now);
            if missing {
                self.note_missing(host, class, end.exit, 0);
            }
            return self.settle_stopped(id, host, StopCause::Cancelled, Some(end), now);
        }
        if missing && !self.planted(Bug::MissingUsesTry) {
            self.judge(host, id, Verdict::Nothing, now);
            return self.settle_missing(id, host, end, now);
        }
        self.judge(host, id, Verdict::Failure(elapsed), now);
        let cause = AgainCause::Retry {
            end: end.clone(),
            try_number: tries + 1,
            tries: policy.tries,
        };
        if self.tries_again(id, host, cause, now) {
            return;
        }
        let tries = self.count_try(id);
        let host = self.name(host);
        self.finish(id, Err(TaskError::CommandFailed { host, end, tries }));
    }

    /// A host has run an attempt to its end.
    pub(super) fn note_completed(&mut self, host: HostId, prefetch: Prefetch, elapsed: Duration) {
        if let Some(up) = self.hosts[host.0 as usize].up_mut() {
            up.proof = super::host::Proof::Completed;
            if prefetch == Prefetch::Allowed {
                up.pace.add(elapsed);
            }
        }
    }

    /// Uses a try and puts the task back, if it has a further one.
    pub(super) fn tries_again(
        &mut self,
        id: TaskId,
        host: HostId,
        cause: AgainCause,
        now: Time,
    ) -> bool {
        let task = self.tasks.get(id);
        let may = task.is_some_and(|task| self.may_start(task.depth) && task.has_tries_left());
        if may {
            self.again(id, host, cause);
            self.count_try(id);
            self.change_demand(id, |demand| note_host(&mut demand.dislike, host));
            self.requeue(id, now);
        }
        may
    }

    /// The command is not there: the task moves on, and the host is left out of its class unless it has worked there.
    fn settle_missing(&mut self, id: TaskId, host: HostId, end: CommandEnd, now: Time) {
        let Some(task) = self.tasks.get_mut(id) else {
            return;
        };
        let (exit, class) = (end.exit, task.class);
        task.refusal = Some(Box::new(Refusal::CommandMissing { host, end }));
        self.again(id, host, AgainCause::CommandMissing { exit });
        self.change_demand(id, |demand| note_host(&mut demand.avoid, host));
        self.requeue(id, now);
        self.note_missing(host, class, exit, 1);
    }

    /// Leaves a host out of a class, unless a task of the class has worked there.
    fn note_missing(&mut self, host: HostId, class: ClassId, exit: Exit, more: u32) {
        if self.planted(Bug::LeavesNobodyOut) {
            return;
        }
        if let Some(moved) = self.classes.of(class).note_missing(host, exit, more) {
            self.emit(RunEvent::HostLeftOut { host, exit, moved });
            self.recall_class(host, class);
        }
    }

    /// The host could not start it: the task moves on.
    fn settle_not_started(&mut self, id: TaskId, host: HostId, cause: String, now: Time) {
        self.judge(host, id, Verdict::NotStarted, now);
        let cause = format!("{}: {cause}", self.name(host));
        if let Some(task) = self.tasks.get_mut(id) {
            task.refusal = Some(Box::new(Refusal::NotStarted {
                cause: cause.clone(),
            }));
        }
        self.again(id, host, AgainCause::NotStarted { cause });
        self.change_demand(id, |demand| note_host(&mut demand.avoid, host));
        self.requeue(id, now);
    }

    /// An attempt was stopped, as it was told.
    pub(super) fn settle_stopped(
        &mut self,
        id: TaskId,
        host: HostId,
        cause: StopCause,
        end: Option<CommandEnd>,
        now: Time,
    ) {
        match cause {
            StopCause::Cancelled if self.planted(Bug::RevivesCancelled) => self.requeue(id, now),
            StopCause::Cancelled => {
                let task = self.label(id);
                self.finish(id, Err(TaskError::Cancelled { task, end }));
            }
            StopCause::TimedOut { after } => self.settle_timeout(id, host, after, end, now),
        }
    }

    fn settle_timeout(
        &mut self,
        id: TaskId,
        host: HostId,
        after: Duration,
        end: Option<CommandEnd>,
        now: Time,
    ) {
        let Some(task) = self.tasks.get(id) else {
            return;
        };
        let cause = AgainCause::TimedOut {
            after,
            try_number: task.try_number(),
            tries: task.policy.tries,
        };
        if self.tries_again(id, host, cause, now) {
            return;
        }
        let tries = self.count_try(id);
        let task = self.label(id);
        let host = self.name(host);
        self.finish(
            id,
            Err(TaskError::TimedOut {
                task,
                host,
                after,
                end,
                tries,
            }),
        );
    }

    /// An attempt is gone: with its host, or with its slot.
    pub(super) fn settle_lost(&mut self, id: TaskId, host: HostId, lost: LostAttempt, now: Time) {
        match lost {
            LostAttempt::GivenBack { cause } => {
                self.again(id, host, AgainCause::NotStarted { cause });
                self.requeue(id, now);
            }
            LostAttempt::TimedOut { after } => self.settle_timeout(id, host, after, None, now),
            LostAttempt::Crashed { cause } => {
                let limit = self.config.crash_limit;
                let counts = !self.planted(Bug::CountsNoCrash);
                let Some(task) = self.tasks.get_mut(id) else {
                    return;
                };
                task.crashes += u32::from(counts);
                let crashes = task.crashes;
                if crashes >= limit {
                    let task = task.label(id);
                    let host = self.name(host);
                    let error = TaskError::Quarantined {
                        task,
                        host,
                        crashes,
                        cause,
                    };
                    return self.finish(id, Err(error));
                }
                let cause = AgainCause::Crash {
                    crashes,
                    limit,
                    cause,
                };
                self.again(id, host, cause);
                self.change_demand(id, |demand| note_host(&mut demand.dislike, host));
                self.requeue(id, now);
            }
        }
    }

    /// Cancels a task, whatever it does.
    pub(super) fn cancel_task(&mut self, id: TaskId, grace: Duration, now: Time) {
        let Some(task) = self.tasks.get(id) else {
            return;
        };
        match &task.state {
            TaskState::Queued { .. } | TaskState::InDoubt { .. } => self.finish_cancelled(id),
            TaskState::Placed(_) => self.stop(id, StopCause::Cancelled, grace, now),
            TaskState::Deciding => {}
        }
    }

    /// Cancels every task that waits and may not start any more.
    pub(super) fn cancel_waiting(&mut self) {
        let mut waiting: Vec<Rank> = self.queues.waiting().collect();
        waiting.retain(|rank| !self.may_start(rank.depth()));
        waiting.sort();
        for rank in waiting {
            self.finish_cancelled(rank.task());
        }
    }

    /// Cancels every task whose host was lost in silence.
    pub(super) fn cancel_in_doubt(&mut self) {
        for task in self.timers.in_doubt() {
            self.finish_cancelled(task);
        }
    }

    fn finish_cancelled(&mut self, id: TaskId) {
        let task = self.label(id);
        self.finish(id, Err(TaskError::Cancelled { task, end: None }));
    }

    /// Puts a task back into its queue. Whatever its last attempt still says is late from here on.
    pub(super) fn requeue(&mut self, id: TaskId, now: Time) {
        let depth = self.tasks.get(id).map_or(0, |task| task.depth);
        if !self.may_start(depth) {
            return self.finish_cancelled(id);
        }
        let rank = self.rank(id, depth);
        let Some(task) = self.tasks.get_mut(id) else {
            return;
        };
        task.epoch = task.epoch.next();
        task.state = TaskState::Queued { since: now };
        self.queues.push(task.demand, rank);
    }

    fn change_demand(&mut self, id: TaskId, change: impl FnOnce(&mut Demand)) {
        let Some(task) = self.tasks.get_mut(id) else {
            return;
        };
        let mut demand = Demand::clone(&self.queues.entry(task.demand).demand);
        change(&mut demand);
        let key = self.queues.acquire(demand, &self.hosts);
        let old = std::mem::replace(&mut task.demand, key);
        self.queues.release(old);
    }

    /// Counts a try and says how many were made.
    pub(super) fn count_try(&mut self, id: TaskId) -> u32 {
        self.tasks.get_mut(id).map_or(0, |task| {
            task.tries += 1;
            task.tries
        })
    }

    fn again(&mut self, id: TaskId, host: HostId, cause: AgainCause) {
        let Some(task) = self.tasks.get(id) else {
            return;
        };
        if !self.may_start(task.depth) {
            return;
        }
        let attempt = AttemptId {
            task: id,
            epoch: task.epoch,
        };
        let index = task.index;
        self.emit(RunEvent::TaskAgain {
            attempt,
            index,
            host,
            cause,
        });
    }

    /// What errors call a task.
    pub(super) fn label(&self, id: TaskId) -> TaskLabel {
        let task = self.tasks.get(id);
        task.map_or_else(TaskLabel::default, |task| task.label(id))
    }

    /// The one outcome of a task.
    pub(super) fn finish(&mut self, id: TaskId, outcome: Outcome) {
        self.leave_queue(id);
        self.timers.cancel_task(id);
        let Some(task) = self.tasks.remove(id) else {
            return;
        };
        self.queues.release(task.demand);
        if let Some(parent) = task.parent {
            self.families.remove(parent, id);
            self.bereft.push(parent);
        }
        let attempt = task.last.map(|(epoch, _)| AttemptId { task: id, epoch });
        self.emit(RunEvent::TaskEnded {
            attempt,
            task: id,
            index: task.index,
            host: task.last.map(|(_, host)| host),
            tries: task.tries,
            outcome,
        });
    }
}
