//! Describing a host before it is started.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::client::make_private_directory;
use crate::error::LabError;
use crate::host::login::{Login, NOISE};
use crate::host::mounts::Mount;
use crate::host::processes::Marks;
use crate::host::shell::Shell;
use crate::host::sshd::{self, Sshd, SshdPlan};
use crate::host::{Directories, TestHost};
use crate::inventory::{Destination, Entry};
use crate::keys::KeyPair;
use crate::lab::Shared;
use crate::loopback::PortReservation;

/// A host's name becomes a directory in the paths of sockets.
const LONGEST_NAME: usize = 32;

/// A directory of a host, before the host has a path.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Place {
    /// `$HOME`
    Home,
    /// `$XDG_CACHE_HOME`
    Cache,
    /// `$XDG_RUNTIME_DIR`
    Runtime,
    /// `$TMPDIR`
    Temporary,
    /// The host's local storage.
    Scratch,
    /// Any absolute path, which must exist.
    Path(PathBuf),
}

/// What known_hosts says about a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum KnownKey {
    Its,
    AnotherOne,
    None,
}

/// A host that is not started yet. Made by [`Lab::host`](crate::Lab::host).
#[derive(Debug)]
#[must_use = "a host exists once it is started"]
pub struct HostBuilder {
    lab: Arc<Shared>,
    name: String,
    shell: Shell,
    home: Option<PathBuf>,
    noise: Vec<u8>,
    noise_on_stderr: Vec<u8>,
    environment: Vec<(String, String)>,
    path_prefix: Vec<PathBuf>,
    options: Vec<(String, String)>,
    mounts: Vec<(Place, Mount)>,
    authorised: bool,
    known_key: KnownKey,
    slots: usize,
    toml_lines: Vec<String>,
}

impl HostBuilder {
    pub(crate) fn new(lab: Arc<Shared>, name: &str) -> Self {
        Self {
            lab,
            name: name.to_owned(),
            shell: Shell::Sh,
            home: None,
            noise: Vec::new(),
            noise_on_stderr: Vec::new(),
            environment: Vec::new(),
            path_prefix: Vec::new(),
            options: Vec::new(),
            mounts: Vec::new(),
            authorised: true,
            known_key: KnownKey::Its,
            slots: 2,
            toml_lines: Vec::new(),
        }
    }

    /// The login shell; [`Shell::Sh`] if not said.
    pub fn shell(mut self, shell: Shell) -> Self {
        self.shell = shell;
        self
    }

    /// Gives the host this home directory, which other hosts may have too (one NFS home). Caches and
    /// state are below it; scratch, runtime and temporary directories stay the host's own.
    pub fn home(mut self, directory: impl Into<PathBuf>) -> Self {
        self.home = Some(directory.into());
        self
    }

    /// Prints [`NOISE`] before every command, from the shell's rc file.
    pub fn noisy(self) -> Self {
        self.noise(NOISE)
    }

    /// Prints these bytes on standard output before every command: from the shell's own rc file
    /// (`.bashrc`, `.zshenv`, `config.fish`, `.tcshrc`), or, for a POSIX shell that reads none, from
    /// a wrapper before the shell, as some sites have it.
    pub fn noise(mut self, bytes: impl AsRef<[u8]>) -> Self {
        self.noise = bytes.as_ref().to_vec();
        self
    }

    /// As [`HostBuilder::noise`], on standard error.
    pub fn noise_on_stderr(mut self, bytes: impl AsRef<[u8]>) -> Self {
        self.noise_on_stderr = bytes.as_ref().to_vec();
        self
    }

    /// Sets an environment variable of every session.
    pub fn env(mut self, variable: &str, value: &str) -> Self {
        self.environment
            .push((variable.to_owned(), value.to_owned()));
        self
    }

    /// Puts a directory (of fake tools, say) first in `PATH`; the one given last comes first.
    pub fn path_prefix(mut self, directory: impl Into<PathBuf>) -> Self {
        self.path_prefix.insert(0, directory.into());
        self
    }

    /// A line of sshd's configuration; it wins over what the lab would say.
    pub fn sshd_option(mut self, key: &str, value: &str) -> Self {
        self.options.push((key.to_owned(), value.to_owned()));
        self
    }

    /// How many sessions one connection may have.
    pub fn max_sessions(self, sessions: u32) -> Self {
        self.sshd_option("MaxSessions", &sessions.to_string())
    }

    /// How many connections may be on their way in, before further ones are dropped. Occupy them
    /// with [`TestHost::occupy_startups`].
    pub fn max_startups(self, connections: u32) -> Self {
        self.sshd_option("MaxStartups", &format!("{connections}:100:{connections}"))
    }

    /// Refuses the lab's key, and so every login.
    pub fn refuse_login(mut self) -> Self {
        self.authorised = false;
        self
    }

    /// Has another host key than known_hosts says.
    pub fn changed_host_key(mut self) -> Self {
        self.known_key = KnownKey::AnotherOne;
        self
    }

    /// Is not in known_hosts.
    pub fn unknown_host_key(mut self) -> Self {
        self.known_key = KnownKey::None;
        self
    }

    /// Mounts something over a directory, for this host alone. Needs root.
    pub fn mount(mut self, place: Place, mount: Mount) -> Self {
        self.mounts.push((place, mount));
        self
    }

    /// The slots in its hosts.toml entry; 2 if not said.
    pub fn slots(mut self, slots: usize) -> Self {
        self.slots = slots;
        self
    }

    /// A further line of its `[[host]]` in hosts.toml, as it is: `tags = ["lab"]`.
    pub fn hosts_toml_line(mut self, line: &str) -> Self {
        self.toml_lines.push(line.to_owned());
        self
    }

    /// Starts the host and returns when its sshd listens.
    ///
    /// # Errors
    ///
    /// [`LabError::Invalid`] for a name that is taken or unfit, [`LabError::NeedsRoot`] for mounts,
    /// [`LabError::NotInstalled`] for a shell, [`LabError::Sshd`] with sshd's own words when it does
    /// not start.
    pub fn start(self) -> Result<TestHost, LabError> {
        self.check()?;
        let directories = self.make_directories()?;
        let host_key = self.generate_key(&directories.root, "host_key")?;
        let known_key = match self.known_key {
            KnownKey::Its => Some(host_key.known_host_fields()),
            KnownKey::AnotherOne => Some(
                self.generate_key(&directories.root, "former_key")?
                    .known_host_fields(),
            ),
            KnownKey::None => None,
        };
        let login = Login {
            shell: self.shell,
            environment: self.environment.clone(),
            path_prefix: self.path_prefix.clone(),
            noise: self.noise.clone(),
            noise_on_stderr: self.noise_on_stderr.clone(),
        }
        .write(&directories)?;
        let port = PortReservation::new()?;
        let id = format!("{}/{}", self.lab.id, self.name);
        sshd::prepare_separation_directory(self.lab.privileges)?;
        let mut sshd = Sshd::new(SshdPlan {
            host: self.name.clone(),
            id: id.clone(),
            root: directories.root.clone(),
            program: self.lab.programs.sshd.clone(),
            port: port.port(),
            host_key: host_key.private().to_owned(),
            authorized_keys: self
                .authorised
                .then(|| format!("{}\n", self.lab.client_key.public())),
            forced_command: login,
            options: self.options.clone(),
            mounts: self
                .mounts
                .iter()
                .map(|(place, mount)| (directories.of(place), mount.clone()))
                .collect(),
            privileges: self.lab.privileges,
            user: self.lab.user.clone(),
        })?;
        sshd.start()?;
        let mut marks = Marks::new(&id, &directories.root);
        if let Some(pid) = sshd.pid() {
            marks.set_listener(pid);
        }
        self.lab.inventory().add(Entry {
            name: self.name.clone(),
            destination: Destination::Port(port.port()),
            known_key,
            slots: self.slots,
            local_storage: Some(directories.scratch.clone()),
            toml_lines: self.toml_lines,
        })?;
        Ok(TestHost::new(
            self.lab,
            self.name,
            self.shell,
            directories,
            port,
            sshd,
            marks,
        ))
    }

    fn check(&self) -> Result<(), LabError> {
        let invalid = |what: &str| LabError::Invalid {
            host: self.name.clone(),
            what: what.to_owned(),
        };
        check_name(&self.lab, &self.name)?;
        if self.shell.path().is_none() {
            let program = self.shell.name().to_owned();
            return Err(LabError::NotInstalled {
                program,
                package: self.shell.package(),
            });
        }
        if !self.mounts.is_empty() && !self.lab.privileges.mount_namespaces {
            return Err(LabError::NeedsRoot {
                host: self.name.clone(),
                what: "a mount namespace",
            });
        }
        let variables = self.environment.iter();
        if variables.clone().any(|(name, _)| !is_variable(name)) {
            return Err(invalid(
                "an environment variable has letters, digits and _ in its name",
            ));
        }
        if variables.clone().any(|(_, value)| value.contains('\0')) {
            return Err(invalid("an environment variable cannot contain a NUL"));
        }
        if self
            .options
            .iter()
            .any(|(key, value)| key.contains('\n') || value.contains('\n'))
        {
            return Err(invalid("an sshd option is one line"));
        }
        Ok(())
    }

    fn make_directories(&self) -> Result<Directories, LabError> {
        let root = self.lab.directory().join(&self.name);
        let home = self.home.clone().unwrap_or_else(|| root.join("home"));
        let directories = Directories {
            runtime: root.join("run"),
            temporary: root.join("tmp"),
            scratch: root.join("scratch"),
            home,
            root,
        };
        for directory in [
            &directories.root,
            &directories.home,
            &directories.cache(),
            &directories.runtime,
            &directories.temporary,
            &directories.scratch,
        ] {
            make_private_directory(directory)?;
        }
        Ok(directories)
    }

    fn generate_key(&self, root: &Path, name: &str) -> Result<KeyPair, LabError> {
        KeyPair::generate(&self.lab.programs.ssh_keygen, &root.join(name), &self.name)
    }
}

/// Refuses a name that is taken, or that cannot be an ssh alias and a directory.
pub(crate) fn check_name(lab: &Shared, name: &str) -> Result<(), LabError> {
    let invalid = |what: &str| {
        Err(LabError::Invalid {
            host: name.to_owned(),
            what: what.to_owned(),
        })
    };
    let fit = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if name.is_empty() || name.len() > LONGEST_NAME || !name.chars().all(fit) {
        return invalid("a name has 1 to 32 letters, digits, '.', '_' or '-'");
    }
    // The last two are directories of the lab itself.
    if name.starts_with(['-', '.']) || matches!(name, "client" | "shared") {
        return invalid("this name is reserved");
    }
    if lab.inventory().contains(name) {
        return invalid("the lab has a host of this name already");
    }
    Ok(())
}

fn is_variable(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}
