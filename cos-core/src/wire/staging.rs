//! What client and agent say to each other about files.
//!
//! ```text
//! client                                   agent
//!   Stage attempt, digests, names     ->     looks into its store
//!   Start attempt                     ->     waits until its inputs are in place
//!                                     <-     Want digest, offset          (for each that is not there)
//!   Piece digest, offset, bytes       ->     stored
//!                                     <-     Credit bytes
//!                                     <-     Started, Output ..
//!                                     <-     File, FilePiece .., FileEnd   (for each that is to come back)
//!   FileCredit bytes                  ->
//!                                     <-     Ended
//! ```
//!
//! Neither side has more than a window of bytes on the way that the other has not yet put on its disk. Between two
//! pieces there is room for everything else, so a window is also the most that a small message waits for.

use serde::{Deserialize, Serialize};

use cos_storage::{Digest, Suffix};

use crate::ids::AttemptId;

/// How many bytes of inputs a client may have on the way to one host (512 KiB).
pub const INPUT_WINDOW: u64 = 512 * 1024;

/// How many bytes of returned files an agent may have on the way (512 KiB).
pub const FILE_WINDOW: u64 = 512 * 1024;

/// What a client says about files.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum ToStaging {
    /// What an attempt needs and gives back. It comes before the attempt's start.
    Stage {
        /// Which attempt.
        attempt: AttemptId,
        /// What it needs and gives back.
        request: Box<StageRequest>,
    },
    /// The frame's payload is the content of `digest` from `offset` on.
    Piece {
        /// Of which content.
        digest: Digest,
        /// Where it begins.
        offset: u64,
    },
    /// A content that was wanted cannot be sent: attempts that wait for it have failed.
    Unavailable {
        /// Which content.
        digest: Digest,
        /// Why.
        cause: String,
    },
    /// So many more bytes of returned files may be sent, beyond the first [`FILE_WINDOW`].
    FileCredit {
        /// How many bytes were written here.
        bytes: u64,
    },
}

/// What an attempt needs and gives back.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct StageRequest {
    /// The attempt has a directory of its own, which the agent makes and removes; else it is the run's.
    pub own_directory: bool,
    /// Files to put into its directory.
    pub inputs: Vec<InputFile>,
    /// Files and directories to send back when it has ended, below its directory.
    pub returns: Vec<Suffix>,
    /// Files to remove afterwards, below its directory.
    pub remove: Vec<Suffix>,
}

/// A file to put into an attempt's directory.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct InputFile {
    /// Its content.
    pub digest: Digest,
    /// The content's size in bytes.
    pub size: u64,
    /// The file's permission bits.
    pub mode: u32,
    /// Where, below the directory.
    pub path: Suffix,
    /// Once in the run's directory is enough for all attempts.
    pub once: bool,
}

/// What an agent says about files.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum FromStaging {
    /// The store does not have a content, or only what comes before `offset`.
    Want {
        /// Which content.
        digest: Digest,
        /// From where on it is needed.
        offset: u64,
    },
    /// So many more bytes of inputs may be sent, beyond the first [`INPUT_WINDOW`].
    Credit {
        /// How many bytes were written there.
        bytes: u64,
    },
    /// An attempt gives back a file. Its pieces follow, and none of another file of the attempt between them.
    File {
        /// Which attempt.
        attempt: AttemptId,
        /// Its name, which was asked for, or lies below a directory that was.
        path: Suffix,
        /// Its permission bits.
        mode: u32,
    },
    /// The frame's payload is the next piece of the attempt's file.
    FilePiece {
        /// Which attempt.
        attempt: AttemptId,
    },
    /// The attempt's file is whole.
    FileEnd {
        /// Which attempt.
        attempt: AttemptId,
    },
    /// An attempt gives back a directory, perhaps an empty one.
    Directory {
        /// Which attempt.
        attempt: AttemptId,
        /// Its name.
        path: Suffix,
    },
    /// An input could not be put in place, or a file not be given back, by no fault of the host.
    Failed {
        /// Which attempt.
        attempt: AttemptId,
        /// Why.
        cause: String,
    },
}
