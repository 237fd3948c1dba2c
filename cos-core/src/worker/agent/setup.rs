//! The setup script: run once before any job, and what it exports.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::future::Future;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::process::{Command, Stdio};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::unix::pipe::Receiver;
use tokio::time::Sleep;

use super::preparation::Prepared;
use crate::job::Exit;
use crate::wire::message::PrepareError;
use crate::worker::place::Place;
use crate::worker::role::complain;

/// What a shell sets for itself: no export of the script.
const SHELLS_OWN: [&str; 4] = ["_", "PWD", "OLDPWD", "SHLVL"];

/// How much of the script's output is kept, its end (4 KiB).
const OUTPUT_KEPT: usize = 4 * 1024;

/// The most that exports may take in all (4 MiB); the kernel gives no process more than that.
const ENVIRONMENT_LIMIT: u64 = 4 << 20;

/// Variables and their values.
pub(super) type Environment = Vec<(OsString, OsString)>;

/// A setup script that runs.
pub(super) struct Setup {
    pid: i32,
    output: Receiver,
    kept: Vec<u8>,
    exports: PathBuf,
    limit: Duration,
    deadline: Pin<Box<Sleep>>,
}

impl Setup {
    /// Starts the script with the run's shell in the run's directory.
    ///
    /// The exports travel through a file in the agent's private directory, which this executable itself writes as the
    /// script's last act: no descriptor that the script could use up, no tool that the host may lack, no quoting.
    pub(super) fn start(script: &str, prepared: &Prepared, place: &Place) -> io::Result<Self> {
        let exports = place.path().join("exports");
        let status = match prepared.shell().file_name().map(OsStr::as_bytes) {
            Some(b"fish" | b"csh" | b"tcsh") => "$status",
            _ => "$?",
        };
        let script = format!(
            "{script}\n/proc/{}/exe --cos-worker=environment '{}' {status}",
            std::process::id(),
            exports.display(),
        );
        let (reader, writer) = io::pipe()?;
        let child = Command::new(prepared.shell())
            .arg("-c")
            .arg(script)
            .env_clear()
            .envs(prepared.environment())
            .current_dir(prepared.path())
            .stdin(Stdio::null())
            .stdout(Stdio::from(writer.try_clone()?))
            .stderr(Stdio::from(writer))
            .process_group(0)
            .spawn()?;
        let limit = prepared.preparation().setup_timeout;
        Ok(Self {
            pid: child.id().cast_signed(),
            output: Receiver::from_owned_fd(OwnedFd::from(reader))?,
            kept: Vec::new(),
            exports,
            limit,
            deadline: Box::pin(tokio::time::sleep(limit)),
        })
    }

    /// Its process number.
    pub(super) fn pid(&self) -> i32 {
        self.pid
    }

    /// Keeps the end of what it writes. Ready when it has taken too long.
    pub(super) fn poll(&mut self, context: &mut Context<'_>) -> Poll<PrepareError> {
        self.read(context);
        match self.deadline.as_mut().poll(context) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(()) => Poll::Ready(PrepareError::Setup {
                ended: format!("not done after {} s", self.limit.as_secs()),
                output: self.last_lines(),
            }),
        }
    }

    fn read(&mut self, context: &mut Context<'_>) {
        let mut piece = [0; 4096];
        loop {
            let mut piece = ReadBuf::new(&mut piece);
            match Pin::new(&mut self.output).poll_read(context, &mut piece) {
                Poll::Ready(Ok(())) if !piece.filled().is_empty() => {
                    self.kept.extend_from_slice(piece.filled());
                    let excess = self.kept.len().saturating_sub(OUTPUT_KEPT);
                    self.kept.drain(..excess);
                }
                _ => return,
            }
        }
    }

    fn last_lines(&self) -> String {
        String::from_utf8_lossy(&self.kept).trim_end().to_owned()
    }

    /// What came of it, once its shell has ended.
    ///
    /// # Errors
    /// [`PrepareError::Setup`] when it failed, or ended before its last line.
    pub(super) fn finish(
        mut self,
        exit: Exit,
        prepared: &Prepared,
        context: &mut Context<'_>,
    ) -> Result<Environment, PrepareError> {
        self.read(context);
        let failed = |ended: String| PrepareError::Setup {
            ended,
            output: self.last_lines(),
        };
        if exit != Exit::Code(0) {
            return Err(failed(exit.to_string()));
        }
        let exports = match fs::metadata(&self.exports) {
            Ok(found) if found.len() > ENVIRONMENT_LIMIT => {
                return Err(failed(format!("exports of {} bytes", found.len())));
            }
            Ok(_) => fs::read(&self.exports),
            Err(error) => Err(error),
        };
        let Ok(exports) = exports else {
            let ended = "it ended before its last line, so that its exports are not known";
            return Err(failed(ended.to_owned()));
        };
        let _ = fs::remove_file(&self.exports);
        Ok(merge(&exports, prepared.environment()))
    }
}

/// The exported variables, but those that a shell sets for itself as they were before.
fn merge<'a>(exports: &[u8], before: impl Iterator<Item = (&'a OsStr, &'a OsStr)>) -> Environment {
    let is_shells_own = |name: &OsStr| SHELLS_OWN.iter().any(|own| name == *own);
    let exported = exports.split(|byte| *byte == 0).filter_map(|pair| {
        // A name may begin with `=`, as some shells' do; it is never empty.
        let at = pair.iter().skip(1).position(|byte| *byte == b'=')? + 1;
        let (name, value) = (&pair[..at], &pair[at + 1..]);
        Some((
            OsString::from_vec(name.to_vec()),
            OsString::from_vec(value.to_vec()),
        ))
    });
    let kept = before
        .filter(|(name, _)| is_shells_own(name))
        .map(|(name, value)| (name.to_owned(), value.to_owned()));
    exported
        .filter(|(name, _)| !is_shells_own(name))
        .chain(kept)
        .collect()
}

/// Writes this process's environment to `file`, unless `status` says that the script before it failed; gives that status.
pub(in crate::worker) fn write_environment(file: &Path, status: &str) -> i32 {
    let status = status.parse().unwrap_or(1);
    if status != 0 {
        return status;
    }
    match write_pairs(file) {
        Ok(()) => 0,
        Err(error) => {
            complain(&format!("{}: {error}", file.display()));
            1
        }
    }
}

fn write_pairs(file: &Path) -> io::Result<()> {
    let mut bytes = Vec::new();
    for (name, value) in std::env::vars_os() {
        bytes.extend_from_slice(name.as_bytes());
        bytes.push(b'=');
        bytes.extend_from_slice(value.as_bytes());
        bytes.push(0);
    }
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(file)?;
    file.write_all(&bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exports_replace_everything_but_the_shells_own() {
        let exports = b"A=1=2\0PWD=/elsewhere\0B=\xff\n\0";
        let before = [("PWD", "/here"), ("GONE", "x")];
        let before = before.iter().map(|(k, v)| (OsStr::new(k), OsStr::new(v)));
        let merged = merge(exports, before);
        let bytes: Vec<_> = merged
            .iter()
            .map(|(name, value)| (name.as_bytes(), value.as_bytes()))
            .collect();
        let expected: [(&[u8], &[u8]); 3] = [(b"A", b"1=2"), (b"B", b"\xff\n"), (b"PWD", b"/here")];
        assert_eq!(bytes, expected);
    }
}
