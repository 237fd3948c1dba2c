//! Makes a host ready: directories, environment, shell.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde_bytes::ByteBuf;

use crate::ids::SlotId;
use crate::job::Amounts;
use crate::wire::message::{DirectoryReport, Preparation, PrepareError, RunDirectory};
use crate::worker::containment::{COOKIE, Cookie};
use crate::worker::place::Place;
use crate::worker::slot::protocol::Configuration;

/// A host as the jobs of one run see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Prepared {
    preparation: Preparation,
    shell: PathBuf,
    /// Where jobs start.
    pub(super) directory: DirectoryReport,
    /// The run's scratch, if it has one: to be removed with the agent.
    pub(super) scratch: Option<PathBuf>,
    environment: Vec<(OsString, OsString)>,
    cores: u32,
    private_parent: PathBuf,
}

impl Prepared {
    /// Makes directories and finds the shell. The setup script comes later, and sees all that.
    ///
    /// # Errors
    /// [`PrepareError`]; what was made until then is removed with the agent's place.
    pub(super) fn new(preparation: Preparation, place: &Place) -> Result<Self, PrepareError> {
        let mut environment: Vec<(OsString, OsString)> = std::env::vars_os().collect();
        let given = preparation.environment.iter().map(|(name, value)| {
            (
                OsString::from_vec(name.to_vec()),
                OsString::from_vec(value.to_vec()),
            )
        });
        let given: Vec<_> = given.collect();
        environment.retain(|(name, _)| !given.iter().any(|(new, _)| new == name));
        environment.extend(given);
        if let Some(name) = environment
            .iter()
            .find_map(|(name, value)| unusable(name, value))
        {
            return Err(other(format!("the environment cannot hold `{name}`")));
        }
        let shell = find_shell(&preparation.shell, &environment)?;
        let (directory, scratch) = run_directory(&preparation.directory, place)?;
        let cookie = Cookie::of_this_process(&preparation.run).to_string();
        environment.retain(|(name, _)| name != COOKIE);
        environment.push((COOKIE.into(), cookie.into()));
        let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get());
        Ok(Self {
            preparation,
            shell,
            directory,
            scratch,
            environment,
            private_parent: place.path().to_owned(),
            cores: u32::try_from(cores).unwrap_or(u32::MAX),
        })
    }

    /// What the client asked for.
    pub(super) fn preparation(&self) -> &Preparation {
        &self.preparation
    }

    /// Cores that this process may use: its affinity mask and its control group count.
    pub(super) fn cores(&self) -> u32 {
        self.cores
    }

    /// What jobs may take in all.
    pub(super) fn amounts(&self) -> Amounts {
        Amounts::cores(self.preparation.slots.of(self.cores))
    }

    /// The absolute path of the shell.
    pub(super) fn shell(&self) -> &Path {
        &self.shell
    }

    /// The directory in which jobs start.
    pub(super) fn path(&self) -> &Path {
        let (DirectoryReport::Shared { path } | DirectoryReport::Scratch { path, .. }) =
            &self.directory;
        Path::new(OsStr::from_bytes(path))
    }

    /// The environment of the slots, and so of the commands.
    pub(super) fn environment(&self) -> impl Iterator<Item = (&OsStr, &OsStr)> {
        let pairs = self.environment.iter();
        pairs.map(|(name, value)| (name.as_os_str(), value.as_os_str()))
    }

    /// Puts what a setup script has exported in place of what there was.
    pub(super) fn set_environment(&mut self, environment: Vec<(OsString, OsString)>) {
        self.environment = environment;
    }

    /// What a slot needs to know.
    pub(super) fn configuration(&self, slot: SlotId) -> Configuration {
        Configuration {
            slot: slot.0,
            run: self.preparation.run.clone(),
            host: self.preparation.host.clone(),
            shell: ByteBuf::from(self.shell.as_os_str().as_bytes()),
            directory: ByteBuf::from(self.path().as_os_str().as_bytes()),
            private_parent: ByteBuf::from(self.private_parent.as_os_str().as_bytes()),
            nice: self.preparation.nice,
        }
    }
}

fn other(cause: String) -> PrepareError {
    PrepareError::Other { cause }
}

/// The name of a variable that no process can be given.
fn unusable(name: &OsStr, value: &OsStr) -> Option<String> {
    let (name_bytes, value) = (name.as_bytes(), value.as_bytes());
    let bad = name_bytes.is_empty()
        || name_bytes.iter().any(|byte| matches!(byte, b'=' | 0))
        || value.contains(&0);
    bad.then(|| name.to_string_lossy().into_owned())
}

/// The shell's absolute path, found as the jobs would find it.
fn find_shell(shell: &str, environment: &[(OsString, OsString)]) -> Result<PathBuf, PrepareError> {
    let is_executable = |path: &Path| {
        let found = fs::metadata(path);
        found.is_ok_and(|it| it.is_file() && it.permissions().mode() & 0o111 != 0)
    };
    let failed = |cause: String| PrepareError::Shell { cause };
    if shell.contains('/') {
        let path = PathBuf::from(shell);
        if !path.is_absolute() {
            return Err(failed(format!("{shell}: not an absolute path")));
        }
        return match fs::metadata(&path) {
            Err(error) => Err(failed(format!("{shell}: {error}"))),
            Ok(_) if !is_executable(&path) => Err(failed(format!("{shell}: not executable"))),
            Ok(_) => Ok(path),
        };
    }
    let path = environment.iter().find(|(name, _)| name == "PATH");
    let path = path.map_or_else(|| OsString::from("/usr/bin:/bin"), |(_, path)| path.clone());
    std::env::split_paths(&path)
        .map(|directory| directory.join(shell))
        .find(|candidate| candidate.is_absolute() && is_executable(candidate))
        .ok_or_else(|| failed(format!("{shell}: not found in {}", path.display())))
}

fn run_directory(
    wanted: &RunDirectory,
    place: &Place,
) -> Result<(DirectoryReport, Option<PathBuf>), PrepareError> {
    match wanted {
        RunDirectory::Here { path } => {
            let path_of = Path::new(OsStr::from_bytes(path));
            match fs::metadata(path_of) {
                Ok(found) if found.is_dir() => {
                    Ok((DirectoryReport::Shared { path: path.clone() }, None))
                }
                Ok(_) => Err(other(format!("{}: not a directory", path_of.display()))),
                Err(error) => Err(other(format!("{}: {error}", path_of.display()))),
            }
        }
        RunDirectory::Scratch => scratch(place, None),
        RunDirectory::Proven { .. } => scratch(place, Some("not proven".to_owned())),
    }
}

fn scratch(
    place: &Place,
    reason: Option<String>,
) -> Result<(DirectoryReport, Option<PathBuf>), PrepareError> {
    let path = place.path().join("scratch");
    fs::create_dir(&path).map_err(|error| PrepareError::Scratch {
        cause: format!("{}: {error}", path.display()),
    })?;
    let report = DirectoryReport::Scratch {
        path: ByteBuf::from(path.as_os_str().as_bytes()),
        reason,
    };
    Ok((report, Some(path)))
}
