//! Mount namespaces: what root can do to one host's view of the file system.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::programs;
use crate::quoting::shell_word;

/// What is mounted over a directory of one host; no other host and no client sees it. Needs root.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Mount {
    /// The directory itself, but nothing in it can be executed.
    NoExec,
    /// The directory itself, but nothing in it can be written.
    ReadOnly,
    /// An empty file system of this many bytes, rounded up to pages: a full disk or a quota.
    Small {
        /// Its size in bytes.
        bytes: u64,
    },
    /// Another directory: a path that has the same name everywhere, but is not the same.
    Other(PathBuf),
}

impl Mount {
    /// The lines of sh that mount it, run in the host's own namespace.
    pub(crate) fn script(&self, directory: &Path) -> String {
        let target = shell_word(&directory.to_string_lossy());
        match self {
            Self::NoExec => {
                format!("mount --bind {target} {target}\nmount -o remount,bind,noexec {target}\n")
            }
            Self::ReadOnly => {
                format!("mount --bind {target} {target}\nmount -o remount,bind,ro {target}\n")
            }
            Self::Small { bytes } => {
                format!("mount -t tmpfs -o mode=0700,size={bytes} cos-testlab {target}\n")
            }
            Self::Other(source) => {
                format!(
                    "mount --bind {} {target}\n",
                    shell_word(&source.to_string_lossy())
                )
            }
        }
    }
}

/// What the user who runs the lab may do.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Privileges {
    /// The user is root, so sshd separates privileges and wants its directory for that.
    pub(crate) root: bool,
    /// Each host can have a mount namespace (not so for root in many containers).
    pub(crate) mount_namespaces: bool,
}

impl Privileges {
    pub(crate) fn detect() -> Self {
        let root = rustix::process::geteuid().is_root();
        let mount_namespaces = root
            && programs::find("unshare").is_some_and(|unshare| {
                let tried = Command::new(unshare)
                    .args(["--mount", "mount", "-t", "tmpfs", "cos-testlab", "/mnt"])
                    .output();
                tried.is_ok_and(|output| output.status.success())
            });
        Self {
            root,
            mount_namespaces,
        }
    }
}
