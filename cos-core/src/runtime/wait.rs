//! One wait of a microthread, from its system call to its answer: what all system calls that wait are made of.

use std::rc::Rc;
use std::task::{Context, Poll};

use super::shared::Shared;
use super::value::Ending;
use crate::ids::Tid;
use crate::kernel::microthread::{Answer, WaitId};

/// A wait that was begun. Dropping it before it is answered withdraws it: what it would have got is free for others.
pub(crate) struct Wait {
    os: Rc<Shared>,
    tid: Tid,
    id: WaitId,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// Its turn polls the microthread, which is enough.
    Plain,
    /// It is polled with another waker, which the OS keeps for it: in `join_all`, `FuturesUnordered`, another microthread.
    Kept,
    Over,
}

impl Wait {
    pub(super) fn new(os: &Rc<Shared>, tid: Tid, id: WaitId) -> Self {
        Self {
            os: Rc::clone(os),
            tid,
            id,
            state: State::Plain,
        }
    }

    pub(crate) fn id(&self) -> WaitId {
        self.id
    }

    /// The answer, once its turn has come. Not to be polled after that.
    pub(crate) fn poll(&mut self, context: &mut Context<'_>) -> Poll<Answer<Ending>> {
        if let Some(answer) = self.os.take_answer(self.id) {
            self.forget_waker();
            self.state = State::Over;
            return Poll::Ready(answer);
        }
        if self.os.is_own_waker(self.tid, context.waker()) {
            self.forget_waker();
        } else {
            self.state = State::Kept;
            drop(self.os.keep_waker(self.id, Some(context.waker())));
        }
        Poll::Pending
    }

    fn forget_waker(&mut self) {
        if self.state == State::Kept {
            self.state = State::Plain;
            drop(self.os.keep_waker(self.id, None));
        }
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        if self.state != State::Over {
            self.forget_waker();
            self.os.withdraw(self.id);
        }
    }
}
