//! Where this machine's directories are on the hosts.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use cos_core::ids::HostId;
use cos_storage::{
    MIRRORED_STORAGE_VARIABLE, MirrorEntry, MirroredStorage, PlantedToken, TranslateError,
};

use super::error::SshVmError;
use crate::inventory::{HostSpec, Inventory};

/// The mirrored storage of this machine and of every host.
#[derive(Clone, Debug)]
pub struct Mirrors {
    own: MirroredStorage,
    /// For each host its paths of the entries; `None` for this machine itself.
    hosts: Vec<Option<Vec<PathBuf>>>,
}

impl Mirrors {
    /// This machine's list comes from `PARALLEL_MIRRORED_STORAGE`, else from the inventory, else it is the home
    /// directory. A host without a list of its own is taken to have this machine's.
    pub(super) fn new(inventory: &Inventory) -> Result<Self, SshVmError> {
        let variable = std::env::var_os(MIRRORED_STORAGE_VARIABLE);
        Self::with_variable(inventory, variable)
    }

    fn with_variable(
        inventory: &Inventory,
        variable: Option<OsString>,
    ) -> Result<Self, SshVmError> {
        let (origin, own) = match (variable, &inventory.spawner_mirrored_storage) {
            (Some(list), _) if !list.is_empty() => {
                (MIRRORED_STORAGE_VARIABLE, MirroredStorage::parse(&list))
            }
            (_, Some(list)) => (
                "mirrored_storage in hosts.toml",
                MirroredStorage::new(list.iter().map(PathBuf::as_path)),
            ),
            (_, None) => (
                "its home directory",
                // Without a home, nothing is mirrored.
                MirroredStorage::home().or_else(|_| MirroredStorage::new([""; 0])),
            ),
        };
        let own = own.map_err(|source| SshVmError::MirroredStorage { origin, source })?;
        let hosts = inventory
            .enabled()
            .map(|host| entries_of(host, &own, origin));
        Ok(Self {
            hosts: hosts.collect::<Result<_, _>>()?,
            own,
        })
    }

    /// The path of this machine's `path` on a host.
    ///
    /// Whether the two are the same file is another question: see [`Token`](cos_storage::Token).
    ///
    /// # Errors
    ///
    /// When the path is in no entry of the mirrored storage, or cannot be resolved.
    pub fn path_on(&self, host: HostId, path: &Path) -> Result<PathBuf, TranslateError> {
        let entries = self.hosts.get(host.0 as usize).and_then(Option::as_ref);
        let Some(entries) = entries else {
            return Ok(std::path::absolute(path).unwrap_or_else(|_| path.to_owned()));
        };
        let path = self.own.to_abstract(path)?;
        let index = path.index().map(usize::from);
        match index.and_then(|index| entries.get(index)) {
            Some(entry) => Ok(path.under(entry)),
            // The lists are of equal length, and a path of this machine has an index.
            None => self.own.to_actual(&path),
        }
    }

    /// The path of each entry on a host; none for this machine itself.
    pub fn entries_on(&self, host: HostId) -> &[PathBuf] {
        let entries = self.hosts.get(host.0 as usize).and_then(Option::as_deref);
        entries.unwrap_or_default()
    }

    /// Plants a proof in every entry.
    pub(super) fn plant_all(&self) -> Vec<Result<PlantedToken, String>> {
        let plant = |entry: &MirrorEntry| {
            let root = entry.root().map_err(|error| error.to_string())?;
            PlantedToken::plant(root, root).map_err(|error| error.to_string())
        };
        self.own.entries().iter().map(plant).collect()
    }

    /// Plants the proof that a host's directory is this machine's `path`.
    pub(super) fn plant(&self, path: &Path) -> Result<PlantedToken, String> {
        let mirrored = self
            .own
            .to_abstract(path)
            .map_err(|error| error.to_string())?;
        let root = match mirrored.index() {
            Some(index) => self.own.root(index).map_err(|error| error.to_string())?,
            None => path,
        };
        PlantedToken::plant(path, root).map_err(|error| error.to_string())
    }
}

fn entries_of(
    host: &HostSpec,
    own: &MirroredStorage,
    origin: &'static str,
) -> Result<Option<Vec<PathBuf>>, SshVmError> {
    if host.name.is_local() {
        return Ok(None);
    }
    let own = own.entries();
    let Some(entries) = &host.mirrored_storage else {
        let same = own.iter().map(|entry| entry.configured().to_owned());
        return Ok(Some(same.collect()));
    };
    if entries.len() != own.len() {
        return Err(SshVmError::UnequalMirroredStorage {
            host: host.name.clone(),
            host_entries: entries.len(),
            origin,
            own_entries: own.len(),
        });
    }
    Ok(Some(entries.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inventory(text: &str) -> Inventory {
        Inventory::from_text(text, Path::new("hosts.toml")).unwrap()
    }

    #[test]
    fn entry_n_here_is_entry_n_there() {
        let directory = tempfile::tempdir().unwrap();
        let (one, two) = (directory.path().join("one"), directory.path().join("two"));
        std::fs::create_dir_all(&one).unwrap();
        std::fs::create_dir_all(two.join("runs")).unwrap();
        let text = format!(
            "[defaults]\nmirrored_storage = [{one:?}, {two:?}]\n[[host]]\nname = \"ws01\"\n[[host]]\n\
             name = \"big\"\nmirrored_storage = [\"/net/one\", \"/net/two\"]\n[[host]]\nname = \"local\"\n"
        );
        let mirrors = Mirrors::with_variable(&inventory(&text), None).unwrap();
        let path = two.join("runs/new file");
        let on = |host| mirrors.path_on(HostId(host), &path).unwrap();
        assert_eq!(on(0), path);
        assert_eq!(on(1), Path::new("/net/two/runs/new file"));
        assert_eq!(on(2), path);
        let outside = directory.path().join("three");
        assert!(mirrors.path_on(HostId(1), &outside).is_err());
        assert_eq!(mirrors.path_on(HostId(2), &outside).unwrap(), outside);
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
