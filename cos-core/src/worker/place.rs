//! An agent's private directory on its host: where it is, what it is called and whose it must be.

use std::fs::{self, DirBuilder, File, Permissions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use thiserror::Error;

/// Why there is no private directory.
#[derive(Debug, Error)]
pub(super) enum PlaceError {
    /// The run's id would make a bad file name.
    #[error("`{0}` is no run id: at most 32 letters, digits and hyphens are allowed")]
    Run(String),
    /// Something else has the directory's name.
    #[error("{}: not a directory of this user's own; it is not trusted", .0.display())]
    NotOwn(PathBuf),
    /// It could not be made.
    #[error("{}: {cause}", path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// The system's own words.
        cause: io::Error,
    },
}

/// The directory in which all agents of this user on this host have theirs, and nothing else is.
///
/// `agents` in `$XDG_RUNTIME_DIR/cos`, which ends with the user's last session, or else in `/tmp/cos-<uid>`; deployed
/// workers may lie beside it.
///
/// # Errors
/// [`PlaceError`] when neither can be made or trusted.
pub(super) fn agents_directory() -> Result<PathBuf, PlaceError> {
    let agents = runtime_directory()?.join("agents");
    private_directory(&agents)?;
    Ok(agents)
}

fn runtime_directory() -> Result<PathBuf, PlaceError> {
    let session = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
    if let Some(session) = session.filter(|path| path.is_absolute()) {
        let own = session.join("cos");
        if private_directory(&own).is_ok() {
            return Ok(own);
        }
    }
    let uid = rustix::process::getuid().as_raw();
    let own = PathBuf::from(format!("/tmp/cos-{uid}"));
    private_directory(&own)?;
    Ok(own)
}

/// Makes a directory that only this user may enter, or trusts it if it is already one.
///
/// # Errors
/// [`PlaceError::NotOwn`] for anything else of that name: a link, a file, another user's directory.
pub(super) fn private_directory(path: &Path) -> Result<(), PlaceError> {
    let failed = |cause| PlaceError::Io {
        path: path.to_owned(),
        cause,
    };
    match DirBuilder::new().mode(0o700).create(path) {
        Ok(()) => return Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(failed(error)),
    }
    let found = fs::symlink_metadata(path).map_err(failed)?;
    if !found.is_dir() || found.uid() != rustix::process::getuid().as_raw() {
        return Err(PlaceError::NotOwn(path.to_owned()));
    }
    if found.mode() & 0o077 != 0 {
        fs::set_permissions(path, Permissions::from_mode(0o700)).map_err(failed)?;
    }
    Ok(())
}

/// One agent's directory. It holds the agent's socket and what is known of it; it is removed with the agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    path: PathBuf,
}

impl Place {
    /// Makes a new one. Its name carries run and host, since several hosts may share `/tmp`, and this process's number.
    ///
    /// # Errors
    /// [`PlaceError`].
    pub(super) fn create(run: &str, host: &str) -> Result<Self, PlaceError> {
        let usable = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        if run.is_empty() || run.len() > 32 || !run.bytes().all(usable) {
            return Err(PlaceError::Run(run.to_owned()));
        }
        let (host, pid) = (digest(host.as_bytes()), std::process::id());
        let path = agents_directory()?.join(format!("{run}-{host:08x}-{pid}"));
        let made = DirBuilder::new().mode(0o700).create(&path);
        made.map_err(|cause| PlaceError::Io {
            path: path.clone(),
            cause,
        })?;
        Ok(Self { path })
    }

    /// The one at `path`, which the parent process has made.
    pub(super) fn at(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
        }
    }

    /// Its path.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Listens on the agent's socket.
    ///
    /// # Errors
    /// As `bind`.
    pub(super) fn listen(&self) -> io::Result<UnixListener> {
        let directory = self.open()?;
        let listener = UnixListener::bind(short_name(&directory))?;
        fs::set_permissions(self.path.join(SOCKET), Permissions::from_mode(0o600))?;
        Ok(listener)
    }

    /// Connects to the agent's socket.
    ///
    /// # Errors
    /// As `connect`.
    pub(super) fn connect(&self) -> io::Result<UnixStream> {
        let directory = self.open()?;
        UnixStream::connect(short_name(&directory))
    }

    fn open(&self) -> io::Result<File> {
        let flags = rustix::fs::OFlags::DIRECTORY | rustix::fs::OFlags::NOFOLLOW;
        fs::OpenOptions::new()
            .read(true)
            .custom_flags(flags.bits().cast_signed())
            .open(&self.path)
    }

    /// Removes it.
    ///
    /// # Errors
    /// As [`fs::remove_dir_all`]; one that is gone already is none.
    pub(super) fn remove(&self) -> io::Result<()> {
        match fs::remove_dir_all(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

const SOCKET: &str = "socket";

/// A name for the socket that fits into the 108 bytes of a socket's address, however deep the directory lies.
fn short_name(directory: &File) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}/{SOCKET}", directory.as_raw_fd()))
}

/// FNV-1a: tells host names apart in file names, whatever bytes they have.
fn digest(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |digest, byte| {
        (digest ^ u32::from(*byte)).wrapping_mul(0x0100_0193)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_private_directory_is_made_trusted_and_narrowed() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("own");
        private_directory(&path).unwrap();
        private_directory(&path).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
        private_directory(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o700);
    }

    #[test]
    fn links_and_files_are_not_trusted() {
        let parent = tempfile::tempdir().unwrap();
        let link = parent.path().join("link");
        std::os::unix::fs::symlink(parent.path(), &link).unwrap();
        assert!(matches!(
            private_directory(&link),
            Err(PlaceError::NotOwn(_))
        ));
        let file = parent.path().join("file");
        fs::write(&file, "").unwrap();
        assert!(matches!(
            private_directory(&file),
            Err(PlaceError::NotOwn(_))
        ));
    }

    #[test]
    fn a_socket_lies_deeper_than_its_address_is_long() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("d".repeat(150));
        fs::create_dir(&path).unwrap();
        let place = Place::at(&path);
        let _listener = place.listen().unwrap();
        place.connect().unwrap();
        place.remove().unwrap();
        assert!(!path.exists());
        place.remove().unwrap();
    }

    #[test]
    fn a_run_id_is_no_path() {
        for run in ["", "../x", "a b", &"x".repeat(33)] {
            assert!(matches!(Place::create(run, "h"), Err(PlaceError::Run(_))));
        }
    }
}
