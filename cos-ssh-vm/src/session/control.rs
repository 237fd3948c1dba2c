//! The directory of the control sockets, through which this process speaks with its ssh masters.

use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use tempfile::TempDir;

/// What the directories' names begin with.
const PREFIX: &str = "cos-ssh-";

/// The longest path of a directory in bytes. A socket's path has 108; ssh appends 18 while it makes one, and each
/// socket's own name takes some.
const LONGEST: usize = 60;

/// A private directory for the control sockets of one process, removed when it is dropped.
///
/// Its name tells which process it belongs to, so that a later process can remove it if this one is killed.
#[derive(Debug)]
pub struct ControlDirectory {
    directory: TempDir,
    next: AtomicU32,
}

impl ControlDirectory {
    /// Makes a directory below `$XDG_RUNTIME_DIR` or, where that is unset, unusable or too long, below `/tmp`.
    /// Directories of the same user whose process has ended are removed.
    ///
    /// # Errors
    ///
    /// When no directory can be made, not even in `/tmp`.
    pub fn new() -> io::Result<Self> {
        let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
        let owner = Owner::of_this_process();
        let mut last = None;
        for parent in runtime
            .iter()
            .map(PathBuf::as_path)
            .chain([Path::new("/tmp")])
        {
            match Self::in_parent(parent, &owner) {
                Ok(directory) => return Ok(directory),
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or_else(|| io::ErrorKind::NotFound.into()))
    }

    fn in_parent(parent: &Path, owner: &Owner) -> io::Result<Self> {
        if !parent.is_absolute() {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        sweep(parent);
        let directory = tempfile::Builder::new()
            .prefix(&format!("{PREFIX}{}-", owner.name()))
            .rand_bytes(4)
            .permissions(fs::Permissions::from_mode(0o700))
            .tempdir_in(parent)?;
        if directory.path().as_os_str().len() > LONGEST {
            return Err(io::ErrorKind::InvalidFilename.into());
        }
        let next = AtomicU32::new(0);
        Ok(Self { directory, next })
    }

    /// A path for a new control socket.
    pub(crate) fn socket(&self) -> PathBuf {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        self.directory.path().join(number.to_string())
    }

    /// The directory itself.
    pub fn path(&self) -> &Path {
        self.directory.path()
    }
}

/// Which process a directory belongs to. A number alone may be given to another process later, and means another
/// process in a container that shares the directory.
#[derive(Debug, PartialEq, Eq)]
struct Owner {
    namespace: u64,
    pid: u32,
    start: u64,
}

impl Owner {
    fn of_this_process() -> Self {
        let pid = std::process::id();
        Self {
            namespace: process_namespace(),
            pid,
            start: start_time(pid).unwrap_or(0),
        }
    }

    fn name(&self) -> String {
        format!("{:x}-{}-{:x}", self.namespace, self.pid, self.start)
    }

    fn parse(name: &str) -> Option<Self> {
        let mut parts = name.strip_prefix(PREFIX)?.split('-');
        let owner = Self {
            namespace: u64::from_str_radix(parts.next()?, 16).ok()?,
            pid: parts.next()?.parse().ok()?,
            start: u64::from_str_radix(parts.next()?, 16).ok()?,
        };
        Some(owner)
    }

    /// Whether the process is known to have ended.
    fn has_ended(&self) -> bool {
        self.namespace == process_namespace() && start_time(self.pid) != Some(self.start)
    }
}

/// The number of this process's namespace of process numbers, 0 where `/proc` does not tell.
fn process_namespace() -> u64 {
    fs::metadata("/proc/self/ns/pid").map_or(0, |metadata| metadata.ino())
}

/// When a process was started, in ticks since boot; `None` when there is no such process.
fn start_time(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field is the program's name in parentheses, which may contain both.
    let (_, fields) = stat.rsplit_once(')')?;
    fields.split_whitespace().nth(19)?.parse().ok()
}

/// Removes what processes of this user that were killed have left in `parent`.
fn sweep(parent: &Path) {
    let user = rustix::process::geteuid().as_raw();
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let Some(owner) = name.to_str().and_then(Owner::parse) else {
            continue;
        };
        let ours = entry
            .metadata()
            .is_ok_and(|metadata| metadata.is_dir() && metadata.uid() == user);
        if ours && owner.has_ended() {
            // Somebody else may sweep at the same time.
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_private_and_its_paths_are_short() {
        let directory = ControlDirectory::new().unwrap();
        let metadata = fs::metadata(directory.path()).unwrap();
        assert_eq!(metadata.mode() & 0o7777, 0o700);
        assert!(directory.path().as_os_str().len() <= LONGEST);
        assert_ne!(directory.socket(), directory.socket());
        let path = directory.path().to_owned();
        drop(directory);
        assert!(!path.exists());
    }

    #[test]
    fn a_long_parent_is_not_used() {
        let parent = tempfile::tempdir().unwrap();
        let long = parent.path().join("x".repeat(LONGEST));
        fs::create_dir(&long).unwrap();
        let error = ControlDirectory::in_parent(&long, &Owner::of_this_process()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidFilename);
        assert_eq!(fs::read_dir(&long).unwrap().count(), 0);
    }

    #[test]
    fn what_killed_processes_left_is_swept_and_nothing_else() {
        let parent = tempfile::tempdir().unwrap();
        let make = |name: &str| {
            let path = parent.path().join(name);
            fs::create_dir(&path).unwrap();
            fs::write(path.join("0"), "").unwrap();
            path
        };
        let own = Owner::of_this_process();
        let mut ended = std::process::Command::new("true").spawn().unwrap();
        ended.wait().unwrap();
        let dead = make(&format!(
            "{PREFIX}{:x}-{}-1-abcd",
            own.namespace,
            ended.id()
        ));
        let reused = make(&format!("{PREFIX}{:x}-{}-1-abcd", own.namespace, own.pid));
        let elsewhere = make(&format!("{PREFIX}1-{}-1-abcd", ended.id()));
        let alive = make(&format!("{PREFIX}{}-abcd", own.name()));
        let other = make("cos-something");
        sweep(parent.path());
        assert!(!dead.exists() && !reused.exists());
        assert!(elsewhere.exists() && alive.exists() && other.exists());
    }
}
