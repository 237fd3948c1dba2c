//! The work environment of a task: the directory it starts in, and the files it finds there.
//!
//! A task either starts in a directory that is mirrored, or in a private one on the host's local
//! storage, into which files are copied from mirrored storage before it begins. What is wanted is an
//! [`Environment`], which travels; a host makes a [`Plan`] of it, in which every path is one of its
//! own; [`SlotEnvironments`] carries plans out, one task after the other.
//!
//! ```text
//! spawner   /foo/circuits/*.net -> "."          MirrorMap    (in mirrored storage entry 0)
//! wire      [0]/circuits, *.net -> "."          Environment
//! host      /d1/circuits, *.net -> "."          Plan
//!           /var/tmp/cos-ana/run-7kq2-91c2b04d/jobs/slot3-1/amp.net
//! ```
//!
//! Never do two tasks share a private directory, and never is one used that an earlier run has left: it is
//! made new, and what cannot be made new is an error. With [`Environment::persistent`] a slot keeps its
//! directory for later tasks that want the same environment; files are copied only for the first.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::abstract_path::AbstractPath;
use crate::mirrored::MirroredStorage;
use crate::suffix::Suffix;

mod error;
mod mirroring;
mod name_pattern;
mod plan;
mod slot;
#[cfg(test)]
mod tests;

pub use error::EnvironmentError;
pub use plan::Plan;
pub use slot::{Entered, SlotEnvironments};

/// Where a task starts and what it finds there; the same for every host.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Environment {
    start: Start,
    persistent: bool,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
enum Start {
    /// Where the slot is.
    #[default]
    Unchanged,
    Directory(AbstractPath),
    Private(MirrorMap),
}

impl Environment {
    /// Tasks start where their slot is.
    pub fn new() -> Self {
        Self::default()
    }

    /// Tasks start in this directory, which every host has.
    pub fn startup_directory(directory: AbstractPath) -> Self {
        Self {
            start: Start::Directory(directory),
            persistent: false,
        }
    }

    /// Each task starts in a private directory, with copies of what `map` names.
    pub fn mirrored(map: MirrorMap) -> Self {
        Self {
            start: Start::Private(map),
            persistent: false,
        }
    }

    /// A slot keeps the private directory for the next task that wants the same environment, as the
    /// last one has left it. Files are copied once.
    #[must_use]
    pub fn persistent(self) -> Self {
        Self {
            persistent: true,
            ..self
        }
    }
}

/// Which files of mirrored storage are copied where into a private directory.
///
/// ```
/// use cos_storage::{MirroredStorage, environment::{Environment, MirrorMap}};
///
/// # let shared = tempfile::tempdir()?;
/// # std::fs::create_dir(shared.path().join("models"))?;
/// let storage = MirroredStorage::new([shared.path()])?;
/// let mut map = MirrorMap::new();
/// map.mirror(&storage, shared.path().join("circuits/*.net"), ".")?;
/// map.mirror(&storage, shared.path().join("models"), "lib")?;
/// let environment = Environment::mirrored(map).persistent();
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct MirrorMap {
    mirrors: Vec<Mirror>,
}

/// One row of a mirror map.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct Mirror {
    /// The part of the source that holds no pattern.
    base: AbstractPath,
    /// The rest of the source; empty where it is the base itself that is copied.
    pattern: Suffix,
    /// The directory that copies go to, below the private one.
    target: Suffix,
}

impl MirrorMap {
    /// A map without rows: the private directory is empty.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds what `source` names on this host, in the mirrored `storage`, to be copied into the directory
    /// `target` below the private one (`.` is the private one itself) under its own name.
    ///
    /// In `source` the patterns `*`, `?`, `[ab]`, `[a-z]` and `[!a]` stand for parts of one name each,
    /// as in a shell; a name that begins with a dot is matched by a pattern that does. `[*]` is a star.
    /// A directory is copied with all that is in it. Files are looked for when a task starts, on its host.
    ///
    /// # Errors
    ///
    /// [`EnvironmentError`] if `source` is not in mirrored storage, or `target` leads out of the private
    /// directory.
    pub fn mirror(
        &mut self,
        storage: &MirroredStorage,
        source: impl AsRef<Path>,
        target: impl AsRef<Path>,
    ) -> Result<(), EnvironmentError> {
        let source = source.as_ref();
        let (base, pattern) = name_pattern::split(source);
        let pattern = Suffix::of(pattern).map_err(EnvironmentError::Suffix)?;
        name_pattern::check(source, &pattern)?;
        self.mirrors.push(Mirror {
            base: storage
                .to_abstract(base)
                .map_err(EnvironmentError::Translate)?,
            pattern,
            target: Suffix::of(target).map_err(EnvironmentError::Suffix)?,
        });
        Ok(())
    }
}
