//! The environments of one slot, one task after the other.

use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use super::mirroring::mirror;
use super::plan::PlannedStart;
use super::{EnvironmentError, Plan};
use crate::removal::Removal;
use crate::scratch::JobDirectory;

/// So many kept directories a slot has at most; then the one that was used longest ago goes.
const MAX_KEPT: usize = 16;

/// The private directories of one slot, and those that it keeps. Dropped, it removes them; if the
/// slot is killed, the run removes them with its scratch, and the next run if that is killed, too.
#[derive(Debug)]
pub struct SlotEnvironments {
    parent: PathBuf,
    slot: String,
    made: u64,
    /// The one used last at the end.
    kept: Vec<(Plan, JobDirectory)>,
}

/// The environment of a task that runs: where it starts.
#[derive(Debug)]
pub struct Entered {
    directory: Option<PathBuf>,
    private: Option<JobDirectory>,
    /// The plan by which it is kept.
    keep: Option<Plan>,
}

impl Entered {
    /// The directory that the task starts in; `None` where the slot's own serves.
    pub fn directory(&self) -> Option<&Path> {
        self.directory.as_deref()
    }
}

impl SlotEnvironments {
    /// The environments of the slot with this name; private directories are made in `parent`, the
    /// [`jobs_path`](crate::Scratch::jobs_path) of the run's scratch.
    pub fn new(parent: impl Into<PathBuf>, slot: impl Into<String>) -> Self {
        Self {
            parent: parent.into(),
            slot: slot.into(),
            made: 0,
            kept: Vec::new(),
        }
    }

    /// Carries a plan out: afterwards the directory is there with all that belongs in it. Blocks as
    /// long as copying takes.
    ///
    /// # Errors
    ///
    /// [`EnvironmentError`]; what was made is removed then.
    pub fn enter(&mut self, plan: &Plan) -> Result<Entered, EnvironmentError> {
        let rows = match &plan.start {
            PlannedStart::Unchanged => {
                return Ok(Entered {
                    directory: None,
                    private: None,
                    keep: None,
                });
            }
            PlannedStart::Directory(directory) => {
                return Ok(Entered {
                    directory: Some(directory.clone()),
                    private: None,
                    keep: None,
                });
            }
            PlannedStart::Private(rows) => rows,
        };
        let keep = plan.persistent.then(|| plan.clone());
        let kept = self
            .kept
            .iter()
            .position(|(kept, _)| plan.persistent && kept == plan);
        let private = match kept {
            Some(position) => self.kept.remove(position).1,
            None => {
                self.made += 1;
                let name = format!("{}-{}", self.slot, self.made);
                let made = JobDirectory::create_in(&self.parent, &name)
                    .map_err(EnvironmentError::Scratch)?;
                for row in rows {
                    // Dropped, the directory is removed with what is in it by now.
                    mirror(row, made.as_fd())?;
                }
                made
            }
        };
        Ok(Entered {
            directory: Some(private.path().to_owned()),
            private: Some(private),
            keep,
        })
    }

    /// After the task, and all that it has started, has ended: removes its directory, or keeps it.
    pub fn leave(&mut self, entered: Entered) -> Removal {
        match (entered.private, entered.keep) {
            (None, _) => Removal::default(),
            (Some(private), None) => private.remove(),
            (Some(private), Some(plan)) => {
                self.kept.push((plan, private));
                if self.kept.len() > MAX_KEPT {
                    self.kept.remove(0).1.remove()
                } else {
                    Removal::default()
                }
            }
        }
    }

    /// Removes all directories that are kept.
    pub fn clear(&mut self) -> Removal {
        let mut removal = Removal::default();
        for (_, private) in self.kept.drain(..) {
            removal.add(private.remove());
        }
        removal
    }
}
