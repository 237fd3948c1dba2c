//! What a task takes of a host while it runs.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::ids::HostId;

/// Amounts of a host's resources: what a host has, or what a task takes while it runs.
///
/// Cores come first; memory, GPUs and tokens are further fields of the same table.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Amounts {
    /// Processor cores. A host's slots are its cores as COS may use them; a task takes one unless it says more.
    pub cores: u32,
}

impl Amounts {
    /// So many cores and nothing else.
    pub const fn cores(cores: u32) -> Self {
        Self { cores }
    }

    /// Whether `self` fits into what is free.
    pub fn fits(self, free: Self) -> bool {
        self.cores <= free.cores
    }

    /// What is left when `other` is taken; `None` when it does not fit.
    pub fn checked_sub(self, other: Self) -> Option<Self> {
        Some(Self {
            cores: self.cores.checked_sub(other.cores)?,
        })
    }

    /// Both together.
    pub fn plus(self, other: Self) -> Self {
        Self {
            cores: self.cores.saturating_add(other.cores),
        }
    }
}

impl fmt::Display for Amounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.cores {
            1 => write!(f, "1 core"),
            n => write!(f, "{n} cores"),
        }
    }
}

/// Where a task may run and what it takes there.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Needs {
    /// What it takes of the host.
    pub amounts: Amounts,
    /// Tags that the host must all have.
    pub tags: Vec<String>,
    /// The one host that may run it.
    pub host: Option<HostId>,
}

impl Needs {
    /// A task that takes `cores` cores of any host.
    pub fn cores(cores: u32) -> Self {
        Self {
            amounts: Amounts::cores(cores),
            tags: Vec::new(),
            host: None,
        }
    }

    /// The same, on hosts with this tag only. Several calls ask for all of them.
    #[must_use]
    pub fn tag(mut self, tag: impl Into<String>) -> Self {
        self.tags.push(tag.into());
        self
    }

    /// The same, on this host only.
    #[must_use]
    pub fn on(mut self, host: HostId) -> Self {
        self.host = Some(host);
        self
    }
}

impl Default for Needs {
    fn default() -> Self {
        Self::cores(1)
    }
}
