//! Lazy dispatch: many jobs, pulled from their source only as slots free up, and their results.
//!
//! * [`dispatch`] takes an iterator, [`dispatch_stream`] a stream of jobs, [`dispatch_single`] one job.
//! * [`Dispatch::collect`] gives results in the order of the jobs, [`Dispatch::for_each`] and [`Dispatch::stream`] give
//!   them as they come.
//!
//! A dispatch holds as many jobs as the machine has free slots, with what it may prefetch, and counts results that
//! were not taken yet: ten million jobs run in constant memory, and a slow consumer slows the source. Without a machine jobs
//! run in microthreads here.
//!
//! Its jobs are children of the calling microthread that no other join sees; it joins no others.

mod options;
mod source;
mod stream;
#[cfg(test)]
mod tests;

use std::pin::pin;
use std::time::Duration;

use futures_core::Stream;

pub use source::{FromIter, FromStream, Source};
pub use stream::DispatchStream;

use crate::ids::{HostId, TaskId, Tid};
use crate::job::{Job, TaskError};
use crate::kernel::{Prefetch, TaskPolicy, TimeLimit};
use crate::runtime::NoOs;
use crate::runtime::context;
use options::{Options, Place};

/// A job that has its result.
#[derive(Debug)]
pub struct Done<T, X> {
    /// The job's position in its source, from 0.
    pub index: u64,
    /// The microthread that it was.
    pub tid: Tid,
    /// Its task; `None` when it ran in a local microthread.
    pub task: Option<TaskId>,
    /// What the caller gave with it.
    pub extra: X,
    /// What came of it.
    pub result: Result<T, TaskError>,
    /// Where it ran last; `None` when it was local, or never ran.
    pub host: Option<HostId>,
    /// How many tries were made.
    pub attempts: u32,
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
    /// The one job failed.
    #[error(transparent)]
    Single(TaskError),
    /// There is no OS here.
    #[error(transparent)]
    NoOs(#[from] NoOs),
}

/// Jobs and how they are to be run; ends in [`collect`](Self::collect), [`for_each`](Self::for_each) or
/// [`stream`](Self::stream).
#[must_use = "a dispatch does nothing until it is collected or streamed"]
#[derive(Debug)]
pub struct Dispatch<S> {
    source: S,
    options: Options,
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

/// Runs one job, on a host if the OS has a machine, and waits for its result. Dropping the future cancels it.
///
/// # Errors
/// [`DispatchError::Single`] when it fails, [`NoOs`] outside of an OS.
pub async fn dispatch_single<T: 'static, X>(job: Job<T, X>) -> Result<T, DispatchError> {
    check_os()?;
    let mut results = pin!(dispatch(std::iter::once(job)).prefetch(0).stream());
    match next(results.as_mut()).await {
        Some(done) => done.result.map_err(DispatchError::Single),
        // A microthread that has ended polls nothing.
        None => Err(NoOs.into()),
    }
}

impl<S> Dispatch<S> {
    fn new(source: S) -> Self {
        let options = Options::default();
        Self { source, options }
    }

    /// Runs the jobs in microthreads here, although the OS has a machine: as many at a time as the machine has slots. Tries
    /// and time limits are for hosts; a command is a job for hosts only.
    pub fn local(mut self) -> Self {
        self.options.place = Place::Local;
        self
    }

    /// The rules for each task on a host: tries, time limit, what counts as success, prefetch.
    pub fn policy(mut self, policy: TaskPolicy) -> Self {
        self.options.policy = policy;
        self
    }

    /// How many tries each job has in all; 1 unless said. A failure or a timeout uses one, a lost host does not.
    pub fn retries(mut self, tries: u32) -> Self {
        self.options.policy.tries = tries;
        self
    }

    /// How long one try may take on a host.
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.options.policy.limit = TimeLimit::After(limit);
        self
    }

    /// The one host that may run the jobs.
    pub fn on(mut self, host: HostId) -> Self {
        self.options.host = Some(host);
        self
    }

    /// At most so many jobs under way, results that were not taken included; as many as the machine wants unless said.
    pub fn window(mut self, jobs: usize) -> Self {
        self.options.window = Some(jobs.max(1));
        self
    }

    /// At most so many jobs wait on hosts for each of their slots; 0 means that a job is taken from the source only when a slot
    /// is free. As many as make sense unless said: none, and more only where jobs are shorter than the way to the host.
    pub fn prefetch(mut self, jobs: usize) -> Self {
        self.options.policy.prefetch = match jobs {
            0 => Prefetch::Never,
            _ => Prefetch::Allowed,
        };
        self.options.prefetch = Some(jobs);
        self
    }

    /// The results as they come. Dropping the stream cancels what runs.
    pub fn stream<T, X>(self) -> DispatchStream<S, T, X>
    where
        S: Source<Job = Job<T, X>>,
    {
        DispatchStream::new(self.source, self.options)
    }

    /// Gives each result to `consumer` as it comes. Dropping the future cancels what runs; so does a panic of the consumer,
    /// which passes on, and what the consumer was given before is its own.
    ///
    /// # Errors
    /// [`NoOs`] outside of an OS.
    pub async fn for_each<T: 'static, X>(
        self,
        mut consumer: impl FnMut(Done<T, X>) -> Flow,
    ) -> Result<(), DispatchError>
    where
        S: Source<Job = Job<T, X>>,
    {
        check_os()?;
        let mut results = pin!(self.stream());
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
    pub async fn collect<T: 'static, X>(self) -> Result<Vec<T>, DispatchError>
    where
        S: Source<Job = Job<T, X>>,
    {
        check_os()?;
        let mut slots: Vec<Option<T>> = Vec::new();
        let mut results = pin!(self.stream());
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
    pub async fn collect_all<T: 'static, X>(
        self,
    ) -> Result<Vec<Result<T, TaskError>>, DispatchError>
    where
        S: Source<Job = Job<T, X>>,
    {
        check_os()?;
        let mut slots = Vec::new();
        let mut results = pin!(self.stream());
        while let Some(Done { index, result, .. }) = next(results.as_mut()).await {
            place(&mut slots, index, result);
        }
        Ok(slots.into_iter().flatten().collect())
    }
}

fn check_os() -> Result<(), NoOs> {
    context::current()?.caller().map(|_| ())
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
