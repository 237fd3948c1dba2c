//! What a caller submits: a job, what it needs, and how far COS goes for it.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::ids::{AttemptId, ClassId, HostId};
use crate::job::{Amounts, Exit, Needs, Work};

/// A task that is to be run on some host.
#[derive(Clone, Debug)]
pub struct TaskRequest {
    /// The caller's own number for it, given back in every event.
    pub index: u64,
    /// What to run.
    pub work: Arc<Work>,
    /// The attempt that spawned it, and that it ends with; `None` for the client's own tasks.
    pub parent: Option<AttemptId>,
    /// Where it may run and what it takes there. A task that asks for no core takes one.
    pub needs: Needs,
    /// Which tasks need the same tool as this one.
    pub class: ClassId,
    /// How far COS goes for it.
    pub policy: TaskPolicy,
}

/// How far COS goes for a task.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct TaskPolicy {
    /// How many tries it has in all; 0 counts as 1. A failure or a timeout uses one, a lost host does not.
    pub tries: u32,
    /// How long one try may take.
    pub limit: TimeLimit,
    /// Which exit codes are success.
    pub success: ExitCodes,
    /// Whether it may wait on a host behind other tasks.
    pub prefetch: Prefetch,
}

impl Default for TaskPolicy {
    /// One try of any length, exit 0, never waiting on a host.
    fn default() -> Self {
        Self {
            tries: 1,
            limit: TimeLimit::Never,
            success: ExitCodes::ZERO,
            prefetch: Prefetch::Never,
        }
    }
}

/// Whether a task may be sent to a host before it can start there.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum Prefetch {
    /// It is sent only where it starts at once.
    Never,
    /// It may wait on a host whose tasks are short against the round trip, and comes back when another host is idle.
    Allowed,
}

/// How long a try may take, from the moment the host says that it has started.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum TimeLimit {
    /// As long as it likes.
    Never,
    /// So long.
    After(Duration),
    /// This percentage of the median of its class's successes, from the tenth on; at least a second.
    OfMedian(u32),
}

/// A set of exit codes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ExitCodes([u64; 4]);

impl ExitCodes {
    /// Code 0 alone.
    pub const ZERO: Self = Self([1, 0, 0, 0]);
    /// No code at all.
    pub const NONE: Self = Self([0; 4]);

    /// The set with `code` in it.
    #[must_use]
    pub const fn with(mut self, code: u8) -> Self {
        self.0[(code / 64) as usize] |= 1 << (code % 64);
        self
    }

    /// Whether a process that ended so ended well. A signal is never success.
    pub fn contains(&self, exit: Exit) -> bool {
        match exit {
            Exit::Code(code) => u8::try_from(code)
                .is_ok_and(|code| self.0[usize::from(code / 64)] >> (code % 64) & 1 == 1),
            Exit::Signal(_) => false,
        }
    }
}

impl FromIterator<u8> for ExitCodes {
    fn from_iter<I: IntoIterator<Item = u8>>(codes: I) -> Self {
        codes.into_iter().fold(Self::NONE, Self::with)
    }
}

/// Why a task was not accepted: it could never run.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum SubmitError {
    /// There is no such host.
    #[error("there is no host number {0}")]
    UnknownHost(HostId),
    /// No host has all the tags.
    #[error("no enabled host has {}", tag_list(tags))]
    NoSuchTag {
        /// The tags that were asked for.
        tags: Vec<String>,
        /// Every tag that some host has.
        known: Vec<String>,
    },
    /// Every host that may run it is known, and none is that large.
    #[error("it needs {needed}, the largest host that may run it has {largest}")]
    TooLarge {
        /// What it takes.
        needed: Amounts,
        /// What the largest such host has.
        largest: Amounts,
    },
    /// Every host that may run it is gone for good.
    #[error("no host is left: {cause}")]
    NoHostLeft {
        /// What became of them.
        cause: String,
    },
    /// The attempt that spawned it has ended, was lost or is to be stopped.
    #[error("the task that spawned it has ended")]
    ParentGone,
    /// It is nested too deep: a task that spawns itself without end would fill every host with processes that wait.
    #[error("tasks are nested {limit} deep: does one of them spawn itself without end?")]
    TooDeep {
        /// The deepest that a task may be nested.
        limit: u32,
    },
    /// The kernel takes no tasks any more.
    #[error("no task is accepted any more")]
    Stopping,
}

fn tag_list(tags: &[String]) -> String {
    let quoted: Vec<_> = tags.iter().map(|tag| format!("`{tag}`")).collect();
    match quoted.as_slice() {
        [one] => format!("tag {one}"),
        several => format!("all of the tags {}", several.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_are_a_set_of_bytes() {
        let codes: ExitCodes = [0, 1, 255].into_iter().collect();
        for code in -1..300 {
            assert_eq!(
                codes.contains(Exit::Code(code)),
                [0, 1, 255].contains(&code),
                "{code}"
            );
        }
        assert!(!codes.contains(Exit::Signal(1)));
        assert!(!ExitCodes::NONE.contains(Exit::Code(0)));
    }
}
