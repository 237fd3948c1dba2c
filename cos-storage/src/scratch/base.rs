//! The directory that scratch directories are made in: created privately, or checked.

use std::fs::DirBuilder;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use rustix::fs::{Mode, OFlags, Stat, fchmod, fstat, mkdirat, openat};
use rustix::io::Errno;
use rustix::process::geteuid;

use crate::error::ScratchError;
use crate::shown::Shown;

/// Opens the directory, made with mode 0700 if it is not there.
pub(crate) fn open_or_create(path: &Path) -> Result<OwnedFd, ScratchError> {
    let fail = |source: io::Error| ScratchError::Base {
        path: shown(path),
        source,
    };
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(|error| {
            // A link to nowhere, or something that is no directory: `open` says it better.
            match open(path) {
                Err(Ok(refusal)) => refusal,
                _ => fail(error),
            }
        })?;
    open(path).map_err(|problem| problem.unwrap_or_else(|errno| fail(errno.into())))
}

/// Opens the directory if it is there.
pub(crate) fn open_existing(path: &Path) -> Result<Option<OwnedFd>, ScratchError> {
    match open(path) {
        Ok(base) => Ok(Some(base)),
        Err(Err(Errno::NOENT)) => Ok(None),
        Err(Err(errno)) => Err(ScratchError::Base {
            path: shown(path),
            source: errno.into(),
        }),
        Err(Ok(refusal)) => Err(refusal),
    }
}

/// A refusal of ours, or the system's.
type Problem = Result<ScratchError, Errno>;

fn open(path: &Path) -> Result<OwnedFd, Problem> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let base = match rustix::fs::open(path, flags, Mode::empty()) {
        Err(Errno::NOTDIR | Errno::LOOP) => {
            return Err(Ok(ScratchError::NotADirectory { path: shown(path) }));
        }
        opened => opened.map_err(Err)?,
    };
    // The descriptor is what everything below is reached by, so it is what is checked.
    let stat = fstat(&base).map_err(Err)?;
    match distrust(&stat, geteuid().as_raw()) {
        None => Ok(base),
        Some(reason) => Err(Ok(ScratchError::Untrusted {
            path: shown(path),
            reason,
        })),
    }
}

/// Why what lies in a directory could be another user's doing.
fn distrust(stat: &Stat, user: u32) -> Option<String> {
    let mode = stat.st_mode & 0o7777;
    if stat.st_uid != user && stat.st_uid != 0 {
        return Some(format!("it belongs to user {}, not to you", stat.st_uid));
    }
    // Where the sticky bit is set, as in /tmp, others cannot touch what is not theirs.
    let others_write = mode & 0o022 != 0 && mode & 0o1000 == 0;
    others_write.then(|| format!("others may write in it (mode {mode:04o}); chmod go-w would do"))
}

/// Makes a new private directory in `parent` and opens it. An existing one is an error, whatever
/// it is.
pub(crate) fn make_private(parent: &OwnedFd, name: &str) -> Result<OwnedFd, Errno> {
    mkdirat(parent, name, Mode::RWXU)?;
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let made = openat(parent, name, flags, Mode::empty())?;
    let stat = fstat(&made)?;
    if stat.st_uid != geteuid().as_raw() {
        return Err(Errno::PERM); // not the one that was made
    }
    if stat.st_mode & 0o777 != 0o700 {
        fchmod(&made, Mode::RWXU)?; // an umask that denies the user himself
    }
    Ok(made)
}

/// Opens the private directory `name` of `parent`, made if it is not there. An existing one must be
/// this user's, and is made private again if it is not.
pub(crate) fn open_or_make_private(parent: &OwnedFd, name: &str) -> Result<OwnedFd, Errno> {
    match make_private(parent, name) {
        Err(Errno::EXIST) => {}
        made => return made,
    }
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let found = openat(parent, name, flags, Mode::empty())?;
    let stat = fstat(&found)?;
    if stat.st_uid != geteuid().as_raw() {
        return Err(Errno::PERM);
    }
    if stat.st_mode & 0o777 != 0o700 {
        fchmod(&found, Mode::RWXU)?;
    }
    Ok(found)
}

fn shown(path: &Path) -> String {
    Shown::path(path).to_string()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

    use super::*;

    #[test]
    fn a_missing_base_is_made_private() {
        let top = tempfile::tempdir().unwrap();
        let path = top.path().join("a/b");
        open_or_create(&path).unwrap();
        open_or_create(&path).unwrap();
        for made in [&path, &top.path().join("a")] {
            assert_eq!(fs::metadata(made).unwrap().mode() & 0o7777, 0o700);
        }
    }

    #[test]
    fn an_existing_base_must_be_safe() {
        let top = tempfile::tempdir().unwrap();
        let path = top.path().join("base");
        fs::create_dir(&path).unwrap();
        for (mode, safe) in [
            (0o700, true),
            (0o755, true),
            (0o1777, true),
            (0o775, false),
            (0o777, false),
        ] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            let opened = open_or_create(&path);
            assert_eq!(opened.is_ok(), safe, "{mode:o} {opened:?}");
        }
        let error = open_or_create(&path).unwrap_err().to_string();
        assert!(error.contains("mode 0777"), "{error}");
    }

    #[test]
    fn links_and_files_are_no_base() {
        let top = tempfile::tempdir().unwrap();
        fs::create_dir(top.path().join("real")).unwrap();
        fs::write(top.path().join("file"), "").unwrap();
        symlink("real", top.path().join("link")).unwrap();
        symlink("nowhere", top.path().join("dangling")).unwrap();
        for name in ["file", "link", "dangling"] {
            let error = open_or_create(&top.path().join(name)).unwrap_err();
            assert!(
                matches!(error, ScratchError::NotADirectory { .. }),
                "{name}: {error}"
            );
            let error = open_existing(&top.path().join(name)).unwrap_err();
            assert!(
                matches!(error, ScratchError::NotADirectory { .. }),
                "{name}: {error}"
            );
        }
        assert!(!top.path().join("nowhere").exists());
        assert!(open_existing(&top.path().join("absent")).unwrap().is_none());
    }

    #[test]
    fn whose_directory_counts() {
        let mut stat = fstat(fs::File::open("/").unwrap()).unwrap();
        let mut verdict = |owner: u32, mode: u32| {
            (stat.st_uid, stat.st_mode) = (owner, 0o040_000 | mode);
            distrust(&stat, 1000)
        };
        assert_eq!(verdict(1000, 0o700), None);
        assert_eq!(verdict(0, 0o1777), None);
        assert_eq!(
            verdict(1001, 0o700).unwrap(),
            "it belongs to user 1001, not to you"
        );
        // The owner of a sticky directory may touch everything in it.
        assert!(verdict(1001, 0o1777).is_some());
        assert!(verdict(0, 0o777).is_some());
        assert!(verdict(1000, 0o720).is_some());
    }
}
