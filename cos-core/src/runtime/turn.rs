//! The turns of an OS: polls microthreads in the order of the ready queue, a bounded number at a time.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use super::bodies::Slot;
use super::body::BoxedBody;
use super::context;
use super::shared::{Inner, Shared};
use super::value::Ending;
use super::waker::OwnWaker;
use crate::clock;
use crate::job::{TaskError, TaskLabel};
use crate::kernel::microthread::{Child, MAIN, Turn};
use crate::panics;
use crate::vm::local::LOCAL;

/// So many turns are taken at most before tokio has a look at sockets and timers, and the backend at its machine.
const MOST_TURNS: u32 = 1024;
/// They are to take about so long: turns that compute are taken one by one.
const LONG: Duration = Duration::from_millis(1);
const SHORT: Duration = Duration::from_micros(250);

/// How many turns are taken at a time.
pub(super) struct Pace {
    turns: u32,
}

impl Default for Pace {
    fn default() -> Self {
        Self { turns: 64 }
    }
}

impl Pace {
    fn adapt(&mut self, took: Duration) {
        if took > LONG {
            self.turns = (self.turns / 2).max(1);
        } else if took < SHORT {
            self.turns = (self.turns * 2).min(MOST_TURNS);
        }
    }
}

/// What one turn needs, taken out of the tables for it.
struct Taken {
    turn: Turn,
    slot: Box<Slot>,
}

/// What a look at the OS has shown.
pub(super) enum Progress<T> {
    /// Main has ended, or panicked.
    Ended(std::thread::Result<T>),
    /// There is more to be done at once.
    More,
    /// Everything waits.
    Idle,
}

impl Inner {
    fn turn_over(&mut self, turn: Turn) {
        if let Some(wait) = turn.wait {
            self.threads.turn_over(wait);
        }
    }
}

impl Shared {
    /// Takes in what has come from elsewhere and takes the turns that are due.
    pub(super) fn advance<F: Future>(
        self: &Rc<Self>,
        context: &mut Context<'_>,
        mut main: Pin<&mut F>,
        pace: &mut Pace,
    ) -> Progress<F::Output> {
        let _entered = context::enter(self);
        self.wakes.begin(context.waker());
        let mut more = self.poll_backend(context);
        self.make_calls();
        if !self.may_run() {
            return Progress::Idle;
        }
        let began = clock::now();
        for _ in 0..pace.turns {
            if self.wakes.has_any() {
                self.take_wakes();
                if !tokio::task::coop::has_budget_remaining() {
                    break;
                }
            }
            let Some(taken) = self.next_turn() else { break };
            if taken.turn.tid == MAIN {
                if let Poll::Ready(ended) = self.main_turn(taken, main.as_mut()) {
                    return Progress::Ended(ended);
                }
            } else {
                self.child_turn(taken);
            }
        }
        pace.adapt(clock::now().since(began));
        more |= self.inner.borrow().threads.has_turns();
        match self.wakes.end() || more {
            true => Progress::More,
            false => {
                self.lend_licence();
                Progress::Idle
            }
        }
    }

    /// Whether microthreads may be polled. If not, a licence is asked for as soon as one of them could go on.
    fn may_run(&self) -> bool {
        let inner = &mut *self.inner.borrow_mut();
        let Some(backend) = &mut inner.backend else {
            return true;
        };
        if backend.holds_licence() {
            return true;
        }
        if self.wakes.end() || inner.threads.has_turns() {
            backend.want_licence();
        }
        false
    }

    /// Lets others have the licence of a task of which every microthread waits.
    fn lend_licence(&self) {
        let inner = &mut *self.inner.borrow_mut();
        if inner.threads.all_wait()
            && let Some(backend) = &mut inner.backend
        {
            backend.lend_licence();
        }
    }

    /// Gives those a turn that were woken from outside.
    fn take_wakes(&self) {
        let inner = &mut *self.inner.borrow_mut();
        let mut woken = Vec::new();
        self.wakes.take(&mut woken);
        for (tid, row) in woken {
            // Whoever was polled since has seen what woke it.
            if inner.bodies.is_woken(tid, row) {
                inner.threads.wake(tid);
            }
        }
    }

    fn next_turn(&self) -> Option<Taken> {
        let (taken, waker) = {
            let inner = &mut *self.inner.borrow_mut();
            loop {
                let turn = inner.threads.next_turn()?;
                if let Some(slot) = inner.bodies.take(turn.row) {
                    let other = match inner.wakers.is_empty() {
                        true => None,
                        false => turn.wait.and_then(|wait| inner.wakers.remove(&wait)),
                    };
                    break (Taken { turn, slot }, other);
                }
            }
        };
        if let Some(waker) = waker {
            waker.wake();
        }
        Some(taken)
    }

    /// Polls a microthread, which must not panic.
    fn poll<R>(&self, turn: Turn, waker: &OwnWaker, poll: impl FnOnce(&mut Context<'_>) -> R) -> R {
        waker.clear();
        let waker = waker.waker();
        let Turn { tid, row, .. } = turn;
        self.set_running(Some(Child { tid, row }), waker.data());
        let polled = poll(&mut Context::from_waker(waker));
        self.set_running(None, std::ptr::null());
        polled
    }

    fn main_turn<F: Future>(
        &self,
        taken: Taken,
        main: Pin<&mut F>,
    ) -> Poll<std::thread::Result<F::Output>> {
        let Taken { turn, slot } = taken;
        let polled = self.poll(turn, &slot.waker, |context| {
            std::panic::catch_unwind(AssertUnwindSafe(|| main.poll(context)))
        });
        let inner = &mut *self.inner.borrow_mut();
        inner.bodies.put(turn.row, slot);
        inner.turn_over(turn);
        match polled {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(output)) => Poll::Ready(Ok(output)),
            Err(panic) => Poll::Ready(Err(panic)),
        }
    }

    fn child_turn(&self, taken: Taken) {
        let Taken { turn, mut slot } = taken;
        let Turn { tid, row, .. } = turn;
        let Slot { body, waker } = &mut *slot;
        let Some(body) = body else {
            self.inner.borrow_mut().bodies.put(row, slot);
            return;
        };
        let polled = self.poll(turn, waker, |context| {
            panics::catch(|| body.as_mut().poll(context))
        });
        if let Ok(Poll::Pending) = polled {
            let inner = &mut *self.inner.borrow_mut();
            if inner.threads.is_live_in(tid, row) {
                inner.bodies.put(row, slot);
                inner.turn_over(turn);
                return;
            }
        }
        let Some(body) = slot.body.take() else { return };
        let ending = match polled {
            // It was cancelled in its own turn, or has ended.
            Ok(Poll::Pending | Poll::Ready(Ok(()))) => Ending::Value(body),
            Ok(Poll::Ready(Err(error))) => {
                self.drop_body(body);
                Ending::Error(error)
            }
            Err(panic) => {
                let task = TaskLabel::local(body.name(), tid);
                self.drop_body(body);
                Ending::Error(Box::new(TaskError::Panicked {
                    task,
                    host: LOCAL.to_owned(),
                    message: panic.message,
                    location: panic.location,
                    tries: 1,
                }))
            }
        };
        {
            let inner = &mut *self.inner.borrow_mut();
            if inner.threads.is_live_in(tid, row) {
                inner.bodies.put(row, slot);
            }
        }
        self.finish(tid, ending);
    }

    fn drop_body(&self, body: BoxedBody) {
        self.with(|inner| inner.graveyard.push(Ending::Value(body)));
    }

    /// Ends all microthreads. Main has ended.
    pub(super) fn end_program(self: &Rc<Self>) {
        let _entered = context::enter(self);
        self.finish(MAIN, Ending::Main);
        self.with(|inner| {
            let bodies = inner.bodies.clear();
            inner
                .graveyard
                .extend(bodies.into_iter().map(Ending::Value));
            inner.wakers.drain().collect::<Vec<_>>()
        });
        self.carry_out();
    }
}
