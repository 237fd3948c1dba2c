//! How the jobs of a dispatch are to be run.

use crate::ids::HostId;
use crate::kernel::{Prefetch, TaskPolicy};

/// How the jobs of a dispatch are to be run.
#[derive(Clone, Debug)]
pub(super) struct Options {
    pub(super) place: Place,
    pub(super) policy: TaskPolicy,
    pub(super) host: Option<HostId>,
    /// At most so many jobs under way.
    pub(super) window: Option<usize>,
    /// At most so many jobs that wait on hosts, for each slot.
    pub(super) prefetch: Option<usize>,
}

/// Where jobs run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Place {
    /// On hosts, if the OS has a machine.
    Remote,
    /// In microthreads here.
    Local,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            place: Place::Remote,
            policy: TaskPolicy {
                prefetch: Prefetch::Allowed,
                ..TaskPolicy::default()
            },
            host: None,
            window: None,
            prefetch: None,
        }
    }
}
