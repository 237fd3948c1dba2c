//! How a call of a typed task ended on its host.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{Exit, StreamTotals, TaskError, TaskLabel, Usage};

/// What a call cost and left behind, however it ended.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct CallReport {
    /// What its process consumed while it ran, and every child that it waited for. The largest resident set is the
    /// process's own so far: the kernel does not tell it for a part of a process's life.
    pub usage: Usage,
    /// From its start to its end on the host's monotonic clock.
    pub elapsed: Duration,
    /// What it wrote to standard output.
    pub stdout: StreamTotals,
    /// What it wrote to standard error.
    pub stderr: StreamTotals,
    /// How many processes it had left behind, all of which were killed.
    pub left_over: u32,
}

/// A call that returned a value.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct CallEnd {
    /// The encoded value, at most [`VALUE_LIMIT`](crate::encoding::VALUE_LIMIT) bytes.
    pub value: Bytes,
    /// What it cost.
    pub report: CallReport,
}

/// Why a call gave no value.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum CallFailure {
    /// The function returned an error.
    Error {
        /// Its text.
        text: String,
    },
    /// The function panicked.
    Panicked {
        /// The panic's message.
        message: String,
        /// Where in the source, as `src/search.rs:40:9`, if the panic said so.
        location: Option<String>,
    },
    /// The process that ran it ended: by a signal, or because something called `exit`.
    ProcessEnded {
        /// How.
        exit: Exit,
        /// How often the kernel's out-of-memory killer struck in the slot's memory group meanwhile, where that can be
        /// known.
        out_of_memory_kills: u32,
    },
    /// The program on the host has no such task, or another one of that name.
    NotRegistered(Mismatch),
    /// The arguments do not decode there.
    Undecodable {
        /// Why.
        error: String,
    },
    /// The value does not encode there.
    Unencodable {
        /// Why.
        error: String,
    },
}

/// How a worker's program differs from the client's.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum Mismatch {
    /// It has no task of that name.
    Missing,
    /// Its task of that name has another signature.
    Signature,
}

impl fmt::Display for CallFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Error { text } => f.write_str(text),
            Self::Panicked { message, location } => {
                f.write_str("panicked")?;
                if let Some(location) = location {
                    write!(f, " at {location}")?;
                }
                write!(f, ": {message}")
            }
            Self::ProcessEnded {
                exit: Exit::Code(code),
                ..
            } => write!(f, "exited {code} without a result"),
            Self::ProcessEnded {
                exit,
                out_of_memory_kills,
            } => match out_of_memory_kills {
                0 => write!(f, "{exit}"),
                _ => write!(f, "{exit}, likely out of memory"),
            },
            Self::NotRegistered(Mismatch::Missing) => {
                f.write_str("the program there has no such task")
            }
            Self::NotRegistered(Mismatch::Signature) => {
                f.write_str("the program there has this task with another signature")
            }
            Self::Undecodable { error } => f.write_str(error),
            Self::Unencodable { error } => f.write_str(error),
        }
    }
}

impl CallFailure {
    /// Whether a further try may end otherwise: not where the programs or their types are at fault.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Error { .. } | Self::Panicked { .. } | Self::ProcessEnded { .. } => true,
            Self::NotRegistered(_) | Self::Undecodable { .. } | Self::Unencodable { .. } => false,
        }
    }

    /// The error of a task whose last try failed so.
    pub fn into_error(self, task: TaskLabel, host: String, tries: u32) -> TaskError {
        match self {
            Self::Error { text } => TaskError::Failed {
                task,
                host,
                error: text,
                tries,
            },
            Self::Panicked { message, location } => TaskError::Panicked {
                task,
                host,
                message,
                location,
                tries,
            },
            Self::ProcessEnded { exit, .. } => TaskError::Exited {
                task,
                host,
                exit,
                tries,
            },
            Self::NotRegistered(mismatch) => TaskError::NotRegistered {
                task,
                host,
                mismatch,
            },
            Self::Undecodable { error } => TaskError::Decode { task, host, error },
            Self::Unencodable { error } => TaskError::Encode { task, host, error },
        }
    }
}
