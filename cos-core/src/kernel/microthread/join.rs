//! Joining: children that finish, and those who wait for them.

use thiserror::Error;

use super::row::{Decision, Place, Thread, ThreadState, Visibility, WaitId, WaitState, Woken};
use super::{MAIN, Microthreads, Orphan, SCHEDULER, Turn};
use crate::ids::Tid;

/// Why a tid cannot be joined.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum JoinError {
    /// Tid 0 or 1: the scheduler and main are nobody's children.
    #[error("tid {0} cannot be joined: it is the scheduler's or main's")]
    Reserved(Tid),
    /// There is no such microthread, or it was joined before.
    #[error("tid {0} is unknown or was joined before")]
    Unknown(Tid),
    /// It is the child of another.
    #[error("tid {tid} is a child of tid {parent}")]
    NotOwn {
        /// Whose join was asked for.
        tid: Tid,
        /// Its parent.
        parent: Tid,
    },
}

impl<V> Microthreads<V> {
    /// Waits for any shown child. Answered by [`Answer::Joined`](super::Answer::Joined): with the lowest tid of those that have finished, else with
    /// the one that finishes first; with `None` when there are no children (any more).
    pub fn join_any(&mut self, caller: Tid) -> WaitId {
        match self.lowest_finished(caller) {
            Some(child) => self.queue_child(caller, child),
            None if self.has_shown_children(caller) => {
                let id = self.insert_wait(caller, WaitState::Any);
                if let Some(family) = self.family_mut(caller) {
                    family.any_waits.push(id);
                }
                id
            }
            None => self.queue(caller, Decision::Joined(None)),
        }
    }

    /// The same for the children that are named; tids that name no child of the caller's are skipped.
    pub fn join_named(&mut self, caller: Tid, tids: &[Tid]) -> WaitId {
        if let Some(child) = self.lowest_finished_of(caller, tids) {
            return self.queue_child(caller, child);
        }
        let mut children: Vec<Tid> = tids
            .iter()
            .copied()
            .filter(|tid| self.is_awaited_child(caller, *tid))
            .collect();
        children.sort_unstable();
        children.dedup();
        if children.is_empty() {
            return self.queue(caller, Decision::Joined(None));
        }
        let id = self.next_wait();
        for child in &children {
            if let Some(thread) = self.threads.get_mut(child) {
                thread.named_waits.push(id);
            }
        }
        self.insert_wait(caller, WaitState::Named(children))
    }

    /// The lowest tid of the children that have finished, or `None` at once; the caller goes behind the ready queue in
    /// both cases. An empty list means any shown child.
    pub fn try_join(&mut self, caller: Tid, tids: &[Tid]) -> WaitId {
        let child = match tids {
            [] => self.lowest_finished(caller),
            _ => self.lowest_finished_of(caller, tids),
        };
        match child {
            Some(child) => self.queue_child(caller, child),
            None => self.queue(caller, Decision::Joined(None)),
        }
    }

    /// Whether every tid names a child of the caller's that was not joined.
    pub fn check_join(&self, caller: Tid, tids: &[Tid]) -> Result<(), JoinError> {
        tids.iter().try_for_each(|&tid| {
            if tid == SCHEDULER || tid == MAIN {
                return Err(JoinError::Reserved(tid));
            }
            match self.threads.get(&tid) {
                None => Err(JoinError::Unknown(tid)),
                Some(thread) if thread.parent != caller => Err(JoinError::NotOwn {
                    tid,
                    parent: thread.parent,
                }),
                Some(_) => Ok(()),
            }
        })
    }

    /// A microthread has ended, and its future was dropped. Its value waits for a join, or goes to one that waits. Its own
    /// children are orphans and end here: the caller drops their futures and cancels their tasks.
    pub fn finish(&mut self, tid: Tid, value: V) -> Vec<Orphan> {
        let Some(thread) = self.threads.get_mut(&tid).filter(|thread| thread.is_live()) else {
            return Vec::new();
        };
        thread.state = ThreadState::Finished(value);
        let (parent, visibility, place) = (thread.parent, thread.visibility, thread.place);
        self.count_out(place);
        let orphans = self.remove_children(tid);
        if visibility == Visibility::Detached || tid == MAIN {
            self.remove(tid);
        } else {
            if visibility == Visibility::Shown {
                self.finished += 1;
                if let Some(family) = self.family_mut(parent) {
                    family.finished.insert(tid);
                }
            }
            self.offer(tid);
        }
        orphans
    }

    /// Discards a child's result, now or when it ends. Joins that wait for the child by name do without it.
    pub fn detach(&mut self, tid: Tid) {
        let Some(thread) = self.threads.get_mut(&tid) else {
            return;
        };
        let (parent, was) = (thread.parent, thread.visibility);
        match thread.state {
            ThreadState::Bound(_) => {}
            ThreadState::Live(_) => {
                thread.visibility = Visibility::Detached;
                self.lose_named_waits(tid);
                if was == Visibility::Shown {
                    self.one_less_shown(parent);
                }
            }
            ThreadState::Finished(_) => {
                if was == Visibility::Shown {
                    self.not_free(parent, tid);
                }
                self.remove(tid);
            }
        }
    }

    /// Ends a wait that is not wanted any more: its future was dropped. A child that was bound to it is free to be joined
    /// again.
    pub fn withdraw(&mut self, id: WaitId) {
        if self.wait_mut(id).is_none() {
            return;
        }
        let wait = self.waits.remove(id.index);
        self.leave_lists(id, wait.tid, &wait.state);
        if let WaitState::Queued(Decision::Joined(Some(child)))
        | WaitState::Due(Decision::Joined(Some(child))) = wait.state
        {
            self.free(child);
        }
    }

    /// The value of a child that is bound to a wait which is over; the child is gone then.
    pub(super) fn take_value(&mut self, child: Tid) -> Option<V> {
        match self.remove(child)?.state {
            ThreadState::Bound(value) => Some(value),
            ThreadState::Live(_) | ThreadState::Finished(_) => None,
        }
    }

    /// A child that has finished goes to the oldest join that waits for it, if there is one.
    fn offer(&mut self, child: Tid) {
        let Some(thread) = self.threads.get(&child) else {
            return;
        };
        let named = thread.named_waits.first().copied();
        let any = match thread.visibility {
            Visibility::Shown => self
                .family(thread.parent)
                .and_then(|family| family.any_waits.first().copied()),
            Visibility::Hidden | Visibility::Detached => None,
        };
        let Some(id) = named.into_iter().chain(any).min() else {
            return;
        };
        if let Some(wait) = self.waits.get_mut(id.index) {
            let decided = WaitState::Queued(Decision::Joined(Some(child)));
            let tid = wait.tid;
            let open = std::mem::replace(&mut wait.state, decided);
            self.leave_lists(id, tid, &open);
            let wait = Some(id);
            self.ready.push_back(Turn { tid, wait });
            self.bind(child);
        }
    }

    /// A join that is made while a child has finished.
    fn queue_child(&mut self, caller: Tid, child: Tid) -> WaitId {
        let id = self.queue(caller, Decision::Joined(Some(child)));
        self.bind(child);
        id
    }

    /// A child that has finished is promised to a wait: nobody else gets it, unless the wait is withdrawn.
    fn bind(&mut self, child: Tid) {
        let Some(thread) = self.threads.get_mut(&child) else {
            return;
        };
        let state = std::mem::replace(&mut thread.state, ThreadState::Live(Woken::No));
        thread.state = match state {
            ThreadState::Finished(value) => ThreadState::Bound(value),
            other => other,
        };
        if thread.visibility == Visibility::Shown {
            let parent = thread.parent;
            self.not_free(parent, child);
        }
    }

    /// A child is free to be joined again: the wait that it was promised to was withdrawn.
    fn free(&mut self, child: Tid) {
        let Some(thread) = self.threads.get_mut(&child) else {
            return;
        };
        let state = std::mem::replace(&mut thread.state, ThreadState::Live(Woken::No));
        thread.state = match state {
            ThreadState::Bound(value) => ThreadState::Finished(value),
            other => other,
        };
        if thread.visibility == Visibility::Shown {
            let parent = thread.parent;
            self.finished += 1;
            if let Some(family) = self.family_mut(parent) {
                family.finished.insert(child);
            }
        }
        self.offer(child);
    }

    /// A shown child is not among those any more that have finished and are free.
    fn not_free(&mut self, parent: Tid, child: Tid) {
        self.finished -= 1;
        if let Some(family) = self.family_mut(parent) {
            family.finished.remove(&child);
        }
    }

    /// A shown child is gone. Joins that wait for any of none get no child.
    fn one_less_shown(&mut self, parent: Tid) {
        let Some(family) = self.family_mut(parent) else {
            return;
        };
        family.shown -= 1;
        if family.shown == 0 {
            for id in std::mem::take(&mut family.any_waits) {
                self.decide(id, Decision::Joined(None));
            }
        }
    }

    /// Joins that wait for a child by name do without it; those that wait for no other get none.
    fn lose_named_waits(&mut self, child: Tid) {
        let Some(thread) = self.threads.get_mut(&child) else {
            return;
        };
        for id in std::mem::take(&mut thread.named_waits) {
            let Some(wait) = self.wait_mut(id) else {
                continue;
            };
            if let WaitState::Named(children) = &mut wait.state {
                children.retain(|other| *other != child);
                if children.is_empty() {
                    self.decide(id, Decision::Joined(None));
                }
            }
        }
    }

    /// An open wait is no longer looked for.
    fn leave_lists(&mut self, id: WaitId, tid: Tid, state: &WaitState) {
        match state {
            WaitState::Any => {
                if let Some(family) = self.family_mut(tid) {
                    family.any_waits.retain(|other| *other != id);
                }
            }
            WaitState::Named(children) => {
                for child in children {
                    if let Some(thread) = self.threads.get_mut(child) {
                        thread.named_waits.retain(|other| *other != id);
                    }
                }
            }
            WaitState::Elsewhere | WaitState::Queued(_) | WaitState::Due(_) => {}
        }
    }

    fn lowest_finished(&self, parent: Tid) -> Option<Tid> {
        self.family(parent)?.finished.first().copied()
    }

    fn lowest_finished_of(&self, parent: Tid, tids: &[Tid]) -> Option<Tid> {
        let is_free = |tid: &Tid| {
            self.threads.get(tid).is_some_and(|thread| {
                thread.parent == parent && matches!(thread.state, ThreadState::Finished(_))
            })
        };
        tids.iter().copied().filter(is_free).min()
    }

    fn has_shown_children(&self, parent: Tid) -> bool {
        self.family(parent).is_some_and(|family| family.shown > 0)
    }

    /// Whether a blocking join may wait for it. One that is promised to another join may still come free.
    fn is_awaited_child(&self, parent: Tid, tid: Tid) -> bool {
        self.threads.get(&tid).is_some_and(|thread| {
            thread.parent == parent && thread.is_live() && thread.visibility != Visibility::Detached
        })
    }

    /// Removes all descendants of a microthread, each after its parent.
    fn remove_children(&mut self, tid: Tid) -> Vec<Orphan> {
        let mut orphans = Vec::new();
        let thread = self.threads.get_mut(&tid);
        let Some(family) = thread.and_then(|thread| thread.family.take()) else {
            return orphans;
        };
        let mut doomed = family.children;
        while let Some(child) = doomed.pop_first() {
            let Some(thread) = self.threads.remove(&child) else {
                continue;
            };
            match thread.state {
                ThreadState::Live(_) => {
                    self.count_out(thread.place);
                    orphans.push(Orphan {
                        tid: child,
                        place: thread.place,
                    });
                    doomed.extend(thread.family.into_iter().flat_map(|family| family.children));
                }
                ThreadState::Finished(_) => {
                    self.finished -= usize::from(thread.visibility == Visibility::Shown);
                }
                ThreadState::Bound(_) => {}
            }
        }
        orphans
    }

    /// A microthread that has ended leaves its family. Joins that waited for it do without it.
    fn remove(&mut self, tid: Tid) -> Option<Thread<V>> {
        self.lose_named_waits(tid);
        let thread = self.threads.remove(&tid)?;
        if let Some(family) = self.family_mut(thread.parent) {
            family.children.remove(&tid);
        }
        if thread.visibility == Visibility::Shown {
            self.one_less_shown(thread.parent);
        }
        Some(thread)
    }

    fn count_out(&mut self, place: Place) {
        match place {
            Place::Local => self.live_local -= 1,
            Place::Remote(_) => self.live_remote -= 1,
        }
    }
}
