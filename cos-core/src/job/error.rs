//! Why a task has no good result.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::work::short_name;
use super::{CommandEnd, Exit, Mismatch, Outcome, Work};
use crate::ids::{TaskId, Tid};

/// Which task an error is about: `search(7)` for a typed task. Empty for a command, which its caller numbers itself.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(from = "Option<(String, u64)>", into = "Option<(String, u64)>")]
pub struct TaskLabel(Option<(Arc<str>, u64)>);

impl From<Option<(String, u64)>> for TaskLabel {
    fn from(label: Option<(String, u64)>) -> Self {
        Self(label.map(|(name, number)| (name.into(), number)))
    }
}

impl From<TaskLabel> for Option<(String, u64)> {
    fn from(label: TaskLabel) -> Self {
        label
            .0
            .map(|(name, number)| (name.as_ref().to_owned(), number))
    }
}

impl TaskLabel {
    /// The label of work that was outsourced.
    pub fn of(work: &Work, task: TaskId) -> Self {
        match work {
            Work::Command(_) => Self(None),
            Work::Call(call) => Self::named(&call.task, task.0),
        }
    }

    /// The label of a call that runs in a microthread here.
    pub fn local(name: &str, tid: Tid) -> Self {
        Self::named(name, tid.0)
    }

    /// The label of the task of this name, with or without the path of its module, and of this number.
    pub fn named(name: &str, number: u64) -> Self {
        Self(Some((short_name(name).into(), number)))
    }

    /// The same if there is a name; what is said of a command needs none.
    pub(crate) fn maybe(name: Option<&str>, number: u64) -> Self {
        name.map_or_else(Self::default, |name| Self::named(name, number))
    }

    /// The task's own name; `None` for a command.
    pub fn name(&self) -> Option<&str> {
        self.0.as_ref().map(|(name, _)| &**name)
    }

    /// The number of the task: its [`TaskId`] where it was outsourced, else the [`Tid`] of its microthread; `None` for a
    /// command.
    pub fn number(&self) -> Option<u64> {
        self.0.as_ref().map(|(_, number)| *number)
    }

    /// The label and a colon before what is said of it; nothing for a command.
    fn colon(&self) -> impl fmt::Display + '_ {
        struct Colon<'a>(&'a TaskLabel);
        impl fmt::Display for Colon<'_> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match &self.0.0 {
                    Some(_) => write!(f, "{}: ", self.0),
                    None => Ok(()),
                }
            }
        }
        Colon(self)
    }
}

impl fmt::Display for TaskLabel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some((name, number)) => write!(f, "{name}({number})"),
            None => f.write_str("command"),
        }
    }
}

/// Why a task has no good result. Each names the task and the host, where there is one to be named.
#[derive(Clone, PartialEq, Eq, Debug, Error, Serialize, Deserialize)]
#[non_exhaustive]
pub enum TaskError {
    /// The command ended with an exit code that is no success, or by a signal, on its last try.
    #[error("{} on {host}", end.exit)]
    CommandFailed {
        /// Where the last try ran.
        host: String,
        /// How it ended.
        end: CommandEnd,
        /// How many tries were made.
        tries: u32,
    },
    /// The function returned an error, on its last try.
    #[error("{task} on {host}: {error}")]
    Failed {
        /// Which task.
        task: TaskLabel,
        /// Where the last try ran.
        host: String,
        /// The text of the error.
        error: String,
        /// How many tries were made.
        tries: u32,
    },
    /// The function panicked, on its last try.
    #[error("{task} on {host}: panicked{}: {message}", at(location.as_deref()))]
    Panicked {
        /// Which task.
        task: TaskLabel,
        /// Where the last try ran.
        host: String,
        /// The panic's message.
        message: String,
        /// Where in the source, as `src/search.rs:40:9`, if the panic said so.
        location: Option<String>,
        /// How many tries were made.
        tries: u32,
    },
    /// Something ended the process of the call in an orderly way, as by `std::process::exit`, on its last try.
    #[error("{task} on {host}: {exit} without a result")]
    Exited {
        /// Which task.
        task: TaskLabel,
        /// Where the last try ran.
        host: String,
        /// How the process ended.
        exit: Exit,
        /// How many tries were made.
        tries: u32,
    },
    /// The task took longer than it may.
    #[error("{}timed out after {} s on {host}", task.colon(), seconds(*after))]
    TimedOut {
        /// Which task.
        task: TaskLabel,
        /// Where it ran.
        host: String,
        /// Its limit.
        after: Duration,
        /// The end of its process after it was stopped.
        end: Option<CommandEnd>,
        /// How many tries were made.
        tries: u32,
    },
    /// It ran on hosts that crashed or were lost, or its process crashed, and it would take down more.
    #[error("{}quarantined after {crashes} crashes, the last on {host}: {cause}", task.colon())]
    Quarantined {
        /// Which task.
        task: TaskLabel,
        /// Where the last attempt ran.
        host: String,
        /// How many attempts were lost while running.
        crashes: u32,
        /// What ended the last one.
        cause: String,
    },
    /// It was lost with its host while it ran, and no host is left that could run it again.
    #[error("{}lost with {host} (attempts: {attempts}), and no other host can run it: {cause}", task.colon())]
    HostLost {
        /// Which task.
        task: TaskLabel,
        /// Where it ran last.
        host: String,
        /// How many of its attempts were lost while they ran.
        attempts: u32,
        /// Why no other host can run it.
        cause: String,
    },
    /// No host is left that could run it.
    #[error("{}not run: {cause}", task.colon())]
    NoHostLeft {
        /// Which task.
        task: TaskLabel,
        /// Why not.
        cause: String,
    },
    /// Every host says that the command is not there (exit 126 or 127).
    #[error("{exit} on every host: the command is not there")]
    CommandMissing {
        /// What the hosts said.
        exit: Exit,
    },
    /// The program on the host does not know the task, or knows another one of that name: it is another build.
    #[error("{task} on {host}: {}", mismatch_text(*mismatch))]
    NotRegistered {
        /// Which task.
        task: TaskLabel,
        /// Where.
        host: String,
        /// How the programs differ.
        mismatch: Mismatch,
    },
    /// The arguments, or the value on its host, cannot be encoded: `Serialize` failed, or they are too large.
    #[error("{task} on {host}: {error}")]
    Encode {
        /// Which task.
        task: TaskLabel,
        /// Where.
        host: String,
        /// Why.
        error: String,
    },
    /// The arguments on the host, or the value here, do not decode: `Deserialize` does not read what `Serialize` wrote.
    #[error("{task} on {host}: {error}")]
    Decode {
        /// Which task.
        task: TaskLabel,
        /// Where.
        host: String,
        /// Why.
        error: String,
    },
    /// No job could be made of what the caller gave; it never left this process.
    #[error("no job can be made of it: {cause}")]
    Invalid {
        /// Why not.
        cause: String,
    },
    /// It was cancelled, by the caller or because the run stopped.
    #[error("{}cancelled", task.colon())]
    Cancelled {
        /// Which task.
        task: TaskLabel,
        /// The end of its process if it was running.
        end: Option<CommandEnd>,
    },
    /// Its result was taken by another join.
    #[error("the result of task {tid} was already joined")]
    AlreadyJoined {
        /// Whose.
        tid: Tid,
    },
}

impl TaskError {
    /// How the command ended that failed, or the process that was stopped.
    pub fn command_end(&self) -> Option<&CommandEnd> {
        match self {
            Self::CommandFailed { end, .. } => Some(end),
            Self::TimedOut { end, .. } | Self::Cancelled { end, .. } => end.as_ref(),
            _ => None,
        }
    }
}

/// How the command of a task ended, or its process that was stopped; `None` for a call and for what never ran.
pub fn command_end(outcome: &Outcome) -> Option<&CommandEnd> {
    match outcome {
        Ok(end) => end.command(),
        Err(error) => error.command_end(),
    }
}

fn at(location: Option<&str>) -> String {
    location.map_or_else(String::new, |location| format!(" at {location}"))
}

/// A duration in seconds for a message, to the millisecond: `60`, `0.5`.
pub(crate) fn seconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1000.0).round() / 1000.0
}

fn mismatch_text(mismatch: Mismatch) -> &'static str {
    match mismatch {
        Mismatch::Missing => {
            "the program there has no such task; is it another build of this one, or a [worker] of hosts.toml \
             that is out of date?"
        }
        Mismatch::Signature => {
            "the program there has this task with another signature; is it another build of this one, or a \
             [worker] of hosts.toml that is out of date?"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_told_as_they_were_given() {
        for (after, expected) in [
            (Duration::from_secs(60), "timed out after 60 s on ws01"),
            (Duration::from_millis(500), "timed out after 0.5 s on ws01"),
            (
                Duration::from_nanos(1_234_567_891),
                "timed out after 1.235 s on ws01",
            ),
        ] {
            let error = TaskError::TimedOut {
                task: TaskLabel::default(),
                host: "ws01".to_owned(),
                after,
                end: None,
                tries: 1,
            };
            assert_eq!(error.to_string(), expected);
        }
    }

    #[test]
    fn a_typed_task_is_named_by_function_and_number() {
        let task = TaskLabel::named("tool::search::point", 7);
        let error = TaskError::Quarantined {
            task: task.clone(),
            host: "ws03".to_owned(),
            crashes: 3,
            cause: "ws03: SIGSEGV".to_owned(),
        };
        assert_eq!(
            error.to_string(),
            "point(7): quarantined after 3 crashes, the last on ws03: ws03: SIGSEGV"
        );
        let error = TaskError::Panicked {
            task,
            host: "ws03".to_owned(),
            message: "boom".to_owned(),
            location: Some("src/search.rs:40:9".to_owned()),
            tries: 1,
        };
        assert_eq!(
            error.to_string(),
            "point(7) on ws03: panicked at src/search.rs:40:9: boom"
        );
    }
}
