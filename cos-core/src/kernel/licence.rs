//! Licences: which of the attempts on a host may compute.
//!
//! A slot is a licence to run. An attempt whose every microthread is blocked in a wait of COS computes nothing, so it lends
//! its licence: its amounts are free for others while its process and directory stay. When one of its microthreads could go
//! on, it wants the licence back and is not polled before it has it.
//!
//! ```text
//!                    Started            Lent                 Wanted
//!   Sent, Granted ----------> Granted --------> Lent --------------------> Wanted
//!   Sent, Waiting ------------^  ^               ^                           |  |
//!   (prefetched)                 |               +--- it is to be stopped ---+  |
//!                                +------------------ Resume --------------------+
//!
//!   takes amounts:    Granted                  waits for amounts: Waiting, Wanted
//!   Ended, a stop, the loss of its host: from each state alike
//! ```
//!
//! # Order
//!
//! Amounts that are free go to what waits in this order:
//!
//! 1. the deepest first: a task of the client has depth 0, a child is one deeper than its parent;
//! 2. of equal depth, an attempt that was woken before a task that is new: it has a process already, and ends sooner. (So a
//!    parent goes on before tasks that are as deep as itself start, and after its own children, which are deeper.)
//! 3. of equal depth and kind, the older task.
//!
//! An attempt is woken by what it says, and by the end of a child: in the round trip until it says so, its place would be
//! taken by a new subtree. If it turns out that it waits for more, it lends its licence again at once.
//!
//! A task needs its descendants to go on and not its ancestors, so the deepest can always make progress: a tree of any depth
//! runs on one slot. And since a new subtree is begun only where no older one can go on, the attempts that are alive are as
//! many as the tree is deep, not as it is wide.
//!
//! Woken attempts can go on only where they are. On each host they are served strictly in order, and a host whose first one
//! does not fit yet takes no new task that is not deeper: smaller ones would pass it for ever. Whether a host is paused, busy,
//! drained or kept free for another task matters to new tasks alone.
//!
//! # Prefetched attempts
//!
//! hold no licence. The host starts them by itself when amounts come free, also by lending. So they must be deeper
//! than every attempt there that has lent or wants its licence; when one lends, those that are not deeper are asked back. An
//! attempt is resumed only when none waits on the host, since the host would have started that one first.
//!
//! # Time
//!
//! A [`TimeLimit`](super::TimeLimit) counts the time for which an attempt has lent its licence: a limit is there to end what
//! hangs, and a task that waits for a message that never comes hangs. It does not count the time for which the attempt could
//! go on and has no licence: that is COS's doing, as is the time in the queue.
//!
//! # Blame
//!
//! An attempt that has lent its licence counts as running: when its host is lost, one crash is counted for it. What it has
//! spawned may have brought the host down, and would do so whenever it runs again, each time as a new task.

use std::collections::{BTreeMap, BTreeSet};

use super::Kernel;
use super::blame::Verdict;
use super::planted::Bug;
use super::queue::Rank;
use super::task::{Grant, Intent, Progress};
use super::timers::Timer;
use crate::ids::{AttemptId, HostId, TaskId};
use crate::time::Time;
use crate::vm::VmCommand;

/// The attempts that could go on and wait for their host's amounts.
#[derive(Default, Debug)]
pub(super) struct Woken {
    by_host: BTreeMap<HostId, BTreeSet<Rank>>,
    /// The first of each host.
    heads: BTreeSet<(Rank, HostId)>,
}

impl Woken {
    /// An attempt wants its licence back.
    pub(super) fn insert(&mut self, host: HostId, rank: Rank) {
        self.change(host, |woken| woken.insert(rank));
    }

    /// It has it, or does not want it any more.
    pub(super) fn remove(&mut self, host: HostId, rank: Rank) {
        self.change(host, |woken| woken.remove(&rank));
        if self.by_host.get(&host).is_some_and(BTreeSet::is_empty) {
            self.by_host.remove(&host);
        }
    }

    fn change(&mut self, host: HostId, change: impl FnOnce(&mut BTreeSet<Rank>) -> bool) {
        let woken = self.by_host.entry(host).or_default();
        let before = woken.first().copied();
        change(woken);
        let after = woken.first().copied();
        if before != after {
            if let Some(head) = before {
                self.heads.remove(&(head, host));
            }
            if let Some(head) = after {
                self.heads.insert((head, host));
            }
        }
    }

    /// The first on a host.
    pub(super) fn head(&self, host: HostId) -> Option<Rank> {
        if self.heads.is_empty() {
            return None;
        }
        self.by_host.get(&host)?.first().copied()
    }

    /// The first of a host's that comes behind `position`, or of all.
    pub(super) fn head_after(&self, position: Option<(Rank, HostId)>) -> Option<(Rank, HostId)> {
        match position {
            None => self.heads.first().copied(),
            Some(position) => {
                use std::ops::Bound::{Excluded, Unbounded};
                self.heads
                    .range((Excluded(position), Unbounded))
                    .next()
                    .copied()
            }
        }
    }

    /// Nobody waits on this host any more.
    pub(super) fn forget(&mut self, host: HostId) {
        if let Some(head) = self.head(host) {
            self.heads.remove(&(head, host));
            self.by_host.remove(&host);
        }
    }

    /// All of them, for the invariants.
    #[cfg(any(test, feature = "sim"))]
    pub(super) fn iter(&self) -> impl Iterator<Item = (HostId, Rank)> + '_ {
        debug_assert_eq!(self.heads.len(), self.by_host.len());
        self.by_host
            .iter()
            .flat_map(|(host, ranks)| ranks.iter().map(|rank| (*host, *rank)))
    }
}

impl Kernel {
    /// A task's place among all that wait.
    pub(super) fn rank(&self, id: TaskId, depth: u32) -> Rank {
        let depth = if self.planted(Bug::FirstComeFirstServed) {
            0
        } else {
            depth
        };
        Rank::new(depth, id)
    }

    /// Every microthread of an attempt waits: its amounts are free.
    pub(super) fn lent(&mut self, host: HostId, attempt: AttemptId, now: Time) {
        let Some((id, rank)) = self.current_rank(host, attempt) else {
            return;
        };
        let Some(task) = self.tasks.get_mut(id) else {
            return;
        };
        let (amounts, class) = (task.amounts, task.class);
        let (Some(placed), Some(up)) = (task.placed_mut(), self.hosts[host.0 as usize].up_mut())
        else {
            return;
        };
        if placed.grant != Grant::Granted || placed.progress == Progress::Sent {
            return;
        }
        placed.grant = Grant::Lent;
        up.lent.insert(rank);
        if !self.planted(Bug::KeepsLent) {
            let up = self.hosts[host.0 as usize].up_mut();
            if let Some(up) = up {
                up.used = up.used.checked_sub(amounts).unwrap_or_default();
            }
        }
        // It has come so far that the host has what it needs. That it shows more of it is not to be waited for: it may itself
        // wait for the task that would.
        let class = self.classes.of(class);
        class.note_works(host);
        class.placed -= 1;
        // A host that is probed by this attempt may get another task: it may be the child that the attempt waits for.
        self.judge(host, id, Verdict::Nothing, now);
        self.promote(host);
        self.recall_not_deeper(host, rank.depth());
    }

    /// An attempt that has lent its licence could go on.
    pub(super) fn wanted(&mut self, host: HostId, attempt: AttemptId, now: Time) {
        if let Some((id, rank)) = self.current_rank(host, attempt) {
            self.wake(host, id, rank, now);
        }
    }

    /// Parents of which a child has ended can mostly go on, and will say so a round trip later.
    pub(super) fn wake_parents(&mut self, now: Time) {
        while let Some(id) = self.bereft.pop() {
            if let Some(task) = self.tasks.get(id)
                && let Some(placed) = task.placed()
            {
                let (host, rank) = (placed.host, self.rank(id, task.depth));
                self.wake(host, id, rank, now);
            }
        }
    }

    fn wake(&mut self, host: HostId, id: TaskId, rank: Rank, now: Time) {
        let Some(placed) = self.tasks.get_mut(id).and_then(|task| task.placed_mut()) else {
            return;
        };
        let Some(up) = self.hosts[host.0 as usize].up_mut() else {
            return;
        };
        if placed.grant != Grant::Lent || matches!(placed.intent, Intent::Stop(_)) {
            return;
        }
        placed.grant = Grant::Wanted { since: now };
        up.lent.remove(&rank);
        if !self.planted(Bug::ForgetsWoken) {
            self.woken.insert(host, rank);
        }
        self.timers.cancel(Timer::Limit(id));
        self.timers.cancel(Timer::Slow(id));
    }

    /// Gives the first woken attempt of a host its licence back, if its amounts are free.
    pub(super) fn resume(&mut self, host: HostId, rank: Rank, now: Time) {
        let id = rank.task();
        let Some(task) = self.tasks.get_mut(id) else {
            return;
        };
        let (amounts, class, epoch) = (task.amounts, task.class, task.epoch);
        let (Some(placed), Some(up)) = (task.placed_mut(), self.hosts[host.0 as usize].up_mut())
        else {
            return;
        };
        if !up.has_room(amounts) {
            return;
        }
        let Grant::Wanted { since: woken } = placed.grant else {
            return;
        };
        placed.grant = Grant::Granted;
        if let Progress::Running { since, .. } = &mut placed.progress {
            *since = *since + now.since(woken);
        }
        up.used = up.used.plus(amounts);
        self.woken.remove(host, rank);
        self.classes.of(class).placed += 1;
        self.vm(VmCommand::Resume {
            host,
            attempt: AttemptId { task: id, epoch },
        });
        self.watch(id);
    }

    /// An attempt is to be stopped: it goes on for nothing any more.
    pub(super) fn withdraw_wish(&mut self, host: HostId, id: TaskId) {
        let Some(task) = self.tasks.get(id) else {
            return;
        };
        let rank = self.rank(id, task.depth);
        if let Some(placed) = self.tasks.get_mut(id).and_then(|task| task.placed_mut())
            && let Grant::Wanted { .. } = placed.grant
        {
            placed.grant = Grant::Lent;
            self.woken.remove(host, rank);
            if let Some(up) = self.hosts[host.0 as usize].up_mut() {
                up.lent.insert(rank);
            }
        }
    }

    fn current_rank(&mut self, host: HostId, attempt: AttemptId) -> Option<(TaskId, Rank)> {
        let id = self.current(host, attempt)?;
        let depth = self.tasks.get(id)?.depth;
        Some((id, self.rank(id, depth)))
    }
}
