//! `join`, `try_join` and `join_checked`: children by their tids.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use thiserror::Error;

use super::context::{self, NoOs};
use super::value::Value;
use super::wait::Wait;
use crate::ids::Tid;
use crate::kernel::microthread::{self, Answer};

/// Joins a child: of those in `tids` that have finished the one with the lowest tid, else the one that finishes first. An empty
/// list means any child that [`spawn`](crate::spawn()) has made.
///
/// Gives `None` when there is none (any more) to wait for. Tids that name no child of the caller's are skipped. The caller goes
/// behind the ready queue in every case. Dropping the future gives nothing up: the child can be joined again.
///
/// # Panics
/// Outside of an OS.
pub fn join(tids: &[Tid]) -> Join<'_> {
    Join::new(tids, Blocking::Yes)
}

/// The same without waiting for a child to finish: `None` when none of them has.
///
/// # Panics
/// Outside of an OS.
pub fn try_join(tids: &[Tid]) -> Join<'_> {
    Join::new(tids, Blocking::No)
}

/// As [`join`], but a tid that names no child of the caller's is an error.
///
/// # Errors
/// [`JoinError`], at once.
pub async fn join_checked(tids: &[Tid]) -> Result<Option<(Tid, Value)>, JoinError> {
    let os = context::current()?;
    let caller = os.caller()?;
    os.inner.borrow().threads.check_join(caller, tids)?;
    Ok(join(tids).await)
}

/// Why a tid cannot be joined.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum JoinError {
    /// It names no child of the caller's.
    #[error(transparent)]
    NoChild(#[from] microthread::JoinError),
    /// There is no OS here.
    #[error(transparent)]
    NoOs(#[from] NoOs),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Blocking {
    Yes,
    No,
}

/// A join that is awaited. See [`join()`].
#[must_use = "nothing is joined before this is awaited"]
pub struct Join<'a> {
    tids: &'a [Tid],
    blocking: Blocking,
    wait: Option<Wait>,
}

impl<'a> Join<'a> {
    fn new(tids: &'a [Tid], blocking: Blocking) -> Self {
        let wait = None;
        Self {
            tids,
            blocking,
            wait,
        }
    }
}

impl Future for Join<'_> {
    type Output = Option<(Tid, Value)>;

    #[expect(
        clippy::panic,
        reason = "documented: a system call outside of an OS has no answer"
    )]
    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        let (tids, blocking) = (this.tids, this.blocking);
        let wait = match &mut this.wait {
            Some(wait) => wait,
            none => {
                let begun = context::current().and_then(|os| {
                    os.wait(|threads, caller| match (blocking, tids) {
                        (Blocking::No, tids) => threads.try_join(caller, tids),
                        (Blocking::Yes, []) => threads.join_any(caller),
                        (Blocking::Yes, tids) => threads.join_named(caller, tids),
                    })
                });
                none.insert(begun.unwrap_or_else(|error| panic!("{error}")))
            }
        };
        let Poll::Ready(answer) = wait.poll(context) else {
            return Poll::Pending;
        };
        this.wait = None;
        Poll::Ready(match answer {
            Answer::Joined(joined) => joined.map(|(tid, ending)| (tid, Value(ending))),
            Answer::Turn | Answer::Resolved => None,
        })
    }
}
