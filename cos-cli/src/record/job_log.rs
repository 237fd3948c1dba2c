//! The job log: GNU parallel's nine columns, so that its users' scripts and `parallel --resume` read it.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

use cos_core::job::{CommandEnd, Exit, Outcome, TaskError};

use super::RecordError;
use super::append::AppendFile;

const HEADER: &[u8] =
    b"Seq\tHost\tStarttime\tJobRuntime\tSend\tReceive\tExitval\tSignal\tCommand\n";

/// Writes a job log, one line as each job ends.
#[derive(Debug)]
pub struct JobLog(AppendFile);

/// How a job ended, in GNU parallel's numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JobStatus {
    /// The exit code; 0 for a signal, -1 for a job that was ended by us.
    pub exit: i32,
    /// The signal, or 0.
    pub signal: i32,
}

/// One line of a job log.
#[derive(Debug, Clone)]
pub struct JobLogEntry<'a> {
    /// The job's number, from 1.
    pub sequence: u64,
    /// Where it ran; `:` is this machine.
    pub host: &'a str,
    /// When it started.
    pub started: SystemTime,
    /// How long it ran.
    pub runtime: Duration,
    /// Bytes of files that were sent for it.
    pub sent: u64,
    /// Bytes of its standard output.
    pub received: u64,
    /// How it ended.
    pub status: JobStatus,
    /// Its command.
    pub command: &'a [u8],
}

impl JobStatus {
    /// The numbers for an outcome; `None` for a job that never ran, which has no line: it is to be run by a resumed run.
    #[must_use]
    pub fn of(outcome: &Outcome) -> Option<Self> {
        let of_end = |end: &CommandEnd| match end.exit {
            Exit::Code(exit) => Self { exit, signal: 0 },
            Exit::Signal(signal) => Self { exit: 0, signal },
        };
        match outcome {
            Ok(end) => end.command().map(of_end),
            Err(TaskError::CommandFailed { end, .. }) => Some(of_end(end)),
            Err(TaskError::TimedOut { .. }) => Some(Self {
                exit: -1,
                signal: 15,
            }),
            Err(TaskError::Quarantined { .. }) => Some(Self { exit: 0, signal: 9 }),
            Err(TaskError::CommandMissing {
                exit: Exit::Code(exit),
            }) => Some(Self {
                exit: *exit,
                signal: 0,
            }),
            // Stopped by us: whatever its end, it is to be run again.
            Err(_) => None,
        }
    }
}

impl JobLog {
    /// A new log, readable by the user alone.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn create(path: &Path) -> Result<Self, RecordError> {
        let mut file = AppendFile::create(path)?;
        file.push(&[HEADER])?;
        file.flush()?;
        Ok(Self(file))
    }

    /// The log of `--joblog`: an existing file is emptied, or with `+` before its name kept, as in GNU parallel.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn open(name: &OsStr) -> Result<Self, RecordError> {
        let (path, keep) = match name.as_bytes().strip_prefix(b"+") {
            Some(path) => (OsStr::from_bytes(path), true),
            None => (name, false),
        };
        let mut file = AppendFile::open(Path::new(path), keep)?;
        if file.end() == 0 {
            file.push(&[HEADER])?;
            file.flush()?;
        }
        Ok(Self(file))
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// Takes a job's line, to be written by the next [`flush`](Self::flush) at the latest.
    ///
    /// # Errors
    ///
    /// As [`flush`](Self::flush).
    pub fn write(&mut self, entry: &JobLogEntry<'_>) -> Result<(), RecordError> {
        let started = entry
            .started
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or(Duration::ZERO);
        let numbers = format!(
            "{}\t{}\t{}.{:03}\t{:10.3}\t{}\t{}\t{}\t{}\t",
            entry.sequence,
            entry.host,
            started.as_secs(),
            started.subsec_millis(),
            entry.runtime.as_secs_f64(),
            entry.sent,
            entry.received,
            entry.status.exit,
            entry.status.signal,
        );
        // A line feed within a command is a NUL byte, as GNU parallel writes it.
        let command: Vec<u8> = entry
            .command
            .iter()
            .map(|&byte| if byte == b'\n' { 0 } else { byte })
            .collect();
        self.0.push(&[numbers.as_bytes(), &command, b"\n"])
    }

    /// Writes the lines that were taken.
    ///
    /// # Errors
    ///
    /// When not all of them can be written; the file then ends with a whole line.
    pub fn flush(&mut self) -> Result<(), RecordError> {
        self.0.flush()
    }
}
