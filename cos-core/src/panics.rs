//! Catches panics of user code, with message and place.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::future::Future;
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind, set_hook, take_hook};
use std::pin::Pin;
use std::sync::Once;
use std::task::{Context, Poll};

/// What is known of a panic.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Panic {
    /// Its message, or a word about a payload that is none.
    pub(crate) message: String,
    /// Where in the source, as `src/search.rs:40:9`; `None` when the program's panic hook does not pass it on.
    pub(crate) location: Option<String>,
}

thread_local! {
    /// How many catches this thread is in.
    static DEPTH: Cell<u32> = const { Cell::new(0) };
    /// Where the last panic of this thread was that is going to be caught.
    static LOCATION: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Runs user code and catches its panic.
///
/// The program's own panic hook is called as for any panic: by default it writes message and backtrace to standard error.
/// What the code has left half done is its own affair, as in a thread that panics: nobody else sees its values.
pub(crate) fn catch<R>(code: impl FnOnce() -> R) -> Result<R, Panic> {
    install();
    DEPTH.set(DEPTH.get() + 1);
    let result = catch_unwind(AssertUnwindSafe(code));
    DEPTH.set(DEPTH.get() - 1);
    result.map_err(|payload| Panic {
        message: message(payload.as_ref()),
        location: LOCATION.take(),
    })
}

/// A future whose panics end it with an error.
pub(crate) struct Catching<F>(F);

impl<F: Future + Unpin> Catching<F> {
    pub(crate) fn new(future: F) -> Self {
        Self(future)
    }
}

impl<F: Future + Unpin> Future for Catching<F> {
    type Output = Result<F::Output, Panic>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match catch(|| Pin::new(&mut self.0).poll(context)) {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(output)) => Poll::Ready(Ok(output)),
            Err(panic) => Poll::Ready(Err(panic)),
        }
    }
}

/// Puts a hook before the program's own, once: only a hook is told where a panic is.
fn install() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        let next = take_hook();
        set_hook(Box::new(move |panic| {
            note(panic);
            next(panic);
        }));
    });
}

fn note(panic: &PanicHookInfo<'_>) {
    // A thread that is ending has no such values any more, and catches nothing either.
    let catching = DEPTH.try_with(|depth| depth.get() > 0).unwrap_or(false);
    if catching {
        let location = panic.location().map(ToString::to_string);
        let _ = LOCATION.try_with(|last| last.replace(location));
    }
}

/// What a panic says.
pub(crate) fn message(payload: &(dyn Any + Send)) -> String {
    if let Some(text) = payload.downcast_ref::<&'static str>() {
        (*text).to_owned()
    } else if let Some(text) = payload.downcast_ref::<String>() {
        text.clone()
    } else {
        "a panic whose payload is no text".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_has_its_message_and_its_place() {
        let line = line!() + 1;
        let panic = catch(|| panic!("no {}", "convergence")).map(|(): ()| ());
        let panic = panic.unwrap_err();
        assert_eq!(panic.message, "no convergence");
        let place = format!("{}:{line}:", file!());
        assert!(panic.location.is_some_and(|at| at.starts_with(&place)));
        assert_eq!(catch(|| 4), Ok(4));
    }

    #[test]
    fn a_payload_that_is_no_text_is_a_panic_all_the_same() {
        let panic = catch(|| std::panic::panic_any(7_u8)).map(|(): ()| ());
        assert_eq!(
            panic.unwrap_err().message,
            "a panic whose payload is no text"
        );
    }

    #[test]
    fn the_place_of_an_inner_panic_is_not_taken_for_the_outer_ones() {
        let outer = catch(|| {
            let inner = catch(|| panic!("inner")).map(|(): ()| ());
            assert!(inner.is_err());
            std::panic::resume_unwind(Box::new("outer"));
        });
        let outer = outer.map(|(): ()| ()).unwrap_err();
        // Unwinding without a hook has no place.
        assert_eq!((outer.message.as_str(), outer.location), ("outer", None));
    }
}
