//! A lab: the directory, keys and client files that its hosts share.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tempfile::TempDir;

use crate::broken::{Breakage, BrokenHost};
use crate::client::{Client, make_private_directory};
use crate::error::LabError;
use crate::host::{HostBuilder, Privileges};
use crate::inventory::Inventory;
use crate::janitor::Janitor;
use crate::keys::KeyPair;
use crate::programs;

/// A set of private hosts, and a client that can reach them and nothing else.
///
/// Everything lives in one directory with a short name below `/tmp` (a control socket's path has
/// about 60 bytes), which goes when the lab and its last host are dropped; if the process is killed
/// before, a janitor process kills the hosts and removes the directory.
///
/// A lab may be used from several threads.
#[derive(Debug)]
pub struct Lab {
    shared: Arc<Shared>,
}

impl Lab {
    /// Makes a lab without hosts.
    ///
    /// # Errors
    ///
    /// [`LabError::NotInstalled`] when `ssh`, `sshd` or `ssh-keygen` is missing. A test is to fail
    /// then, not to be skipped in silence.
    pub fn new() -> Result<Self, LabError> {
        Self::builder().start()
    }

    /// Makes a lab with other than the default choices.
    #[must_use]
    pub fn builder() -> LabBuilder {
        LabBuilder {
            base: PathBuf::from("/tmp"),
        }
    }

    /// Describes a host; [`HostBuilder::start`] starts it. The name is its ssh alias: letters,
    /// digits, `.`, `_` and `-`.
    pub fn host(&self, name: &str) -> HostBuilder {
        HostBuilder::new(Arc::clone(&self.shared), name)
    }

    /// Adds a host that fails before any sshd could answer.
    ///
    /// # Errors
    ///
    /// [`LabError::Invalid`] for a name that is taken or unfit.
    pub fn broken_host(&self, name: &str, breakage: Breakage) -> Result<BrokenHost, LabError> {
        BrokenHost::new(Arc::clone(&self.shared), name, breakage)
    }

    /// The lab's directory.
    #[must_use]
    pub fn directory(&self) -> &Path {
        self.shared.directory()
    }

    /// The file for `ssh -F`: every host by its name, with the lab's key and known_hosts alone.
    #[must_use]
    pub fn ssh_config(&self) -> PathBuf {
        self.shared.inventory().ssh_config().to_owned()
    }

    /// The client's `$HOME`, which is also the directory that [`Lab::command`] starts in.
    #[must_use]
    pub fn client_home(&self) -> PathBuf {
        self.shared.client.home()
    }

    /// Whether hosts can have mounts of their own ([`HostBuilder::mount`]): the tests run as root, and
    /// not in a container that forbids it.
    #[must_use]
    pub fn can_mount(&self) -> bool {
        self.shared.privileges.mount_namespaces
    }

    /// Makes a directory inside the lab that belongs to no host, such as the one home of several
    /// hosts, or a tree that client and hosts share.
    ///
    /// # Errors
    ///
    /// [`LabError::File`] when it cannot be made.
    pub fn shared_directory(&self, name: &str) -> Result<PathBuf, LabError> {
        let path = self.directory().join("shared").join(name);
        make_private_directory(&path)?;
        Ok(path)
    }

    /// A command that runs as the lab's client: its environment has `PATH`, the client's own `HOME`,
    /// `XDG_*` and `TMPDIR`, and no ssh agent; it starts in [`Lab::client_home`].
    ///
    /// ssh itself ignores `$HOME`: it must be told [`Lab::ssh_config`], as [`Lab::hosts_toml`] does.
    #[must_use]
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        self.shared.client.command(program.as_ref())
    }

    /// The system's ssh as the lab's client, told the lab's configuration and to ask nothing:
    /// `ssh -F ssh_config -o BatchMode=yes`; add a host and a command.
    #[must_use]
    pub fn ssh(&self) -> Command {
        let mut command = self.command(&self.shared.programs.ssh);
        command
            .arg("-F")
            .arg(self.ssh_config())
            .args(["-o", "BatchMode=yes"]);
        command
    }

    /// A `hosts.toml` of these hosts, given by name or as themselves, with the lab's `ssh_config`
    /// and each host's own scratch directory as `local_storage`.
    ///
    /// # Errors
    ///
    /// [`LabError::Invalid`] for a name that is no host of this lab.
    pub fn hosts_toml<H: AsRef<str>>(&self, hosts: &[H]) -> Result<String, LabError> {
        let names: Vec<&str> = hosts.iter().map(AsRef::as_ref).collect();
        self.shared.inventory().hosts_toml(&names)
    }

    /// Writes the `hosts.toml` of every host that was started until now, in that order.
    ///
    /// # Errors
    ///
    /// [`LabError::File`] when the file cannot be written.
    pub fn write_hosts_toml(&self, path: impl AsRef<Path>) -> Result<(), LabError> {
        let path = path.as_ref();
        let names = self.shared.inventory().names();
        let text = self.hosts_toml(&names)?;
        fs::write(path, text).map_err(LabError::file("write", path))
    }
}

/// The choices for a lab.
#[derive(Debug, Clone)]
pub struct LabBuilder {
    base: PathBuf,
}

impl LabBuilder {
    /// Puts the lab's directory below this one instead of `/tmp`. Keep it short: every host's
    /// sockets live below it.
    #[must_use]
    pub fn base(mut self, directory: impl Into<PathBuf>) -> Self {
        self.base = directory.into();
        self
    }

    /// Makes the lab.
    ///
    /// # Errors
    ///
    /// As [`Lab::new`].
    pub fn start(self) -> Result<Lab, LabError> {
        let programs = Programs::find()?;
        let user = programs::run(&programs::require("id", "coreutils")?, ["-un"])?;
        let user = user.trim().to_owned();
        check_base(&self.base)?;
        let directory = tempfile::Builder::new()
            .prefix("cl-")
            .tempdir_in(&self.base)
            .map_err(LabError::file("make a directory in", &self.base))?;
        let id: String = directory
            .path()
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let janitor = Janitor::start(directory.path(), &id)?;
        let client = Client::new(directory.path().join("client"), &user)?;
        let client_key = KeyPair::generate(
            &programs.ssh_keygen,
            &client.root().join("id_ed25519"),
            "cos-testlab client",
        )?;
        let inventory = Inventory::new(client.root(), &user, client_key.private())?;
        let shared = Shared {
            id,
            privileges: Privileges::detect(),
            programs,
            user,
            client,
            client_key,
            inventory: Mutex::new(inventory),
            directory,
            _janitor: janitor,
        };
        Ok(Lab {
            shared: Arc::new(shared),
        })
    }
}

/// Paths of the lab stand unquoted in rc files that five shells read.
fn check_base(base: &Path) -> Result<(), LabError> {
    let fit = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '.' | '_' | '-');
    if base.is_absolute() && base.to_str().is_some_and(|base| base.chars().all(fit)) {
        return Ok(());
    }
    let source = std::io::Error::other("not an absolute path of letters, digits, '.', '_' and '-'");
    Err(LabError::file("make a lab in", base)(source))
}

/// The programs that every lab needs.
#[derive(Debug)]
pub(crate) struct Programs {
    pub(crate) sshd: PathBuf,
    pub(crate) ssh: PathBuf,
    pub(crate) ssh_keygen: PathBuf,
}

impl Programs {
    fn find() -> Result<Self, LabError> {
        Ok(Self {
            sshd: programs::require("sshd", "openssh-server")?,
            ssh: programs::require("ssh", "openssh-client")?,
            ssh_keygen: programs::require("ssh-keygen", "openssh-client")?,
        })
    }
}

/// What the hosts of a lab hold of it. The lab's directory lives as long as any of them.
#[derive(Debug)]
pub(crate) struct Shared {
    /// Unique on this machine while the lab's directory exists.
    pub(crate) id: String,
    pub(crate) privileges: Privileges,
    pub(crate) programs: Programs,
    pub(crate) user: String,
    pub(crate) client: Client,
    pub(crate) client_key: KeyPair,
    inventory: Mutex<Inventory>,
    directory: TempDir,
    /// After the directory, since fields are dropped in this order and the janitor takes the
    /// directory's absence as the sign of a clean end.
    _janitor: Janitor,
}

impl Shared {
    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }

    pub(crate) fn inventory(&self) -> MutexGuard<'_, Inventory> {
        lock(&self.inventory)
    }
}

/// Locks even after a panic elsewhere: what the lab guards stays consistent, and a failed test is
/// still to be cleaned up after.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
