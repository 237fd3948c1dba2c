//! Prefetch: a few attempts wait on a host, so that its slots never wait for the round trip; and their recall when
//! another host is idle.
//!
//! A host's queue is empty until its tasks have proven short against its round trip: when their running mean `m`
//! is above 20 round trips `r`, waiting costs a slot less than 5 percent and a queue would only harm stragglers. Below that, each
//! slot has `ceil((2 r + g) / m)` attempts behind the running one (1 to 64): what the slot can run while a result travels to the client and the
//! next attempt travels back, twice, and while results are gathered on their way, `g` in all.

use std::time::Duration;

use super::Kernel;
use super::host::Up;
use super::task::Intent;
use crate::ids::{ClassId, HostId, TaskId};
use crate::job::Amounts;
use crate::vm::VmCommand;

/// How many tasks must have ended on a host before it gets a queue.
const SAMPLES: u32 = 4;
/// A mean above this many round trips makes a queue pointless.
const LONG: f64 = 20.0;
/// How long results may be gathered on their way, so that many cost no more than one (5 ms): an agent looks away for two
/// milliseconds at a time, and a busy client is as late.
const GATHERING: f64 = 0.005;
/// The weight of the newest task in the running mean: the last dozen or so tasks decide.
const WEIGHT: f64 = 0.125;

/// How long a host's tasks take against its round trip.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Pace {
    /// The measured round trip.
    pub(super) round_trip: Duration,
    /// The running mean in seconds.
    mean: f64,
    samples: u32,
}

impl Pace {
    pub(super) fn new(round_trip: Duration) -> Self {
        Self {
            round_trip,
            mean: 0.0,
            samples: 0,
        }
    }

    /// A task that may be prefetched has run for `elapsed`.
    pub(super) fn add(&mut self, elapsed: Duration) {
        let elapsed = elapsed.as_secs_f64();
        if self.samples == 0 {
            self.mean = elapsed;
        } else {
            self.mean += (elapsed - self.mean) * WEIGHT;
        }
        self.samples = self.samples.saturating_add(1);
    }

    /// How many attempts may wait for each slot.
    pub(super) fn depth(&self, most: u32) -> u32 {
        let round_trip = self.round_trip.as_secs_f64();
        if self.samples < SAMPLES || self.mean > LONG * round_trip {
            return 0;
        }
        // A mean of zero gives infinity, and the cast saturates.
        let needed = (2.0 * round_trip + GATHERING) / self.mean;
        (needed.ceil() as u32).clamp(1, most.max(1))
    }
}

/// How many attempts of tasks that take `amounts` may wait on a host with `total`.
pub(super) fn allowance(pace: &Pace, most: u32, total: Amounts, amounts: Amounts) -> usize {
    let abreast = (total.cores / amounts.cores.max(1)).max(1);
    pace.depth(most) as usize * abreast as usize
}

impl Kernel {
    /// Asks every attempt back that waits on `host`.
    pub(super) fn recall_all(&mut self, host: HostId) {
        let Some(up) = self.hosts[host.0 as usize].up() else {
            return;
        };
        let queued: Vec<TaskId> = up.queued.iter().copied().collect();
        for task in queued {
            self.recall(host, task);
        }
    }

    /// Asks every attempt back that waits on `host` and is not nested deeper than one that has lent its licence.
    pub(super) fn recall_not_deeper(&mut self, host: HostId, depth: u32) {
        let Some(up) = self.hosts[host.0 as usize].up() else {
            return;
        };
        let is_not_deeper =
            |id: &TaskId| self.tasks.get(*id).is_some_and(|task| task.depth <= depth);
        let queued: Vec<TaskId> = up.queued.iter().copied().filter(is_not_deeper).collect();
        for task in queued {
            self.recall(host, task);
        }
    }

    /// Whether a task that is nested so deep may wait on `host`, as far as licences go.
    pub(super) fn may_wait_behind(&self, up: &Up, host: HostId, depth: u32) -> bool {
        let mut waiting = up
            .lent
            .first()
            .copied()
            .into_iter()
            .chain(self.woken.head(host));
        waiting.all(|rank| depth > rank.depth())
    }

    /// Asks every attempt of a class back that waits on `host`, which lacks the command.
    pub(super) fn recall_class(&mut self, host: HostId, class: ClassId) {
        let Some(up) = self.hosts[host.0 as usize].up() else {
            return;
        };
        let is_of_class = |id: &TaskId| self.tasks.get(*id).is_some_and(|task| task.class == class);
        let queued: Vec<TaskId> = up.queued.iter().copied().filter(is_of_class).collect();
        let reserved = up.reserved.map(|key| self.queues.entry(key).demand.class);
        if reserved == Some(class) {
            self.clear_reservation(host);
        }
        for task in queued {
            self.recall(host, task);
        }
    }

    /// Asks attempts back from hosts with a queue while others are idle: the youngest of the longest queue first, and
    /// no more than there is room for.
    pub(super) fn recall_for_idle(&mut self) {
        if self.waiting_on_hosts == 0 {
            return;
        }
        let mut idle: Vec<(HostId, u32)> = Vec::new();
        for (id, host) in (0..).map(HostId).zip(&self.hosts) {
            self.steps += 1;
            if let Some(up) = host.accepting()
                && up.queued.is_empty()
                && up.reserved.is_none()
                && up.free().cores > 0
            {
                idle.push((id, up.free().cores));
            }
        }
        let room: u32 = idle.iter().map(|(_, cores)| cores).sum();
        let mut budget = (room as usize).saturating_sub(self.recalls);
        while budget > 0 {
            let Some((host, task)) = self.recallable(&idle) else {
                return;
            };
            self.recall(host, task);
            budget -= 1;
        }
    }

    /// The attempt that is best asked back for one of the `idle` hosts.
    fn recallable(&mut self, idle: &[(HostId, u32)]) -> Option<(HostId, TaskId)> {
        let mut longest: Option<(usize, HostId, TaskId)> = None;
        for (id, host) in (0..).map(HostId).zip(&self.hosts) {
            self.steps += 1;
            let Some(up) = host.up() else { continue };
            let length = up.queued.len().saturating_sub(up.recalled);
            if length == 0 || longest.is_some_and(|(most, ..)| length <= most) {
                continue;
            }
            let youngest = up.queued.iter().rev().copied().find(|&task| {
                self.tasks
                    .get(task)
                    .and_then(|task| task.placed())
                    .is_some_and(|placed| placed.intent == Intent::Run)
            });
            if let Some(task) = youngest.filter(|&task| self.suits_any(task, idle)) {
                longest = Some((length, id, task));
            }
        }
        longest.map(|(_, host, task)| (host, task))
    }

    fn suits_any(&self, task: TaskId, idle: &[(HostId, u32)]) -> bool {
        let Some(task) = self.tasks.get(task) else {
            return false;
        };
        // A host that the task dislikes does not count: placement would send it straight back.
        let entry = self.queues.entry(task.demand);
        idle.iter().any(|(host, cores)| {
            task.amounts.fits(Amounts::cores(*cores))
                && entry.candidates.binary_search(host).is_ok()
                && entry.demand.dislike.binary_search(host).is_err()
                && !self.classes.is_left_out(task.class, *host)
        })
    }

    /// Asks one attempt back. It comes back as [`VmEvent::Returned`](crate::vm::VmEvent::Returned), or has started.
    fn recall(&mut self, host: HostId, id: TaskId) {
        let Some(attempt) = self.tasks.attempt(id) else {
            return;
        };
        let Some(placed) = self.tasks.get_mut(id).and_then(|task| task.placed_mut()) else {
            return;
        };
        if placed.intent != Intent::Run {
            return;
        }
        placed.intent = Intent::Recall;
        if let Some(up) = self.hosts[host.0 as usize].up_mut() {
            up.recalled += 1;
        }
        self.recalls += 1;
        self.vm(VmCommand::Recall { host, attempt });
    }

    /// An attempt that was asked back has answered, one way or the other, or is to be stopped instead.
    pub(super) fn recall_answered(&mut self, host: HostId, intent: Intent) {
        if intent == Intent::Recall {
            self.recalls -= 1;
            if let Some(up) = self.hosts[host.0 as usize].up_mut() {
                up.recalled -= 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(round_trip: Duration, elapsed: Duration, samples: u32) -> u32 {
        let mut pace = Pace::new(round_trip);
        for _ in 0..samples {
            pace.add(elapsed);
        }
        pace.depth(64)
    }

    #[test]
    fn only_tasks_shorter_than_twenty_round_trips_are_prefetched() {
        let ms = Duration::from_millis;
        assert_eq!(after(ms(1), ms(1), SAMPLES - 1), 0, "too early to say");
        assert_eq!(after(ms(1), ms(21), 50), 0);
        assert_eq!(after(ms(1), ms(19), 50), 1);
        assert_eq!(after(ms(1), ms(2), 50), 4);
        assert_eq!(after(ms(10), ms(1), 50), 25);
        assert_eq!(after(ms(300), ms(1), 50), 64);
        assert_eq!(after(ms(1), Duration::ZERO, 50), 64);
        assert_eq!(
            after(Duration::ZERO, ms(1), 50),
            0,
            "no round trip, no queue"
        );
    }

    #[test]
    fn long_tasks_end_the_queue_soon() {
        let mut pace = Pace::new(Duration::from_millis(1));
        for _ in 0..1000 {
            pace.add(Duration::from_millis(1));
        }
        assert!(pace.depth(64) > 0);
        pace.add(Duration::from_secs(60));
        assert_eq!(pace.depth(64), 0);
    }
}
