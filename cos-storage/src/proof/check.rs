//! The host's side: one look for the token file.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{CWD, FileType, Mode, OFlags, fstat, openat};
use rustix::io::Errno;

use super::{Token, Verdict};
use crate::beneath::open_beneath_without_links;
use crate::mount::{MountId, is_local};
use crate::shown::Shown;

const SEARCH: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

impl Token {
    /// Looks once for the token file where it must be if `directory` is the client's.
    ///
    /// Links in `directory` itself are followed, as the host's own path to it may have them; from
    /// there on none is, and never more is read than a token is long. It may block as long as the
    /// file system does.
    pub fn check(&self, directory: impl AsRef<Path>) -> Verdict {
        self.look(directory.as_ref())
            .unwrap_or_else(|verdict| verdict)
    }

    fn look(&self, path: &Path) -> Result<Verdict, Verdict> {
        let shown = Shown::path(path);
        let directory = open_directory(CWD, path).map_err(|errno| match errno {
            Errno::NOENT => absent(nearest(path), format!("{shown} does not exist")),
            Errno::STALE => missing(format!("{shown} is stale")),
            errno => not_shared(format!("{shown} cannot be entered: {errno}")),
        })?;
        let place = match self.is_direct() {
            true => directory,
            false => self.follow_route(&directory, path)?,
        };
        self.look_in(&place, path)
    }

    /// Goes from the directory to the one that holds the token, if in this host's tree the two lie
    /// to each other as in the client's.
    fn follow_route(&self, directory: &OwnedFd, path: &Path) -> Result<OwnedFd, Verdict> {
        let shown = Shown::path(path);
        let elsewhere = || {
            not_shared(format!(
                "the directories around {shown} are not the client's"
            ))
        };
        let mut ancestor = open_directory(directory, Path::new(".")).map_err(|_| elsewhere())?;
        for _ in self.to_directory.as_path().components() {
            let parent = openat(&ancestor, "..", SEARCH, Mode::empty());
            ancestor = parent.map_err(|_| elsewhere())?;
        }
        // The way up forgot the names: going down by them must end where it began.
        let again = open_beneath_without_links(&ancestor, self.to_directory.as_path(), SEARCH);
        if !again.is_ok_and(|again| is_same_file(&again, directory)) {
            return Err(elsewhere());
        }
        let read = OFlags::RDONLY | OFlags::DIRECTORY;
        let place = open_beneath_without_links(&ancestor, self.to_place.as_path(), read)
            .or_else(|errno| match errno {
                Errno::ACCESS => {
                    open_beneath_without_links(&ancestor, self.to_place.as_path(), SEARCH)
                }
                errno => Err(errno),
            })
            .map_err(|errno| match errno {
                Errno::NOENT | Errno::STALE => absent(
                    Some(ancestor.as_fd()),
                    format!("what holds the token for {shown} does not exist"),
                ),
                _ => elsewhere(),
            })?;
        let mount = MountId::of(&place);
        if mount.is_none()
            || [directory, &ancestor]
                .iter()
                .any(|d| MountId::of(d) != mount)
        {
            return Err(not_shared(format!(
                "{shown} is another mount here than the directory that holds the token"
            )));
        }
        Ok(place)
    }

    fn look_in(&self, place: &OwnedFd, path: &Path) -> Result<Verdict, Verdict> {
        let shown = Shown::path(path);
        // Whatever lies there must neither be followed, nor block, nor become a terminal of ours.
        let flags =
            OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let file =
            openat(place, self.file_name(), flags, Mode::empty()).map_err(|errno| match errno {
                Errno::NOENT => absent(
                    Some(place.as_fd()),
                    format!("the token for {shown} is not there"),
                ),
                Errno::STALE => missing(format!("the token for {shown} is stale")),
                errno => not_shared(format!("the token for {shown} cannot be read: {errno}")),
            })?;
        match self.is_content_of(file) {
            Ok(true) => Ok(Verdict::Proven),
            Ok(false) => Err(not_shared(format!("the token for {shown} is a forged one"))),
            Err(error) => Err(not_shared(format!(
                "the token for {shown} cannot be read: {error}"
            ))),
        }
    }

    fn is_content_of(&self, file: OwnedFd) -> io::Result<bool> {
        let expected = self.content();
        let stat = fstat(&file)?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Ok(false);
        }
        let mut found = Vec::with_capacity(expected.len());
        File::from(file)
            .take(expected.len() as u64)
            .read_to_end(&mut found)?;
        Ok(found == expected.as_bytes())
    }
}

/// For reading, so that a network file system is asked; for search only where reading is forbidden.
fn open_directory(from: impl AsFd, path: &Path) -> Result<OwnedFd, Errno> {
    let read = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    match openat(&from, path, read, Mode::empty()) {
        Err(Errno::ACCESS) => openat(&from, path, SEARCH, Mode::empty()),
        opened => opened,
    }
}

/// The longest ancestor that exists. Opening it makes a network file system look again.
fn nearest(path: &Path) -> Option<OwnedFd> {
    let empty = OsStr::new("");
    let ancestors = path
        .ancestors()
        .skip(1)
        .filter(|ancestor| ancestor.as_os_str() != empty);
    ancestors
        .map(|ancestor| open_directory(CWD, ancestor))
        .find_map(Result::ok)
}

/// Something is not there: final if the file system that should hold it is this machine's own.
fn absent(holder: Option<impl AsFd>, reason: String) -> Verdict {
    if holder.is_some_and(is_local) {
        not_shared(reason)
    } else {
        missing(reason)
    }
}

fn missing(reason: String) -> Verdict {
    Verdict::Missing { reason }
}

fn not_shared(reason: String) -> Verdict {
    Verdict::NotShared { reason }
}

fn is_same_file(one: &OwnedFd, other: &OwnedFd) -> bool {
    match (fstat(one), fstat(other)) {
        (Ok(one), Ok(other)) => (one.st_dev, one.st_ino) == (other.st_dev, other.st_ino),
        _ => false,
    }
}
