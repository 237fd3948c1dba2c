//! What is queued, what runs where and which amounts are free. Pure.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use crate::ids::{AttemptId, SlotId};
use crate::job::{Amounts, Work};

/// How many attempts may wait (65,536): far beyond any prefetch, so that a client gone mad cannot fill the memory.
pub(super) const QUEUE_LIMIT: usize = 65_536;

/// An attempt that waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Waiting {
    pub(super) attempt: AttemptId,
    pub(super) try_number: u32,
    pub(super) amounts: Amounts,
    pub(super) work: Box<Work>,
}

/// The attempts of one agent: those that wait, in the order of arrival, and those that run.
#[derive(Debug, Default)]
pub(super) struct Attempts {
    total: Amounts,
    free: Amounts,
    /// Slots that have been used and are idle.
    idle: BTreeSet<SlotId>,
    /// How many slots have been used.
    used: u32,
    queue: VecDeque<Waiting>,
    running: HashMap<AttemptId, (SlotId, Amounts)>,
    by_slot: BTreeMap<SlotId, AttemptId>,
}

/// Why an attempt was not taken.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// It takes more than the host will ever have.
    TooLarge(Amounts),
    /// [`QUEUE_LIMIT`] attempts wait.
    TooMany,
    /// It is here already.
    Known,
}

impl Attempts {
    /// A host that gives so much, and as many slots as cores.
    pub(super) fn new(total: Amounts) -> Self {
        Self {
            total,
            free: total,
            ..Self::default()
        }
    }

    /// Lets an attempt wait for its turn.
    pub(super) fn push(&mut self, waiting: Waiting) -> Result<(), Refused> {
        if !waiting.amounts.fits(self.total) {
            return Err(Refused::TooLarge(self.total));
        }
        if self.running.contains_key(&waiting.attempt) {
            return Err(Refused::Known);
        }
        if self.queue.len() >= QUEUE_LIMIT {
            return Err(Refused::TooMany);
        }
        self.queue.push_back(waiting);
        Ok(())
    }

    /// Starts the attempt that waits longest, in the idle slot with the lowest number, if its amounts are free.
    ///
    /// A large attempt is not overtaken by smaller ones behind it, or it might wait for ever.
    pub(super) fn start_next(&mut self) -> Option<(SlotId, Waiting)> {
        let amounts = self.queue.front()?.amounts;
        let free = self.free.checked_sub(amounts)?;
        let slot = match self.idle.pop_first() {
            Some(slot) => slot,
            None if self.used < self.total.cores => {
                self.used += 1;
                SlotId(self.used)
            }
            None => return None,
        };
        let waiting = self.queue.pop_front()?;
        self.free = free;
        self.running.insert(waiting.attempt, (slot, amounts));
        self.by_slot.insert(slot, waiting.attempt);
        Some((slot, waiting))
    }

    /// Takes an attempt back that has not started.
    pub(super) fn withdraw(&mut self, attempt: AttemptId) -> Option<Waiting> {
        let at = self.queue.iter().position(|it| it.attempt == attempt)?;
        self.queue.remove(at)
    }

    /// Everything that has not started.
    pub(super) fn withdraw_all(&mut self) -> Vec<Waiting> {
        self.queue.drain(..).collect()
    }

    /// Frees what a running attempt took. False when it does not run.
    pub(super) fn end(&mut self, attempt: AttemptId) -> bool {
        let Some((slot, amounts)) = self.running.remove(&attempt) else {
            return false;
        };
        self.by_slot.remove(&slot);
        self.idle.insert(slot);
        self.free = self.free.plus(amounts);
        true
    }

    /// The slot in which an attempt runs.
    pub(super) fn slot_of(&self, attempt: AttemptId) -> Option<SlotId> {
        self.running.get(&attempt).map(|(slot, _)| *slot)
    }

    /// The attempt that runs in a slot.
    pub(super) fn in_slot(&self, slot: SlotId) -> Option<AttemptId> {
        self.by_slot.get(&slot).copied()
    }

    /// All attempts that run.
    pub(super) fn running(&self) -> Vec<AttemptId> {
        self.by_slot.values().copied().collect()
    }

    /// How many attempts run.
    pub(super) fn running_count(&self) -> u32 {
        u32::try_from(self.running.len()).unwrap_or(u32::MAX)
    }

    /// Whether nothing runs.
    pub(super) fn is_idle(&self) -> bool {
        self.running.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{Epoch, TaskId};

    fn attempt(task: u64) -> AttemptId {
        AttemptId {
            task: TaskId(task),
            epoch: Epoch::FIRST,
        }
    }

    fn waiting(task: u64, cores: u32) -> Waiting {
        Waiting {
            attempt: attempt(task),
            try_number: 1,
            amounts: Amounts::cores(cores),
            work: Box::new(crate::job::CommandJob::shell(task, "true").into()),
        }
    }

    fn started(attempts: &mut Attempts) -> Vec<(u32, u64)> {
        std::iter::from_fn(|| attempts.start_next())
            .map(|(slot, it)| (slot.0, it.attempt.task.0))
            .collect()
    }

    #[test]
    fn attempts_start_in_order_in_the_lowest_slot() {
        let mut attempts = Attempts::new(Amounts::cores(2));
        for task in 1..=4 {
            attempts.push(waiting(task, 1)).unwrap();
        }
        assert_eq!(started(&mut attempts), [(1, 1), (2, 2)]);
        assert!(attempts.end(attempt(2)));
        assert_eq!(started(&mut attempts), [(2, 3)]);
        assert!(attempts.end(attempt(1)));
        assert_eq!(started(&mut attempts), [(1, 4)]);
        assert!(!attempts.end(attempt(1)));
    }

    #[test]
    fn several_cores_are_one_slot_and_are_not_overtaken() {
        let mut attempts = Attempts::new(Amounts::cores(4));
        for (task, cores) in [(1, 3), (2, 2), (3, 1)] {
            attempts.push(waiting(task, cores)).unwrap();
        }
        assert_eq!(started(&mut attempts), [(1, 1)]);
        attempts.end(attempt(1));
        assert_eq!(started(&mut attempts), [(1, 2), (2, 3)]);
        assert_eq!(attempts.running_count(), 2);
        assert_eq!(attempts.in_slot(SlotId(2)), Some(attempt(3)));
        assert_eq!(attempts.slot_of(attempt(2)), Some(SlotId(1)));
    }

    #[test]
    fn what_can_never_run_is_refused() {
        let mut attempts = Attempts::new(Amounts::cores(2));
        let refused = Err(Refused::TooLarge(Amounts::cores(2)));
        assert_eq!(attempts.push(waiting(1, 3)), refused);
        attempts.push(waiting(2, 1)).unwrap();
        assert_eq!(started(&mut attempts), [(1, 2)]);
        assert_eq!(attempts.push(waiting(2, 1)), Err(Refused::Known));
    }

    #[test]
    fn only_what_waits_is_withdrawn() {
        let mut attempts = Attempts::new(Amounts::cores(1));
        for task in 1..=3 {
            attempts.push(waiting(task, 1)).unwrap();
        }
        assert_eq!(started(&mut attempts), [(1, 1)]);
        assert!(attempts.withdraw(attempt(1)).is_none());
        assert!(attempts.withdraw(attempt(2)).is_some());
        assert_eq!(attempts.withdraw_all().len(), 1);
    }

    #[test]
    fn a_queue_has_an_end() {
        let mut attempts = Attempts::new(Amounts::cores(1));
        for task in 0..QUEUE_LIMIT as u64 {
            attempts.push(waiting(task, 1)).unwrap();
        }
        assert_eq!(attempts.push(waiting(0, 1)), Err(Refused::TooMany));
    }
}
