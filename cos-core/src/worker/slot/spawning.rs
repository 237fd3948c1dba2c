//! Turns a job into a process.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use super::protocol::{Configuration, Order};
use crate::job::{CommandJob, Exit, LinePart, Program};

/// A process that was started.
#[derive(Debug)]
pub(super) struct Spawned {
    pub(super) pid: i32,
    pub(super) stdout: Option<OwnedFd>,
    pub(super) stderr: Option<OwnedFd>,
}

/// A process that could not be started.
#[derive(Debug)]
pub(super) enum SpawnError {
    /// The job is to blame: it names what is not there or cannot be executed. It ends as a shell would end it.
    Job { exit: Exit, words: String },
    /// The host is to blame.
    Host { cause: String },
}

/// Starts a job. Its standard input is this process's own, `/dev/null`, and so are directory and niceness.
///
/// Nothing is asked of the child between fork and exec but a process group, so that `posix_spawn` does it: that
/// costs no copy of this process's memory map.
pub(super) fn spawn(order: &Order, configuration: &Configuration) -> Result<Spawned, SpawnError> {
    let Order {
        try_number,
        cores,
        job,
        directory,
        ..
    } = order;
    let mut command = program(job, configuration);
    for (name, value) in &job.environment {
        command.env(OsStr::from_bytes(name), OsStr::from_bytes(value));
    }
    let is_set = |name: &str| {
        job.environment
            .iter()
            .any(|(key, _)| key == name.as_bytes())
            || std::env::var_os(name).is_some()
    };
    if !is_set("OMP_NUM_THREADS") {
        command.env("OMP_NUM_THREADS", (*cores).max(1).to_string());
    }
    // Its own name for the directory, which may lead over links: without it a shell would tell the one behind them.
    let directory = directory.as_ref().unwrap_or(&configuration.directory);
    command.env("PWD", OsStr::from_bytes(directory));
    let (slot, sequence) = (configuration.slot.to_string(), job.sequence.to_string());
    command
        .env("COS_RUN", &configuration.run)
        .env("COS_HOST", &configuration.host)
        .env("COS_SLOT", &slot)
        .env("COS_SEQ", &sequence)
        .env("COS_TRY", try_number.to_string())
        .env("PARALLEL_JOBSLOT", &slot)
        .env("PARALLEL_SEQ", &sequence)
        .stdin(Stdio::inherit())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0);
    match command.spawn() {
        Ok(mut child) => Ok(Spawned {
            pid: child.id().cast_signed(),
            stdout: child.stdout.take().map(OwnedFd::from),
            stderr: child.stderr.take().map(OwnedFd::from),
        }),
        Err(error) => Err(blame(job, &command, &error)),
    }
}

fn program(job: &CommandJob, configuration: &Configuration) -> Command {
    match &job.program {
        Program::Shell(parts) => {
            let mut command = Command::new(OsStr::from_bytes(&configuration.shell));
            command.arg("-c").arg(line(parts, configuration.slot));
            command
        }
        Program::Argv(words) => {
            let mut words = words.iter().map(|word| OsStr::from_bytes(word));
            let mut command = Command::new(words.next().unwrap_or_default());
            command.args(words);
            command
        }
    }
}

fn line(parts: &[LinePart], slot: u32) -> OsString {
    let mut line = Vec::new();
    for part in parts {
        match part {
            LinePart::Text(text) => line.extend_from_slice(text),
            LinePart::Slot => line.extend_from_slice(slot.to_string().as_bytes()),
        }
    }
    OsString::from_vec(line)
}

/// Whose fault it is that a process could not be started, in the terms of a shell.
fn blame(job: &CommandJob, command: &Command, error: &io::Error) -> SpawnError {
    let name = command.get_program().to_string_lossy();
    let by_shell = matches!(job.program, Program::Shell(_));
    let exit = match error.kind() {
        io::ErrorKind::ArgumentListTooLong | io::ErrorKind::InvalidInput => Some(Exit::TOO_LONG),
        io::ErrorKind::NotFound if !by_shell => Some(Exit::NOT_FOUND),
        io::ErrorKind::NotADirectory if !by_shell => Some(Exit::NOT_FOUND),
        io::ErrorKind::PermissionDenied if !by_shell => Some(Exit::NOT_EXECUTABLE),
        _ if error.raw_os_error() == Some(libc::ENOEXEC) && !by_shell => Some(Exit::NOT_EXECUTABLE),
        _ => None,
    };
    match exit {
        Some(exit) => SpawnError::Job {
            exit,
            words: format!("cos: {name}: {error}\n"),
        },
        None => SpawnError::Host {
            cause: format!("{name}: {error}"),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slot_fills_the_holes_of_a_line() {
        let text = |text: &[u8]| LinePart::Text(text.to_vec());
        let parts = [text(b"echo "), LinePart::Slot, text(b" \xff")];
        assert_eq!(line(&parts, 12).as_bytes(), b"echo 12 \xff");
    }
}
