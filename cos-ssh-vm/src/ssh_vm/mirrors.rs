//! Where this machine's directories are on the hosts.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use cos_core::ids::HostId;
use cos_storage::{
    AbstractPath, MIRRORED_STORAGE_VARIABLE, MirrorEntry, MirroredStorage, PlantedToken,
};

use super::error::SshVmError;
use crate::inventory::{HostSpec, Inventory};

/// The home directory, on whichever host.
const HOME: &str = "~";

/// The mirrored storage of this machine and of every host.
#[derive(Clone, Debug)]
pub struct Mirrors {
    /// `None` when the inventory says that nothing is shared, by an empty list.
    own: Option<MirroredStorage>,
    /// The entries as they are written, a leading `~` being the home of whoever reads it.
    written: Vec<PathBuf>,
    /// For each host its own paths of the entries; `None` where it is said to have the same.
    hosts: Vec<Option<Vec<PathBuf>>>,
}

impl Mirrors {
    /// This machine's list comes from `PARALLEL_MIRRORED_STORAGE`, else from the inventory, else it is the home
    /// directory. A host without a list of its own is taken to have this machine's, as it is written.
    ///
    /// # Errors
    ///
    /// When this machine's list is wrong, or a host's list has another length.
    pub fn new(inventory: &Inventory) -> Result<Self, SshVmError> {
        let variable = std::env::var_os(MIRRORED_STORAGE_VARIABLE);
        Self::with_variable(inventory, variable)
    }

    fn with_variable(
        inventory: &Inventory,
        variable: Option<OsString>,
    ) -> Result<Self, SshVmError> {
        let (origin, own, written) = match (variable, &inventory.spawner_mirrored_storage) {
            (Some(list), _) if !list.is_empty() => (
                MIRRORED_STORAGE_VARIABLE,
                MirroredStorage::parse(&list),
                None,
            ),
            (_, Some(list)) => (
                "mirrored_storage in hosts.toml",
                MirroredStorage::new(list.iter().map(PathBuf::as_path)),
                Some(list.clone()),
            ),
            (_, None) => match MirroredStorage::home() {
                Ok(home) => ("its home directory", Ok(home), Some(vec![HOME.into()])),
                // Without a home there is no entry, which does not mean that nothing is shared.
                Err(_) => ("no home directory", MirroredStorage::new([""; 0]), None),
            },
        };
        let own = own.map_err(|source| SshVmError::MirroredStorage { origin, source })?;
        let written = written.unwrap_or_else(|| {
            let entries = own.entries().iter();
            entries.map(|entry| entry.configured().to_owned()).collect()
        });
        let hosts = inventory
            .enabled()
            .map(|host| entries_of(host, &written, origin))
            .collect::<Result<_, _>>()?;
        let nothing_shared = inventory.spawner_mirrored_storage.is_some() && written.is_empty();
        Ok(Self {
            own: (!nothing_shared).then_some(own),
            written,
            hosts,
        })
    }

    /// This machine's mirrored storage; `None` where nothing is shared.
    pub(super) fn own(&self) -> Option<&MirroredStorage> {
        self.own.as_ref()
    }

    /// The entry that holds `path` of this machine, and the path below it. What the entry is called on a host, its
    /// report says.
    ///
    /// # Errors
    ///
    /// A clause for a person: no entry holds the path, or it cannot be resolved.
    pub fn locate(&self, path: &Path) -> Result<AbstractPath, String> {
        match &self.own {
            Some(own) => own.to_abstract(path).map_err(|error| error.to_string()),
            None => {
                Err("hosts.toml says that nothing is shared: mirrored_storage is empty".to_owned())
            }
        }
    }

    /// Where this machine's `path` may be on a host, the likeliest place first. None where nothing is shared.
    ///
    /// If the inventory gives the host a path of its own, that is the one. Else it is what the entry means there, and
    /// then the same path as here, which is right in many labs where nobody wrote it down.
    ///
    /// These are guesses, good enough to be tried: what counts is the [`Token`](cos_storage::Token).
    pub(super) fn candidates(&self, host: HostId, path: &Path) -> Vec<PathBuf> {
        let Some(own) = &self.own else {
            return Vec::new();
        };
        let mut candidates = Vec::new();
        let entries = self.hosts.get(host.0 as usize).and_then(Option::as_ref);
        if let Ok(mirrored) = own.to_abstract(path)
            && let Some(index) = mirrored.index().map(usize::from)
        {
            if let Some(entry) = entries.and_then(|entries| entries.get(index)) {
                return vec![mirrored.under(entry)];
            }
            let entry = self.written.get(index);
            candidates.extend(entry.map(|entry| mirrored.under(entry)));
        }
        // As it was written, and as it is without links: hosts may have the one and not the other.
        for same in [std::path::absolute(path), std::fs::canonicalize(path)] {
            candidates.extend(same.ok().filter(|same| !candidates.contains(same)));
        }
        candidates
    }

    /// The entries on this machine.
    pub(super) fn entries(&self) -> &[MirrorEntry] {
        self.own.as_ref().map_or(&[], MirroredStorage::entries)
    }

    /// Plants a proof in every entry.
    pub(super) fn plant_all(&self) -> Vec<Result<PlantedToken, String>> {
        let plant = |entry: &MirrorEntry| {
            let root = entry.root().map_err(|error| error.to_string())?;
            PlantedToken::plant(root, root).map_err(|error| error.to_string())
        };
        self.entries().iter().map(plant).collect()
    }

    /// Plants the proof that a host's directory is this machine's `path`; `None` where nothing is shared.
    pub(super) fn plant(&self, path: &Path) -> Option<Result<PlantedToken, String>> {
        let own = self.own.as_ref()?;
        let index = own.to_abstract(path).ok().and_then(|path| path.index());
        let entry = index.and_then(|index| own.root(index).ok());
        // Outside all entries any directory of the same mount can hold the token.
        let planted = PlantedToken::plant(path, entry.unwrap_or(Path::new("/")));
        Some(planted.map_err(|error| error.to_string()))
    }
}

fn entries_of(
    host: &HostSpec,
    own: &[PathBuf],
    origin: &'static str,
) -> Result<Option<Vec<PathBuf>>, SshVmError> {
    match &host.mirrored_storage {
        _ if host.name.is_local() => Ok(None),
        None => Ok(None),
        Some(entries) if entries == own => Ok(None),
        Some(entries) if entries.len() == own.len() => Ok(Some(entries.clone())),
        Some(entries) => Err(SshVmError::UnequalMirroredStorage {
            host: host.name.clone(),
            host_entries: entries.len(),
            origin,
            own_entries: own.len(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inventory(text: &str) -> Inventory {
        Inventory::from_text(text, Path::new("hosts.toml")).unwrap()
    }

    fn paths(texts: &[&str]) -> Vec<PathBuf> {
        texts.iter().map(PathBuf::from).collect()
    }

    #[test]
    fn entry_n_here_is_entry_n_there() {
        let directory = tempfile::tempdir().unwrap();
        let (one, two) = (directory.path().join("one"), directory.path().join("two"));
        std::fs::create_dir_all(&one).unwrap();
        std::fs::create_dir_all(two.join("runs")).unwrap();
        let text = format!(
            "[defaults]\nmirrored_storage = [{one:?}, {two:?}]\n[[host]]\nname = \"ws01\"\n[[host]]\n\
             name = \"big\"\nmirrored_storage = [\"/net/one\", \"~/two\"]\n"
        );
        let mirrors = Mirrors::with_variable(&inventory(&text), None).unwrap();
        let path = two.join("runs");
        assert_eq!(
            mirrors.candidates(HostId(0), &path),
            std::slice::from_ref(&path)
        );
        assert_eq!(mirrors.candidates(HostId(1), &path), paths(&["~/two/runs"]));
        // Outside all entries it can still have the same name.
        let outside = directory.path().to_owned();
        assert_eq!(
            mirrors.candidates(HostId(1), &outside),
            std::slice::from_ref(&outside)
        );
        let planted = mirrors.plant(&path).unwrap().unwrap();
        assert_eq!(planted.path().parent(), Some(&*path));
        let planted = mirrors.plant(&outside).unwrap().unwrap();
        assert_eq!(planted.path().parent(), Some(&*outside));
    }

    #[test]
    fn links_are_tried_as_written_and_as_resolved() {
        let directory = tempfile::tempdir().unwrap();
        let (real, link) = (
            directory.path().join("disk7"),
            directory.path().join("data"),
        );
        std::fs::create_dir(&real).unwrap();
        std::os::unix::fs::symlink(&real, &link).unwrap();
        let text = "[defaults]\nmirrored_storage = [\"/nowhere\"]\n[[host]]\nname = \"ws01\"\n";
        let mirrors = Mirrors::with_variable(&inventory(text), None).unwrap();
        assert_eq!(mirrors.candidates(HostId(0), &link), [link, real]);
    }

    #[test]
    fn a_home_is_each_hosts_own() {
        let home = std::fs::canonicalize(cos_storage::home_directory().unwrap()).unwrap();
        for (defaults, expected) in [("", "~"), ("mirrored_storage = [\"~\"]", "~")] {
            let text = format!("[defaults]\n{defaults}\n[[host]]\nname = \"ws01\"\n");
            let mirrors = Mirrors::with_variable(&inventory(&text), None).unwrap();
            let candidates = mirrors.candidates(HostId(0), &home);
            assert_eq!(candidates, [Path::new(expected), &home]);
        }
        // The list of the variable is this machine's own; what it says of homes is known here alone.
        let text = "[[host]]\nname = \"ws01\"\n";
        let mirrors = Mirrors::with_variable(&inventory(text), Some("~".into())).unwrap();
        let candidates = mirrors.candidates(HostId(0), &home);
        assert_eq!(candidates.last(), Some(&home));
        assert!(candidates.iter().all(|path| path.is_absolute()));
    }

    #[test]
    fn an_empty_list_says_that_nothing_is_shared() {
        let text = "[defaults]\nmirrored_storage = []\n[[host]]\nname = \"ws01\"\n";
        let mirrors = Mirrors::with_variable(&inventory(text), None).unwrap();
        let here = std::env::current_dir().unwrap();
        assert_eq!(mirrors.candidates(HostId(0), &here), paths(&[]));
        assert!(mirrors.plant(&here).is_none());
    }

    #[test]
    fn lists_of_unequal_length_are_told_before_any_ssh() {
        let text = "[[host]]\nname = \"ws01\"\nmirrored_storage = [\"/net/home\", \"/pdk\"]\n";
        let error = Mirrors::with_variable(&inventory(text), Some("/tmp".into())).unwrap_err();
        assert_eq!(
            error.to_string(),
            "mirrored_storage of ws01 has 2 entries, this computer's (PARALLEL_MIRRORED_STORAGE) has 1; entry n must \
             name the same directory tree in both"
        );
    }

    #[test]
    fn a_wrong_variable_is_named() {
        let text = "[[host]]\nname = \"ws01\"\n";
        let error =
            Mirrors::with_variable(&inventory(text), Some("/tmp::/srv".into())).unwrap_err();
        let error = error.to_string();
        assert!(
            error.starts_with("PARALLEL_MIRRORED_STORAGE: entry 1"),
            "{error}"
        );
    }
}
