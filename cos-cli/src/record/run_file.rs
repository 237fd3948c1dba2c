//! `run.json`: what was run, and how it ended.

use std::fs;
use std::io::Write;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{RecordError, RunId};

/// The version of the file's form; readers refuse a later one.
const VERSION: u32 = 1;

/// The description of a run. Bytes that are not UTF-8 are shown as escapes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunFile {
    /// The version of this form.
    pub v: u32,
    /// The run's name.
    pub run: String,
    /// The release of `cos`.
    pub release: String,
    /// The process.
    pub pid: u32,
    /// When it started, as in RFC 3339.
    pub started: String,
    /// The whole command line, word by word.
    pub arguments: Vec<String>,
    /// The directory that it was started in.
    pub directory: String,
    /// The hosts that were meant.
    pub hosts: Vec<String>,
    /// How it ended; `None` while it runs, or when it was killed.
    pub end: Option<RunEnd>,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunEnd {
    /// When, as in RFC 3339.
    pub ended: String,
    /// Jobs that succeeded.
    pub succeeded: u64,
    /// Jobs that failed.
    pub failed: u64,
    /// Jobs that were started or due but have no outcome.
    pub not_run: u64,
    /// The exit code of `cos`.
    pub exit: u8,
}

impl RunFile {
    /// A run of this process that starts now.
    #[must_use]
    pub fn of_process(run: &RunId, hosts: Vec<String>, started: jiff::Timestamp) -> Self {
        let shown = |text: &std::ffi::OsStr| text.display().to_string();
        Self {
            v: VERSION,
            run: run.to_string(),
            release: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            started: started.to_string(),
            arguments: std::env::args_os().map(|word| shown(&word)).collect(),
            directory: std::env::current_dir()
                .map_or_else(|_| "?".to_owned(), |path| shown(path.as_os_str())),
            hosts,
            end: None,
        }
    }

    /// Writes the file; a reader sees the old one or the new one, never a part.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), RecordError> {
        let temporary = path.with_extension("json.new");
        let written = || {
            let mut text = serde_json::to_vec_pretty(self)?;
            text.push(b'\n');
            let mut file = fs::File::create(&temporary)?;
            file.write_all(&text)?;
            file.sync_all()?;
            fs::rename(&temporary, path)
        };
        written().map_err(|source| {
            let _ = fs::remove_file(&temporary);
            RecordError {
                path: path.to_owned(),
                source,
            }
        })
    }
}
