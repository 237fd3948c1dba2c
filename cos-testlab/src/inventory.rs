//! The files that name a lab's hosts to a client: `ssh_config`, `known_hosts`, `hosts.toml`.

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use crate::error::LabError;
use crate::quoting::{ssh_argument, toml_string};

/// One host as a client sees it.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) name: String,
    pub(crate) destination: Destination,
    /// The key that known_hosts has for it: type and base64.
    pub(crate) known_key: Option<String>,
    pub(crate) slots: usize,
    pub(crate) local_storage: Option<PathBuf>,
    /// Further lines of its `[[host]]`, as they are.
    pub(crate) toml_lines: Vec<String>,
}

/// Where ssh goes for an alias.
#[derive(Debug, Clone)]
pub(crate) enum Destination {
    /// This port of 127.0.0.1: sshd's, or a fault proxy's in front of it.
    Port(u16),
    /// A name that no resolver can know.
    Unresolvable,
}

/// Every host of a lab, and the files made of them.
#[derive(Debug)]
pub(crate) struct Inventory {
    entries: Vec<Entry>,
    ssh_config: PathBuf,
    known_hosts: PathBuf,
    /// The lines of ssh_config that hold for every host.
    common: String,
}

impl Inventory {
    pub(crate) fn new(directory: &Path, user: &str, identity: &Path) -> Result<Self, LabError> {
        let ssh_config = directory.join("ssh_config");
        let known_hosts = directory.join("known_hosts");
        let mut common = String::from("Host *\n");
        for (key, value) in [
            ("User", user),
            ("IdentityFile", &identity.to_string_lossy()),
            ("IdentitiesOnly", "yes"),
            ("IdentityAgent", "none"),
            ("PreferredAuthentications", "publickey"),
            ("UserKnownHostsFile", &known_hosts.to_string_lossy()),
            ("GlobalKnownHostsFile", "/dev/null"),
            ("StrictHostKeyChecking", "yes"),
            ("UpdateHostKeys", "no"),
            ("HashKnownHosts", "no"),
            // The default sntrup761 takes most of a connection's time.
            ("KexAlgorithms", "curve25519-sha256"),
        ] {
            let _ = writeln!(common, "  {key} {}", ssh_argument(value));
        }
        let inventory = Self {
            entries: Vec::new(),
            ssh_config,
            known_hosts,
            common,
        };
        inventory.write()?;
        Ok(inventory)
    }

    pub(crate) fn ssh_config(&self) -> &Path {
        &self.ssh_config
    }

    pub(crate) fn contains(&self, name: &str) -> bool {
        self.entries.iter().any(|entry| entry.name == name)
    }

    pub(crate) fn names(&self) -> Vec<String> {
        self.entries
            .iter()
            .map(|entry| entry.name.clone())
            .collect()
    }

    pub(crate) fn add(&mut self, entry: Entry) -> Result<(), LabError> {
        self.entries.push(entry);
        self.write()
    }

    /// Sends new connections to another port.
    pub(crate) fn redirect(&mut self, name: &str, port: u16) -> Result<(), LabError> {
        for entry in self.entries.iter_mut().filter(|entry| entry.name == name) {
            entry.destination = Destination::Port(port);
        }
        self.write()
    }

    /// A hosts.toml of the named hosts, in their order.
    pub(crate) fn hosts_toml(&self, names: &[&str]) -> Result<String, LabError> {
        let mut text = format!(
            "[defaults]\nssh_config = {}\n",
            toml_string(&self.ssh_config.to_string_lossy())
        );
        for name in names {
            let entry = self.entries.iter().find(|entry| entry.name == *name);
            let entry = entry.ok_or_else(|| LabError::Invalid {
                host: (*name).to_owned(),
                what: "not a host of this lab".to_owned(),
            })?;
            let _ = write!(
                text,
                "\n[[host]]\nname = {}\nslots = {}\n",
                toml_string(&entry.name),
                entry.slots
            );
            if let Some(path) = &entry.local_storage {
                let _ = writeln!(
                    text,
                    "local_storage = {}",
                    toml_string(&path.to_string_lossy())
                );
            }
            for line in &entry.toml_lines {
                let _ = writeln!(text, "{line}");
            }
        }
        Ok(text)
    }

    fn write(&self) -> Result<(), LabError> {
        let mut ssh_config = String::new();
        let mut known_hosts = String::new();
        for entry in &self.entries {
            let name = &entry.name;
            let _ = writeln!(ssh_config, "Host {name}\n  HostKeyAlias {name}");
            let _ = match entry.destination {
                Destination::Port(port) => {
                    writeln!(ssh_config, "  HostName 127.0.0.1\n  Port {port}")
                }
                // An empty label cannot be asked for, so no query leaves this machine.
                Destination::Unresolvable => writeln!(ssh_config, "  HostName {name}..invalid"),
            };
            if let Some(key) = &entry.known_key {
                let _ = writeln!(known_hosts, "{name} {key}");
            }
        }
        ssh_config.push_str(&self.common);
        replace(&self.known_hosts, &known_hosts)?;
        replace(&self.ssh_config, &ssh_config)
    }
}

/// Writes a file in one step: an ssh that starts now reads the old text or the new one.
fn replace(path: &Path, text: &str) -> Result<(), LabError> {
    let temporary = path.with_extension("new");
    let mut file = fs::File::create(&temporary).map_err(LabError::file("create", &temporary))?;
    file.write_all(text.as_bytes())
        .map_err(LabError::file("write", &temporary))?;
    fs::rename(&temporary, path).map_err(LabError::file("replace", path))
}
