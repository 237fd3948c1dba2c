//! What a host has to do for an environment, in paths of its own.

use std::path::PathBuf;

use super::{Environment, EnvironmentError, MirrorMap, Start};
use crate::mirrored::MirroredStorage;
use crate::suffix::Suffix;

/// An [`Environment`] in paths of this host. Nothing has been touched yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    pub(super) start: PlannedStart,
    /// Whether a slot keeps it. A private directory that is kept is known by the plan.
    pub(super) persistent: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum PlannedStart {
    Unchanged,
    Directory(PathBuf),
    Private(Vec<PlannedMirror>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PlannedMirror {
    pub(super) base: PathBuf,
    pub(super) pattern: Suffix,
    pub(super) target: Suffix,
}

impl Environment {
    /// Translates everything to paths of the host whose mirrored storage this is.
    ///
    /// # Errors
    ///
    /// [`EnvironmentError::Translate`] if this host cannot name a path, or must not use its entry.
    pub fn plan(&self, storage: &MirroredStorage) -> Result<Plan, EnvironmentError> {
        let start = match &self.start {
            Start::Unchanged => PlannedStart::Unchanged,
            Start::Directory(directory) => {
                let directory = storage.to_actual(directory);
                PlannedStart::Directory(directory.map_err(EnvironmentError::Translate)?)
            }
            Start::Private(map) => PlannedStart::Private(plan_mirrors(map, storage)?),
        };
        Ok(Plan {
            start,
            persistent: self.persistent,
        })
    }
}

fn plan_mirrors(
    map: &MirrorMap,
    storage: &MirroredStorage,
) -> Result<Vec<PlannedMirror>, EnvironmentError> {
    let planned = map.mirrors.iter().map(|mirror| {
        Ok(PlannedMirror {
            base: storage
                .to_actual(&mirror.base)
                .map_err(EnvironmentError::Translate)?,
            pattern: mirror.pattern.clone(),
            target: mirror.target.clone(),
        })
    });
    planned.collect()
}
