//! What is queued, what runs where, what lies in which slot and which amounts are free. Pure.
//!
//! ```text
//!            start_next                       ended
//!  queue -------------------> running ----------------------> (gone)
//!    |  ^                        ^
//!    |  | returned,              | the one before it has ended
//!    |  | slot gone              |
//!    |  `----------------------- |
//!    `-------------------> ahead of its turn, in a slot
//!            send_ahead
//! ```
//!
//! What takes little time is worth sending before its turn: the slot then goes on without being told. It takes the place of
//! the one before it, so it must be of the same kind and take the same amounts.

mod lane;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::time::Duration;

use crate::ids::{AttemptId, SlotId};
use crate::job::{Amounts, Work};
use lane::{Ahead, AskedBack, Lane, Licence, Pace};

pub(super) use lane::SlotKind;

/// How many attempts may wait (65,536): far beyond any prefetch, so that a client gone mad cannot fill the memory.
pub(super) const QUEUE_LIMIT: usize = 65_536;

/// An attempt that waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Waiting {
    pub(super) attempt: AttemptId,
    pub(super) try_number: u32,
    pub(super) amounts: Amounts,
    pub(super) work: Box<Work>,
    /// How many bytes of a call's arguments the client still holds.
    pub(super) more_arguments: u64,
}

/// The attempts of one agent: those that wait, in the order of arrival, and those that slots have.
#[derive(Debug, Default)]
pub(super) struct Attempts {
    total: Amounts,
    free: Amounts,
    /// Slots that have been used and are idle.
    idle: BTreeSet<SlotId>,
    /// How many slots have been used.
    used: u32,
    queue: VecDeque<Waiting>,
    lanes: BTreeMap<SlotId, Lane>,
    paces: HashMap<SlotId, Pace>,
    /// The slot of each attempt that runs or lies in one.
    slots: HashMap<AttemptId, SlotId>,
    /// How many were asked back for idle slots and have not come.
    asked_back: usize,
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

/// Where an attempt is that is not to run.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// It waited, and was taken out.
    Waiting,
    /// This slot has it.
    InSlot(SlotId),
    Nowhere,
}

/// What the end of an attempt means.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum AfterEnd {
    /// Its slot is idle.
    Idle,
    /// This one runs now: it lay in the slot.
    Next(AttemptId),
    /// Its turn had not come.
    HadNotBegun,
    /// There is no such attempt.
    Unknown,
}

/// What becomes of a call that a slot has given back.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Returned {
    /// It waits again.
    Queued,
    /// The client gets it.
    ToClient,
    /// It was not in that slot.
    Unknown,
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
        if self.slots.contains_key(&waiting.attempt) {
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
            None if self.used < self.total.cores.saturating_add(self.lent_count()) => {
                self.used += 1;
                SlotId(self.used)
            }
            None => return None,
        };
        let waiting = self.queue.pop_front()?;
        self.free = free;
        self.slots.insert(waiting.attempt, slot);
        self.lanes.insert(slot, Lane::of(&waiting));
        Some((slot, waiting))
    }

    /// Lets the attempt that waits longest lie in a slot before its turn: the one that has the fewest, if one has room.
    pub(super) fn send_ahead(&mut self) -> Option<(SlotId, &Waiting)> {
        let first = self.queue.front().filter(|it| it.may_go_ahead())?;
        let pace = |slot: &SlotId| self.paces.get(slot).copied().unwrap_or_default();
        let lanes = self.lanes.iter_mut();
        let (slot, lane) = lanes
            .filter(|(slot, lane)| lane.has_room(pace(slot), first))
            .min_by_key(|(_, lane)| lane.ahead.len())?;
        let waiting = self.queue.pop_front()?;
        self.slots.insert(waiting.attempt, *slot);
        let asked_back = AskedBack::No;
        lane.ahead.push_back(Ahead {
            waiting,
            asked_back,
        });
        let ahead = lane.ahead.back()?;
        Some((*slot, &ahead.waiting))
    }

    /// Which calls are to be asked back since a slot is idle: the younger half of those that lie in one slot.
    pub(super) fn ask_back(&mut self) -> Vec<(SlotId, AttemptId)> {
        if self.asked_back > 0 || !self.queue.is_empty() {
            return Vec::new();
        }
        let free = self.free;
        let lanes = self.lanes.iter_mut();
        let fullest = lanes
            .filter(|(_, lane)| lane.amounts.fits(free))
            .max_by_key(|(_, lane)| lane.ahead.len());
        let Some((slot, lane)) = fullest else {
            return Vec::new();
        };
        let count = lane.ahead.len().div_ceil(2);
        let younger = lane.ahead.iter_mut().rev().take(count);
        let asked: Vec<_> = younger
            .filter(|it| it.asked_back == AskedBack::No)
            .map(|it| {
                it.asked_back = AskedBack::ForOthers;
                (*slot, it.waiting.attempt)
            })
            .collect();
        self.asked_back += asked.len();
        asked
    }

    /// Whether calls lie in slots before their turn.
    pub(super) fn has_ahead(&self) -> bool {
        self.slots.len() > self.lanes.len()
    }

    /// Which calls are to be asked back since the one before them takes long: those of slots in which the same one runs
    /// as at the last look. To be asked now and then.
    pub(super) fn ask_back_stuck(&mut self) -> Vec<(SlotId, AttemptId)> {
        let mut asked = Vec::new();
        for (slot, lane) in &mut self.lanes {
            if lane.is_stuck() {
                let not_asked = |it: &&mut Ahead| it.asked_back == AskedBack::No;
                for ahead in lane.ahead.iter_mut().rev().filter(not_asked) {
                    ahead.asked_back = AskedBack::ForOthers;
                    asked.push((*slot, ahead.waiting.attempt));
                }
            }
            lane.looked_at = Some(lane.running);
        }
        self.asked_back += asked.len();
        asked
    }

    /// A slot has given back a call that it had not begun.
    pub(super) fn returned(&mut self, slot: SlotId, attempt: AttemptId) -> Returned {
        let Some(ahead) = self.take_ahead(slot, attempt) else {
            return Returned::Unknown;
        };
        match ahead.asked_back {
            AskedBack::ForClient => Returned::ToClient,
            AskedBack::No | AskedBack::ForOthers => {
                // The youngest comes first.
                self.queue.push_front(ahead.waiting);
                Returned::Queued
            }
        }
    }

    fn take_ahead(&mut self, slot: SlotId, attempt: AttemptId) -> Option<Ahead> {
        let lane = self.lanes.get_mut(&slot)?;
        let at = lane.position(attempt)?;
        let ahead = lane.ahead.remove(at)?;
        self.slots.remove(&attempt);
        self.note_gone(&ahead);
        Some(ahead)
    }

    /// A call no longer lies in its slot.
    fn note_gone(&mut self, ahead: &Ahead) {
        if ahead.asked_back == AskedBack::ForOthers {
            self.asked_back -= 1;
        }
    }

    /// The process of a slot ends itself: what lies there waits again, and nothing more goes there.
    pub(super) fn leaving(&mut self, slot: SlotId, kind: SlotKind) {
        let lane = self.lanes.get_mut(&slot);
        if let Some(lane) = lane.filter(|lane| lane.kind == kind) {
            lane.leaving = true;
            for ahead in std::mem::take(&mut lane.ahead).into_iter().rev() {
                self.slots.remove(&ahead.waiting.attempt);
                self.note_gone(&ahead);
                self.queue.push_front(ahead.waiting);
            }
        }
    }

    /// Takes an attempt back that waits, for the client. One that lies in a slot must be asked for there.
    pub(super) fn withdraw(&mut self, attempt: AttemptId) -> Found {
        if let Some(slot) = self.slots.get(&attempt) {
            let slot = *slot;
            let ahead = self.lanes.get_mut(&slot).and_then(|lane| {
                let at = lane.position(attempt)?;
                lane.ahead.get_mut(at)
            });
            return match ahead {
                Some(ahead) => {
                    let before = std::mem::replace(&mut ahead.asked_back, AskedBack::ForClient);
                    self.asked_back -= usize::from(before == AskedBack::ForOthers);
                    Found::InSlot(slot)
                }
                None => Found::Nowhere,
            };
        }
        self.take_waiting(attempt)
    }

    /// Finds an attempt that is to be stopped; one that waits is taken out.
    pub(super) fn find_to_stop(&mut self, attempt: AttemptId) -> Found {
        match self.slots.get(&attempt) {
            Some(slot) => Found::InSlot(*slot),
            None => self.take_waiting(attempt),
        }
    }

    fn take_waiting(&mut self, attempt: AttemptId) -> Found {
        let at = self.queue.iter().position(|it| it.attempt == attempt);
        match at.and_then(|at| self.queue.remove(at)) {
            Some(_) => Found::Waiting,
            None => Found::Nowhere,
        }
    }

    /// Everything that waits and lies in no slot.
    pub(super) fn withdraw_all(&mut self) -> Vec<Waiting> {
        self.queue.drain(..).collect()
    }

    /// An attempt has ended. `elapsed` is how long it ran, if it did.
    pub(super) fn end(&mut self, attempt: AttemptId, elapsed: Option<Duration>) -> AfterEnd {
        let Some(slot) = self.slots.get(&attempt).copied() else {
            return AfterEnd::Unknown;
        };
        if self.take_ahead(slot, attempt).is_some() {
            return AfterEnd::HadNotBegun;
        }
        self.slots.remove(&attempt);
        if let Some(elapsed) = elapsed {
            self.paces.entry(slot).or_default().add(elapsed);
        }
        let Some(lane) = self.lanes.get_mut(&slot) else {
            return AfterEnd::Unknown;
        };
        let lent = lane.licence == Licence::Lent;
        if let Some(next) = lane.ahead.pop_front() {
            if lent {
                // It could not be asked back in time, and has begun.
                lane.licence = Licence::Held;
                self.free = self.free.checked_sub(lane.amounts).unwrap_or_default();
            }
            lane.running = next.waiting.attempt;
            self.note_gone(&next);
            return AfterEnd::Next(next.waiting.attempt);
        }
        if !lent {
            self.free = self.free.plus(lane.amounts);
        }
        self.lanes.remove(&slot);
        self.idle.insert(slot);
        AfterEnd::Idle
    }

    /// The slot that has an attempt, and in which of its processes.
    pub(super) fn slot_of(&self, attempt: AttemptId) -> Option<(SlotId, SlotKind)> {
        let slot = *self.slots.get(&attempt)?;
        Some((slot, self.lanes.get(&slot)?.kind))
    }

    /// All attempts that slots have: those that run, and those that lie there.
    pub(super) fn in_slots(&self) -> Vec<AttemptId> {
        self.slots.keys().copied().collect()
    }

    /// How many attempts run.
    pub(super) fn running_count(&self) -> u32 {
        let all = u32::try_from(self.lanes.len()).unwrap_or(u32::MAX);
        all.saturating_sub(self.lent_count())
    }

    /// How many of those that have begun have lent their licence.
    fn lent_count(&self) -> u32 {
        let lanes = self.lanes.values();
        let lent = lanes.filter(|lane| lane.licence == Licence::Lent).count();
        u32::try_from(lent).unwrap_or(u32::MAX)
    }

    /// An attempt that runs waits for something: what it takes is free. Gives the calls that lie behind it in its slot, which
    /// are to be asked back.
    pub(super) fn lend(&mut self, attempt: AttemptId) -> Vec<AttemptId> {
        let Some(slot) = self.slots.get(&attempt) else {
            return Vec::new();
        };
        let Some(lane) = self.lanes.get_mut(slot) else {
            return Vec::new();
        };
        if lane.running != attempt || lane.licence == Licence::Lent {
            return Vec::new();
        }
        lane.licence = Licence::Lent;
        self.free = self.free.plus(lane.amounts);
        let mut asked = Vec::new();
        let not_asked = |it: &&mut Ahead| it.asked_back == AskedBack::No;
        for ahead in lane.ahead.iter_mut().rev().filter(not_asked) {
            ahead.asked_back = AskedBack::ForOthers;
            asked.push(ahead.waiting.attempt);
        }
        self.asked_back += asked.len();
        asked
    }

    /// An attempt goes on that has lent its licence. The client sees to it that what it takes is free.
    pub(super) fn resume(&mut self, attempt: AttemptId) {
        if let Some(slot) = self.slots.get(&attempt)
            && let Some(lane) = self.lanes.get_mut(slot)
            && lane.running == attempt
            && lane.licence == Licence::Lent
        {
            lane.licence = Licence::Held;
            self.free = self.free.checked_sub(lane.amounts).unwrap_or_default();
        }
    }

    /// Whether every slot has enough to do for a moment, without a word from anybody.
    pub(super) fn is_saturated(&self) -> bool {
        let pace = |slot: &SlotId| self.paces.get(slot).copied().unwrap_or_default();
        let is_full = self.used == self.total.cores || self.free.cores == 0;
        let mut lanes = self.lanes.iter();
        is_full
            && self.idle.is_empty()
            && !self.lanes.is_empty()
            && lanes.all(|(slot, lane)| lane.has_enough(pace(slot)))
    }

    /// Whether nothing runs.
    pub(super) fn is_idle(&self) -> bool {
        self.lanes.is_empty()
    }
}
