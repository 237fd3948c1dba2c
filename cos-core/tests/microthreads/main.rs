//! The system calls as programs use them: local microthreads, their order, and how everything ends.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod ends;
mod handles;
mod nesting;
mod order;
mod task_sets;
mod tokio_io;
mod waits;

use std::cell::RefCell;
use std::future::Future;
use std::rc::Rc;

use cos_core::Os;

/// Runs a program on an OS without a machine.
fn run<F: Future>(main: F) -> F::Output {
    Os::new().block_on(main).unwrap()
}

/// What microthreads did, in order.
#[derive(Clone, Default)]
struct Log(Rc<RefCell<Vec<String>>>);

impl Log {
    fn note(&self, words: impl std::fmt::Display) {
        let line = format!("{} {words}", cos_core::tid());
        self.0.borrow_mut().push(line);
    }

    fn take(&self) -> Vec<String> {
        self.0.take()
    }
}
