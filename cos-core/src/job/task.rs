//! A job as a caller hands it over: what to run, what it needs, and what the caller wants to remember with it.

use std::fmt;
use std::sync::Arc;

use super::{CommandEnd, CommandJob, Needs, Outcome, TaskEnd, TaskError, TaskLabel, Work};
use crate::ids::{ClassId, HostId};
use crate::registry::TypedCall;
use crate::vm::local::LOCAL;

/// A job whose good result is a `T`; `X` is the caller's own and comes back with the result.
///
/// There are commands ([`Job::command`], [`Job::captured`]) and calls of typed tasks, which `#[cos::task]` gives a
/// function `job` for. A job does nothing until it is spawned or dispatched. It is `Send` if `X` is.
pub struct Job<T, X = ()> {
    pub(crate) payload: Payload<T>,
    /// Makes the result of what comes back from a host.
    pub(crate) finish: Finish<T>,
    /// Whether the output is to be kept in memory for it.
    pub(crate) captures: bool,
    pub(crate) needs: Needs,
    pub(crate) class: ClassId,
    pub(crate) extra: X,
}

/// What a job executes.
pub(crate) enum Payload<T> {
    /// A command, which only a host executes.
    Command(Arc<Work>),
    /// Nothing, since no job could be made; the cause.
    Invalid(String),
    /// A call of a typed task.
    Call(Box<dyn TypedCall<T>>),
}

/// Makes a result of an outcome and of what was captured. `TaskAt` is asked for only when there is an error to be told.
pub(crate) type Finish<T> = fn(Outcome, CommandOutput, &dyn Fn() -> TaskAt) -> Result<T, TaskError>;

/// Which task, and where it ran.
#[derive(Clone, Debug)]
pub(crate) struct TaskAt {
    pub(crate) task: TaskLabel,
    pub(crate) host: String,
}

impl<T> Payload<T> {
    /// What is handed to a host. `number` is the job's in what is said if it cannot be made.
    pub(crate) fn work(&self, number: u64) -> Result<Arc<Work>, TaskError> {
        match self {
            Self::Command(work) => Ok(Arc::clone(work)),
            Self::Invalid(cause) => Err(TaskError::Invalid {
                cause: cause.clone(),
            }),
            Self::Call(call) => match call.encode() {
                Ok(call) => Ok(Arc::new(Work::Call(call))),
                Err(error) => Err(TaskError::Encode {
                    task: TaskLabel::named(call.name(), number),
                    host: LOCAL.to_owned(),
                    error,
                }),
            },
        }
    }

    /// The name of the typed task, with the path of its module.
    pub(crate) fn name(&self) -> Option<&'static str> {
        match self {
            Self::Command(_) | Self::Invalid(_) => None,
            Self::Call(call) => Some(call.name()),
        }
    }
}

impl Job<CommandEnd> {
    /// A command whose exit status is its result; its output goes to the observers of the OS as it comes.
    pub fn command(command: CommandJob) -> Self {
        let work = Payload::Command(Arc::new(command.into()));
        Self::new(work, |outcome, _, at| command_end(outcome?, at))
    }
}

impl Job<CommandOutput> {
    /// A command whose output is part of its result, up to the job's
    /// [`output_limit`](CommandJob::output_limit) for each stream, in memory.
    pub fn captured(command: CommandJob) -> Self {
        let work = Payload::Command(Arc::new(command.into()));
        let job = Self::new(work, |outcome, captured, at| {
            let end = Some(command_end(outcome?, at)?);
            Ok(CommandOutput { end, ..captured })
        });
        Self {
            captures: true,
            ..job
        }
    }
}

fn command_end(end: TaskEnd, at: &dyn Fn() -> TaskAt) -> Result<CommandEnd, TaskError> {
    match end {
        TaskEnd::Command(end) => Ok(end),
        TaskEnd::Call(_) => Err(of_other_kind(at(), "a value where a command's end was due")),
    }
}

/// A machine gave the end of something else than what it was handed.
pub(crate) fn of_other_kind(TaskAt { task, host }: TaskAt, error: &str) -> TaskError {
    let error = error.to_owned();
    TaskError::Decode { task, host, error }
}

impl<T> Job<T> {
    /// A job that could not be made, and why. It has a place among the others and one outcome,
    /// [`TaskError::Invalid`], at once: a source goes on after what it cannot make a job of.
    pub fn invalid(cause: impl fmt::Display) -> Self {
        let cause = cause.to_string();
        Self::new(Payload::Invalid(cause), |outcome, _, at| match outcome {
            Ok(_) => Err(of_other_kind(at(), "a result where there was no job")),
            Err(error) => Err(error),
        })
    }

    pub(crate) fn new(payload: Payload<T>, finish: Finish<T>) -> Self {
        Self {
            payload,
            finish,
            captures: false,
            needs: Needs::default(),
            class: ClassId(0),
            extra: (),
        }
    }
}

impl<T, X> Job<T, X> {
    /// The same job with what the caller wants back beside its result.
    pub fn extra<Y>(self, extra: Y) -> Job<T, Y> {
        let Self {
            payload,
            finish,
            captures,
            needs,
            class,
            extra: _,
        } = self;
        Job {
            payload,
            finish,
            captures,
            needs,
            class,
            extra,
        }
    }

    /// What it takes and where it may run; one core of any host unless said.
    #[must_use]
    pub fn needs(mut self, needs: Needs) -> Self {
        self.needs = needs;
        self
    }

    /// The one host that may run it.
    #[must_use]
    pub fn on(mut self, host: HostId) -> Self {
        self.needs = self.needs.on(host);
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
        let mut shown = f.debug_struct("Job");
        match &self.payload {
            Payload::Command(work) => shown.field("command", work),
            Payload::Invalid(cause) => shown.field("invalid", cause),
            Payload::Call(call) => shown.field("call", &call.name()),
        };
        shown
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
