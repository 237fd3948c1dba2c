//! Why a task has no work environment.

use std::io;

use crate::error::{ScratchError, SuffixError, TranslateError};
use crate::landing::{LandingError, is_disk_full};

/// A work environment cannot be described, or not be made on this host.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EnvironmentError {
    /// A path is not in mirrored storage, or has no place on this host.
    #[error(transparent)]
    Translate(TranslateError),
    /// A target leads out of the private directory.
    #[error(transparent)]
    Suffix(SuffixError),
    /// The source is no pattern.
    #[error("{pattern} is no pattern: {reason}")]
    Pattern {
        /// The source, escaped for a terminal.
        pattern: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Nothing has the name that is to be mirrored, or fits the pattern.
    #[error("nothing to mirror: {pattern} names no file on this host")]
    NoMatch {
        /// The source on this host, escaped for a terminal.
        pattern: String,
    },
    /// The private directory could not be made.
    #[error(transparent)]
    Scratch(ScratchError),
    /// A source could not be read.
    #[error("{path}: {source}")]
    Source {
        /// The source on this host, escaped for a terminal.
        path: String,
        /// The cause.
        source: io::Error,
    },
    /// A pipe, a socket or a device is to be mirrored.
    #[error("{path} is neither a file, a directory nor a link; it cannot be mirrored")]
    NotAFile {
        /// The source on this host, escaped for a terminal.
        path: String,
    },
    /// The private directory lies in a directory that is to be mirrored into it.
    #[error("{path} holds the private directory that it is to be mirrored into")]
    Recursive {
        /// The source on this host, escaped for a terminal.
        path: String,
    },
    /// A copy could not be written.
    #[error("local storage: {0}")]
    Copy(LandingError),
}

impl EnvironmentError {
    /// Whether the cause is that nothing more fits on the disk of the local storage.
    pub fn is_disk_full(&self) -> bool {
        match self {
            Self::Copy(error) => matches!(error, LandingError::DiskFull { .. }),
            Self::Scratch(
                ScratchError::Base { source, .. } | ScratchError::Create { source, .. },
            ) => is_disk_full(source.kind()),
            _ => false,
        }
    }
}
