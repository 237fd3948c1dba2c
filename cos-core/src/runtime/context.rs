//! The ambient OS: what the free functions of the crate act on.

use std::cell::RefCell;
use std::rc::Rc;

use thiserror::Error;

use super::shared::Shared;

thread_local! {
    static CURRENT: RefCell<Option<Rc<Shared>>> = const { RefCell::new(None) };
}

/// A system call outside of [`Os::run`](super::Os::run).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[error(
    "no OS runs here: call this inside of #[cos::main], Os::run or Os::block_on, not in another thread or task"
)]
pub struct NoOs;

/// The OS whose program is being polled on this thread.
pub(crate) fn current() -> Result<Rc<Shared>, NoOs> {
    with(Rc::clone)
}

/// Lends the OS whose program is being polled on this thread.
pub(crate) fn with<R>(call: impl FnOnce(&Rc<Shared>) -> R) -> Result<R, NoOs> {
    CURRENT.with(|current| current.borrow().as_ref().map(call).ok_or(NoOs))
}

/// Makes an OS the current one until the guard is dropped.
pub(super) fn enter(shared: &Rc<Shared>) -> Entered {
    let before = CURRENT.with(|current| current.replace(Some(Rc::clone(shared))));
    Entered { before }
}

pub(super) struct Entered {
    before: Option<Rc<Shared>>,
}

impl Drop for Entered {
    fn drop(&mut self) {
        let before = self.before.take();
        CURRENT.with(|current| current.replace(before));
    }
}
