//! Families: which task spawned which, and what the end of a parent's attempt means for its children.
//!
//! A child belongs to one attempt of its parent. When that attempt ends, is lost or is to be stopped, nobody waits for the
//! child any more: it is cancelled, and with it everything below it. A parent that runs again spawns its children anew.

use std::collections::BTreeSet;
use std::time::Duration;

use super::Kernel;
use super::planted::Bug;
use super::request::SubmitError;
use super::task::{Intent, Progress};
use crate::ids::{AttemptId, TaskId};
use crate::time::Time;

/// Parents and their children, as far as both are alive.
#[derive(Default, Debug)]
pub(super) struct Families(BTreeSet<(TaskId, TaskId)>);

impl Families {
    /// `parent` has spawned `child`.
    pub(super) fn insert(&mut self, parent: TaskId, child: TaskId) {
        self.0.insert((parent, child));
    }

    /// `child` has its outcome, or belongs to nobody any more.
    pub(super) fn remove(&mut self, parent: TaskId, child: TaskId) {
        self.0.remove(&(parent, child));
    }

    /// The children of `parent`, oldest first.
    pub(super) fn of(&self, parent: TaskId) -> Vec<TaskId> {
        if self.0.is_empty() {
            return Vec::new();
        }
        self.0
            .range((parent, TaskId(0))..=(parent, TaskId(u64::MAX)))
            .map(|(_, child)| *child)
            .collect()
    }

    /// How many children there are, for the invariants.
    #[cfg(any(test, feature = "sim"))]
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

impl Kernel {
    /// How deep a task is nested that this attempt spawns.
    ///
    /// # Errors
    /// The attempt is not current any more or is to be stopped, or the task would be nested too deep.
    pub(super) fn depth_below(&mut self, parent: Option<AttemptId>) -> Result<u32, SubmitError> {
        let Some(parent) = parent else { return Ok(0) };
        let alive = self.tasks.get(parent.task).filter(|task| {
            task.epoch == parent.epoch
                && task.placed().is_some_and(|placed| {
                    placed.progress != Progress::Sent && !matches!(placed.intent, Intent::Stop(_))
                })
        });
        let Some(task) = alive else {
            self.count_late();
            return Err(SubmitError::ParentGone);
        };
        let limit = self.config.max_depth;
        match task.depth < limit {
            true => Ok(task.depth + 1),
            false => Err(SubmitError::TooDeep { limit }),
        }
    }

    /// Cancels everything below an attempt.
    pub(super) fn cancel_children(&mut self, parent: TaskId, grace: Duration, now: Time) {
        for child in self.families.of(parent) {
            self.families.remove(parent, child);
            if let Some(task) = self.tasks.get_mut(child) {
                task.parent = None;
            }
            if !self.planted(Bug::LeavesOrphans) {
                self.cancel_task(child, grace, now);
            }
        }
    }
}
