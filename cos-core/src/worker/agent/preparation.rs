//! A host as jobs see it: directories, environment, shell.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use cos_storage::{Scratch, ScratchError};
use serde_bytes::ByteBuf;

use super::directories::Directories;
use crate::ids::SlotId;
use crate::job::Amounts;
use crate::wire::message::{
    DirectoryReport, MirrorReport, Preparation, PrepareError, RunDirectory,
};
use crate::worker::containment::{COOKIE, Cookie};
use crate::worker::slot::protocol::{Configuration, StorageEntry};

/// A host as the jobs of one run see it.
#[derive(Debug)]
pub(super) struct Prepared {
    preparation: Preparation,
    shell: PathBuf,
    pub(super) directories: Directories,
    environment: Vec<(OsString, OsString)>,
    cores: u32,
}

impl Prepared {
    /// Finds the shell and puts the environment together. The setup script comes later, and sees all that.
    ///
    /// # Errors
    /// [`PrepareError`].
    pub(super) fn new(
        preparation: Preparation,
        directories: Directories,
    ) -> Result<Self, PrepareError> {
        let mut environment: Vec<(OsString, OsString)> = std::env::vars_os().collect();
        let text = |bytes: &[u8]| OsString::from_vec(bytes.to_vec());
        for (name, value) in &preparation.environment {
            let (name, value) = (text(name), text(value));
            if is_unusable(&name, &value) {
                let cause = format!("the environment cannot hold `{}`", name.display());
                return Err(PrepareError::Other { cause });
            }
            set(&mut environment, name, value);
        }
        let shell = find_shell(&preparation.shell, &environment)?;
        let cookie = Cookie::of_this_process(&preparation.run).to_string();
        set(&mut environment, COOKIE.into(), cookie.into());
        Ok(Self {
            preparation,
            shell,
            directories,
            environment,
            cores: cores(),
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
            &self.directories.report;
        Path::new(OsStr::from_bytes(path))
    }

    /// Where the directories of jobs lie that have one of their own; made when it is first needed.
    ///
    /// # Errors
    /// Why there is none.
    pub(super) fn private_parent(&mut self) -> Result<PathBuf, ScratchError> {
        let Directories {
            scratch,
            local_storage,
            ..
        } = &mut self.directories;
        let scratch = match scratch {
            Some(scratch) => scratch,
            None => scratch.insert(Scratch::create(local_storage, &self.preparation.run)?),
        };
        Ok(scratch.path().join("jobs"))
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
            nice: self.preparation.nice,
            storage: self.storage(),
        }
    }

    /// The mirrored storage by which calls translate paths: what was proven, or what needs no proof.
    fn storage(&self) -> Option<Vec<StorageEntry>> {
        let trusted = |path: &ByteBuf| StorageEntry {
            path: path.clone(),
            problem: None,
        };
        let proven = |mirror: &MirrorReport| StorageEntry {
            path: mirror.path.clone(),
            problem: mirror.problem.clone(),
        };
        match (&self.preparation.own_storage, &self.preparation.directory) {
            (Some(own), _) => Some(own.iter().map(trusted).collect()),
            (None, RunDirectory::Here { .. }) => None,
            (None, _) => Some(self.directories.mirrors.iter().map(proven).collect()),
        }
    }
}

/// Cores that this process may use: its affinity mask and its control group count.
pub(super) fn cores() -> u32 {
    let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get());
    u32::try_from(cores).unwrap_or(u32::MAX)
}

fn set(environment: &mut Vec<(OsString, OsString)>, name: OsString, value: OsString) {
    match environment.iter_mut().find(|(known, _)| *known == name) {
        Some((_, old)) => *old = value,
        None => environment.push((name, value)),
    }
}

/// Whether no process can be given such a variable.
fn is_unusable(name: &OsStr, value: &OsStr) -> bool {
    let (name, value) = (name.as_bytes(), value.as_bytes());
    let is_bad = |byte: &u8| matches!(byte, b'=' | 0);
    name.is_empty() || name.iter().any(is_bad) || value.contains(&0)
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
