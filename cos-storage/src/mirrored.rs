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
            count if count > usize::from(u16::MAX) + 1 => Err(EntryListError::TooMany { count }),
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
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    /// A directory with the given directories in it, and its canonical path.
    fn tree(directories: &[&str]) -> (tempfile::TempDir, PathBuf) {
        let guard = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(guard.path()).unwrap();
        for directory in directories {
            fs::create_dir_all(root.join(directory)).unwrap();
        }
        (guard, root)
    }

    fn storage(root: &Path, entries: &[&str]) -> MirroredStorage {
        MirroredStorage::new(entries.iter().map(|entry| root.join(entry))).unwrap()
    }

    fn abstract_of(index: u16, suffix: &str) -> AbstractPath {
        AbstractPath::new(index, suffix).unwrap()
    }

    /// PyOPUS's example: `/foo:/bar` on one host are `/d1:/d2` on the other.
    #[test]
    fn two_hosts_with_different_roots() {
        let (_guard, root) = tree(&["foo", "bar", "d1", "d2"]);
        let here = storage(&root, &["foo", "bar"]);
        let there = storage(&root, &["d1", "d2"]);
        for (path_here, path_there, sent) in [
            ("foo", "d1", abstract_of(0, "")),
            ("foo/x", "d1/x", abstract_of(0, "x")),
            ("foo/sub/x.net", "d1/sub/x.net", abstract_of(0, "sub/x.net")),
            ("bar/x", "d2/x", abstract_of(1, "x")),
            ("bar", "d2", abstract_of(1, "")),
        ] {
            let (path_here, path_there) = (root.join(path_here), root.join(path_there));
            assert_eq!(here.to_abstract(&path_here).unwrap(), sent);
            assert_eq!(there.to_actual(&sent).unwrap(), path_there);
            assert_eq!(there.to_abstract(&path_there).unwrap(), sent);
            assert_eq!(here.to_actual(&sent).unwrap(), path_here);
        }
    }

    #[test]
    fn the_longest_entry_holds_by_component() {
        let (_guard, root) = tree(&["foo/inner", "foobar"]);
        let both = storage(&root, &["foo", "foo/inner", "foo"]);
        assert_eq!(
            both.to_abstract(root.join("foo/inner/x")).unwrap(),
            abstract_of(1, "x")
        );
        assert_eq!(
            both.to_abstract(root.join("foo/x")).unwrap(),
            abstract_of(0, "x")
        );
        let error = both
            .to_abstract(root.join("foobar/x"))
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("foobar/x is not in mirrored storage"),
            "{error}"
        );
        assert!(
            error.contains(&format!("{}/foo/inner", root.display())),
            "{error}"
        );
    }

    #[test]
    fn the_whole_file_system_can_be_one_entry() {
        let storage = MirroredStorage::new(["/"]).unwrap();
        assert_eq!(storage.to_abstract("/usr").unwrap(), abstract_of(0, "usr"));
        assert_eq!(storage.to_abstract("/").unwrap(), abstract_of(0, ""));
        assert_eq!(
            storage.to_actual(&abstract_of(0, "usr")).unwrap(),
            Path::new("/usr")
        );
        assert_eq!(
            storage.to_actual(&abstract_of(0, "")).unwrap(),
            Path::new("/")
        );
    }

    #[test]
    fn links_to_entries_and_out_of_them() {
        let (_guard, root) = tree(&["disk/home", "other"]);
        symlink("disk/home", root.join("home")).unwrap();
        symlink(root.join("other"), root.join("disk/home/out")).unwrap();
        let storage = storage(&root, &["home"]);
        assert_eq!(
            storage.to_abstract(root.join("home/a")).unwrap(),
            abstract_of(0, "a")
        );
        assert_eq!(
            storage.to_abstract(root.join("disk/home/a")).unwrap(),
            abstract_of(0, "a")
        );
        assert_eq!(
            storage.to_actual(&abstract_of(0, "a")).unwrap(),
            root.join("disk/home/a")
        );
        let error = storage
            .to_abstract(root.join("home/out/x"))
            .unwrap_err()
            .to_string();
        assert!(error.contains("(really "), "{error}");
    }

    #[test]
    fn an_index_past_the_list_names_both_lengths() {
        let (_guard, root) = tree(&["a", "b"]);
        let error = storage(&root, &["a", "b"])
            .to_actual(&abstract_of(4, "x"))
            .unwrap_err();
        let text = error.to_string();
        assert!(
            text.contains("at least 5 entries") && text.contains("it has 2 ("),
            "{text}"
        );
    }

    #[test]
    fn a_missing_entry_keeps_its_place() {
        let (_guard, root) = tree(&["b"]);
        fs::write(root.join("file"), "").unwrap();
        let storage = storage(&root, &["missing", "file", "b"]);
        assert_eq!(
            storage.to_abstract(root.join("b/x")).unwrap(),
            abstract_of(2, "x")
        );
        let unusable: Vec<bool> = storage
            .entries()
            .iter()
            .map(|e| e.root().is_err())
            .collect();
        assert_eq!(unusable, [true, true, false]);
        let error = storage
            .to_actual(&abstract_of(0, "x"))
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("missing, cannot be used here: No such file"),
            "{error}"
        );
        let error = storage.to_abstract("/").unwrap_err().to_string();
        assert!(
            error.contains("missing (No such file or directory"),
            "{error}"
        );
    }

    #[test]
    fn untranslated_paths_pass() {
        let storage = MirroredStorage::new::<[&str; 0]>([]).unwrap();
        let path = AbstractPath::untranslated("../any//thing/");
        assert_eq!(
            storage.to_actual(&path).unwrap().as_os_str(),
            "../any//thing/"
        );
        let error = storage.to_abstract("/").unwrap_err().to_string();
        assert!(error.contains("(no entries)"), "{error}");
    }

    #[test]
    fn opening_stays_inside_the_entry() {
        let (_guard, root) = tree(&["d1/sub", "d2"]);
        fs::write(root.join("d1/sub/x"), "").unwrap();
        fs::write(root.join("d2/secret"), "").unwrap();
        symlink("../d2", root.join("d1/out")).unwrap();
        symlink("sub", root.join("d1/in")).unwrap();
        let storage = storage(&root, &["d1"]);
        let open = |path: &AbstractPath| storage.open(path, OFlags::RDONLY, Mode::empty());
        open(&abstract_of(0, "sub/x")).unwrap();
        open(&abstract_of(0, "in/x")).unwrap();
        let error = open(&abstract_of(0, "out/secret")).unwrap_err();
        assert!(
            matches!(error, OpenError::Beneath(BeneathError::Escapes { .. })),
            "{error}"
        );
        let error = open(&AbstractPath::untranslated(root.join("d1/sub/x"))).unwrap_err();
        assert!(matches!(error, OpenError::Unconfined { .. }), "{error}");
        let error = open(&abstract_of(1, "")).unwrap_err();
        assert!(matches!(error, OpenError::Translate(_)), "{error}");
    }

    #[test]
    fn lists_are_parsed_as_the_variable_gives_them() {
        let roots = |list: &str| -> Vec<PathBuf> {
            let storage = MirroredStorage::parse(OsStr::new(list)).unwrap();
            storage
                .entries()
                .iter()
                .map(|entry| entry.configured().to_owned())
                .collect()
        };
        let home = crate::home_directory().unwrap();
        assert_eq!(
            roots("/usr:~:~root/x"),
            [Path::new("/usr"), &home, Path::new("/root/x")]
        );
        assert!(roots("").is_empty());
        let error = |list: &str| MirroredStorage::parse(OsStr::new(list)).unwrap_err();
        assert_eq!(error("/usr::/etc"), EntryListError::Empty { position: 1 });
        assert_eq!(error("/usr:"), EntryListError::Empty { position: 1 });
        assert_eq!(
            error("/usr:data"),
            EntryListError::Relative {
                position: 1,
                entry: "data".into()
            }
        );
        let unknown = error("~no-such-user-here").to_string();
        assert!(
            unknown.contains("entry 0") && unknown.contains("no-such-user"),
            "{unknown}"
        );
    }

    #[test]
    fn more_entries_than_indices_are_refused() {
        let storage = MirroredStorage::new(vec!["/nonexistent"; 65_536]).unwrap();
        assert!(storage.to_actual(&abstract_of(65_535, "")).is_err());
        let error = MirroredStorage::new(vec!["/nonexistent"; 65_537]).unwrap_err();
        assert_eq!(error, EntryListError::TooMany { count: 65_537 });
    }
}
