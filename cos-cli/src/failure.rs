//! Why a command of `cos` ends early, in words for its user.

use std::io;

use crate::exit_code;
use crate::message::Message;

/// Why a command ends early.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Say this and exit so.
    Said { message: Message, exit_code: u8 },
    /// Write this text as it is, and exit so.
    Rendered { text: String, exit_code: u8 },
    /// Whoever read standard output has gone: say nothing.
    Closed,
}

impl Failure {
    pub(crate) fn usage(message: Message) -> Self {
        Self::Said {
            message,
            exit_code: exit_code::USAGE_ERROR,
        }
    }

    pub(crate) fn internal(message: Message) -> Self {
        Self::Said {
            message,
            exit_code: exit_code::INTERNAL_ERROR,
        }
    }

    /// Standard output cannot be written.
    pub(crate) fn stdout(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::Closed,
            _ => Self::internal(Message::error("cannot write standard output").cause(error)),
        }
    }
}
