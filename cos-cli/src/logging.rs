//! The log: what `tracing` is told in this process, written to files.
//!
//! ```text
//! 2026-03-01T09:14:02.113Z DEBUG cos::vm: ws04: connecting
//! ```
//!
//! The targets are `cos::kernel` (what was decided about hosts and tasks), `cos::vm` (what happens on the way to them)
//! and `cos::run`. Nothing of it is ever needed to understand what the screen says; it is for the day on which a host
//! misbehaves.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use tracing::level_filters::LevelFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::FormatTime;

use crate::record::RecordError;

/// From now on, the log goes to these files; those that exist are added to. With `verbose` at 2 or more, what happens to
/// every single job is in it too.
///
/// A log that cannot be written further, such as for a full disk, ends there: it is no reason to stop a run.
///
/// # Errors
///
/// When a file cannot be opened.
pub(crate) fn write_to(paths: &[&Path], verbose: u8) -> Result<(), RecordError> {
    let files = paths.iter().map(|path| open(path));
    let files = Files(Arc::new(Mutex::new(files.collect::<Result<_, _>>()?)));
    let level = match verbose {
        0 | 1 => LevelFilter::DEBUG,
        _ => LevelFilter::TRACE,
    };
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(level)
        .with_ansi(false)
        .with_timer(TimeOfDay)
        .with_writer(files)
        .finish();
    // A process has one log; a second one can only be asked for by a test.
    let _ = tracing::subscriber::set_global_default(subscriber);
    Ok(())
}

fn open(path: &Path) -> Result<File, RecordError> {
    OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(path)
        .map_err(|source| RecordError {
            path: path.to_owned(),
            source,
        })
}

/// Several files that get the same lines.
#[derive(Clone, Debug)]
struct Files(Arc<Mutex<Vec<File>>>);

impl<'a> MakeWriter<'a> for Files {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

impl Write for Files {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut files = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        files.retain_mut(|file| file.write_all(bytes).is_ok());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The time of day in UTC, to the millisecond.
struct TimeOfDay;

impl FormatTime for TimeOfDay {
    fn format_time(&self, writer: &mut Writer<'_>) -> std::fmt::Result {
        write!(writer, "{:.3}", jiff::Timestamp::now())
    }
}
