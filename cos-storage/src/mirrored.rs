//! Mirrored storage: the list of directories that several hosts share, and translation by it.

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{Mode, OFlags};

use crate::abstract_path::AbstractPath;
use crate::beneath::open_beneath;
use crate::error::{
    BeneathError, EntryList, EntryListError, ListedEntry, OpenError, TranslateError,
};
use crate::expand::expand_home;
use crate::resolve;
use crate::shown::Shown;

/// The environment variable that lists a spawner's mirrored storage, colon separated.
pub const MIRRORED_STORAGE_VARIABLE: &str = "PARALLEL_MIRRORED_STORAGE";

/// As many as an index can count.
const MAX_ENTRIES: usize = u16::MAX as usize + 1;

/// The directories of this host that other hosts see too, each host under a path of its own.
///
/// Entry n names the same directory tree on every host. A path is sent as the index of its entry
/// and the part below it ([`AbstractPath`]), so with `/foo:/bar` here and `/d1:/d2` there, this
/// host's `/bar/a.net` is that host's `/d2/a.net`.
///
/// Entries are made canonical when the list is made. One whose directory is missing or unreadable
/// keeps its place, since the others count by it, and is an error when it is used:
/// [`MirroredStorage::entries`] shows which. That an entry really is the same tree on two hosts is
/// nothing that a list can know; see [`Token`](crate::Token) for the proof.
///
/// All methods touch the file system and block as long as it does: on a dead NFS server, for ever.
///
/// ```
/// use cos_storage::MirroredStorage;
///
/// let shared = tempfile::tempdir()?;
/// let storage = MirroredStorage::new([shared.path()])?;
/// let path = storage.to_abstract(shared.path().join("runs/new.txt"))?;
/// assert_eq!(path.to_string(), "[0]/runs/new.txt");
/// assert!(storage.to_actual(&path)?.ends_with("runs/new.txt"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct MirroredStorage {
    entries: Vec<MirrorEntry>,
}

/// One entry of a [`MirroredStorage`].
#[derive(Debug, Clone)]
pub struct MirrorEntry {
    configured: PathBuf,
    root: Result<PathBuf, Arc<io::Error>>,
}

impl MirrorEntry {
    fn new(configured: PathBuf) -> Self {
        let root = fs::canonicalize(&configured).and_then(|root| {
            if fs::metadata(&root)?.is_dir() {
                Ok(root)
            } else {
                Err(io::ErrorKind::NotADirectory.into())
            }
        });
        Self {
            configured,
            root: root.map_err(Arc::new),
        }
    }

    /// The directory as it was configured, `~` expanded.
    pub fn configured(&self) -> &Path {
        &self.configured
    }

    /// The directory's canonical path on this host.
    ///
    /// # Errors
    ///
    /// Why the entry cannot be used here: what the system said of it when the list was made.
    pub fn root(&self) -> Result<&Path, Arc<io::Error>> {
        self.root.as_deref().map_err(Arc::clone)
    }
}

impl MirroredStorage {
    /// Storage that mirrors `entries`, in this order. A leading `~` or `~user` is expanded.
    ///
    /// # Errors
    ///
    /// [`EntryListError`] for an entry that could never work: empty, relative, or with an unknown
    /// user. A directory that does not exist here is no such error.
    pub fn new<I>(entries: I) -> Result<Self, EntryListError>
    where
        I: IntoIterator,
        I::Item: AsRef<OsStr>,
    {
        let entries: Vec<MirrorEntry> = entries
            .into_iter()
            .enumerate()
            .map(|(position, entry)| entry_at(position, entry.as_ref()))
            .collect::<Result<_, _>>()?;
        match entries.len() {
            count if count > MAX_ENTRIES => Err(EntryListError::TooMany { count }),
            _ => Ok(Self { entries }),
        }
    }

    /// Storage as a colon separated list names it, as in `PARALLEL_MIRRORED_STORAGE`. The empty
    /// list mirrors nothing.
    ///
    /// # Errors
    ///
    /// As [`MirroredStorage::new`]. Two colons in a row are an error rather than no entry, since
    /// every entry behind them would count wrongly.
    pub fn parse(list: &OsStr) -> Result<Self, EntryListError> {
        if list.is_empty() {
            return Self::new::<[&OsStr; 0]>([]);
        }
        Self::new(
            list.as_bytes()
                .split(|byte| *byte == b':')
                .map(OsStr::from_bytes),
        )
    }

    /// Storage as [`MIRRORED_STORAGE_VARIABLE`] names it; `None` where that is unset or empty.
    ///
    /// # Errors
    ///
    /// As [`MirroredStorage::parse`]; whoever shows the error names the variable.
    pub fn from_environment() -> Result<Option<Self>, EntryListError> {
        match env::var_os(MIRRORED_STORAGE_VARIABLE).filter(|list| !list.is_empty()) {
            Some(list) => Self::parse(&list).map(Some),
            None => Ok(None),
        }
    }

    /// The default: one entry, the user's home directory.
    ///
    /// # Errors
    ///
    /// [`EntryListError::Expand`] if the home directory is unknown.
    pub fn home() -> Result<Self, EntryListError> {
        Self::new(["~"])
    }

    /// The storage of a host whose entries were looked at: for each its directory there, and why it
    /// must not be used, if it must not. Such an entry keeps its place and is an error when it is
    /// used, which says why.
    ///
    /// # Errors
    ///
    /// As [`MirroredStorage::new`], for entries that can be used.
    pub fn proven<I, P>(entries: I) -> Result<Self, EntryListError>
    where
        I: IntoIterator<Item = (P, Option<String>)>,
        P: AsRef<OsStr>,
    {
        let mut storage = Self {
            entries: Vec::new(),
        };
        for (position, (entry, problem)) in entries.into_iter().enumerate() {
            storage.entries.push(match problem {
                None => entry_at(position, entry.as_ref())?,
                Some(problem) => MirrorEntry {
                    configured: entry.as_ref().into(),
                    root: Err(Arc::new(io::Error::other(problem))),
                },
            });
        }
        match storage.entries.len() {
            count if count > MAX_ENTRIES => Err(EntryListError::TooMany { count }),
            _ => Ok(storage),
        }
    }

    /// The entries in their order, usable or not.
    pub fn entries(&self) -> &[MirrorEntry] {
        &self.entries
    }

    /// Translates a path of this host to one that every host understands.
    ///
    /// The path is made canonical first (relative to the current directory, links followed), then
    /// the longest entry that holds it is taken, compared by component: `/foo` does not hold
    /// `/foobar`. A path that does not exist yet is translated by its longest existing ancestor.
    ///
    /// # Errors
    ///
    /// [`TranslateError::NotMirrored`] if no entry holds it, others if it cannot be resolved.
    pub fn to_abstract(&self, path: impl AsRef<Path>) -> Result<AbstractPath, TranslateError> {
        let path = path.as_ref();
        let canonical = resolve::canonical(path)?;
        let holder = self
            .entries
            .iter()
            .zip(0u16..=u16::MAX)
            .filter_map(|(entry, index)| Some((entry.root.as_deref().ok()?, index)))
            .filter_map(|(root, index)| {
                let suffix = canonical.strip_prefix(root).ok()?;
                Some((suffix, index))
            })
            // The longest entry leaves the shortest suffix; of equals, min_by_key takes the first.
            .min_by_key(|(suffix, _)| suffix.as_os_str().len());
        let not_mirrored = || TranslateError::NotMirrored {
            path: shown_with_canonical(path, &canonical),
            entries: self.listed(),
        };
        let (suffix, index) = holder.ok_or_else(not_mirrored)?;
        // A canonical path has no `..`, so its suffix passes; the type does not rely on that.
        AbstractPath::new(index, suffix).map_err(|_| not_mirrored())
    }

    /// Translates a path that any host may have sent to the path of the same file on this host.
    ///
    /// The text of the result lies below the entry's directory. Links on the way are not looked at
    /// and the file need not exist; to open what a stranger named, see [`MirroredStorage::open`].
    /// Without an index the suffix is returned as it is.
    ///
    /// # Errors
    ///
    /// [`TranslateError::NoSuchEntry`] if this host's list is too short,
    /// [`TranslateError::UnusableEntry`] if the entry's directory cannot be used here.
    pub fn to_actual(&self, path: &AbstractPath) -> Result<PathBuf, TranslateError> {
        let Some(index) = path.index() else {
            return Ok(path.suffix().to_owned());
        };
        Ok(path.under(self.root(index)?))
    }

    /// Opens a file that any host may have named, links included below the entry's directory.
    ///
    /// The descriptor closes on exec; see [`open_beneath`] for `flags`, `mode` and what is refused.
    ///
    /// # Errors
    ///
    /// [`OpenError`]: not translatable, without an index, outside its entry, or refused by the
    /// system.
    pub fn open(
        &self,
        path: &AbstractPath,
        flags: OFlags,
        mode: Mode,
    ) -> Result<OwnedFd, OpenError> {
        let Some(index) = path.index() else {
            return Err(OpenError::Unconfined {
                path: path.to_string(),
            });
        };
        let root = self.root(index)?;
        let directory = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root =
            rustix::fs::open(root, directory, Mode::empty()).map_err(|errno| BeneathError::Io {
                path: Shown::path(root).to_string(),
                source: errno.into(),
            })?;
        Ok(open_beneath(root, path.suffix(), flags, mode)?)
    }

    /// The canonical directory of entry `index` on this host.
    ///
    /// # Errors
    ///
    /// As [`MirroredStorage::to_actual`].
    pub fn root(&self, index: u16) -> Result<&Path, TranslateError> {
        let entry =
            self.entries
                .get(usize::from(index))
                .ok_or_else(|| TranslateError::NoSuchEntry {
                    index,
                    entries: self.listed(),
                })?;
        entry
            .root()
            .map_err(|source| TranslateError::UnusableEntry {
                index,
                configured: Shown::path(&entry.configured).to_string(),
                source,
            })
    }

    fn listed(&self) -> EntryList {
        let listed = |entry: &MirrorEntry| ListedEntry {
            configured: entry.configured.clone(),
            problem: entry.root.as_ref().err().cloned(),
        };
        EntryList(self.entries.iter().map(listed).collect())
    }
}

fn entry_at(position: usize, entry: &OsStr) -> Result<MirrorEntry, EntryListError> {
    if entry.is_empty() {
        return Err(EntryListError::Empty { position });
    }
    let path = expand_home(entry).map_err(|source| EntryListError::Expand { position, source })?;
    if !path.is_absolute() {
        let entry = Shown::path(&path).to_string();
        return Err(EntryListError::Relative { position, entry });
    }
    Ok(MirrorEntry::new(path))
}

/// `/home/ana/data (really /disk7/ana)`: without the second half the refusal looks absurd.
fn shown_with_canonical(path: &Path, canonical: &Path) -> String {
    if path == canonical {
        return Shown::path(path).to_string();
    }
    format!("{} (really {})", Shown::path(path), Shown::path(canonical))
}

#[cfg(test)]
mod tests;
