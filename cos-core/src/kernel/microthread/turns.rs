//! The ready queue: whose turn it is, wake-ups from outside, and turns that are waited for without a wait.

use super::row::{Child, OwnTurn, Place, ThreadState, WaitState, Woken};
use super::{Microthreads, Ready, Turn};
use crate::ids::Tid;

impl<V> Microthreads<V> {
    /// Whose turn it is, in the order of the ready queue; `None` when all wait.
    pub fn next_turn(&mut self) -> Option<Turn> {
        while let Some(ready) = self.ready.pop_front() {
            match ready {
                Ready::Thread(Child { tid, row }) => {
                    if let Some(thread) = self.rows.get_mut(row.0)
                        && thread.tid == tid
                        && let ThreadState::Live(woken) = &mut thread.state
                    {
                        *woken = Woken::No;
                        self.current = Child { tid, row };
                        let wait = None;
                        return Some(Turn { tid, row, wait });
                    }
                }
                Ready::Own(row, serial) => {
                    if let Some(thread) = self.rows.get_mut(row.0)
                        && thread.own_turn == OwnTurn::Queued(serial)
                    {
                        thread.own_turn = OwnTurn::Due(serial);
                        let tid = thread.tid;
                        self.current = Child { tid, row };
                        let wait = None;
                        return Some(Turn { tid, row, wait });
                    }
                }
                Ready::Wait(id) => {
                    // A wait that was withdrawn leaves its turn in the queue, which nobody needs.
                    if let Some(wait) = self.wait_mut(id)
                        && let WaitState::Queued(decision) = wait.state
                    {
                        wait.state = WaitState::Due(decision);
                        let (tid, row, wait) = (wait.tid, wait.row, Some(id));
                        self.current = Child { tid, row };
                        return Some(Turn { tid, row, wait });
                    }
                }
            }
        }
        None
    }

    /// Something outside has woken a microthread: it gets a turn, one for any number of wake-ups before it.
    pub fn wake(&mut self, tid: Tid) {
        if let Some((row, thread)) = self.thread_mut(tid)
            && let ThreadState::Live(woken @ Woken::No) = &mut thread.state
            && thread.place == Place::Local
        {
            *woken = Woken::Yes;
            self.ready.push_back(Ready::Thread(Child { tid, row }));
        }
    }

    /// As [`spawn`](Self::spawn) of a local child and as [`yield_now`](Self::yield_now), for a caller whose turn always reaches
    /// whoever waits: no wait is made, and [`take_turn`](Self::take_turn) tells when the turn has come. `None`, and nothing is
    /// done, when the caller waits so already.
    pub fn give_way(&mut self, caller: Child) -> Option<u64> {
        let thread = self.rows.get_mut(caller.row.0)?;
        if thread.tid != caller.tid || thread.own_turn != OwnTurn::None {
            return None;
        }
        let serial = self.next_serial;
        self.next_serial += 1;
        thread.own_turn = OwnTurn::Queued(serial);
        self.ready.push_back(Ready::Own(caller.row, serial));
        Some(serial)
    }

    /// Whether that turn has come; the caller may give way anew then.
    pub fn take_turn(&mut self, caller: Child, serial: u64) -> bool {
        match self.rows.get_mut(caller.row.0) {
            Some(thread) if thread.own_turn == OwnTurn::Due(serial) => {
                thread.own_turn = OwnTurn::None;
                true
            }
            _ => false,
        }
    }

    /// That turn is not wanted any more.
    pub fn forgo_turn(&mut self, caller: Child, serial: u64) {
        if let Some(thread) = self.rows.get_mut(caller.row.0)
            && (thread.own_turn == OwnTurn::Due(serial)
                || thread.own_turn == OwnTurn::Queued(serial))
        {
            thread.own_turn = OwnTurn::None;
        }
    }

    /// Whether no microthread has a turn coming and each local one has a wait that is not decided: nothing moves here before
    /// something happens elsewhere.
    pub fn all_wait(&self) -> bool {
        self.busy == 0 && self.ready.is_empty()
    }

    /// Whether a turn is coming, or one that nobody needs any more.
    pub fn has_turns(&self) -> bool {
        !self.ready.is_empty()
    }
}
