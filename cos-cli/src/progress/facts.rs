//! What is known of a run before it begins, and what its jobs are called.

use std::borrow::Cow;

/// What is known of a run before it begins.
#[derive(Debug, Clone)]
pub struct RunFacts {
    /// The run's id.
    pub run: String,
    /// How many jobs there are, where that is known; [`RunView::set_total`](super::RunView::set_total) tells it later.
    pub total: Option<u64>,
    /// Cores that one job takes.
    pub cores: u32,
    /// The hosts, in the order of their [`HostId`](cos_core::ids::HostId)s.
    pub hosts: Vec<HostFacts>,
    /// The run's directory on this computer, as its user would write it.
    pub directory: String,
}

/// What is known of a host before it is reached.
#[derive(Debug, Clone)]
pub struct HostFacts {
    /// Its name as the user wrote it.
    pub name: String,
    /// Its slots, where they are a number.
    pub slots: Option<u32>,
}

/// Finds what a job is called.
pub trait JobLabels {
    /// The command of the job with this index, from 0, as its user would recognise it; `None` when it is not known
    /// (any more). It is escaped and cut by the display.
    fn command(&self, index: u64) -> Option<Cow<'_, [u8]>>;
}

impl<F: Fn(u64) -> Option<Vec<u8>>> JobLabels for F {
    fn command(&self, index: u64) -> Option<Cow<'_, [u8]>> {
        self(index).map(Cow::Owned)
    }
}
