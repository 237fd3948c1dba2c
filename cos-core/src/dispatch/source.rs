//! Where a dispatch gets its jobs from.

use std::pin::Pin;
use std::task::{Context, Poll};

use futures_core::Stream;

/// A lazy source of jobs. Sealed in effect: [`dispatch`](super::dispatch()) and
/// [`dispatch_stream`](super::dispatch_stream) make the two that there are.
pub trait Source: Unpin {
    /// What it gives.
    type Job;

    /// The next job; `Ready(None)` at the end, after which it is not asked again.
    fn poll_job(&mut self, context: &mut Context<'_>) -> Poll<Option<Self::Job>>;
}

/// Jobs of an iterator.
#[derive(Debug)]
pub struct FromIter<I>(pub(super) I);

// The iterator is only ever used by `&mut`, so moving the struct moves nothing that is pinned.
impl<I> Unpin for FromIter<I> {}

impl<I: Iterator> Source for FromIter<I> {
    type Job = I::Item;

    fn poll_job(&mut self, _: &mut Context<'_>) -> Poll<Option<Self::Job>> {
        Poll::Ready(self.0.next())
    }
}

/// Jobs of a stream.
#[derive(Debug)]
pub struct FromStream<S>(pub(super) Pin<Box<S>>);

impl<S: Stream> Source for FromStream<S> {
    type Job = S::Item;

    fn poll_job(&mut self, context: &mut Context<'_>) -> Poll<Option<Self::Job>> {
        self.0.as_mut().poll_next(context)
    }
}
