//! Microthreads: who runs next, and who waits for whom.
//!
//! Pure tables, as the rest of the [kernel](super). The caller owns the futures: it asks [`Microthreads::next_turn`] whose
//! turn it is, polls that microthread's future, and brings its system calls here. Each system call is a *wait* with an id of its
//! own, so that one microthread may have several pending (`select!`, `join_all`); the caller wakes the waker of the wait that
//! a turn names before it polls.
//!
//! # The order of turns
//!
//! It is PyOPUS's, step for step. One ready queue, first in first out.
//!
//! * A spawn puts the child at the end of the queue and the caller behind it: the child runs first.
//! * A yield puts the caller at the end.
//! * A join takes, among the children finished *at the call*, the one with the lowest tid, and puts the caller at the end, even
//!   though the result is at hand; so does a join that does not block and one that has nothing to wait for.
//! * A join that blocks is bound to the child that finishes first, in that moment, and puts its caller at the end.
//!
//! ```text
//!    join, none finished           child finishes            its turn                take
//!   -----------------------> Any ------------------> Queued ----------> Due(answer) -------> over
//!   join [..]  ------------> Named ----------------->  ^
//!   open_wait, spawn_held -> Elsewhere --- resolve --> |
//!   yield, spawn, join with a result at hand ----------+        withdraw ends a wait in every state; a child that was
//!                                                               bound to it is finished and unjoined again
//! ```
//!
//! # Families
//!
//! The scheduler is tid 0, main is 1, later ones ascend and are never used again. When a microthread ends, its children that
//! nobody can join any more are cancelled: [`Microthreads::finish`] names them, and the caller drops their futures and cancels
//! their tasks. No operation's cost grows with the number of finished children.

#[cfg(any(test, feature = "sim"))]
mod invariants;
mod join;
mod row;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;

use slab::Slab;

pub use join::JoinError;
pub use row::{Answer, Place, Visibility, WaitId};

use super::id_map::IdMap;
use crate::ids::{TaskId, Tid};
use row::{Decision, Family, Thread, ThreadState, Wait, WaitState, Woken};

/// The tid of the scheduler, which has no row: main's parent.
pub const SCHEDULER: Tid = Tid(0);
/// The tid of the microthread that an OS begins with.
pub const MAIN: Tid = Tid(1);

/// The microthreads of one OS; `V` is what they end with. See the [module](self).
#[derive(Debug)]
pub struct Microthreads<V> {
    threads: IdMap<Tid, Thread<V>>,
    waits: Slab<Wait>,
    ready: VecDeque<Turn>,
    next_tid: u64,
    next_serial: u64,
    live_local: usize,
    live_remote: usize,
    /// Shown children that have finished and that nobody has joined.
    finished: usize,
}

/// Whose turn it is. A turn for a microthread that is gone may come; there is nothing to poll then.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Turn {
    /// The microthread to poll.
    pub tid: Tid,
    /// The wait that the turn is for, whose waker is to be woken before; `None` for a first turn and after a
    /// [`wake`](Microthreads::wake).
    pub wait: Option<WaitId>,
}

/// A microthread that ended because its parent did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Orphan {
    /// Which.
    pub tid: Tid,
    /// Where it ran: the future to be dropped, or the task to be cancelled.
    pub place: Place,
}

/// What is known of a microthread.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ThreadInfo {
    /// Its parent.
    pub parent: Tid,
    /// Its children that nobody has joined, ascending.
    pub children: Vec<Tid>,
    /// Those of them that are shown and have finished, ascending.
    pub finished_children: Vec<Tid>,
    /// Where its work is done.
    pub place: Place,
    /// Whether it has ended; nobody has joined it then.
    pub is_finished: bool,
}

impl<V> Default for Microthreads<V> {
    fn default() -> Self {
        Self::new()
    }
}

impl<V> Microthreads<V> {
    /// Main alone, whose first turn is next.
    pub fn new() -> Self {
        let mut threads = IdMap::default();
        let main = Thread::new(SCHEDULER, Visibility::Hidden, Place::Local, Woken::Yes);
        threads.insert(MAIN, main);
        Self {
            threads,
            waits: Slab::new(),
            ready: VecDeque::from([Turn {
                tid: MAIN,
                wait: None,
            }]),
            next_tid: MAIN.0 + 1,
            next_serial: 0,
            live_local: 1,
            live_remote: 0,
            finished: 0,
        }
    }

    /// Whose turn it is, in the order of the ready queue; `None` when all wait.
    pub fn next_turn(&mut self) -> Option<Turn> {
        while let Some(turn) = self.ready.pop_front() {
            match turn.wait {
                None => {
                    if let Some(thread) = self.threads.get_mut(&turn.tid)
                        && let ThreadState::Live(woken) = &mut thread.state
                    {
                        *woken = Woken::No;
                        return Some(turn);
                    }
                }
                Some(id) => {
                    // A wait that was withdrawn leaves its turn in the queue, which nobody needs.
                    if let Some(wait) = self.wait_mut(id)
                        && let WaitState::Queued(decision) = wait.state
                    {
                        wait.state = WaitState::Due(decision);
                        return Some(turn);
                    }
                }
            }
        }
        None
    }

    /// Something outside has woken a microthread: it gets a turn, one for any number of wake-ups before it.
    pub fn wake(&mut self, tid: Tid) {
        if let Some(thread) = self.threads.get_mut(&tid)
            && let ThreadState::Live(woken @ Woken::No) = &mut thread.state
            && thread.place == Place::Local
        {
            *woken = Woken::Yes;
            self.ready.push_back(Turn { tid, wait: None });
        }
    }

    /// Makes a child: a local one at the end of the ready queue, and its caller behind it. Answered by [`Answer::Turn`].
    ///
    /// The child exists from here on, even if the wait is withdrawn.
    pub fn spawn(&mut self, caller: Tid, visibility: Visibility, place: Place) -> (Tid, WaitId) {
        let tid = self.insert_child(caller, visibility, place);
        let wait = self.queue(caller, Decision::Turn);
        (tid, wait)
    }

    /// Makes a remote child whose caller waits until its task has been handed to a host. Answered by [`Answer::Resolved`]
    /// after [`resolve`](Self::resolve).
    pub fn spawn_held(
        &mut self,
        caller: Tid,
        visibility: Visibility,
        task: Option<TaskId>,
    ) -> (Tid, WaitId) {
        let tid = self.insert_child(caller, visibility, Place::Remote(task));
        (tid, self.open_wait(caller))
    }

    /// The task of a remote child was accepted.
    pub fn set_task(&mut self, tid: Tid, task: TaskId) {
        if let Some(thread) = self.threads.get_mut(&tid)
            && let Place::Remote(known) = &mut thread.place
        {
            *known = Some(task);
        }
    }

    /// Puts the caller at the end of the ready queue. Answered by [`Answer::Turn`].
    pub fn yield_now(&mut self, caller: Tid) -> WaitId {
        self.queue(caller, Decision::Turn)
    }

    /// A wait for something that is not known here: a slot, a message, the answer to a call. Answered by
    /// [`Answer::Resolved`] after [`resolve`](Self::resolve).
    pub fn open_wait(&mut self, caller: Tid) -> WaitId {
        self.insert_wait(caller, WaitState::Elsewhere)
    }

    /// What was waited for has happened: the caller goes to the end of the ready queue. Withdrawn waits are left alone.
    pub fn resolve(&mut self, id: WaitId) {
        if let Some(wait) = self.wait_mut(id)
            && let WaitState::Elsewhere = wait.state
        {
            self.decide(id, Decision::Resolved);
        }
    }

    /// The answer of a wait whose turn has come; the wait is over then. `None` before, whoever else has woken the
    /// microthread.
    pub fn take(&mut self, id: WaitId) -> Option<Answer<V>> {
        let WaitState::Due(decision) = self.wait_mut(id)?.state else {
            return None;
        };
        self.waits.remove(id.index);
        Some(match decision {
            Decision::Turn => Answer::Turn,
            Decision::Resolved => Answer::Resolved,
            Decision::Joined(child) => {
                let joined = child.and_then(|child| Some((child, self.take_value(child)?)));
                Answer::Joined(joined)
            }
        })
    }

    /// How many microthreads there are that have not finished, main among them.
    pub fn count(&self) -> usize {
        self.live_local + self.live_remote
    }

    /// How many of them are local.
    pub fn local_count(&self) -> usize {
        self.live_local
    }

    /// How many of them are remote.
    pub fn remote_count(&self) -> usize {
        self.live_remote
    }

    /// How many shown ones have finished and were not joined.
    pub fn finished_count(&self) -> usize {
        self.finished
    }

    /// What is known of a microthread, unless it was joined.
    pub fn info(&self, tid: Tid) -> Option<ThreadInfo> {
        let thread = self.threads.get(&tid)?;
        let family = thread.family.iter();
        let finished = family.clone().flat_map(|family| &family.finished);
        Some(ThreadInfo {
            parent: thread.parent,
            children: family
                .flat_map(|family| &family.children)
                .copied()
                .collect(),
            finished_children: finished.copied().collect(),
            place: thread.place,
            is_finished: !thread.is_live(),
        })
    }

    /// A child, and its first turn if it is local.
    fn insert_child(&mut self, caller: Tid, visibility: Visibility, place: Place) -> Tid {
        let tid = Tid(self.next_tid);
        self.next_tid += 1;
        let woken = match place {
            Place::Local => {
                self.live_local += 1;
                self.ready.push_back(Turn { tid, wait: None });
                Woken::Yes
            }
            Place::Remote(_) => {
                self.live_remote += 1;
                Woken::No
            }
        };
        let thread = Thread::new(caller, visibility, place, woken);
        self.threads.insert(tid, thread);
        if let Some(parent) = self.threads.get_mut(&caller) {
            let family = parent.family.get_or_insert_default();
            family.children.insert(tid);
            family.shown += usize::from(visibility == Visibility::Shown);
        }
        tid
    }

    /// The id of the wait that is inserted next.
    fn next_wait(&self) -> WaitId {
        WaitId {
            serial: self.next_serial,
            index: self.waits.vacant_key(),
        }
    }

    fn insert_wait(&mut self, tid: Tid, state: WaitState) -> WaitId {
        let id = self.next_wait();
        let serial = id.serial;
        self.next_serial += 1;
        self.waits.insert(Wait { serial, tid, state });
        id
    }

    /// A wait that is decided at once.
    fn queue(&mut self, tid: Tid, decision: Decision) -> WaitId {
        let id = self.insert_wait(tid, WaitState::Queued(decision));
        let wait = Some(id);
        self.ready.push_back(Turn { tid, wait });
        id
    }

    /// Decides a wait that is open.
    fn decide(&mut self, id: WaitId, decision: Decision) {
        if let Some(wait) = self.wait_mut(id) {
            wait.state = WaitState::Queued(decision);
            let tid = wait.tid;
            let wait = Some(id);
            self.ready.push_back(Turn { tid, wait });
        }
    }

    /// The children of a microthread, if it ever had any.
    fn family(&self, tid: Tid) -> Option<&Family> {
        self.threads.get(&tid)?.family.as_deref()
    }

    fn family_mut(&mut self, tid: Tid) -> Option<&mut Family> {
        self.threads.get_mut(&tid)?.family.as_deref_mut()
    }

    fn wait_mut(&mut self, id: WaitId) -> Option<&mut Wait> {
        let wait = self.waits.get_mut(id.index)?;
        (wait.serial == id.serial).then_some(wait)
    }
}
