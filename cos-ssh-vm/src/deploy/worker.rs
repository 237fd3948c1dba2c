//! The worker executables that can be deployed, one for each target.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha2::{Digest, Sha256};
use thiserror::Error;

/// An executable that can serve as worker on hosts of one target. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Worker {
    target: Arc<str>,
    bytes: Bytes,
    sha256: Arc<str>,
}

#[derive(Clone, Debug)]
enum Bytes {
    Embedded(&'static [u8]),
    Read(Arc<[u8]>),
}

/// Why a file cannot be used as worker.
#[derive(Debug, Error)]
#[error("cannot read the worker {} for {target}: {source}", path.display())]
pub struct WorkerError {
    /// The target that it was named for.
    pub target: String,
    /// The file.
    pub path: PathBuf,
    /// The system's answer.
    pub source: io::Error,
}

impl Worker {
    /// An executable that is part of this program.
    pub fn embedded(target: &str, bytes: &'static [u8]) -> Self {
        Self::new(target, Bytes::Embedded(bytes))
    }

    /// An executable in a file, which is read at once.
    ///
    /// # Errors
    ///
    /// [`WorkerError`] when it cannot be read.
    pub fn from_file(target: &str, path: &Path) -> Result<Self, WorkerError> {
        let bytes = fs::read(path).map_err(|source| WorkerError {
            target: target.to_owned(),
            path: path.to_owned(),
            source,
        })?;
        Ok(Self::new(target, Bytes::Read(bytes.into())))
    }

    /// The program that runs now: a program that embeds COS deploys itself, for hosts of its own target.
    ///
    /// It is read from `/proc/self/exe`, which is the file that was started even when it has been replaced since. Its
    /// `main` must begin with [`cos_core::worker::init`], as `#[cos::main]` sees to.
    ///
    /// # Errors
    ///
    /// [`WorkerError`] when it cannot be read.
    pub fn this_program() -> Result<Self, WorkerError> {
        Self::from_file(&this_target(), Path::new("/proc/self/exe"))
    }

    fn new(target: &str, bytes: Bytes) -> Self {
        let digest = Sha256::digest(bytes.as_slice());
        let sha256: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        Self {
            target: target.into(),
            bytes,
            sha256: sha256.into(),
        }
    }

    /// Its target triple.
    pub fn target(&self) -> &str {
        &self.target
    }

    /// The executable itself.
    pub fn bytes(&self) -> &[u8] {
        self.bytes.as_slice()
    }

    /// The SHA-256 of [`Worker::bytes`], as 64 hexadecimal digits.
    pub fn sha256(&self) -> &str {
        &self.sha256
    }
}

impl Bytes {
    fn as_slice(&self) -> &[u8] {
        match self {
            Self::Embedded(bytes) => bytes,
            Self::Read(bytes) => bytes,
        }
    }
}

/// The target triple that this crate is compiled for.
fn this_target() -> String {
    let environment = if cfg!(target_env = "musl") {
        "musl"
    } else {
        "gnu"
    };
    format!("{}-unknown-linux-{environment}", std::env::consts::ARCH)
}

/// The workers of a machine, in the order of preference.
#[derive(Clone, Debug, Default)]
pub struct Workers {
    workers: Vec<Worker>,
    /// What was named, but could not be read.
    missing: Vec<Arc<WorkerError>>,
}

impl Workers {
    /// No worker at all.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a worker behind the others. One of the same target is replaced.
    pub fn add(&mut self, worker: Worker) {
        self.workers
            .retain(|other| other.target() != worker.target());
        self.workers.push(worker);
    }

    /// Adds a worker that was named in hosts.toml. That it cannot be read matters only to a host that needs it.
    pub fn add_file(&mut self, target: &str, path: &Path) {
        match Worker::from_file(target, path) {
            Ok(worker) => self.add(worker),
            Err(error) => self.missing.push(Arc::new(error)),
        }
    }

    /// The worker for exactly this target.
    pub fn for_target(&self, target: &str) -> Option<&Worker> {
        self.workers.iter().find(|worker| worker.target() == target)
    }

    /// The first worker for hosts whose `uname -m` says `machine`.
    pub(crate) fn for_machine(&self, machine: &str) -> Option<&Worker> {
        self.workers
            .iter()
            .find(|worker| machines(worker.target()).contains(&machine))
    }

    /// All workers, in the order of preference.
    pub fn iter(&self) -> impl Iterator<Item = &Worker> {
        self.workers.iter()
    }

    /// What there is, for a host that finds no worker among it: targets and, for a file that cannot be read, why.
    pub(crate) fn inventory(&self) -> String {
        let targets: Vec<&str> = self.iter().map(Worker::target).collect();
        let mut text = match targets.is_empty() {
            true => "have: no worker at all".to_owned(),
            false => format!("have: {}", targets.join(", ")),
        };
        for error in &self.missing {
            text.push_str(&format!("\n{error}"));
        }
        text
    }
}

/// What `uname -m` says on hosts that run executables of a target; empty for a target that is not Linux.
pub(super) fn machines(target: &str) -> &'static [&'static str] {
    if !target.contains("-linux") {
        return &[];
    }
    match target.split('-').next().unwrap_or_default() {
        "x86_64" => &["x86_64"],
        "aarch64" => &["aarch64"],
        "armv7" | "thumbv7neon" => &["armv7l", "armv8l"],
        "arm" | "armv6" => &["armv6l", "armv7l", "armv8l"],
        "i586" | "i686" => &["i686", "i586"],
        "riscv64gc" | "riscv64" => &["riscv64"],
        "powerpc64le" => &["ppc64le"],
        "powerpc64" => &["ppc64"],
        "s390x" => &["s390x"],
        "loongarch64" => &["loongarch64"],
        _ => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_is_named_by_its_digest() {
        let worker = Worker::embedded("x86_64-unknown-linux-gnu", b"abc");
        assert_eq!(
            worker.sha256(),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }

    #[test]
    fn this_program_can_be_its_own_worker() {
        let worker = Worker::this_program().unwrap();
        assert!(worker.bytes().starts_with(b"\x7fELF"));
        assert_eq!(machines(worker.target()), [std::env::consts::ARCH]);
    }

    #[test]
    fn a_later_worker_replaces_one_of_the_same_target() {
        let mut workers = Workers::new();
        workers.add(Worker::embedded("x86_64-unknown-linux-gnu", b"one"));
        workers.add(Worker::embedded("aarch64-unknown-linux-musl", b"two"));
        workers.add(Worker::embedded("x86_64-unknown-linux-gnu", b"three"));
        assert_eq!(workers.iter().count(), 2);
        let worker = workers.for_target("x86_64-unknown-linux-gnu").unwrap();
        assert_eq!(worker.bytes(), b"three");
    }

    #[test]
    fn a_worker_that_cannot_be_read_is_told_only_where_one_is_missing() {
        let mut workers = Workers::new();
        workers.add(Worker::embedded("x86_64-unknown-linux-gnu", b"one"));
        workers.add_file("aarch64-unknown-linux-musl", Path::new("/nowhere/worker"));
        let text = workers.inventory();
        assert!(
            text.starts_with("have: x86_64-unknown-linux-gnu\ncannot read the worker /nowhere/"),
            "{text}"
        );
    }
}
