//! A content that is there, held so that it stays.

use std::fs::File;
use std::os::fd::AsFd;
use std::sync::Arc;

use crate::copying::copy_content;
use crate::digest::Digest;
use crate::landing::{Landing, LandingError};
use crate::suffix::Suffix;

/// A content of the store. No run evicts it as long as this or a clone of it is held, which costs
/// one descriptor.
#[derive(Debug, Clone)]
pub struct Object {
    digest: Digest,
    size: u64,
    file: Arc<File>,
}

impl Object {
    pub(super) fn new(digest: Digest, size: u64, file: File) -> Self {
        Self {
            digest,
            size,
            file: Arc::new(file),
        }
    }

    /// The digest that it is stored under.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// Its size in bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The content, for reading. It is everybody's: nobody writes into it.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Puts a copy at `path` below the directory `root`, with the permission bits `mode`. It appears
    /// whole, in place of whatever file has the name; missing directories are made.
    ///
    /// # Errors
    ///
    /// [`LandingError`]; [`LandingError::DiskFull`] where it does not fit. Nothing is left then.
    pub fn place(&self, root: impl AsFd, path: &Suffix, mode: u32) -> Result<(), LandingError> {
        let landing = Landing::begin(root, path, mode)?;
        copy_content(&self.file, landing.file(), self.size)
            .map_err(|error| LandingError::of(&path.to_string(), error))?;
        landing.finish()
    }
}
