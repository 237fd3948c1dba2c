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
//!                                                               bound to it is finished and unjoined again. A handle that
//!                                                               lets its turn pass has done the same (Passed)
//! ```
//!
//! # Families
//!
//! The scheduler is tid 0, main is 1, later ones ascend and are never used again. When a microthread ends, its children that
//! nobody can join any more are cancelled: [`Microthreads::finish`] names them, and the caller drops their futures and cancels
//! their tasks. No operation's cost grows with the number of finished children.
//!
//! Children that are joined as one are a *group*: the shown children of a microthread, or those of a task set or a dispatch. A
//! microthread whose wait is not decided cannot go on by itself; [`Microthreads::all_wait`] says when that is so of all.

mod ending;
mod finished;
mod group;
#[cfg(any(test, feature = "sim"))]
mod invariants;
mod join;
mod row;
#[cfg(test)]
mod tests;
mod turns;

use std::collections::VecDeque;

use slab::Slab;

pub use join::JoinError;
pub use row::{Answer, Child, GroupId, Place, Row, Visibility, WaitId};

use super::id_map::IdMap;
use crate::ids::{TaskId, Tid};
use group::Group;
use row::{Decision, OwnTurn, Thread, ThreadState, Wait, WaitList, WaitState, Woken};

/// The tid of the scheduler, which has no row: main's parent.
pub const SCHEDULER: Tid = Tid(0);
/// The tid of the microthread that an OS begins with.
pub const MAIN: Tid = Tid(1);

/// The microthreads of one OS; `V` is what they end with. See the [module](self).
#[derive(Debug)]
pub struct Microthreads<V> {
    rows: Slab<Thread<V>>,
    index: IdMap<Tid, Row>,
    waits: Slab<Wait>,
    groups: Slab<Group>,
    ready: VecDeque<Ready>,
    next_tid: u64,
    next_serial: u64,
    live_local: usize,
    live_remote: usize,
    /// Local ones without a wait that is not decided.
    busy: usize,
    /// Shown children that have finished and that nobody has joined.
    finished: usize,
    /// Values that nobody can join any more.
    discarded: Vec<V>,
    /// Whose turn was given last: nearly always who calls.
    current: Child,
}

/// An entry of the ready queue.
#[derive(Clone, Copy, Debug)]
enum Ready {
    /// A first turn, or one for a wake-up.
    Thread(Child),
    /// A turn for a wait that is decided.
    Wait(WaitId),
    /// The turn that a microthread in this row waits for by itself; see [`Microthreads::give_way`].
    Own(Row, u64),
}

/// Whose turn it is. A turn for a microthread that is gone may come; there is nothing to poll then.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Turn {
    /// The microthread to poll.
    pub tid: Tid,
    /// Its position.
    pub row: Row,
    /// The wait that the turn is for, whose waker is to be woken before; `None` for a first turn and after a
    /// [`wake`](Microthreads::wake).
    pub wait: Option<WaitId>,
}

/// A microthread that ended because its parent did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Orphan {
    /// Which.
    pub tid: Tid,
    /// Its position, which the next child may get.
    pub row: Row,
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
    /// Whether it has a wait that is not decided.
    pub waits: bool,
}

impl<V> Default for Microthreads<V> {
    fn default() -> Self {
        Self::new()
    }
}

impl<V> Microthreads<V> {
    /// Main alone, whose first turn is next.
    pub fn new() -> Self {
        let mut rows = Slab::new();
        let main = Thread::new(MAIN, SCHEDULER, None, Visibility::Hidden, Place::Local);
        let row = Row(rows.insert(main));
        let main = Child { tid: MAIN, row };
        Self {
            rows,
            index: IdMap::from_iter([(MAIN, row)]),
            waits: Slab::new(),
            groups: Slab::new(),
            ready: VecDeque::from([Ready::Thread(main)]),
            next_tid: MAIN.0 + 1,
            next_serial: 0,
            live_local: 1,
            live_remote: 0,
            busy: 1,
            finished: 0,
            discarded: Vec::new(),
            current: main,
        }
    }

    /// Makes a child: a local one at the end of the ready queue, and its caller behind it. Answered by [`Answer::Turn`].
    ///
    /// The child exists from here on, even if the wait is withdrawn.
    pub fn spawn(&mut self, caller: Tid, visibility: Visibility, place: Place) -> (Child, WaitId) {
        let child = self.insert_child(caller, visibility, place);
        let wait = self.queue(caller, Decision::Turn);
        (child, wait)
    }

    /// Makes a local child at the end of the ready queue, and nothing else.
    pub fn spawn_first(&mut self, caller: Tid, visibility: Visibility) -> Child {
        self.insert_child(caller, visibility, Place::Local)
    }

    /// Makes a remote child whose caller waits until its task has been handed to a host. Answered by [`Answer::Resolved`]
    /// after [`resolve`](Self::resolve).
    pub fn spawn_held(
        &mut self,
        caller: Tid,
        visibility: Visibility,
        task: Option<TaskId>,
    ) -> (Child, WaitId) {
        let child = self.insert_child(caller, visibility, Place::Remote(task));
        (child, self.open_wait(caller))
    }

    /// Makes a remote child without a wait: its caller goes on in its turn.
    pub fn spawn_along(&mut self, caller: Tid, visibility: Visibility, task: TaskId) -> Child {
        self.insert_child(caller, visibility, Place::Remote(Some(task)))
    }

    /// The task of a remote child was accepted.
    pub fn set_task(&mut self, tid: Tid, task: TaskId) {
        if let Some((_, thread)) = self.thread_mut(tid)
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
        let decision = match self.wait_mut(id)?.state {
            WaitState::Due(decision) => decision,
            WaitState::Passed(child) => {
                self.waits.remove(id.index);
                let value = self.take_passed(child);
                return Some(Answer::Joined(value.map(|value| (child.tid, value))));
            }
            _ => return None,
        };
        self.waits.remove(id.index);
        Some(match decision {
            Decision::Turn => Answer::Turn,
            Decision::Resolved => Answer::Resolved,
            Decision::Joined(child) => {
                let joined = child.and_then(|child| Some((child.tid, self.take_value(child)?)));
                Answer::Joined(joined)
            }
        })
    }

    /// The values that nobody can join any more, since the last time. They are kept until here, so that what their drop does
    /// finds the tables at rest.
    pub fn discarded(&mut self) -> Vec<V> {
        std::mem::take(&mut self.discarded)
    }

    /// Whether there are any.
    pub fn has_discarded(&self) -> bool {
        !self.discarded.is_empty()
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

    /// Whether a microthread is there and has not finished.
    pub fn is_live(&self, tid: Tid) -> bool {
        self.thread(tid).is_some_and(|(_, thread)| thread.is_live())
    }

    /// Whether this microthread is there, in this row, and has not finished.
    pub fn is_live_in(&self, tid: Tid, row: Row) -> bool {
        let thread = self.rows.get(row.0);
        thread.is_some_and(|thread| thread.tid == tid && thread.is_live())
    }

    /// Where a microthread is.
    pub fn row(&self, tid: Tid) -> Option<Row> {
        self.index.get(&tid).copied()
    }

    /// What is known of a microthread, unless it was joined.
    pub fn info(&self, tid: Tid) -> Option<ThreadInfo> {
        let (_, thread) = self.thread(tid)?;
        let group = thread.own_group.and_then(|group| self.groups.get(group.0));
        Some(ThreadInfo {
            parent: thread.parent,
            children: self.children(thread).map(|(_, child)| child.tid).collect(),
            finished_children: group.map_or_else(Vec::new, |group| group.finished.tids()),
            place: thread.place,
            is_finished: !thread.is_live(),
            waits: thread.open_waits > 0,
        })
    }

    /// The value of a microthread that has finished and that nobody has joined.
    pub fn value(&self, tid: Tid) -> Option<&V> {
        match &self.thread(tid)?.1.state {
            ThreadState::Finished(value) | ThreadState::Bound(value) => Some(value),
            ThreadState::Live(_) => None,
        }
    }

    /// A child, and its first turn if it is local. A caller that is gone gets one that is nobody's and has no turn.
    fn insert_child(&mut self, caller: Tid, visibility: Visibility, place: Place) -> Child {
        let tid = Tid(self.next_tid);
        self.next_tid += 1;
        let parent = self.caller_row(caller);
        let mut thread = Thread::new(tid, caller, parent, visibility, place);
        thread.group = parent.and_then(|parent| self.group_of(parent, visibility));
        if let Some(group) = thread.group {
            self.groups[group.0].members += 1;
        }
        let row = Row(self.rows.insert(thread));
        let child = Child { tid, row };
        self.index.insert(tid, row);
        if let Some(parent) = parent {
            self.link(row, parent);
        }
        match place {
            Place::Local => {
                self.live_local += 1;
                self.busy += 1;
                self.ready.push_back(Ready::Thread(child));
            }
            Place::Remote(_) => self.live_remote += 1,
        }
        child
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
        let row = self.caller_row(tid).unwrap_or(Row(usize::MAX));
        if state.is_open()
            && let Some(thread) = self.rows.get_mut(row.0)
        {
            thread.open_waits += 1;
            self.busy -= usize::from(thread.open_waits == 1);
        }
        let wait = Wait {
            serial,
            tid,
            row,
            of_handle: false,
            state,
        };
        self.waits.insert(wait);
        id
    }

    /// A wait that is decided at once.
    fn queue(&mut self, tid: Tid, decision: Decision) -> WaitId {
        let id = self.insert_wait(tid, WaitState::Queued(decision));
        self.ready.push_back(Ready::Wait(id));
        id
    }

    /// Decides a wait that is open, and gives the state that it had.
    fn decide(&mut self, id: WaitId, decision: Decision) -> Option<WaitState> {
        let wait = self.wait_mut(id).filter(|wait| wait.state.is_open())?;
        let open = std::mem::replace(&mut wait.state, WaitState::Queued(decision));
        let (tid, row) = (wait.tid, wait.row);
        self.one_open_wait_less(tid, row);
        self.ready.push_back(Ready::Wait(id));
        Some(open)
    }

    fn one_open_wait_less(&mut self, tid: Tid, row: Row) {
        if let Some(thread) = self.rows.get_mut(row.0)
            && thread.tid == tid
            && thread.is_live()
        {
            thread.open_waits -= 1;
            self.busy += usize::from(thread.open_waits == 0);
        }
    }

    /// Where a caller is, who has been given its turn a moment ago.
    fn caller_row(&self, tid: Tid) -> Option<Row> {
        let Child { tid: known, row } = self.current;
        let is_there = known == tid && self.rows.get(row.0).is_some_and(|row| row.tid == tid);
        match is_there {
            true => Some(row),
            false => self.row(tid),
        }
    }

    fn thread(&self, tid: Tid) -> Option<(Row, &Thread<V>)> {
        let row = *self.index.get(&tid)?;
        Some((row, self.rows.get(row.0)?))
    }

    fn thread_mut(&mut self, tid: Tid) -> Option<(Row, &mut Thread<V>)> {
        let row = *self.index.get(&tid)?;
        Some((row, self.rows.get_mut(row.0)?))
    }

    fn wait_mut(&mut self, id: WaitId) -> Option<&mut Wait> {
        let wait = self.waits.get_mut(id.index)?;
        (wait.serial == id.serial).then_some(wait)
    }
}

impl<V> Thread<V> {
    /// A microthread without children, which has its first turn coming if it is local.
    fn new(
        tid: Tid,
        parent: Tid,
        parent_row: Option<Row>,
        visibility: Visibility,
        place: Place,
    ) -> Self {
        let woken = match place {
            Place::Local => Woken::Yes,
            Place::Remote(_) => Woken::No,
        };
        Self {
            tid,
            parent,
            parent_row,
            place,
            state: ThreadState::Live(woken),
            visibility,
            group: None,
            named_waits: WaitList::Empty,
            own_turn: OwnTurn::None,
            open_waits: 0,
            older_sibling: None,
            younger_sibling: None,
            oldest_child: None,
            youngest_child: None,
            own_group: None,
        }
    }

    fn is_live(&self) -> bool {
        matches!(self.state, ThreadState::Live(_))
    }
}
