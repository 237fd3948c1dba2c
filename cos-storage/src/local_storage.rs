//! A host's local storage as a whole: where it is, and how it is emptied.

use std::env;
use std::path::{Path, PathBuf};

use crate::error::{ExpandError, ScratchError};
use crate::expand::{expand_home, local_storage_path};
use crate::scratch::{Kept, sweep};
use crate::store::{Clearing, StoreError, clear_store};

/// The environment variable that names a host's local storage.
pub const LOCAL_STORAGE_VARIABLE: &str = "PARALLEL_LOCAL_STORAGE";

/// The local storage of this process's host: what [`LOCAL_STORAGE_VARIABLE`] names, with `~` and
/// `{user}`, else `cos-{user}` in the directory for temporary files.
///
/// # Errors
///
/// [`ExpandError`] if the name cannot be resolved or is not absolute.
pub fn local_storage_from_environment() -> Result<PathBuf, ExpandError> {
    match env::var_os(LOCAL_STORAGE_VARIABLE).filter(|path| !path.is_empty()) {
        Some(path) => local_storage_path(expand_home(&path)?),
        None => local_storage_path(env::temp_dir().join("cos-{user}")),
    }
}

/// What [`clear_local_storage`] did.
#[derive(Debug, Default)]
pub struct Cleared {
    /// Scratch directories of dead runs that are gone now.
    pub scratch: Vec<PathBuf>,
    /// Scratch directories that are still there although nobody here seems to use them.
    pub kept: Vec<Kept>,
    /// What is gone from the store, and how much of it is in use.
    pub store: Clearing,
}

/// A local storage could not be emptied.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClearError {
    /// The local storage itself, or its scratch directories.
    #[error(transparent)]
    Scratch(#[from] ScratchError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Removes what runs have left in `local_storage` and what they keep there for each other: scratch
/// directories of the dead, with the work environments in them, and stored contents. What a living
/// run uses stays. That nothing is there is no error.
///
/// # Errors
///
/// [`ClearError`] if the directory cannot be read or trusted.
pub fn clear_local_storage(local_storage: impl AsRef<Path>) -> Result<Cleared, ClearError> {
    let local_storage = local_storage.as_ref();
    let swept = sweep(local_storage)?;
    Ok(Cleared {
        scratch: swept.removed,
        kept: swept.kept,
        store: clear_store(local_storage)?,
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::digest::Digest;
    use crate::scratch::Scratch;
    use crate::store::Store;

    #[test]
    fn what_lives_stays_and_what_is_kept_for_others_goes() {
        let at = tempfile::tempdir().unwrap();
        assert!(
            clear_local_storage(at.path().join("none"))
                .unwrap()
                .scratch
                .is_empty()
        );
        let living = Scratch::create(at.path(), "7kq2").unwrap();
        let mut store = Store::open(at.path(), 1000).unwrap();
        let mut partial = store.begin(&Digest::of(b"abc"), 3).unwrap();
        partial.append(0, b"abc").unwrap();
        drop(store.commit(partial).unwrap());
        let cleared = clear_local_storage(at.path()).unwrap();
        assert_eq!((cleared.store.removed, cleared.store.in_use), (1, 0));
        assert!(cleared.scratch.is_empty() && cleared.kept.is_empty());
        assert!(living.work_path().is_dir());
        drop(living);
        assert_eq!(fs::read_dir(at.path()).unwrap().count(), 0);
    }
}
