//! What can go wrong while a lab is set up, by what the caller does next.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::host::HostProcess;

/// A failure of the lab itself. The faults that a lab *makes* are never errors.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LabError {
    /// A program that the lab is made of is not installed: install it.
    #[error("{program} not found; install {package}")]
    NotInstalled {
        /// The program that was looked for in `PATH` and the usual system directories.
        program: String,
        /// The Debian package that has it.
        package: &'static str,
    },

    /// The request can only be met for root: see [`Lab::can_mount`](crate::Lab::can_mount).
    #[error("host {host}: {what} needs root (CAP_SYS_ADMIN)")]
    NeedsRoot {
        /// The host that was asked for.
        host: String,
        /// What was asked for.
        what: &'static str,
    },

    /// The request is not one that can be met: correct the test.
    #[error("host {host}: {what}")]
    Invalid {
        /// The host that was asked for.
        host: String,
        /// What is wrong with the request.
        what: String,
    },

    /// A program of the lab failed; its own words say why.
    #[error("{program} failed ({status}): {output}")]
    Program {
        /// The program and what it was to do.
        program: String,
        /// Its exit status.
        status: std::process::ExitStatus,
        /// What it printed.
        output: String,
    },

    /// sshd did not come up.
    #[error("host {host}: sshd did not start: {log}")]
    Sshd {
        /// The host.
        host: String,
        /// sshd's own words.
        log: String,
    },

    /// Something that was waited for did not happen in time.
    #[error("host {host}: {what} did not happen within {waited:?}")]
    Deadline {
        /// The host.
        host: String,
        /// What was waited for.
        what: &'static str,
        /// How long it was waited for.
        waited: Duration,
    },

    /// Processes of a host were still there at the deadline.
    #[error("host {host}: {} still running after {waited:?}:\n{}", count(.left), list(.left))]
    StillRunning {
        /// The host.
        host: String,
        /// How long they were waited for.
        waited: Duration,
        /// The processes, as they were seen last.
        left: Vec<HostProcess>,
    },

    /// A file, directory or socket of the lab could not be used.
    #[error("cannot {action} {}: {source}", path.display())]
    File {
        /// What was to be done with it.
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },

    /// A loopback socket could not be made or used.
    #[error("cannot {action}: {source}")]
    Socket {
        /// What was to be done.
        action: &'static str,
        /// The system's answer.
        source: io::Error,
    },
}

impl LabError {
    /// Makes a [`LabError::File`], for `map_err`.
    pub(crate) fn file(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::File {
            action,
            path,
            source,
        }
    }

    /// Makes a [`LabError::Socket`], for `map_err`.
    pub(crate) fn socket<E: Into<io::Error>>(action: &'static str) -> impl FnOnce(E) -> Self {
        move |source| Self::Socket {
            action,
            source: source.into(),
        }
    }
}

fn count(left: &[HostProcess]) -> String {
    match left.len() {
        1 => "1 process".to_owned(),
        n => format!("{n} processes"),
    }
}

fn list(left: &[HostProcess]) -> String {
    left.iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join("\n")
}
