//! The mirrored storage of this process, which translates paths where no list is handed around.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use crate::abstract_path::AbstractPath;
use crate::error::{EntryListError, TranslateError};
use crate::mirrored::{MIRRORED_STORAGE_VARIABLE, MirroredStorage};

static STORAGE: RwLock<Option<Arc<MirroredStorage>>> = RwLock::new(None);

/// The mirrored storage of this process: what [`set_process_storage`] was given, else what
/// `PARALLEL_MIRRORED_STORAGE` names, else the user's home directory. Read once.
///
/// # Errors
///
/// `InvalidInput` if the variable names what can be no list.
pub fn process_storage() -> io::Result<Arc<MirroredStorage>> {
    if let Some(storage) = &*STORAGE.read().unwrap_or_else(PoisonError::into_inner) {
        return Ok(Arc::clone(storage));
    }
    let mistake = |error: EntryListError| {
        io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("{MIRRORED_STORAGE_VARIABLE}: {error}"),
        )
    };
    let storage = match MirroredStorage::from_environment().map_err(mistake)? {
        Some(storage) => storage,
        None => MirroredStorage::home()
            .map_err(|error| io::Error::new(io::ErrorKind::NotFound, error))?,
    };
    let mut process = STORAGE.write().unwrap_or_else(PoisonError::into_inner);
    // Another thread may have been first, or somebody may have set one: that one counts.
    Ok(Arc::clone(process.get_or_insert_with(|| Arc::new(storage))))
}

/// Gives this process another mirrored storage: on a host, the one whose entries were proven.
pub fn set_process_storage(storage: MirroredStorage) {
    let mut process = STORAGE.write().unwrap_or_else(PoisonError::into_inner);
    *process = Some(Arc::new(storage));
}

/// Translates a path of this host to one that every host understands, by the
/// [`process_storage`]. See [`MirroredStorage::to_abstract`].
///
/// # Errors
///
/// An [`io::Error`] around the [`TranslateError`]: `NotFound` where no entry holds the path.
pub fn to_abstract_path(path: impl AsRef<Path>) -> io::Result<AbstractPath> {
    process_storage()?.to_abstract(path).map_err(io_error)
}

/// Translates a path that any host may have sent to the path of the same file on this host, by the
/// [`process_storage`]. See [`MirroredStorage::to_actual`].
///
/// # Errors
///
/// An [`io::Error`] around the [`TranslateError`]: `NotFound` where this host has no such entry.
pub fn to_actual_path(path: &AbstractPath) -> io::Result<PathBuf> {
    process_storage()?.to_actual(path).map_err(io_error)
}

impl AbstractPath {
    /// The path of this host that every host understands: [`to_abstract_path`].
    ///
    /// # Errors
    ///
    /// As [`to_abstract_path`].
    pub fn of(path: impl AsRef<Path>) -> io::Result<Self> {
        to_abstract_path(path)
    }

    /// The path of the same file on this host: [`to_actual_path`].
    ///
    /// ```
    /// use cos_storage::{AbstractPath, MirroredStorage, set_process_storage};
    ///
    /// # let home = tempfile::tempdir()?;
    /// # set_process_storage(MirroredStorage::new([home.path()])?);
    /// # let there = std::fs::canonicalize(home.path())?;
    /// // On the spawner, as an argument of a task:
    /// let file = AbstractPath::of(home.path().join("a.net"))?;
    /// // In the task, on whichever host runs it:
    /// assert_eq!(file.here()?, there.join("a.net"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`to_actual_path`].
    pub fn here(&self) -> io::Result<PathBuf> {
        to_actual_path(self)
    }
}

fn io_error(error: TranslateError) -> io::Error {
    let kind = match &error {
        TranslateError::Unresolvable { source, .. }
        | TranslateError::UnusableEntry { source, .. } => source.kind(),
        TranslateError::NotMirrored { .. } | TranslateError::NoSuchEntry { .. } => {
            io::ErrorKind::NotFound
        }
        _ => io::ErrorKind::InvalidInput,
    };
    io::Error::new(kind, error)
}
