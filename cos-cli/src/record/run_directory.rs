//! The directory of a run.

use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::{DirBuilderExt, symlink};
use std::path::{Path, PathBuf};

use super::{RecordError, RunId};

/// How many names are tried before longer ones are.
const TRIES_PER_LENGTH: usize = 16;

/// A run's own directory, which only its user can enter.
#[derive(Debug, Clone)]
pub struct RunDirectory {
    id: RunId,
    path: PathBuf,
}

/// Where `cos` keeps its runs: `$XDG_STATE_HOME/cos`, or what the system has in its place. `None` without a home directory.
#[must_use]
pub fn state_directory() -> Option<PathBuf> {
    let directories = directories::BaseDirs::new()?;
    let state = directories
        .state_dir()
        .unwrap_or_else(|| directories.data_local_dir());
    Some(state.join("cos"))
}

impl RunDirectory {
    /// Makes a directory for a new run below `state`, and points `latest` at it.
    ///
    /// # Errors
    ///
    /// When it cannot be made. A `latest` that cannot be set is no error.
    pub fn create(state: &Path) -> Result<Self, RecordError> {
        let runs = state.join("runs");
        let private = |path: &Path, parents| {
            DirBuilder::new()
                .recursive(parents)
                .mode(0o700)
                .create(path)
        };
        private(&runs, true).map_err(RecordError::at(&runs))?;
        let mut tries = 0;
        loop {
            let id = RunId::random(tries / TRIES_PER_LENGTH);
            let path = runs.join(id.as_str());
            match private(&path, false) {
                Ok(()) => {
                    point_latest_at(&runs, &id);
                    return Ok(Self { id, path });
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists && tries < 100 => {
                    tries += 1;
                }
                Err(source) => return Err(RecordError { path, source }),
            }
        }
    }

    /// The run's name.
    #[must_use]
    pub fn id(&self) -> &RunId {
        &self.id
    }

    /// The directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The file that describes the run.
    #[must_use]
    pub fn run_file(&self) -> PathBuf {
        self.path.join("run.json")
    }

    /// The job log.
    #[must_use]
    pub fn job_log(&self) -> PathBuf {
        self.path.join("joblog")
    }

    /// The events.
    #[must_use]
    pub fn event_log(&self) -> PathBuf {
        self.path.join("events.jsonl")
    }

    /// The jobs' output.
    #[must_use]
    pub fn output(&self) -> PathBuf {
        self.path.join("output")
    }

    /// The log.
    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.path.join("cos.log")
    }
}

/// Two runs that start together may each set it; one of them wins, and it is never missing in between.
fn point_latest_at(runs: &Path, id: &RunId) {
    let temporary = runs.join(format!(".latest-{id}"));
    if symlink(id.as_str(), &temporary).is_ok()
        && std::fs::rename(&temporary, runs.join("latest")).is_err()
    {
        let _ = std::fs::remove_file(&temporary);
    }
}
