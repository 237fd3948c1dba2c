//! How an attempt ended on its host, and what that means for its task.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// How a process ended.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum Exit {
    /// It exited with this code, 0 to 255.
    Code(i32),
    /// A signal with this number ended it.
    Signal(i32),
}

impl Exit {
    /// A shell says so when the command was found but could not be executed.
    pub const NOT_EXECUTABLE: Self = Self::Code(126);
    /// A shell says so when there is no such command.
    pub const NOT_FOUND: Self = Self::Code(127);
    /// The command line is longer than any kernel takes. `env` and `timeout` say so when they fail themselves; it is
    /// neither 126 nor 127, since no other host would do better.
    pub const TOO_LONG: Self = Self::Code(125);
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(f, "exit {code}"),
            Self::Signal(signal) => match signal_name(*signal) {
                Some(name) => f.write_str(name),
                None => write!(f, "signal {signal}"),
            },
        }
    }
}

fn signal_name(number: i32) -> Option<&'static str> {
    Some(match number {
        1 => "SIGHUP",
        2 => "SIGINT",
        3 => "SIGQUIT",
        4 => "SIGILL",
        5 => "SIGTRAP",
        6 => "SIGABRT",
        7 => "SIGBUS",
        8 => "SIGFPE",
        9 => "SIGKILL",
        11 => "SIGSEGV",
        13 => "SIGPIPE",
        14 => "SIGALRM",
        15 => "SIGTERM",
        24 => "SIGXCPU",
        25 => "SIGXFSZ",
        31 => "SIGSYS",
        _ => return None,
    })
}

/// What a command consumed, as `wait4` tells it: the command and every descendant that it waited for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Usage {
    /// Time in user mode.
    pub user: Duration,
    /// Time in the kernel.
    pub system: Duration,
    /// Largest resident set, in KiB.
    pub max_resident_kib: u64,
}

/// The bytes of one output stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct StreamTotals {
    /// Bytes that the command wrote.
    pub seen: u64,
    /// Bytes that were sent back: `seen`, or the job's limit where that is less.
    pub sent: u64,
}

/// How a command job ended.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct CommandEnd {
    /// The exit code or signal of the command.
    pub exit: Exit,
    /// What it consumed.
    pub usage: Usage,
    /// From its start to its end on the host's monotonic clock.
    pub elapsed: Duration,
    /// Its standard output.
    pub stdout: StreamTotals,
    /// Its standard error.
    pub stderr: StreamTotals,
    /// How many processes it had left behind, all of which were killed.
    pub left_over: u32,
    /// How often the kernel's out-of-memory killer struck in the slot's memory group while it ran, where that can be known.
    pub out_of_memory_kills: u32,
}

impl CommandEnd {
    /// The end of a command that could not be executed by its own fault, and of whose explanation on standard error so
    /// much was sent.
    pub fn not_executed(exit: Exit, stderr: StreamTotals) -> Self {
        Self {
            exit,
            usage: Usage::default(),
            elapsed: Duration::ZERO,
            stdout: StreamTotals::default(),
            stderr,
            left_over: 0,
            out_of_memory_kills: 0,
        }
    }
}

/// What an agent reports of one attempt.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum AttemptResult {
    /// The command ran and ended.
    Command(CommandEnd),
    /// The host could not start the command at all: no scratch, no process, no shell. The host is to blame.
    NotStarted {
        /// The host's own words.
        cause: String,
    },
    /// The slot's process died under the attempt.
    SlotDied {
        /// How the slot's process ended.
        exit: Exit,
    },
    /// It was stopped because the client asked for it. The command's end, if it had begun.
    Stopped(Option<CommandEnd>),
}

/// A duration in seconds for a message, to the millisecond: `60`, `0.5`.
pub(crate) fn seconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1000.0).round() / 1000.0
}

/// The one thing that comes of a task in the end.
pub type Outcome = Result<CommandEnd, TaskError>;

/// Why a task has no good result. Each names the host where one is to be named.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum TaskError {
    /// The command ended with an exit code that is no success, or by a signal, on its last try.
    #[error("{} on {host}", end.exit)]
    Failed {
        /// Where the last try ran.
        host: String,
        /// How it ended.
        end: CommandEnd,
        /// How many tries were made.
        tries: u32,
    },
    /// The task took longer than it may.
    #[error("timed out after {} s on {host}", seconds(*after))]
    TimedOut {
        /// Where it ran.
        host: String,
        /// Its limit.
        after: Duration,
        /// The command's end after it was stopped.
        end: Option<CommandEnd>,
        /// How many tries were made.
        tries: u32,
    },
    /// It ran on hosts that crashed or were lost, and would take down more.
    #[error("quarantined after {crashes} crashes, the last on {host}: {cause}")]
    Quarantined {
        /// Where the last attempt ran.
        host: String,
        /// How many attempts were lost while running.
        crashes: u32,
        /// What ended the last one.
        cause: String,
    },
    /// No host is left that could run it.
    #[error("not run: {cause}")]
    NoHostLeft {
        /// Why not.
        cause: String,
    },
    /// Every host says that the command is not there (exit 126 or 127).
    #[error("{exit} on every host: the command is not there")]
    CommandMissing {
        /// What the hosts said.
        exit: Exit,
    },
    /// No job could be made of what the caller gave; it never left this process.
    #[error("no job can be made of it: {cause}")]
    Invalid {
        /// Why not.
        cause: String,
    },
    /// It was cancelled, by the caller or because the run stopped.
    #[error("cancelled")]
    Cancelled {
        /// The command's end if it was running.
        end: Option<CommandEnd>,
    },
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
                host: "ws01".to_owned(),
                after,
                end: None,
                tries: 1,
            };
            assert_eq!(error.to_string(), expected);
        }
    }
}
