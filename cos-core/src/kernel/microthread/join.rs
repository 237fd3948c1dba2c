//! Joining: children that finish, and those who wait for them.

use thiserror::Error;

use super::row::{
    Child, Decision, GroupId, Row, ThreadState, Visibility, WaitId, WaitState, Woken,
};
use super::{MAIN, Microthreads, SCHEDULER};
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
        let group = self.thread(caller).and_then(|(_, thread)| thread.own_group);
        match group {
            Some(group) => self.join_group(caller, group),
            None => self.queue(caller, Decision::Joined(None)),
        }
    }

    /// The same for any child of a group, whoever is its parent.
    pub fn join_group(&mut self, caller: Tid, id: GroupId) -> WaitId {
        match self.groups.get(id.0) {
            Some(group) if !group.finished.is_empty() => {
                let lowest = group.finished.first();
                self.queue_child(caller, lowest)
            }
            Some(group) if group.members > 0 => {
                let wait = self.insert_wait(caller, WaitState::Any(id));
                self.groups[id.0].waits.push(wait);
                wait
            }
            _ => self.queue(caller, Decision::Joined(None)),
        }
    }

    /// The same for the children that are named; tids that name no child of the caller's are skipped.
    pub fn join_named(&mut self, caller: Tid, tids: &[Tid]) -> WaitId {
        let lowest = self.lowest_finished_of(caller, tids);
        if lowest.is_some() {
            return self.queue_child(caller, lowest);
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
            if let Some((_, thread)) = self.thread_mut(*child) {
                thread.named_waits.push(id);
            }
        }
        self.insert_wait(caller, WaitState::Named(children))
    }

    /// The same for one microthread, whoever is its parent: the caller holds its handle.
    pub fn join_one(&mut self, caller: Tid, tid: Tid) -> WaitId {
        let id = self.next_wait();
        let Some((row, thread)) = self.thread_mut(tid) else {
            return self.queue(caller, Decision::Joined(None));
        };
        match thread.state {
            ThreadState::Finished(_) => {
                let id = self.queue_child(caller, Some((tid, row)));
                self.waits[id.index].of_handle = true;
                id
            }
            ThreadState::Live(_) if thread.visibility != Visibility::Detached => {
                thread.named_waits.push(id);
                self.insert_wait(caller, WaitState::One(tid));
                self.waits[id.index].of_handle = true;
                id
            }
            _ => self.queue(caller, Decision::Joined(None)),
        }
    }

    /// The lowest tid of the children that have finished, or `None` at once; the caller goes behind the ready queue in
    /// both cases. An empty list means any shown child.
    pub fn try_join(&mut self, caller: Tid, tids: &[Tid]) -> WaitId {
        let child = match tids {
            [] => self.lowest_finished(caller),
            _ => self.lowest_finished_of(caller, tids),
        };
        self.queue_child(caller, child)
    }

    /// Whether every tid names a child of the caller's that was not joined.
    pub fn check_join(&self, caller: Tid, tids: &[Tid]) -> Result<(), JoinError> {
        tids.iter().try_for_each(|&tid| {
            if tid == SCHEDULER || tid == MAIN {
                return Err(JoinError::Reserved(tid));
            }
            match self.thread(tid) {
                None => Err(JoinError::Unknown(tid)),
                Some((_, thread)) if thread.parent != caller => Err(JoinError::NotOwn {
                    tid,
                    parent: thread.parent,
                }),
                Some(_) => Ok(()),
            }
        })
    }

    /// Ends a wait that is not wanted any more: its future was dropped. A child that was bound to it is free to be joined
    /// again.
    pub fn withdraw(&mut self, id: WaitId) {
        if self.wait_mut(id).is_none() {
            return;
        }
        let wait = self.waits.remove(id.index);
        if wait.state.is_open() {
            self.one_open_wait_less(wait.tid, wait.row);
        }
        self.leave_lists(id, &wait.state);
        if let WaitState::Queued(Decision::Joined(Some(child)))
        | WaitState::Due(Decision::Joined(Some(child))) = wait.state
        {
            self.free(child);
        }
    }

    /// The turn of a wait is over. If nobody has taken the answer, and it is the child of a handle, the child is free for other
    /// joins; the handle gets it later if it is still there.
    ///
    /// `select!` over `&mut handle` is such a case: the handle is there, and its wait with it, but nobody polls it any more.
    pub fn turn_over(&mut self, id: WaitId) {
        if let Some(wait) = self.wait_mut(id)
            && let WaitState::Due(Decision::Joined(Some(child))) = wait.state
            && wait.of_handle
        {
            wait.state = WaitState::Passed(child);
            self.free(child);
        }
    }

    /// The value of a child whose handle has let its turn pass.
    pub(super) fn take_passed(&mut self, child: Child) -> Option<V> {
        let thread = self.rows.get(child.row.0)?;
        let is_free = matches!(thread.state, ThreadState::Finished(_));
        if thread.tid != child.tid || !is_free {
            return None;
        }
        self.bind(child);
        self.take_value(child)
    }

    /// The value of a child that is bound to a wait which is over; the child is gone then.
    pub(super) fn take_value(&mut self, child: Child) -> Option<V> {
        let thread = self.rows.get(child.row.0)?;
        if thread.tid != child.tid {
            return None;
        }
        match self.remove(child.tid, child.row)?.state {
            ThreadState::Bound(value) => Some(value),
            ThreadState::Live(_) | ThreadState::Finished(_) => None,
        }
    }

    /// A child that has finished goes to the oldest join that waits for it. Returns whether there is one.
    pub(super) fn hand_over(&mut self, tid: Tid, row: Row) -> bool {
        let thread = &self.rows[row.0];
        let named = thread.named_waits.oldest();
        let group = thread.group.and_then(|group| self.groups.get(group.0));
        let any = group.and_then(|group| group.waits.oldest());
        let Some(id) = named.into_iter().chain(any).min() else {
            return false;
        };
        let child = Child { tid, row };
        let Some(open) = self.decide(id, Decision::Joined(Some(child))) else {
            return false;
        };
        self.leave_lists(id, &open);
        self.set_bound(row);
        true
    }

    /// A join that is made while a child has finished, or that finds none.
    fn queue_child(&mut self, caller: Tid, child: Option<(Tid, Row)>) -> WaitId {
        let child = child.map(|(tid, row)| Child { tid, row });
        let id = self.queue(caller, Decision::Joined(child));
        if let Some(child) = child {
            self.bind(child);
        }
        id
    }

    /// A child that has finished is promised to a wait: nobody else gets it, unless the wait is withdrawn.
    fn bind(&mut self, child: Child) {
        let Child { tid, row } = child;
        self.set_bound(row);
        self.note_not_free(tid, row);
    }

    fn set_bound(&mut self, row: Row) {
        let state = &mut self.rows[row.0].state;
        *state = match std::mem::replace(state, ThreadState::Live(Woken::No)) {
            ThreadState::Finished(value) => ThreadState::Bound(value),
            other => other,
        };
    }

    /// A child is free to be joined again: the wait that it was promised to was withdrawn.
    fn free(&mut self, child: Child) {
        let Child { tid, row } = child;
        let Some(thread) = self.rows.get_mut(row.0).filter(|row| row.tid == tid) else {
            return;
        };
        let state = &mut thread.state;
        *state = match std::mem::replace(state, ThreadState::Live(Woken::No)) {
            ThreadState::Bound(value) => ThreadState::Finished(value),
            other => other,
        };
        if !self.hand_over(tid, row) {
            self.note_free(tid, row);
        }
    }

    /// Joins that wait for a child by name do without it; those that wait for no other get none.
    pub(super) fn lose_named_waits(&mut self, child: Tid) {
        let Some((_, thread)) = self.thread_mut(child) else {
            return;
        };
        let waits = std::mem::take(&mut thread.named_waits);
        self.lose(child, waits.as_slice());
    }

    pub(super) fn lose(&mut self, child: Tid, waits: &[WaitId]) {
        for id in waits {
            let Some(wait) = self.wait_mut(*id) else {
                continue;
            };
            let none_left = match &mut wait.state {
                WaitState::One(_) => true,
                WaitState::Named(children) => {
                    children.retain(|other| *other != child);
                    children.is_empty()
                }
                _ => false,
            };
            if none_left {
                self.decide(*id, Decision::Joined(None));
            }
        }
    }

    /// A wait that is over is no longer looked for.
    fn leave_lists(&mut self, id: WaitId, state: &WaitState) {
        let children = match state {
            WaitState::Any(group) => {
                if let Some(group) = self.groups.get_mut(group.0) {
                    group.waits.remove(id);
                }
                return;
            }
            WaitState::One(child) => std::slice::from_ref(child),
            WaitState::Named(children) => children,
            WaitState::Elsewhere
            | WaitState::Queued(_)
            | WaitState::Due(_)
            | WaitState::Passed(_) => return,
        };
        for child in children {
            if let Some((_, thread)) = self.thread_mut(*child) {
                thread.named_waits.remove(id);
            }
        }
    }

    fn lowest_finished(&self, parent: Tid) -> Option<(Tid, Row)> {
        let (_, thread) = self.thread(parent)?;
        let group = self.groups.get(thread.own_group?.0)?;
        group.finished.first()
    }

    fn lowest_finished_of(&self, parent: Tid, tids: &[Tid]) -> Option<(Tid, Row)> {
        let free = |tid: &Tid| {
            let (row, thread) = self.thread(*tid)?;
            let is_free =
                thread.parent == parent && matches!(thread.state, ThreadState::Finished(_));
            is_free.then_some((*tid, row))
        };
        tids.iter().filter_map(free).min()
    }

    /// Whether a blocking join may wait for it. One that is promised to another join may still come free.
    fn is_awaited_child(&self, parent: Tid, tid: Tid) -> bool {
        self.thread(tid).is_some_and(|(_, thread)| {
            thread.parent == parent && thread.is_live() && thread.visibility != Visibility::Detached
        })
    }
}
