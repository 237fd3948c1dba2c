//! Identities: newtypes for everything that is counted, so that no bare integer crosses an interface.

use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! identity {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
        pub struct $name(pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }
    };
}

identity! {
    /// A microthread of one OS: the scheduler is 0, main is 1, later ones ascend and are never reused.
    Tid(u64)
}
identity! {
    /// A task that was handed to a virtual machine. Names the task, not one attempt to run it; never reused
    /// within a client process.
    TaskId(u64)
}
identity! {
    /// Tasks that need the same tool, as the caller numbers them: what a host lacks, and how long a task usually takes,
    /// is learned for each class by itself.
    ClassId(u32)
}
identity! {
    /// A host of a virtual machine: its position in the machine's list of hosts, stable for the machine's life.
    HostId(u32)
}
identity! {
    /// A slot of one host, counted from 1 as GNU parallel's `{%}` is.
    SlotId(u32)
}
identity! {
    /// Which attempt at a task is meant: rises by one each time the task is handed out anew, so that late and
    /// duplicate messages of an older attempt are recognised and dropped.
    Epoch(u32)
}

impl Epoch {
    /// The epoch of a task's first attempt.
    pub const FIRST: Self = Self(1);

    /// The epoch that follows this one.
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

/// One attempt to run a task: the unit in which work travels to a host and back.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct AttemptId {
    /// The task.
    pub task: TaskId,
    /// Which attempt at it.
    pub epoch: Epoch,
}

impl fmt::Display for AttemptId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.task, self.epoch)
    }
}
