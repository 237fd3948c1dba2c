//! Calls that were asked to stop, and when their slots are killed if nothing has come of it.
//!
//! A call slot sees to the end of the grace itself, since it alone knows whether that call still runs. What it cannot do
//! is to end itself while its task has stopped the whole process (SIGSTOP).

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep};

use crate::ids::AttemptId;

/// How much longer than its grace a slot may take to end itself (5 s).
const MARGIN: Duration = Duration::from_secs(5);

/// The calls that are to have ended by some moment.
#[derive(Default)]
pub(super) struct Overdue {
    by: HashMap<AttemptId, Instant>,
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Overdue {
    /// This one was asked to stop within a grace.
    pub(super) fn watch(&mut self, attempt: AttemptId, grace: Duration) {
        let now = Instant::now();
        if let Some(by) = now.checked_add(grace.saturating_add(MARGIN)) {
            let earlier = self.by.get(&attempt).copied().unwrap_or(by);
            self.by.insert(attempt, earlier.min(by));
            self.sleep = None;
        }
    }

    /// It has ended.
    pub(super) fn forget(&mut self, attempt: AttemptId) {
        if !self.by.is_empty() {
            self.by.remove(&attempt);
        }
    }

    /// Those whose time is over; each is told once. Pending when there is none yet.
    pub(super) fn poll(&mut self, context: &mut Context<'_>) -> Vec<AttemptId> {
        let mut due = Vec::new();
        while let Some(first) = self.by.values().min() {
            let sleep = self
                .sleep
                .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(*first)));
            if sleep.as_mut().poll(context) == Poll::Pending {
                break;
            }
            self.sleep = None;
            let now = Instant::now();
            self.by.retain(|attempt, by| {
                let is_due = *by <= now;
                if is_due {
                    due.push(*attempt);
                }
                !is_due
            });
        }
        due
    }
}
