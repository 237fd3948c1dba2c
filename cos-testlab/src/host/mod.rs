//! Private hosts: one sshd each, with directories, a shell and processes of its own.

mod builder;
mod control;
mod log;
mod login;
mod mounts;
mod processes;
mod shell;
mod sshd;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

pub(crate) use builder::check_name;
pub use builder::{HostBuilder, Place};
pub use control::OccupiedStartups;
pub use login::NOISE;
pub use mounts::Mount;
pub(crate) use mounts::Privileges;
pub use processes::{HOST_VARIABLE, HostProcess};
pub use shell::Shell;

use crate::error::LabError;
use crate::lab::{Shared, lock};
use crate::loopback::PortReservation;
use crate::relay::FaultProxy;
use processes::{LOOK_AGAIN, Marks, Owned};
use sshd::Sshd;

/// A running host of a lab; its processes and its directory go when it is dropped.
#[derive(Debug)]
pub struct TestHost {
    name: String,
    shell: Shell,
    directories: Directories,
    port: PortReservation,
    sshd: Mutex<Sshd>,
    marks: Mutex<Marks>,
    proxy: Mutex<Option<Arc<FaultProxy>>>,
    lab: Arc<Shared>,
}

/// The directories of one host.
#[derive(Debug, Clone)]
pub(crate) struct Directories {
    pub(crate) root: PathBuf,
    pub(crate) home: PathBuf,
    pub(crate) runtime: PathBuf,
    pub(crate) temporary: PathBuf,
    pub(crate) scratch: PathBuf,
}

impl Directories {
    pub(crate) fn cache(&self) -> PathBuf {
        self.home.join(".cache")
    }

    pub(crate) fn configuration(&self) -> PathBuf {
        self.home.join(".config")
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.home.join(".local/state")
    }

    pub(crate) fn of(&self, place: &Place) -> PathBuf {
        match place {
            Place::Home => self.home.clone(),
            Place::Cache => self.cache(),
            Place::Runtime => self.runtime.clone(),
            Place::Temporary => self.temporary.clone(),
            Place::Scratch => self.scratch.clone(),
            Place::Path(path) => path.clone(),
        }
    }
}

impl TestHost {
    pub(crate) fn new(
        lab: Arc<Shared>,
        name: String,
        shell: Shell,
        directories: Directories,
        port: PortReservation,
        sshd: Sshd,
        marks: Marks,
    ) -> Self {
        Self {
            name,
            shell,
            directories,
            port,
            sshd: Mutex::new(sshd),
            marks: Mutex::new(marks),
            proxy: Mutex::new(None),
            lab,
        }
    }

    /// The host's name, which is its alias in the lab's `ssh_config`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its login shell.
    #[must_use]
    pub fn shell(&self) -> Shell {
        self.shell
    }

    /// Its own directory, with everything below it but a shared home.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.directories.root
    }

    /// `$HOME` of its sessions.
    #[must_use]
    pub fn home(&self) -> &Path {
        &self.directories.home
    }

    /// `$XDG_CACHE_HOME` of its sessions.
    #[must_use]
    pub fn cache(&self) -> PathBuf {
        self.directories.cache()
    }

    /// `$XDG_RUNTIME_DIR` of its sessions.
    #[must_use]
    pub fn runtime(&self) -> &Path {
        &self.directories.runtime
    }

    /// `$TMPDIR` of its sessions.
    #[must_use]
    pub fn temporary(&self) -> &Path {
        &self.directories.temporary
    }

    /// Its local storage, as its hosts.toml entry names it.
    #[must_use]
    pub fn scratch(&self) -> &Path {
        &self.directories.scratch
    }

    /// The port of 127.0.0.1 that its sshd listens on.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port.port()
    }

    /// The process id of its sshd, while that runs.
    #[must_use]
    pub fn pid(&self) -> Option<i32> {
        lock(&self.sshd).pid()
    }

    /// How many ssh connections its sshd has accepted; logins that failed are among them, what
    /// MaxStartups dropped is not.
    #[must_use]
    pub fn connections(&self) -> usize {
        lock(&self.sshd).log().connections()
    }

    /// How many connections MaxStartups has dropped.
    #[must_use]
    pub fn dropped_connections(&self) -> usize {
        lock(&self.sshd).log().dropped()
    }

    /// How many connections have logged in.
    #[must_use]
    pub fn logins(&self) -> usize {
        lock(&self.sshd).log().logins()
    }

    /// How many sessions (exec channels) have been started in all connections.
    #[must_use]
    pub fn sessions(&self) -> usize {
        lock(&self.sshd).log().sessions()
    }

    /// What its sshd has said.
    #[must_use]
    pub fn sshd_log(&self) -> String {
        lock(&self.sshd).log().text()
    }

    /// The live processes of the host, sshd's own excepted: what sessions run, and whatever has
    /// detached itself from them.
    #[must_use]
    pub fn processes(&self) -> Vec<HostProcess> {
        self.walk().processes
    }

    /// sshd's own live processes: the listener, and one or more for each open connection.
    #[must_use]
    pub fn sshd_processes(&self) -> Vec<HostProcess> {
        self.walk().sshd
    }

    /// Waits until [`TestHost::processes`] has stayed empty for two looks.
    ///
    /// # Errors
    ///
    /// [`LabError::StillRunning`], with what is left, after `deadline`.
    pub fn wait_for_no_processes(&self, deadline: Duration) -> Result<(), LabError> {
        let start = Instant::now();
        // A look may miss what is forked during it; that one is seen by the next.
        let mut empty = 0;
        loop {
            let left = self.processes();
            empty = if left.is_empty() { empty + 1 } else { 0 };
            if empty == 2 {
                return Ok(());
            }
            if start.elapsed() >= deadline && !left.is_empty() {
                let host = self.name.clone();
                return Err(LabError::StillRunning {
                    host,
                    waited: start.elapsed(),
                    left,
                });
            }
            thread::sleep(LOOK_AGAIN);
        }
    }

    /// Waits until something holds, looking every few milliseconds.
    ///
    /// # Errors
    ///
    /// [`LabError::Deadline`] after `deadline`.
    pub fn wait_until(
        &self,
        what: &'static str,
        deadline: Duration,
        mut holds: impl FnMut(&Self) -> bool,
    ) -> Result<(), LabError> {
        let start = Instant::now();
        while !holds(self) {
            if start.elapsed() >= deadline {
                let host = self.name.clone();
                return Err(LabError::Deadline {
                    host,
                    what,
                    waited: start.elapsed(),
                });
            }
            thread::sleep(LOOK_AGAIN);
        }
        Ok(())
    }

    /// Every file (no directory) below a directory, as the host sees it, sorted. A directory that
    /// does not exist has none.
    #[must_use]
    pub fn files_under(&self, directory: impl AsRef<Path>) -> Vec<PathBuf> {
        let directory = directory.as_ref();
        let seen = self.as_seen_by_host(directory);
        let mut files = BTreeSet::new();
        let mut pending = vec![seen.clone()];
        while let Some(next) = pending.pop() {
            // Files come and go while a host runs.
            for entry in std::fs::read_dir(&next).into_iter().flatten().flatten() {
                if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                    pending.push(entry.path());
                } else if let Ok(below) = entry.path().strip_prefix(&seen) {
                    files.insert(directory.join(below));
                }
            }
        }
        files.into_iter().collect()
    }

    /// The path under which the test finds what the host has at `path`: the same one, unless the
    /// host has mounts of its own and runs.
    #[must_use]
    pub fn as_seen_by_host(&self, path: impl AsRef<Path>) -> PathBuf {
        let path = path.as_ref();
        match self.pid() {
            Some(pid) if self.lab.privileges.mount_namespaces => {
                let below = path.strip_prefix("/").unwrap_or(path);
                PathBuf::from(format!("/proc/{pid}/root")).join(below)
            }
            _ => path.to_owned(),
        }
    }

    fn walk(&self) -> Owned {
        lock(&self.marks).walk()
    }
}

impl AsRef<str> for TestHost {
    /// The host's name.
    fn as_ref(&self) -> &str {
        &self.name
    }
}

impl Drop for TestHost {
    fn drop(&mut self) {
        // A drop has nobody to tell; what hangs in the kernel now is left to it.
        let _ = self.kill();
        let _ = std::fs::remove_dir_all(&self.directories.root);
    }
}
