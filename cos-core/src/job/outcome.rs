//! How an attempt ended on its host, and what that means for its task.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{CallEnd, CallFailure, CallReport, TaskError};

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
    /// A file that the command needs could not be sent to it, or one that was asked for is not there. As [`TOO_LONG`](Self::TOO_LONG), it
    /// is not the host's fault.
    pub const NOT_STAGED: Self = Self::Code(125);
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
    /// The call ran, or could not by the fault of a program.
    Call {
        /// The encoded value that it returned, or why there is none.
        result: Result<Bytes, CallFailure>,
        /// What it cost.
        report: CallReport,
    },
    /// The host could not start it at all: no scratch, no process, no shell. The host is to blame.
    NotStarted {
        /// The host's own words.
        cause: String,
    },
    /// The slot's process died under the attempt.
    SlotDied {
        /// How the slot's process ended.
        exit: Exit,
    },
    /// It was stopped because the client asked for it. The end of its process, if it had begun.
    Stopped(Option<CommandEnd>),
}

/// A good end.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum TaskEnd {
    /// The command ended with an exit code that is success.
    Command(CommandEnd),
    /// The call returned a value.
    Call(CallEnd),
}

impl TaskEnd {
    /// How the command ended, if it was one.
    pub fn command(&self) -> Option<&CommandEnd> {
        match self {
            Self::Command(end) => Some(end),
            Self::Call(_) => None,
        }
    }

    /// How the call ended, if it was one.
    pub fn call(&self) -> Option<&CallEnd> {
        match self {
            Self::Command(_) => None,
            Self::Call(end) => Some(end),
        }
    }

    /// From its start to its end on the host's monotonic clock.
    pub fn elapsed(&self) -> Duration {
        match self {
            Self::Command(end) => end.elapsed,
            Self::Call(end) => end.report.elapsed,
        }
    }
}

/// The one thing that comes of a task in the end.
pub type Outcome = Result<TaskEnd, TaskError>;
