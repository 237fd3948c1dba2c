//! What sshd says, and what can be counted from it.

use std::fs;
use std::path::{Path, PathBuf};

/// The log of one host's sshd, at `LogLevel VERBOSE`.
#[derive(Debug)]
pub(crate) struct SshdLog {
    path: PathBuf,
}

impl SshdLog {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Everything until now. sshd writes a line before it answers, so what a client has seen is in.
    pub(crate) fn text(&self) -> String {
        let bytes = fs::read(&self.path).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Connections that sshd accepted; not those that MaxStartups dropped.
    pub(crate) fn connections(&self) -> usize {
        self.count(|line| line.starts_with("Connection from "))
    }

    /// Connections that MaxStartups dropped.
    pub(crate) fn dropped(&self) -> usize {
        self.count(|line| line.starts_with("drop connection "))
    }

    /// Sessions (exec channels) that were started.
    pub(crate) fn sessions(&self) -> usize {
        self.count(|line| line.starts_with("Starting session: "))
    }

    /// Connections that logged in.
    pub(crate) fn logins(&self) -> usize {
        self.count(|line| line.starts_with("Accepted publickey "))
    }

    /// Whether a listener came up after the first `from` bytes of the log.
    pub(crate) fn listens(&self, from: usize) -> bool {
        self.text()
            .get(from..)
            .is_some_and(|new| new.contains("Server listening on "))
    }

    fn count(&self, what: impl Fn(&str) -> bool) -> usize {
        self.text().lines().filter(|line| what(line)).count()
    }
}
