//! The errors of this crate, one enum per thing that the caller was about to do.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::shown::Shown;

/// A suffix that could lead out of the directory that it starts in. All of them are refused, on
/// construction as on decoding; the text is escaped for a terminal.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SuffixError {
    /// It begins with a slash.
    #[error("`{suffix}` is absolute; a path below a directory is relative to it")]
    Absolute {
        /// The suffix as it was given.
        suffix: String,
    },
    /// One of its components is `..`.
    #[error("`{suffix}` contains `..`, which could leave the directory it starts in")]
    ParentDirectory {
        /// The suffix as it was given.
        suffix: String,
    },
    /// It holds a NUL byte, which no path can.
    #[error("`{suffix}` contains a NUL byte")]
    Nul {
        /// The suffix as it was given.
        suffix: String,
    },
}

/// `~`, `~user` or `{user}` could not be replaced, or the result cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ExpandError {
    /// No account of that name is known to /etc/passwd or to `getent`.
    #[error("there is no user `{user}` on this computer")]
    UnknownUser {
        /// The name behind the `~`.
        user: String,
    },
    /// `getent` (that is, the directory service behind it) did not answer.
    #[error("the lookup of user `{user}` got no answer in {} s", waited.as_secs())]
    LookupTimedOut {
        /// The name or number that was asked for.
        user: String,
        /// How long COS waited.
        waited: Duration,
    },
    /// `HOME` is not an absolute path and the user's account names no home directory.
    #[error("the home directory is unknown: HOME is not set and user {uid} has no account here")]
    NoHome {
        /// The user's number.
        uid: u32,
    },
    /// A `{word}` other than `{user}`.
    #[error("unknown placeholder `{placeholder}`; the one that exists is `{{user}}`")]
    UnknownPlaceholder {
        /// The placeholder with its braces.
        placeholder: String,
    },
    /// A directory that must be named by an absolute path is not.
    #[error("`{path}` is not an absolute path")]
    Relative {
        /// The path after expansion, escaped for a terminal.
        path: String,
    },
}

/// A list of mirrored storage entries that cannot be used at all: a mistake in the configuration.
///
/// Positions count from 0, like the indices of [`AbstractPath`](crate::AbstractPath).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EntryListError {
    /// An entry is the empty string (two colons in a row, or one at an end).
    #[error("entry {position} of the mirrored storage is empty; each entry is a directory")]
    Empty {
        /// The entry's position.
        position: usize,
    },
    /// An entry is a relative path.
    #[error("entry {position} of the mirrored storage, `{entry}`, is not an absolute path")]
    Relative {
        /// The entry's position.
        position: usize,
        /// The entry, escaped for a terminal.
        entry: String,
    },
    /// `~` or `~user` of an entry is unknown here.
    #[error("entry {position} of the mirrored storage: {source}")]
    Expand {
        /// The entry's position.
        position: usize,
        /// Why it could not be expanded.
        source: ExpandError,
    },
    /// More entries than an index can count.
    #[error("{count} entries of mirrored storage; at most {} are possible", usize::from(u16::MAX) + 1)]
    TooMany {
        /// The length of the list.
        count: usize,
    },
}

/// One path could not be translated; other paths may be.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum TranslateError {
    /// The path lies under no entry, so no other host could be told where it is.
    #[error("{path} is not in mirrored storage ({entries}); add its directory to mirrored_storage")]
    NotMirrored {
        /// The path, and its canonical form where that is another; escaped for a terminal.
        path: String,
        /// The entries that were compared.
        entries: EntryList,
    },
    /// The index is past the end of this host's list: the lists of the two hosts differ in length.
    #[error(
        "the path is in entry {index}, so the sender's mirrored storage has at least {} entries; \
         here it has {} ({entries})",
        usize::from(*index) + 1,
        entries.len()
    )]
    NoSuchEntry {
        /// The index of the abstract path.
        index: u16,
        /// This host's entries.
        entries: EntryList,
    },
    /// The entry is in the list, but its directory cannot be used on this host.
    #[error("entry {index} of the mirrored storage, {configured}, cannot be used here: {source}")]
    UnusableEntry {
        /// The entry's index.
        index: u16,
        /// The entry as it was configured, escaped for a terminal.
        configured: String,
        /// What the system said of it.
        source: Arc<io::Error>,
    },
    /// The path itself cannot be resolved (not for absence, which is allowed).
    #[error("{path} cannot be resolved: {source}")]
    Unresolvable {
        /// The path, escaped for a terminal.
        path: String,
        /// What the system said.
        source: Arc<io::Error>,
    },
    /// `..` behind a directory that does not exist: where it leads depends on what will be made.
    #[error("{path} climbs by `..` out of a directory that does not exist")]
    ParentOfMissing {
        /// The path, escaped for a terminal.
        path: String,
    },
}

/// A file below a directory could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BeneathError {
    /// The path, or a link on it, leads out of the directory: never to be followed.
    #[error("{path} leads out of its directory; refused")]
    Escapes {
        /// The path, escaped for a terminal.
        path: String,
    },
    /// What the system said.
    #[error("{path}: {source}")]
    Io {
        /// The path, escaped for a terminal.
        path: String,
        /// The cause.
        source: io::Error,
    },
}

/// A file of mirrored storage could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The path could not be translated.
    #[error(transparent)]
    Translate(#[from] TranslateError),
    /// The path has no index, so there is no entry that would confine it.
    #[error("{path} is in no mirrored storage entry that could confine it; refused")]
    Unconfined {
        /// The path, escaped for a terminal.
        path: String,
    },
    /// The file could not be opened inside its entry.
    #[error(transparent)]
    Beneath(#[from] BeneathError),
}

/// No token file could be written, so a directory cannot be proven to be shared.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PlantError {
    /// The directory cannot be reached on this host.
    #[error("{directory}: {source}")]
    Directory {
        /// The directory, escaped for a terminal.
        directory: String,
        /// The cause.
        source: io::Error,
    },
    /// The directory lies outside the entry that it is said to be in.
    #[error("{directory} is not below {root}")]
    OutsideRoot {
        /// The directory, escaped for a terminal.
        directory: String,
        /// The entry's directory, escaped for a terminal.
        root: String,
    },
    /// Neither the directory nor any other in the same mount and entry can be written.
    #[error("{directory} cannot be proven to be shared: no token file could be written ({tried})")]
    NotWritable {
        /// The directory, escaped for a terminal.
        directory: String,
        /// Each directory that was tried and why it failed.
        tried: String,
    },
}

/// A scratch directory could not be made, or a local storage not be swept.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ScratchError {
    /// The local storage cannot be made or opened: no space, no permission, read-only.
    #[error("local storage {path}: {source}")]
    Base {
        /// The local storage, escaped for a terminal.
        path: String,
        /// The cause.
        source: io::Error,
    },
    /// The local storage is a link or a file. A link could be made to point elsewhere at any time.
    #[error("local storage {path} is not a directory (links are not followed); name its target")]
    NotADirectory {
        /// The local storage, escaped for a terminal.
        path: String,
    },
    /// Another user could have placed what lies in the local storage, or could replace it.
    #[error("local storage {path} cannot be trusted: {reason}")]
    Untrusted {
        /// The local storage, escaped for a terminal.
        path: String,
        /// Whose it is, or who may write in it.
        reason: String,
    },
    /// The directory itself could not be made.
    #[error("scratch directory {path}: {source}")]
    Create {
        /// The directory, escaped for a terminal.
        path: String,
        /// The cause.
        source: io::Error,
    },
    /// A run or job has a name that is not fit to be part of a directory's.
    #[error("`{name}` is no name for a scratch directory: 1 to 48 letters, digits, `-`, `_`, `.`")]
    Name {
        /// The name, escaped for a terminal.
        name: String,
    },
    /// This process could not find out its own identity, so the directory could not be marked.
    #[error("the owner of a scratch directory is unknown: {source}")]
    Owner {
        /// What could not be read from /proc.
        source: io::Error,
    },
}

/// The entries of a mirrored storage, for a message.
#[derive(Debug, Clone, Default)]
pub struct EntryList(pub(crate) Vec<ListedEntry>);

/// One entry as a message shows it.
#[derive(Debug, Clone)]
pub(crate) struct ListedEntry {
    pub(crate) configured: PathBuf,
    pub(crate) problem: Option<Arc<io::Error>>,
}

impl EntryList {
    /// How many entries there are, usable or not.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether nothing is mirrored.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// `/home, /srv/pdk (No such file or directory)`, or `no entries`.
impl fmt::Display for EntryList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("no entries");
        }
        for (position, entry) in self.0.iter().enumerate() {
            if position > 0 {
                f.write_str(", ")?;
            }
            write!(f, "{}", Shown::path(&entry.configured))?;
            if let Some(problem) = &entry.problem {
                write!(f, " ({problem})")?;
            }
        }
        Ok(())
    }
}
