//! The inventory: which hosts there are and what is known about them, from hosts.toml, from
//! `--sshlogin`, or this machine alone.
//!
//! Everything here happens before any ssh and asks nothing of a host. A text is read to its end and all
//! of its problems are told at once, in a [`Report`].

mod error;
mod find;
mod host_name;
mod host_range;
mod host_spec;
mod hosts_file;
mod ownership;
mod report;
mod selection;
mod slot_count;
mod sshlogin;
mod starter;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

pub use self::error::InventoryError;
pub use self::find::{Environment, LookedIn, Request};
pub use self::host_name::{HostName, HostNameError};
pub use self::host_range::{HostRangeError, MAX_HOSTS, expand};
pub use self::host_spec::{DirectoryError, HostKeys, HostSpec, LocalStorage, UnknownHostKeys};
pub use self::ownership::Distrust;
pub use self::report::Report;
pub use self::selection::SelectionError;
pub use self::slot_count::{MAX_SLOTS, SlotCount, SlotCountError};
pub use self::starter::{create_starter, starter};

/// The hosts, and the executables for their targets.
#[derive(Clone, Debug, PartialEq)]
pub struct Inventory {
    /// Where it comes from.
    pub source: Source,
    /// The hosts in the order of their source, also those with `enabled = false`; no two have the same
    /// name.
    pub hosts: Vec<HostSpec>,
    /// The worker executable for a target triple, from `[worker]`. The files may not exist yet.
    pub workers: BTreeMap<String, PathBuf>,
    /// The mirrored storage of this machine: that of its own entry, else that of `[defaults]`. `None`
    /// means the home directory.
    pub spawner_mirrored_storage: Option<Vec<PathBuf>>,
}

/// Where an [`Inventory`] comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// From a hosts.toml.
    File {
        /// Its path.
        path: PathBuf,
        /// How it was found.
        found: FoundBy,
    },
    /// From the names in `--sshlogin`.
    Sshlogin,
    /// No file was found: this machine alone.
    ThisMachine {
        /// Where files were looked for.
        looked_in: LookedIn,
    },
}

/// How a hosts.toml was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FoundBy {
    /// By `--hosts`.
    Option,
    /// By the variable `COS_HOSTS`.
    Variable,
    /// By looking for it. Such a file has passed the rule of ownership.
    Search,
}

impl Inventory {
    /// This machine alone, with a slot for every core.
    pub fn this_machine(looked_in: LookedIn) -> Self {
        Self::of_hosts(
            Source::ThisMachine { looked_in },
            vec![HostSpec::new(HostName::local())],
        )
    }

    /// Reads a hosts.toml from its text, as if it were the file `path`.
    ///
    /// Paths in it are taken against the directory of `path`. No file is looked at: an ssh_config that
    /// does not exist is only noticed by [`Inventory::find`].
    ///
    /// # Errors
    ///
    /// Everything that is wrong with the text.
    pub fn from_text(text: &str, path: &Path) -> Result<Self, Report> {
        let source = Source::File {
            path: path.to_owned(),
            found: FoundBy::Option,
        };
        let surroundings = hosts_file::Surroundings {
            origin: &report::shown_path(path),
            directory: path.parent().unwrap_or(Path::new("")),
            home: None,
            check_ssh_config: &|_| Ok(()),
        };
        hosts_file::read(text, source, &surroundings)
    }

    /// The hosts that are not switched off.
    pub fn enabled(&self) -> impl Iterator<Item = &HostSpec> {
        self.hosts.iter().filter(|host| host.enabled)
    }

    /// The host of this name.
    pub fn host(&self, name: &HostName) -> Option<&HostSpec> {
        self.hosts.iter().find(|host| host.name.same_host(name))
    }

    /// All tags of the hosts that are not switched off, sorted.
    pub fn tags(&self) -> BTreeSet<&str> {
        self.enabled()
            .flat_map(|host| host.tags.iter().map(String::as_str))
            .collect()
    }

    /// Gives every host so many slots, whatever the file says: `--slots`.
    pub fn set_slots(&mut self, slots: SlotCount) {
        for host in &mut self.hosts {
            host.slots = slots;
        }
    }

    fn of_hosts(source: Source, hosts: Vec<HostSpec>) -> Self {
        Self {
            source,
            hosts,
            workers: BTreeMap::new(),
            spawner_mirrored_storage: None,
        }
    }
}
