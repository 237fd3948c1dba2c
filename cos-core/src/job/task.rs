//! A job as a caller hands it over: what to run, what it needs, and what the caller wants to remember with it.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use super::{CommandEnd, CommandJob, Needs, Outcome, TaskError};
use crate::ids::ClassId;

/// A job whose good result is a `T`; `X` is the caller's own and comes back with the result.
pub struct Job<T, X = ()> {
    /// What is to be run, or why there is nothing.
    pub(crate) command: Result<Arc<CommandJob>, TaskError>,
    pub(crate) needs: Needs,
    pub(crate) class: ClassId,
    pub(crate) extra: X,
    result: PhantomData<fn() -> T>,
}

impl Job<CommandEnd> {
    /// A command whose exit status is its result; its output goes to the observers of the OS as it comes.
    pub fn command(command: CommandJob) -> Self {
        Self::new(Ok(Arc::new(command)))
    }
}

impl Job<CommandOutput> {
    /// A command whose output is part of its result, up to the job's
    /// [`output_limit`](CommandJob::output_limit) for each stream, in memory.
    pub fn captured(command: CommandJob) -> Self {
        Self::new(Ok(Arc::new(command)))
    }
}

impl<T> Job<T> {
    /// A job that could not be made, and why. It has a place among the others and one outcome,
    /// [`TaskError::Invalid`], at once: a source goes on after what it cannot make a job of.
    pub fn invalid(cause: impl fmt::Display) -> Self {
        let cause = cause.to_string();
        Self::new(Err(TaskError::Invalid { cause }))
    }

    fn new(command: Result<Arc<CommandJob>, TaskError>) -> Self {
        Self {
            command,
            needs: Needs::default(),
            class: ClassId(0),
            extra: (),
            result: PhantomData,
        }
    }
}

impl<T, X> Job<T, X> {
    /// The same job with what the caller wants back beside its result.
    pub fn extra<Y>(self, extra: Y) -> Job<T, Y> {
        let Self {
            command,
            needs,
            class,
            extra: _,
            result,
        } = self;
        Job {
            command,
            needs,
            class,
            extra,
            result,
        }
    }

    /// What it takes and where it may run; one core of any host unless said.
    #[must_use]
    pub fn needs(mut self, needs: Needs) -> Self {
        self.needs = needs;
        self
    }

    /// Which jobs need the same tool: a host that lacks it (exit 126 or 127) is left out for jobs of this class alone.
    #[must_use]
    pub fn class(mut self, class: ClassId) -> Self {
        self.class = class;
        self
    }
}

impl<T, X: fmt::Debug> fmt::Debug for Job<T, X> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Job")
            .field("command", &self.command)
            .field("needs", &self.needs)
            .field("class", &self.class)
            .field("extra", &self.extra)
            .finish()
    }
}

/// What a command wrote, as far as its job's limit allowed.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct CommandOutput {
    /// How it ended.
    pub end: Option<CommandEnd>,
    /// Its standard output.
    pub stdout: Vec<u8>,
    /// Its standard error.
    pub stderr: Vec<u8>,
}

/// A type that a command job can give.
pub trait CommandResult: Sized {
    /// Whether the output is to be kept in memory for it.
    const CAPTURES: bool;

    /// Makes the result of an outcome and of what was captured.
    ///
    /// # Errors
    /// The task's own error.
    fn from_outcome(outcome: Outcome, captured: CommandOutput) -> Result<Self, TaskError>;
}

impl CommandResult for CommandEnd {
    const CAPTURES: bool = false;

    fn from_outcome(outcome: Outcome, _: CommandOutput) -> Result<Self, TaskError> {
        outcome
    }
}

impl CommandResult for CommandOutput {
    const CAPTURES: bool = true;

    fn from_outcome(outcome: Outcome, captured: CommandOutput) -> Result<Self, TaskError> {
        outcome.map(|end| Self {
            end: Some(end),
            ..captured
        })
    }
}
