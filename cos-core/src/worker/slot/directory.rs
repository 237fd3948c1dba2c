//! The directory that a command starts in: the run's, or one of its own.
//!
//! It is this process's own directory, which commands inherit: what cannot be entered is then told before anything is started.

use std::ffi::OsStr;
use std::fs::{DirBuilder, File};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use super::protocol::{Configuration, Order};

/// Goes to the directory that the next command is to start in, and makes it if it is to be the command's own. Gives the
/// directory that [`remove`] is to remove afterwards.
pub(super) fn enter(
    order: &Order,
    configuration: &Configuration,
) -> Result<Option<PathBuf>, String> {
    let path = |bytes: &[u8]| PathBuf::from(OsStr::from_bytes(bytes));
    let (directory, made) = match &order.directory {
        None => (path(&configuration.directory), Ok(())),
        Some(own) if order.is_staged => (path(own), Ok(())),
        Some(own) => {
            let own = path(own);
            let made = DirBuilder::new().mode(0o700).create(&own);
            (own, made)
        }
    };
    made.and_then(|()| std::env::set_current_dir(&directory))
        .map_err(|error| format!("{}: {error}", directory.display()))?;
    let is_ours = order.directory.is_some() && !order.is_staged;
    Ok(is_ours.then_some(directory))
}

/// Removes a command's own directory. What cannot be removed now goes with the run's scratch.
pub(super) fn remove(private: Option<&Path>) {
    if let Some((parent, name)) = private.and_then(|own| Some((own.parent()?, own.file_name()?))) {
        let _ = std::env::set_current_dir("/");
        if let Ok(parent) = File::open(parent) {
            let _ = cos_storage::remove_tree(&parent, name);
        }
    }
}
