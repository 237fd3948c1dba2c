//! Why no virtual machine can be made of an inventory.

use std::io;
use std::sync::Arc;

use cos_core::vm::host::HostFailure;
use cos_storage::EntryListError;
use thiserror::Error;

use crate::deploy::WorkerError;
use crate::inventory::{HostName, InventoryError};

/// Everything but [`NoHostReady`](Self::NoHostReady) is found before any ssh is started.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SshVmError {
    /// No hosts could be read.
    #[error("{}", without_label(.0))]
    Inventory(#[from] InventoryError),
    /// The current directory is gone, or closed to the user.
    #[error("cannot tell the current directory: {source}")]
    CurrentDirectory {
        /// The system's answer.
        source: io::Error,
    },
    /// This program cannot be sent to hosts.
    #[error("{source}")]
    Worker {
        /// Why not.
        source: WorkerError,
    },
    /// No host could be made ready.
    #[error("no host is ready{}", list(failures))]
    NoHostReady {
        /// What each host has said.
        failures: Vec<Arc<HostFailure>>,
    },
    /// No host is left: all are switched off.
    #[error("no host is enabled")]
    NoHosts,
    /// The run's id would not do for the names of directories.
    #[error(
        "`{run}` is no run id: 1 to 32 letters, digits and hyphens, beginning with a letter or digit"
    )]
    RunId {
        /// The id, escaped.
        run: String,
    },
    /// The mirrored storage of this machine is wrong.
    #[error("{origin}: {source}")]
    MirroredStorage {
        /// Where it was written.
        origin: &'static str,
        /// What is wrong.
        source: EntryListError,
    },
    /// The lists of mirrored storage differ in length, so entry n would not be entry n.
    #[error(
        "mirrored_storage of {host} has {host_entries} entries, this computer's ({origin}) has {own_entries}; entry n \
         must name the same directory tree in both"
    )]
    UnequalMirroredStorage {
        /// The host.
        host: HostName,
        /// The length of its list.
        host_entries: usize,
        /// Where this machine's list was written.
        origin: &'static str,
        /// The length of this machine's list.
        own_entries: usize,
    },
    /// The directory that jobs are to start in does not exist, or is no directory.
    #[error("{path}: {source}")]
    Directory {
        /// The directory, escaped.
        path: String,
        /// The system's answer.
        source: io::Error,
    },
    /// No directory for the control sockets of ssh could be made, neither in `$XDG_RUNTIME_DIR` nor in `/tmp`.
    #[error("no directory for ssh's control sockets: {source}")]
    ControlDirectory {
        /// The system's answer.
        source: io::Error,
    },
    /// The operating system gives no thread or no event queue.
    #[error("cannot start the virtual machine: {source}")]
    Start {
        /// The system's answer.
        source: io::Error,
    },
}

/// The report of an inventory begins with a label of its own.
fn without_label(error: &InventoryError) -> String {
    let text = error.to_string();
    text.strip_prefix("error: ").unwrap_or(&text).to_owned()
}

/// Each failure below the others, with its cause and its cure. What hosts have said is escaped.
fn list(failures: &[Arc<HostFailure>]) -> String {
    let mut text = String::new();
    for failure in failures {
        let cause = failure
            .cause
            .lines()
            .map(|line| format!("\n    {}", line.escape_debug()));
        let cure = failure
            .cure
            .iter()
            .map(|cure| format!("\n    hint: {cure}"));
        text.push_str("\n  ");
        text.push_str(&failure.headline);
        text.extend(cause.chain(cure));
    }
    text
}
