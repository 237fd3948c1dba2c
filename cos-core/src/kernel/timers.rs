//! Every deadline of the kernel in one table: kind and owner, each armed at most once.

use std::collections::{BTreeMap, BTreeSet};

use crate::ids::{HostId, TaskId};
use crate::time::Time;

/// What a deadline is for, and whose it is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Timer {
    /// The host's turn to be connected (again) has come.
    Connect(HostId),
    /// The host's start has come to no new stage for too long.
    Stage(HostId),
    /// The host's pause is over: one task may probe it.
    Probe(HostId),
    /// The task waits for several cores and is to have a host reserved.
    Reserve(TaskId),
    /// The attempt has run as long as it may.
    Limit(TaskId),
    /// The attempt has run so long that it is worth a line.
    Slow(TaskId),
    /// The attempt was to be stopped and has not ended.
    Stop(TaskId),
    /// The lost attempt has ended by now, whatever became of its host.
    Doubt(TaskId),
}

/// The deadlines that are armed.
#[derive(Default, Debug)]
pub(super) struct Timers {
    due: BTreeSet<(Time, Timer)>,
    armed: BTreeMap<Timer, Time>,
}

impl Timers {
    /// Arms `timer` for `at`, in place of an earlier deadline of the same kind and owner.
    pub(super) fn set(&mut self, timer: Timer, at: Time) {
        if let Some(old) = self.armed.insert(timer, at) {
            self.due.remove(&(old, timer));
        }
        self.due.insert((at, timer));
    }

    /// Disarms `timer`, if it is armed.
    pub(super) fn cancel(&mut self, timer: Timer) {
        if let Some(at) = self.armed.remove(&timer) {
            self.due.remove(&(at, timer));
        }
    }

    /// Disarms everything that `task` has armed.
    pub(super) fn cancel_task(&mut self, task: TaskId) {
        for timer in [
            Timer::Reserve(task),
            Timer::Limit(task),
            Timer::Slow(task),
            Timer::Stop(task),
            Timer::Doubt(task),
        ] {
            self.cancel(timer);
        }
    }

    /// Whether `timer` is armed.
    pub(super) fn is_set(&self, timer: Timer) -> bool {
        self.armed.contains_key(&timer)
    }

    /// The next deadline.
    pub(super) fn next(&self) -> Option<Time> {
        self.due.first().map(|(at, _)| *at)
    }

    /// Takes out the earliest deadline that is not after `now`.
    pub(super) fn pop(&mut self, now: Time) -> Option<Timer> {
        let &(at, timer) = self.due.first()?;
        if at > now {
            return None;
        }
        self.due.pop_first();
        self.armed.remove(&timer);
        Some(timer)
    }

    /// The tasks whose host was lost in silence.
    pub(super) fn in_doubt(&self) -> Vec<TaskId> {
        let first = Timer::Doubt(TaskId(0));
        self.armed
            .range(first..)
            .filter_map(|(timer, _)| match timer {
                Timer::Doubt(task) => Some(*task),
                _ => None,
            })
            .collect()
    }

    /// Every armed deadline, for the invariants.
    #[cfg(any(test, feature = "sim"))]
    pub(super) fn iter(&self) -> impl Iterator<Item = Timer> + '_ {
        debug_assert_eq!(self.due.len(), self.armed.len());
        self.armed.keys().copied()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(seconds: u64) -> Time {
        Time::from_boot(Duration::from_secs(seconds))
    }

    #[test]
    fn a_deadline_set_anew_fires_once_at_its_new_time() {
        let mut timers = Timers::default();
        timers.set(Timer::Limit(TaskId(1)), at(5));
        timers.set(Timer::Limit(TaskId(1)), at(7));
        timers.set(Timer::Connect(HostId(1)), at(6));
        assert_eq!(timers.next(), Some(at(6)));
        assert_eq!(timers.pop(at(5)), None);
        assert_eq!(timers.pop(at(9)), Some(Timer::Connect(HostId(1))));
        assert_eq!(timers.pop(at(9)), Some(Timer::Limit(TaskId(1))));
        assert_eq!(timers.pop(at(9)), None);
    }

    #[test]
    fn a_task_that_ends_leaves_no_deadline() {
        let mut timers = Timers::default();
        timers.set(Timer::Limit(TaskId(1)), at(5));
        timers.set(Timer::Doubt(TaskId(1)), at(5));
        timers.set(Timer::Slow(TaskId(2)), at(8));
        timers.cancel_task(TaskId(1));
        assert!(!timers.is_set(Timer::Limit(TaskId(1))));
        assert_eq!(timers.next(), Some(at(8)));
    }
}
