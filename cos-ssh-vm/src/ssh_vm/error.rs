//! Why no virtual machine can be made of an inventory.

use std::io;

use cos_storage::EntryListError;
use thiserror::Error;

use crate::inventory::HostName;

/// Everything here is found before any ssh is started.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SshVmError {
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
