//! What stays of a run: its directory with the joblog, the events and every job's output; `--joblog` and `--results`.
//!
//! ```text
//! <state directory>/cos/runs/7kq2/     0700
//!     run.json       what was run, where, and how it ended
//!     joblog         GNU parallel's job log
//!     events.jsonl   everything that happened, one JSON document per line
//!     output         what every job wrote, at most 10 MB of each stream
//!     cos.log        the log
//! <state directory>/cos/runs/latest -> 7kq2
//! ```
//!
//! No failure to write is silent: every writer returns a [`RecordError`] that names the file, and a record that did not fit
//! on a full disk is taken back whole, so that a file never ends in half a record.

mod append;
mod archive;
mod event_log;
mod event_text;
mod job_log;
mod results;
mod run_directory;
mod run_file;
mod run_id;

use std::io;
use std::path::{Path, PathBuf};

pub use archive::{ArchivedOutput, OUTPUT_LIMIT, OutputArchive, find_output};
pub use event_log::{EventLog, EventNames, WallClock, event_line, output_lines};
pub use job_log::{JobLog, JobLogEntry, JobStatus};
pub use results::{ParseResultsError, Results};
pub use run_directory::{RunDirectory, state_directory};
pub use run_file::{RunEnd, RunFile};
pub use run_id::{ParseRunIdError, RunId};

/// Why something could not be recorded.
#[derive(Debug, thiserror::Error)]
#[error("cannot write `{}`", .path.display())]
pub struct RecordError {
    /// The file or directory.
    pub path: PathBuf,
    /// The system's word for it.
    #[source]
    pub source: io::Error,
}

impl RecordError {
    fn at(path: &Path) -> impl FnOnce(io::Error) -> Self + '_ {
        |source| Self {
            path: path.to_owned(),
            source,
        }
    }

    /// What the user can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        let is_state = state_directory().is_some_and(|state| self.path.starts_with(state));
        match self.source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded if is_state => {
                Some("make room, or set XDG_STATE_HOME to a directory on another disk")
            }
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Some("make room there"),
            _ if is_state => Some("set XDG_STATE_HOME to a directory that you can write"),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests;
