//! The line of the task that runs on this thread, for plain functions, which have no OS.

use std::cell::RefCell;
use std::sync::Arc;
use std::task::{Context, Wake, Waker};
use std::thread::Thread;

use super::link::{Line, Link};
use crate::clock;
use crate::job::{Call, TaskError};
use crate::runtime::backend::{Backend, Happening};

thread_local! {
    static LINE: RefCell<Option<Box<dyn Line>>> = const { RefCell::new(None) };
}

/// Makes `line` the one of this thread, until it is [taken](take_line).
pub(crate) fn set_line(line: Box<dyn Line>) {
    LINE.with(|here| *here.borrow_mut() = Some(line));
}

/// The line of this thread, which has none then.
pub(crate) fn take_line() -> Option<Box<dyn Line>> {
    LINE.with(|here| here.borrow_mut().take())
}

/// Wakes a thread that is parked.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Makes a call in the spawner, and blocks this thread until it has returned. Its licence is free meanwhile.
pub(in crate::runtime) fn call_and_block(
    call: Call,
) -> Option<Result<bytes::Bytes, Box<TaskError>>> {
    let mut link = Link::new(take_line()?);
    let result = link
        .call_spawner(call, Some(0))
        .then(|| wait_for_return(&mut link));
    set_line(link.into_line());
    result
}

/// Has a call made in the spawner, and does not wait for it. False when it cannot be sent, or there is no spawner.
pub(in crate::runtime) fn notify(call: Call) -> bool {
    let Some(line) = take_line() else {
        return false;
    };
    let mut link = Link::new(line);
    let sent = link.call_spawner(call, None);
    set_line(link.into_line());
    sent
}

/// Whether a task runs on this thread that has a spawner elsewhere.
pub(in crate::runtime) fn has_line() -> bool {
    LINE.with(|here| here.borrow().is_some())
}

fn wait_for_return(link: &mut Link) -> Result<bytes::Bytes, Box<TaskError>> {
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut context = Context::from_waker(&waker);
    let mut returned = None;
    link.lend_licence();
    loop {
        let _: bool = link.poll(&mut context, clock::now());
        while let Some(happening) = link.next() {
            if let Happening::Returned { result, .. } = happening {
                returned = Some(result);
                link.want_licence();
            }
        }
        match returned.take() {
            Some(result) if link.holds_licence() => return result,
            Some(result) => returned = Some(result),
            // It was resumed too early.
            None => link.lend_licence(),
        }
        std::thread::park();
    }
}
