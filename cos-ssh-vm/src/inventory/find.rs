//! Finding the hosts.toml: the option, the variable, the directories above, the configuration, or none.

use std::ffi::OsString;
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use rustix::fs::{FileType, Mode, OFlags};

use super::error::InventoryError;
use super::hosts_file::{self, FILE_NAME, Surroundings};
use super::ownership::{Distrust, Owner};
use super::report::{Problem, Report, shown_path};
use super::{FoundBy, Inventory, Source, sshlogin};

/// The largest hosts.toml, in bytes: 256 for each of [`MAX_HOSTS`](super::MAX_HOSTS).
const MAX_BYTES: u64 = 1 << 20;

/// The variable that names a hosts.toml.
const VARIABLE: &str = "COS_HOSTS";

/// Which hosts the command line asks for.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// The file that `--hosts` names.
    pub hosts: Option<PathBuf>,
    /// The values of `--sshlogin`, as often as it was given. With one, no file is read.
    pub sshlogin: Vec<String>,
    /// Whether this machine alone is no answer: without a file there is an error.
    pub file_required: bool,
}

/// What a search sees of the system; a test makes its own.
#[derive(Clone, Debug)]
pub struct Environment {
    /// The value of `COS_HOSTS`.
    pub hosts_variable: Option<OsString>,
    /// The directory from which the search goes upwards.
    pub current_directory: PathBuf,
    /// The user's home directory.
    pub home: Option<PathBuf>,
    /// The user's configuration directory for COS.
    pub user_configuration: Option<PathBuf>,
    /// The system's configuration directory for COS.
    pub system_configuration: PathBuf,
    /// The number of the user.
    pub uid: u32,
    /// The directory of the files `passwd` and `group`.
    pub accounts: PathBuf,
}

impl Environment {
    /// That of this process.
    ///
    /// # Errors
    ///
    /// The current directory may have been removed, or be closed to the user.
    pub fn of_process() -> io::Result<Self> {
        Ok(Self {
            hosts_variable: std::env::var_os(VARIABLE),
            current_directory: std::env::current_dir()?,
            home: directories::BaseDirs::new().map(|base| base.home_dir().to_owned()),
            user_configuration: directories::ProjectDirs::from("", "", "cos")
                .map(|project| project.config_dir().to_owned()),
            system_configuration: PathBuf::from("/etc/cos"),
            uid: rustix::process::geteuid().as_raw(),
            accounts: PathBuf::from("/etc"),
        })
    }
}

impl Inventory {
    /// Finds the hosts that `request` asks for.
    ///
    /// The first of these that there is: the names of `--sshlogin`; the file of `--hosts`; that of
    /// `COS_HOSTS`; a hosts.toml in the current directory or the nearest one above it; one in the user's
    /// or the system's configuration directory; this machine alone.
    ///
    /// A file that was found by looking, and an ssh_config that it names, must belong to the user or to
    /// root, and nobody else may be able to write it. One that fails this ends the search. A file that
    /// was named is trusted.
    ///
    /// # Errors
    ///
    /// [`InventoryError`]. Blocks while it reads files; nothing is asked of any host.
    pub fn find(request: &Request, environment: &Environment) -> Result<Self, InventoryError> {
        if !request.sshlogin.is_empty() {
            return Ok(sshlogin::read(&request.sshlogin)?);
        }
        let variable = environment
            .hosts_variable
            .as_ref()
            .filter(|value| !value.is_empty());
        if let Some(path) = &request.hosts {
            return environment.read_named(path, FoundBy::Option);
        }
        if let Some(path) = variable {
            return environment.read_named(Path::new(path), FoundBy::Variable);
        }
        let looked_in = LookedIn::new(environment);
        for directory in looked_in.directories() {
            if let Some(inventory) = environment.read_if_there(&directory.join(FILE_NAME))? {
                return Ok(inventory);
            }
        }
        if request.file_required {
            return Err(InventoryError::NotFound { looked_in });
        }
        Ok(Self::this_machine(looked_in))
    }
}

impl Environment {
    /// Reads a file that the user named, which may be a pipe.
    fn read_named(&self, path: &Path, found: FoundBy) -> Result<Inventory, InventoryError> {
        let unreadable = |cause| InventoryError::Unreadable {
            path: path.to_owned(),
            cause,
        };
        let file = File::open(self.current_directory.join(path)).map_err(unreadable)?;
        self.read(file, path, found)
    }

    /// Reads a file that was looked for, if it is there and can be trusted.
    fn read_if_there(&self, path: &Path) -> Result<Option<Inventory>, InventoryError> {
        let shown = path.strip_prefix(&self.current_directory).unwrap_or(path);
        // Opened first and then checked, so that it cannot be replaced in between. Without NONBLOCK, a
        // pipe of that name would stop the search.
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
        let file = match rustix::fs::open(path, flags, Mode::empty()) {
            Ok(descriptor) => File::from(descriptor),
            Err(rustix::io::Errno::NOENT | rustix::io::Errno::NOTDIR) => return Ok(None),
            Err(error) => {
                return Err(InventoryError::Unreadable {
                    path: shown.to_owned(),
                    cause: error.into(),
                });
            }
        };
        self.check_trust(&file)
            .map_err(|fault| fault.error(shown))?;
        self.read(file, shown, FoundBy::Search).map(Some)
    }

    fn check_trust(&self, file: &File) -> Result<(), Fault> {
        let status = rustix::fs::fstat(file).map_err(|error| Fault::System(error.into()))?;
        if FileType::from_raw_mode(status.st_mode) != FileType::RegularFile {
            return Err(Fault::Distrust(Distrust::Kind));
        }
        Owner {
            uid: self.uid,
            accounts: &self.accounts,
        }
        .check(&status)
        .map_err(Fault::Distrust)
    }

    fn read(&self, file: File, path: &Path, found: FoundBy) -> Result<Inventory, InventoryError> {
        let mut bytes = Vec::new();
        file.take(MAX_BYTES + 1)
            .read_to_end(&mut bytes)
            .map_err(|cause| InventoryError::Unreadable {
                path: path.to_owned(),
                cause,
            })?;
        if bytes.len() as u64 > MAX_BYTES {
            let cause = io::Error::new(
                io::ErrorKind::FileTooLarge,
                "larger than 1 MiB: this is no hosts.toml",
            );
            return Err(InventoryError::Unreadable {
                path: path.to_owned(),
                cause,
            });
        }
        let full_path = self.current_directory.join(path);
        let origin = shown_path(path);
        let surroundings = Surroundings {
            origin: &origin,
            directory: full_path.parent().unwrap_or(&self.current_directory),
            home: self.home.as_deref(),
            check_ssh_config: &|config| self.check_ssh_config(config, found),
        };
        let text = String::from_utf8(bytes).map_err(|error| not_utf8(&origin, &error))?;
        let source = Source::File {
            path: full_path.clone(),
            found,
        };
        Ok(hosts_file::read(&text, source, &surroundings)?)
    }

    /// What is wrong with an ssh_config, if anything is: ssh would say so once per host.
    fn check_ssh_config(&self, path: &Path, found: FoundBy) -> Result<(), String> {
        let file = File::open(path).map_err(|error| format!("{}: {error}", shown_path(path)))?;
        match found {
            FoundBy::Option | FoundBy::Variable => Ok(()),
            FoundBy::Search => self.check_trust(&file).map_err(|fault| match fault {
                Fault::Distrust(distrust) => format!(
                    "{} {distrust}; if you trust it, use --hosts",
                    shown_path(path)
                ),
                Fault::System(error) => format!("{}: {error}", shown_path(path)),
            }),
        }
    }
}

/// Why a file that is open is not read.
enum Fault {
    Distrust(Distrust),
    System(io::Error),
}

impl Fault {
    fn error(self, path: &Path) -> InventoryError {
        let path = path.to_owned();
        match self {
            Self::Distrust(distrust) => InventoryError::Untrusted { path, distrust },
            Self::System(cause) => InventoryError::Unreadable { path, cause },
        }
    }
}

/// The report for bytes that are no text, showing the first line that is not.
fn not_utf8(origin: &str, error: &std::string::FromUtf8Error) -> Report {
    let offset = error.utf8_error().valid_up_to();
    let text = String::from_utf8_lossy(error.as_bytes());
    let end = offset + '\u{fffd}'.len_utf8();
    Report::new(
        origin,
        &text,
        vec![Problem::new(
            offset..end,
            "a byte that is not UTF-8",
            "save the file as UTF-8",
        )],
    )
}

/// The directories in which a hosts.toml was looked for, for messages.
///
/// [`Display`](fmt::Display) gives them in one line, such as `./ ... /, ~/.config/cos, /etc/cos`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LookedIn {
    current: PathBuf,
    configuration: Vec<PathBuf>,
    home: Option<PathBuf>,
}

impl LookedIn {
    fn new(environment: &Environment) -> Self {
        let user = environment.user_configuration.clone();
        Self {
            current: environment.current_directory.clone(),
            configuration: user
                .into_iter()
                .chain([environment.system_configuration.clone()])
                .collect(),
            home: environment.home.clone(),
        }
    }

    /// The directories, in the order of the search.
    pub fn directories(&self) -> impl Iterator<Item = &Path> {
        self.current
            .ancestors()
            .chain(self.configuration.iter().map(PathBuf::as_path))
    }
}

impl fmt::Display for LookedIn {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("./")?;
        if let Some(top) = self.current.ancestors().skip(1).last() {
            write!(formatter, " ... {}", shown_path(top))?;
        }
        for directory in &self.configuration {
            match self
                .home
                .as_ref()
                .and_then(|home| directory.strip_prefix(home).ok())
            {
                Some(below) => write!(formatter, ", ~/{}", shown_path(below))?,
                None => write!(formatter, ", {}", shown_path(directory))?,
            }
        }
        Ok(())
    }
}
