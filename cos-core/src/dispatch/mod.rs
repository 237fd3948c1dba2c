//! Lazy dispatch: many jobs, pulled from their source only as slots free up, and their results.
//!
//! * [`dispatch`] takes an iterator, [`dispatch_stream`] a stream of jobs.
//! * [`Dispatch::collect`] gives results in the order of the jobs, [`Dispatch::for_each`] and [`Dispatch::stream`] give
//!   them as they come.
//!
//! A dispatch holds as many jobs as the machine has free slots, with what it may prefetch, and counts results that
//! were not taken yet: ten million jobs run in constant memory, and a slow consumer slows the source.

mod source;
mod stream;
#[cfg(test)]
mod tests;

use std::pin::pin;
use std::time::Duration;

use futures_core::Stream;

pub use source::{FromIter, FromStream, Source};
pub use stream::DispatchStream;

use crate::ids::{HostId, TaskId};
use crate::job::{Job, TaskError};
use crate::kernel::TaskPolicy;
use crate::runtime::context::{self, NoOs};

/// A job that has its result.
#[derive(Debug)]
pub struct Done<T, X> {
    /// The job's position in its source, from 0.
    pub index: u64,
    /// Its task.
    pub task: TaskId,
    /// What the caller gave with it.
    pub extra: X,
    /// What came of it.
    pub result: Result<T, TaskError>,
    /// Where it ran last.
    pub host: Option<HostId>,
    /// How many tries were made.
    pub tries: u32,
    /// From its submission to its end.
    pub elapsed: Duration,
}

/// What a consumer wants to happen next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Flow {
    /// Go on.
    Go,
    /// No new jobs; those that run finish.
    StopSoon,
    /// Cancel what runs.
    StopNow,
}

/// Why a collection ended early.
#[derive(Debug, thiserror::Error)]
pub enum DispatchError {
    /// A job failed; the rest were cancelled.
    #[error("job {index}: {error}")]
    Job {
        /// Its position in the source, from 0.
        index: u64,
        /// Why.
        #[source]
        error: TaskError,
    },
    /// There is no OS on this thread.
    #[error(transparent)]
    NoOs(#[from] NoOs),
}

/// Jobs and how they are to be run; ends in [`collect`](Self::collect), [`for_each`](Self::for_each) or
/// [`stream`](Self::stream).
#[must_use = "a dispatch does nothing until it is collected or streamed"]
#[derive(Debug)]
pub struct Dispatch<S> {
    source: S,
    policy: TaskPolicy,
    window: Option<usize>,
}

/// Runs the jobs of an iterator, which is advanced only as slots free up.
pub fn dispatch<T, X, I>(jobs: I) -> Dispatch<FromIter<I::IntoIter>>
where
    I: IntoIterator<Item = Job<T, X>>,
{
    Dispatch::new(FromIter(jobs.into_iter()))
}

/// Runs the jobs of a stream, which is polled only as slots free up.
pub fn dispatch_stream<T, X, S>(jobs: S) -> Dispatch<FromStream<S>>
where
    S: Stream<Item = Job<T, X>>,
{
    Dispatch::new(FromStream(Box::pin(jobs)))
}

impl<S> Dispatch<S> {
    fn new(source: S) -> Self {
        Self {
            source,
            policy: TaskPolicy::default(),
            window: None,
        }
    }

    /// The rules for each task: tries, time limit, what counts as success.
    pub fn policy(mut self, policy: TaskPolicy) -> Self {
        self.policy = policy;
        self
    }

    /// At most so many jobs under way, results that were not taken included; as many as the machine wants unless said.
    pub fn window(mut self, jobs: usize) -> Self {
        self.window = Some(jobs.max(1));
        self
    }

    /// The results as they come. Dropping the stream cancels what runs.
    ///
    /// # Errors
    /// [`NoOs`] outside of an OS.
    pub fn stream<T, X>(self) -> Result<DispatchStream<S, T, X>, NoOs>
    where
        S: Source<Job = Job<T, X>>,
    {
        let Self {
            source,
            policy,
            window,
        } = self;
        Ok(DispatchStream::new(
            context::current()?,
            source,
            policy,
            window,
        ))
    }

    /// Gives each result to `consumer` as it comes. Dropping the future cancels what runs.
    ///
    /// # Errors
    /// [`NoOs`] outside of an OS.
    pub async fn for_each<T, X>(
        self,
        mut consumer: impl FnMut(Done<T, X>) -> Flow,
    ) -> Result<(), NoOs>
    where
        S: Source<Job = Job<T, X>>,
    {
        let mut results = pin!(self.stream()?);
        while let Some(done) = next(results.as_mut()).await {
            match consumer(done) {
                Flow::Go => {}
                Flow::StopSoon => results.as_mut().get_mut().stop_source(),
                Flow::StopNow => return Ok(()),
            }
        }
        Ok(())
    }

    /// All results in the order of the jobs. Dropping the future cancels what runs.
    ///
    /// # Errors
    /// The first error that comes, after cancelling the rest; [`NoOs`] outside of an OS.
    pub async fn collect<T, X>(self) -> Result<Vec<T>, DispatchError>
    where
        S: Source<Job = Job<T, X>>,
    {
        let mut slots: Vec<Option<T>> = Vec::new();
        let mut results = pin!(self.stream()?);
        while let Some(Done { index, result, .. }) = next(results.as_mut()).await {
            let value = result.map_err(|error| DispatchError::Job { index, error })?;
            place(&mut slots, index, value);
        }
        Ok(slots.into_iter().flatten().collect())
    }

    /// Every result in the order of the jobs, good or bad. Dropping the future cancels what runs.
    ///
    /// # Errors
    /// [`NoOs`] outside of an OS.
    pub async fn collect_all<T, X>(self) -> Result<Vec<Result<T, TaskError>>, NoOs>
    where
        S: Source<Job = Job<T, X>>,
    {
        let mut slots = Vec::new();
        let mut results = pin!(self.stream()?);
        while let Some(Done { index, result, .. }) = next(results.as_mut()).await {
            place(&mut slots, index, result);
        }
        Ok(slots.into_iter().flatten().collect())
    }
}

fn place<V>(slots: &mut Vec<Option<V>>, index: u64, value: V) {
    // An index is a position in a source whose results all fit into this vector.
    let index = index as usize;
    if slots.len() <= index {
        slots.resize_with(index + 1, || None);
    }
    slots[index] = Some(value);
}

async fn next<S: Stream>(mut stream: std::pin::Pin<&mut S>) -> Option<S::Item> {
    std::future::poll_fn(|context| stream.as_mut().poll_next(context)).await
}
