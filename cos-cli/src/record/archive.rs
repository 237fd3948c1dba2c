//! `output`: what every job wrote, one record after the other in one file, however many jobs there are.
//!
//! A record is a line of JSON that tells its lengths, then the bytes of standard output, those of standard error, and a line
//! feed. The file can be read with a pager, and scanned quickly by its lengths.
//!
//! ```text
//! {"v":1,"seq":217,"try":2,"host":"ws03","stdout":6,"stdout_seen":6,"stderr":0,"stderr_seen":0}
//! hello
//!
//! ```

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::RecordError;
use super::append::AppendFile;
use crate::output::Capture;

/// How many bytes of each stream are kept: 10 MB.
pub const OUTPUT_LIMIT: u64 = 10_000_000;

/// The longest head line that a reader accepts.
const LONGEST_HEAD: u64 = 4096;

/// Writes the file.
#[derive(Debug)]
pub struct OutputArchive(AppendFile);

/// What a job has written, as the file has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArchivedOutput {
    /// The host that it ran on last.
    pub host: String,
    /// Which try wrote it, from 1.
    pub try_number: u32,
    /// The start of its standard output.
    pub stdout: Vec<u8>,
    /// All bytes of its standard output, the dropped ones counted.
    pub stdout_seen: u64,
    /// The start of its standard error.
    pub stderr: Vec<u8>,
    /// All bytes of its standard error, the dropped ones counted.
    pub stderr_seen: u64,
}

#[derive(Debug, Serialize, Deserialize)]
struct Head {
    v: u32,
    seq: u64,
    r#try: u32,
    host: String,
    stdout: u64,
    stdout_seen: u64,
    stderr: u64,
    stderr_seen: u64,
}

impl OutputArchive {
    /// A new file, readable by the user alone.
    ///
    /// # Errors
    ///
    /// When it cannot be made.
    pub fn create(path: &Path) -> Result<Self, RecordError> {
        AppendFile::create(path).map(Self)
    }

    /// Appends what a job has written. A job that wrote nothing takes no room.
    ///
    /// # Errors
    ///
    /// When it cannot be written; the file is then as it was before.
    pub fn append(
        &mut self,
        sequence: u64,
        try_number: u32,
        host: &str,
        capture: &Capture,
    ) -> Result<(), RecordError> {
        let (stdout, stderr) = (&capture.stdout, &capture.stderr);
        if !capture.has_any() {
            return Ok(());
        }
        let head = Head {
            v: 1,
            seq: sequence,
            r#try: try_number,
            host: host.to_owned(),
            stdout: stdout.kept.len().min(OUTPUT_LIMIT),
            stdout_seen: stdout.seen,
            stderr: stderr.kept.len().min(OUTPUT_LIMIT),
            stderr_seen: stderr.seen,
        };
        self.0.write_record(|file| {
            let mut line = serde_json::to_vec(&head)?;
            line.push(b'\n');
            let mut out = io::BufWriter::new(file);
            out.write_all(&line)?;
            stdout.kept.copy_to(OUTPUT_LIMIT, &mut out)?;
            stderr.kept.copy_to(OUTPUT_LIMIT, &mut out)?;
            out.write_all(b"\n")?;
            out.flush()?;
            Ok(line.len() as u64 + head.stdout + head.stderr + 1)
        })
    }
}

/// Finds what a job has written. A file whose last record is torn is read up to it.
///
/// # Errors
///
/// When the file cannot be read, or is not of this form.
pub fn find_output(path: &Path, sequence: u64) -> io::Result<Option<ArchivedOutput>> {
    let mut file = BufReader::new(File::open(path)?);
    let end = file.get_ref().metadata()?.len();
    let mut position = 0;
    let mut found = None;
    loop {
        let mut line = Vec::new();
        (&mut file)
            .take(LONGEST_HEAD)
            .read_until(b'\n', &mut line)?;
        if !line.ends_with(b"\n") {
            return Ok(found);
        }
        let head: Head = serde_json::from_slice(&line)?;
        position += line.len() as u64;
        let length = head.stdout.saturating_add(head.stderr).saturating_add(1);
        let Some(next) = position.checked_add(length).filter(|&next| next <= end) else {
            return Ok(found);
        };
        if head.seq == sequence {
            let mut take = |length| {
                let mut bytes = Vec::new();
                (&mut file)
                    .take(length)
                    .read_to_end(&mut bytes)
                    .map(|_| bytes)
            };
            found = Some(ArchivedOutput {
                stdout: take(head.stdout)?,
                stderr: take(head.stderr)?,
                host: head.host,
                try_number: head.r#try,
                stdout_seen: head.stdout_seen,
                stderr_seen: head.stderr_seen,
            });
        }
        file.seek(SeekFrom::Start(next))?;
        position = next;
    }
}
