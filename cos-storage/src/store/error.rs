//! What keeps a store from taking or giving a content.

use std::io;
use std::path::Path;

use crate::digest::Digest;
use crate::error::ScratchError;
use crate::landing::is_disk_full;
use crate::shown::Shown;

/// The store cannot do what it was asked to.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The local storage cannot be made or trusted.
    #[error(transparent)]
    LocalStorage(ScratchError),
    /// The store's own directory cannot be made or read.
    #[error("store {path}: {source}")]
    Directory {
        /// The store, escaped for a terminal.
        path: String,
        /// The cause.
        source: io::Error,
    },
    /// The content is larger than the store may be.
    #[error("an input of {size} bytes does not fit in the store, which may hold {capacity}")]
    TooLarge {
        /// The content's size in bytes.
        size: u64,
        /// The store's capacity in bytes.
        capacity: u64,
    },
    /// All that the store holds is in use.
    #[error(
        "the store {path} is full: {size} more bytes are needed, {capacity} are allowed, and what \
         is there is in use"
    )]
    Full {
        /// The store, escaped for a terminal.
        path: String,
        /// The bytes that were to be added.
        size: u64,
        /// The store's capacity in bytes.
        capacity: u64,
    },
    /// No space, or the user's quota is used up, with nothing left to remove.
    #[error("the disk of the store {path} is full: {cause}")]
    DiskFull {
        /// The store, escaped for a terminal.
        path: String,
        /// How much is needed and free, or the system's words.
        cause: String,
    },
    /// What arrived is not what was announced. Nothing of it is kept.
    #[error("what arrived as {digest} is something else ({arrived} of {size} bytes); not kept")]
    Mismatch {
        /// The digest that was announced.
        digest: Digest,
        /// The size that was announced.
        size: u64,
        /// How many bytes arrived.
        arrived: u64,
    },
    /// A piece does not follow the one before it.
    #[error("a piece of {digest} begins at byte {offset}, but {expected} is next")]
    OutOfOrder {
        /// The content's digest.
        digest: Digest,
        /// Where the piece begins.
        offset: u64,
        /// Where it should.
        expected: u64,
    },
    /// The system refuses otherwise.
    #[error("store {path}, object {digest}: {source}")]
    Io {
        /// The store, escaped for a terminal.
        path: String,
        /// The content's digest.
        digest: Digest,
        /// The cause.
        source: io::Error,
    },
}

impl StoreError {
    pub(super) fn of(store: &Path, digest: Digest, source: io::Error) -> Self {
        let path = Shown::path(store).to_string();
        if is_disk_full(source.kind()) {
            Self::DiskFull {
                path,
                cause: source.to_string(),
            }
        } else {
            Self::Io {
                path,
                digest,
                source,
            }
        }
    }
}
