//! What an attempt executes on its host: a command, or a call of a function of the client's program.

use std::borrow::Cow;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::CommandJob;

/// What an attempt executes.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum Work {
    /// A command, by a slot that starts processes.
    Command(CommandJob),
    /// A call of a typed task, by a slot that is a process of the program that defined it.
    Call(Call),
}

impl Work {
    /// The command, if it is one.
    pub fn command(&self) -> Option<&CommandJob> {
        match self {
            Self::Command(command) => Some(command),
            Self::Call(_) => None,
        }
    }

    /// The call, if it is one.
    pub fn call(&self) -> Option<&Call> {
        match self {
            Self::Command(_) => None,
            Self::Call(call) => Some(call),
        }
    }
}

impl From<CommandJob> for Work {
    fn from(command: CommandJob) -> Self {
        Self::Command(command)
    }
}

impl From<Call> for Work {
    fn from(call: Call) -> Self {
        Self::Call(call)
    }
}

/// A call of a typed task as it travels to a host.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Call {
    /// The name of the task: the path of its module and its own name, as `tool::search::point`.
    pub task: Cow<'static, str>,
    /// Of the task's signature: a program in which it differs refuses the call.
    pub fingerprint: u64,
    /// The encoded arguments, at most [`VALUE_LIMIT`](crate::encoding::VALUE_LIMIT) bytes.
    pub arguments: Bytes,
}

impl Call {
    /// The task's own name, without the path of its module.
    pub fn short_name(&self) -> &str {
        short_name(&self.task)
    }
}

/// The last part of a path of modules.
pub(crate) fn short_name(path: &str) -> &str {
    path.rsplit("::").next().unwrap_or(path)
}
