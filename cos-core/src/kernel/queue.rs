//! The queues: tasks that wait for a host, one queue for each kind of demand.
//!
//! Tasks that may run on the same hosts and take the same there are interchangeable, so only the first of each kind
//! needs to be looked at, however many wait behind it. A kind exists while a task of it does.

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap};
use std::hash::{BuildHasherDefault, DefaultHasher};
use std::ops::Bound;
use std::sync::Arc;

use slab::Slab;

use super::host::Host;
use super::request::Prefetch;
use crate::ids::{ClassId, HostId, TaskId};
use crate::job::Needs;

/// Where tasks may run and what they take there.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct Demand {
    /// What the caller asked for.
    pub(super) needs: Needs,
    /// The class, since hosts are left out by class.
    pub(super) class: ClassId,
    /// Whether they may wait on a host.
    pub(super) prefetch: Prefetch,
    /// Hosts that could not run the task. Ascending.
    pub(super) avoid: Vec<HostId>,
    /// Hosts where the task failed or crashed: another one is preferred. Ascending.
    pub(super) dislike: Vec<HostId>,
}

impl Demand {
    /// Whether the caller's needs allow a host, by its name and tags alone.
    pub(super) fn allows(needs: &Needs, id: HostId, host: &Host) -> bool {
        needs.host.is_none_or(|wanted| wanted == id)
            && needs.tags.iter().all(|tag| host.spec.tags.contains(tag))
    }
}

/// Adds `host` to an ascending list.
pub(super) fn note_host(hosts: &mut Vec<HostId>, host: HostId) {
    if let Err(place) = hosts.binary_search(&host) {
        hosts.insert(place, host);
    }
}

/// A task's place among all that wait: the deepest first, among equally deep ones the oldest.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(super) struct Rank {
    depth: Reverse<u32>,
    /// Ids rise with age.
    task: TaskId,
}

impl Rank {
    /// The place of a task that is nested so deep.
    pub(super) const fn new(depth: u32, task: TaskId) -> Self {
        Self {
            depth: Reverse(depth),
            task,
        }
    }

    /// How deep the task is nested.
    pub(super) const fn depth(self) -> u32 {
        self.depth.0
    }

    /// Which task.
    pub(super) const fn task(self) -> TaskId {
        self.task
    }
}

/// A kind of demand: the key stays valid while a task holds it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(super) struct DemandKey(usize);

/// One kind of demand and its queue.
#[derive(Debug)]
pub(super) struct Entry {
    /// What its tasks ask for.
    pub(super) demand: Arc<Demand>,
    /// The hosts that may run them, by name, tags and what they said so far. Ascending.
    pub(super) candidates: Vec<HostId>,
    /// The tasks that wait, in the order in which they are served.
    waiting: BTreeSet<Rank>,
    /// How many tasks hold the key.
    holders: usize,
    /// The host that is kept free for the first of them.
    pub(super) reserved: Option<HostId>,
}

impl Entry {
    /// The task that is served next.
    pub(super) fn head(&self) -> Option<Rank> {
        self.waiting.first().copied()
    }

    /// How many wait.
    #[cfg(any(test, feature = "sim"))]
    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether `task` waits here.
    #[cfg(any(test, feature = "sim"))]
    pub(super) fn contains(&self, task: Rank) -> bool {
        self.waiting.contains(&task)
    }
}

/// Every kind of demand.
#[derive(Default, Debug)]
pub(super) struct Queues {
    entries: Slab<Entry>,
    keys: HashMap<Arc<Demand>, DemandKey, BuildHasherDefault<DefaultHasher>>,
    /// The head of each queue that is not empty.
    heads: BTreeSet<(Rank, DemandKey)>,
}

impl Queues {
    /// The key of a demand, to be given back by [`release`](Self::release).
    pub(super) fn acquire(&mut self, demand: Demand, hosts: &[Host]) -> DemandKey {
        if let Some(&key) = self.keys.get(&demand) {
            self.entries[key.0].holders += 1;
            return key;
        }
        let candidates = (0..)
            .map(HostId)
            .zip(hosts)
            .filter(|(id, host)| {
                Demand::allows(&demand.needs, *id, host) && demand.avoid.binary_search(id).is_err()
            })
            .map(|(id, _)| id)
            .collect();
        let demand = Arc::new(demand);
        let key = DemandKey(self.entries.insert(Entry {
            demand: Arc::clone(&demand),
            candidates,
            waiting: BTreeSet::new(),
            holders: 1,
            reserved: None,
        }));
        self.keys.insert(demand, key);
        key
    }

    /// Gives a key back that a task held.
    pub(super) fn release(&mut self, key: DemandKey) {
        let entry = &mut self.entries[key.0];
        entry.holders -= 1;
        if entry.holders == 0 {
            let entry = self.entries.remove(key.0);
            self.keys.remove(&entry.demand);
        }
    }

    /// One kind of demand.
    pub(super) fn entry(&self, key: DemandKey) -> &Entry {
        &self.entries[key.0]
    }

    /// Notes which host is kept free for the first task of a kind.
    pub(super) fn reserve(&mut self, key: DemandKey, host: Option<HostId>) {
        self.entries[key.0].reserved = host;
    }

    /// Puts a task into the queue of its demand, among the others by its rank.
    pub(super) fn push(&mut self, key: DemandKey, task: Rank) {
        self.change(key, |waiting| waiting.insert(task));
    }

    /// Takes a task out of the queue of its demand.
    pub(super) fn remove(&mut self, key: DemandKey, task: Rank) {
        self.change(key, |waiting| waiting.remove(&task));
    }

    fn change(&mut self, key: DemandKey, change: impl FnOnce(&mut BTreeSet<Rank>) -> bool) {
        let entry = &mut self.entries[key.0];
        let before = entry.head();
        change(&mut entry.waiting);
        let after = entry.head();
        if before != after {
            if let Some(head) = before {
                self.heads.remove(&(head, key));
            }
            if let Some(head) = after {
                self.heads.insert((head, key));
            }
        }
    }

    /// The first head behind `position`, or of all.
    pub(super) fn head_after(
        &self,
        position: Option<(Rank, DemandKey)>,
    ) -> Option<(Rank, DemandKey)> {
        let start = position.map_or(Bound::Unbounded, Bound::Excluded);
        self.heads.range((start, Bound::Unbounded)).next().copied()
    }

    /// Every task that waits, in no order.
    pub(super) fn waiting(&self) -> impl Iterator<Item = Rank> + '_ {
        let entries = self.entries.iter();
        entries.flat_map(|(_, entry)| entry.waiting.iter().copied())
    }

    /// Makes a new host known to every kind of demand.
    pub(super) fn host_added(&mut self, id: HostId, host: &Host) {
        for (_, entry) in &mut self.entries {
            if Demand::allows(&entry.demand.needs, id, host) {
                entry.candidates.push(id);
            }
        }
    }

    /// Every kind of demand, for the invariants.
    #[cfg(any(test, feature = "sim"))]
    pub(super) fn iter(&self) -> impl Iterator<Item = (DemandKey, &Entry)> {
        self.entries
            .iter()
            .map(|(key, entry)| (DemandKey(key), entry))
    }

    /// How many queues are not empty, for the invariants.
    #[cfg(any(test, feature = "sim"))]
    pub(super) fn heads(&self) -> usize {
        self.heads.len()
    }

    /// How many tasks hold a key, for the invariants.
    #[cfg(any(test, feature = "sim"))]
    pub(super) fn holders(&self, key: DemandKey) -> usize {
        self.entries[key.0].holders
    }
}
