//! What the end of a call means for its task.
//!
//! | the call | the task |
//! |---|---|
//! | returned a value | has its outcome, even if it was being stopped |
//! | returned an error, panicked, exited | has used a try: runs again while it has one left |
//! | its process was ended by a signal | runs again, one crash counted; quarantined at the limit |
//! | is not known to the program there, or its types do not encode or decode | has failed: no other try would end otherwise |

use std::time::Duration;

use super::Kernel;
use super::blame::Verdict;
use super::task::{Intent, LostAttempt, Placed, StopCause};
use crate::event::AgainCause;
use crate::ids::{HostId, TaskId};
use crate::job::{CallEnd, CallFailure, CallReport, Exit, TaskEnd};
use crate::time::Time;

impl Kernel {
    /// A call has ended on its host and was taken off it.
    pub(super) fn settle_call(
        &mut self,
        id: TaskId,
        placed: Placed,
        result: Result<bytes::Bytes, CallFailure>,
        report: CallReport,
        now: Time,
    ) {
        let Some(task) = self.tasks.get(id) else {
            return;
        };
        let (policy, class) = (task.policy, task.class);
        let host = placed.host;
        // A host cannot make a task longer than it was away.
        let elapsed = report.elapsed.min(now.since(placed.sent));
        self.note_completed(host, policy.prefetch, elapsed);
        self.classes.of(class).note_works(host);
        match result {
            Ok(value) => {
                self.classes.of(class).durations.add(elapsed);
                self.judge(host, id, Verdict::Success, now);
                self.count_try(id);
                self.finish(id, Ok(TaskEnd::Call(CallEnd { value, report })));
                self.watch_class(class);
            }
            Err(failure) => self.settle_failed_call(id, &placed, failure, elapsed, now),
        }
    }

    fn settle_failed_call(
        &mut self,
        id: TaskId,
        placed: &Placed,
        failure: CallFailure,
        elapsed: Duration,
        now: Time,
    ) {
        let host = placed.host;
        let killed = matches!(
            failure,
            CallFailure::ProcessEnded {
                exit: Exit::Signal(_),
                ..
            }
        );
        let verdict = match placed.intent {
            Intent::Run | Intent::Recall if failure.may_pass() && !killed => {
                Verdict::Failure(elapsed)
            }
            _ => Verdict::Nothing,
        };
        self.judge(host, id, verdict, now);
        match placed.intent {
            Intent::Stop(cause) if killed || cause == StopCause::Cancelled => {
                self.settle_stopped(id, host, cause, None, now);
            }
            _ if killed => {
                let cause = format!("{}: {failure}", self.name(host));
                self.settle_lost(id, host, LostAttempt::Crashed { cause }, now);
            }
            _ if failure.may_pass() => self.try_call_again(id, host, failure, now),
            _ => self.finish_failed_call(id, host, failure),
        }
    }

    fn try_call_again(&mut self, id: TaskId, host: HostId, failure: CallFailure, now: Time) {
        let Some(task) = self.tasks.get(id) else {
            return;
        };
        let cause = AgainCause::CallFailed {
            failure: failure.clone(),
            try_number: task.try_number(),
            tries: task.policy.tries,
        };
        if !self.tries_again(id, host, cause, now) {
            self.finish_failed_call(id, host, failure);
        }
    }

    fn finish_failed_call(&mut self, id: TaskId, host: HostId, failure: CallFailure) {
        let tries = self.count_try(id);
        let error = failure.into_error(self.label(id), self.name(host), tries);
        self.finish(id, Err(error));
    }
}
