//! Placement: which task starts on which host.
//!
//! The deepest task that can start anywhere starts first, among equally deep ones the oldest, on the host of which the smallest
//! share is used; ties go to the host that was named first. A task that can start nowhere is passed by others that can (a host
//! that is full for it may have room for them). Attempts that want their licence back are served between them (`licence.rs`).
//!
//! * A task that failed or crashed prefers a host where it has not, and waits for one that is up and takes tasks; when there
//!   is none, it goes where it was.
//! * A task for several cores would be passed for ever, since each core that comes free is taken by a small task. After
//!   [`reserve_after`](super::KernelConfig::reserve_after) in the queue, the host with most free cores is kept free for it
//!   until it, or one of its kind that comes first, starts. A host is kept free for one kind of task at a time, and not from
//!   deeper tasks.
//! * When no host has room, a task that may be prefetched goes to the host with the shortest queue for its size (`prefetch.rs`).
//! * A task that no host may run, now or later, ends at once and says why (`outcome.rs`).

use super::Kernel;
use super::host::Host;
use super::planted::Bug;
use super::prefetch;
use super::queue::{Demand, DemandKey, Rank};
use super::request::{Prefetch, SubmitError};
use super::task::{Grant, TaskState};
use super::timers::Timer;
use crate::ids::{HostId, TaskId};
use crate::job::{Amounts, Needs};
use crate::time::Time;

/// What is to be done with the oldest task of a queue.
enum Choice {
    /// It starts on this host.
    Start(HostId),
    /// It waits on this host.
    Wait(HostId),
    /// It stays in the queue.
    Stay,
    /// No host can run the tasks of this queue, now or later.
    Never,
}

/// A part of a whole, compared without rounding.
#[derive(Clone, Copy)]
struct Share {
    part: u64,
    whole: u64,
}

impl Share {
    fn new(part: u64, whole: u32) -> Self {
        Self {
            part,
            whole: u64::from(whole.max(1)),
        }
    }

    fn is_below(self, other: Self) -> bool {
        self.part * other.whole < other.part * self.whole
    }
}

/// The best host so far.
#[derive(Clone, Copy, Default)]
struct Best(Option<(Share, HostId)>);

impl Best {
    fn offer(&mut self, share: Share, host: HostId) {
        if self.0.is_none_or(|(best, _)| share.is_below(best)) {
            self.0 = Some((share, host));
        }
    }

    fn host(self) -> Option<HostId> {
        self.0.map(|(_, host)| host)
    }
}

impl Kernel {
    /// Starts whatever can start.
    pub(super) fn place(&mut self, now: Time) {
        let (mut passed, mut tried) = (None, None);
        loop {
            self.steps += 1;
            let queued = self.queues.head_after(passed);
            if let Some((woken, host)) = self.woken.head_after(tried)
                && queued.is_none_or(|(rank, _)| self.goes_before(woken, rank))
            {
                self.resume(host, woken, now);
                tried = Some((woken, host));
                continue;
            }
            let Some((rank, key)) = queued else { return };
            let task = rank.task();
            match self.choose(key, rank) {
                Choice::Start(host) => self.send(task, host, Grant::Granted, now),
                Choice::Wait(host) => self.send(task, host, Grant::Waiting, now),
                Choice::Stay => {
                    self.schedule_reservation(task, now);
                    passed = queued;
                }
                Choice::Never => self.end_without_host(task),
            }
        }
    }

    /// Whether an attempt that was woken is served before a task that is new.
    fn goes_before(&self, woken: Rank, new: Rank) -> bool {
        woken.depth() >= new.depth() && !self.planted(Bug::FirstComeFirstServed)
    }

    fn choose(&mut self, key: DemandKey, rank: Rank) -> Choice {
        let entry = self.queues.entry(key);
        let demand = &entry.demand;
        let amounts = demand.needs.amounts;
        let class = self.classes.get(demand.class);
        let most = self.config.max_prefetch;
        // A preferred host is one where the task has not failed yet.
        let (mut preferred, mut other) = (Best::default(), Best::default());
        let (mut preferred_queue, mut other_queue) = (Best::default(), Best::default());
        let mut possible = false;
        let mut preferred_open = false;
        // While tasks of the class run, one may yet show that a host has the command.
        let mut undecided = class.is_some_and(|class| class.is_unproven() && class.placed > 0);
        for &id in &entry.candidates {
            self.steps += 1;
            let host = &self.hosts[id.0 as usize];
            if !host.is_possible(amounts) {
                continue;
            }
            if let Some(class) = class
                && class.left_out(id).is_some()
            {
                undecided |= class.placed > 0;
                continue;
            }
            possible = true;
            let Some(up) = host.accepting() else { continue };
            // A host that is kept free for the task is good enough: two tasks must not hold what the other prefers.
            let is_preferred =
                demand.dislike.binary_search(&id).is_err() || up.reserved == Some(key);
            preferred_open |= is_preferred;
            let is_kept = |holder| holder != key && !self.is_deeper(rank, holder);
            if up.reserved.is_some_and(is_kept) {
                continue;
            }
            let woken = self.woken.head(id);
            if woken.is_some_and(|woken| self.goes_before(woken, rank)) {
                continue;
            }
            if up.has_room(amounts) || self.planted(Bug::GrantsTwice) {
                let share = Share::new(u64::from(up.used.cores), up.total.cores);
                let best = if is_preferred {
                    &mut preferred
                } else {
                    &mut other
                };
                best.offer(share, id);
            } else if demand.prefetch == Prefetch::Allowed
                && up.reserved.is_none()
                && host.health.is_trusted()
                && self.may_wait_behind(up, id, rank.depth())
                && up.queued.len() < prefetch::allowance(&up.pace, most, up.total, amounts)
            {
                let share = Share::new(up.queued.len() as u64, up.total.cores);
                let best = if is_preferred {
                    &mut preferred_queue
                } else {
                    &mut other_queue
                };
                best.offer(share, id);
            }
        }
        if !possible && !undecided {
            return Choice::Never;
        }
        let (start, wait) = if preferred_open {
            (preferred, preferred_queue)
        } else {
            (other, other_queue)
        };
        match (start.host(), wait.host()) {
            (Some(host), _) => Choice::Start(host),
            (None, Some(host)) => Choice::Wait(host),
            (None, None) => Choice::Stay,
        }
    }

    /// Whether a task is deeper than the first of the kind that a host is kept free for.
    fn is_deeper(&self, rank: Rank, holder: DemandKey) -> bool {
        let head = self.queues.entry(holder).head();
        head.is_none_or(|head| rank.depth() > head.depth())
    }

    /// Has a host kept free for a task that takes several cores, once it has waited long enough.
    fn schedule_reservation(&mut self, id: TaskId, now: Time) {
        let Some(task) = self.tasks.get(id) else {
            return;
        };
        let TaskState::Queued { since } = task.state else {
            return;
        };
        if self.queues.entry(task.demand).reserved.is_some() {
            return;
        }
        if task.amounts.cores > 1 && !self.timers.is_set(Timer::Reserve(id)) {
            let at = since + self.config.reserve_after;
            if at > now {
                self.timers.set(Timer::Reserve(id), at);
            } else {
                self.reserve_due(id);
            }
        }
    }

    /// Keeps a host free for a task, if it still waits, first of its kind.
    pub(super) fn reserve_due(&mut self, id: TaskId) {
        let Some(task) = self.tasks.get(id) else {
            return;
        };
        let key = task.demand;
        let entry = self.queues.entry(key);
        if entry.head().map(Rank::task) != Some(id) || entry.reserved.is_some() {
            return;
        }
        let dislike = &entry.demand.dislike;
        let mut best: Option<((bool, u32), HostId)> = None;
        for &host in &entry.candidates {
            self.steps += 1;
            if let Some(up) = self.hosts[host.0 as usize].accepting()
                && up.reserved.is_none()
                && task.amounts.fits(up.total)
                && !self.classes.is_left_out(task.class, host)
            {
                let rank = (dislike.binary_search(&host).is_err(), up.free().cores);
                if best.is_none_or(|(highest, _)| rank > highest) {
                    best = Some((rank, host));
                }
            }
        }
        let Some((_, host)) = best else { return };
        if let Some(up) = self.hosts[host.0 as usize].up_mut() {
            up.reserved = Some(key);
        }
        self.queues.reserve(key, Some(host));
        self.recall_all(host);
    }

    /// A host is kept free for nobody any more.
    pub(super) fn clear_reservation(&mut self, host: HostId) {
        let up = self.hosts[host.0 as usize].up_mut();
        if let Some(key) = up.and_then(|up| up.reserved.take()) {
            self.queues.reserve(key, None);
        }
    }

    /// A task leaves its queue: no deadline, and if it was the first no host kept free.
    pub(super) fn leave_queue(&mut self, id: TaskId) {
        let Some(task) = self.tasks.get(id) else {
            return;
        };
        let TaskState::Queued { .. } = task.state else {
            return;
        };
        let entry = self.queues.entry(task.demand);
        let rank = self.rank(id, task.depth);
        let reserved = entry.reserved.filter(|_| entry.head() == Some(rank));
        self.queues.remove(task.demand, rank);
        if task.amounts.cores > 1 {
            self.timers.cancel(Timer::Reserve(id));
        }
        if let Some(host) = reserved {
            self.clear_reservation(host);
        }
    }

    /// The hosts that needs allow, by name and tags alone.
    pub(super) fn allowed<'a>(
        &'a self,
        needs: &'a Needs,
    ) -> impl Iterator<Item = (HostId, &'a Host)> + 'a {
        (0..)
            .map(HostId)
            .zip(&self.hosts)
            .filter(|(id, host)| Demand::allows(needs, *id, host))
    }

    /// Whether needs can ever be met, as far as that is known.
    pub(super) fn check_needs(&mut self, needs: &Needs, depth: u32) -> Result<(), SubmitError> {
        if !self.may_start(depth) {
            return Err(SubmitError::Stopping);
        }
        if let Some(host) = needs.host
            && self.hosts.get(host.0 as usize).is_none()
        {
            return Err(SubmitError::UnknownHost(host));
        }
        let mut largest = Some(Amounts::default());
        let (mut allowed, mut left) = (false, false);
        for (_, host) in self.allowed(needs) {
            allowed = true;
            if host.is_gone() {
                continue;
            }
            left = true;
            largest = match (largest, host.known_total) {
                (Some(largest), Some(total)) if total.cores > largest.cores => Some(total),
                (Some(largest), Some(_)) => Some(largest),
                // A host of unknown size may be large enough.
                _ => None,
            };
        }
        self.steps += self.hosts.len() as u64;
        if !allowed {
            let mut known: Vec<String> = self
                .hosts
                .iter()
                .flat_map(|host| host.spec.tags.iter().cloned())
                .collect();
            known.sort();
            known.dedup();
            return Err(SubmitError::NoSuchTag {
                tags: needs.tags.clone(),
                known,
            });
        }
        if !left {
            return Err(SubmitError::NoHostLeft {
                cause: self.why_no_host(needs),
            });
        }
        match largest {
            Some(largest) if !needs.amounts.fits(largest) => Err(SubmitError::TooLarge {
                needed: needs.amounts,
                largest,
            }),
            _ => Ok(()),
        }
    }
}
