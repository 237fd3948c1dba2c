//! The caller's turn behind the ready queue: what a yield and a local spawn wait for.

use std::rc::Rc;
use std::task::{Context, Poll};

use super::context::NoOs;
use super::shared::Shared;
use super::wait::Wait;
use crate::kernel::microthread::Child;

/// A turn that the caller has given up for a later one. The usual one costs no wait.
pub(crate) enum Behind {
    /// The microthread itself has the turn, and is polled with its own waker.
    Own {
        os: Rc<Shared>,
        caller: Child,
        serial: u64,
    },
    /// A further one at the same time, or one that another waker polls.
    Wait(Wait),
    Over,
}

impl Behind {
    /// Puts the caller at the end of the ready queue.
    pub(crate) fn begin(os: &Rc<Shared>, context: &Context<'_>) -> Result<Self, NoOs> {
        let caller = os.calling().ok_or(NoOs)?;
        if os.is_own_waker(caller.tid, context.waker()) {
            let given = os.inner.borrow_mut().threads.give_way(caller);
            if let Some(serial) = given {
                let os = Rc::clone(os);
                return Ok(Self::Own { os, caller, serial });
            }
        }
        let wait = os.wait(|threads, tid| threads.yield_now(tid))?;
        Ok(Self::Wait(wait))
    }

    /// Whether the turn has come. Not to be polled after that.
    pub(crate) fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        match self {
            Self::Own { os, caller, serial } => {
                if os.inner.borrow_mut().threads.take_turn(*caller, *serial) {
                    *self = Self::Over;
                    return Poll::Ready(());
                }
                if os.is_own_waker(caller.tid, context.waker()) {
                    return Poll::Pending;
                }
                // It has moved to where the turn does not reach it.
                let os = Rc::clone(os);
                match os.wait(|threads, tid| threads.yield_now(tid)) {
                    Ok(wait) => *self = Self::Wait(wait),
                    Err(NoOs) => return Poll::Pending,
                }
                self.poll(context)
            }
            Self::Wait(wait) => wait.poll(context).map(|_| ()),
            Self::Over => Poll::Ready(()),
        }
    }
}

impl Drop for Behind {
    fn drop(&mut self) {
        if let Self::Own { os, caller, serial } = self {
            os.inner.borrow_mut().threads.forgo_turn(*caller, *serial);
        }
    }
}
