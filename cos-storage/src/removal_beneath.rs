//! Removing single files that somebody else named, and nothing outside.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

use rustix::fs::{AtFlags, OFlags, unlinkat};
use rustix::io::Errno;

use crate::beneath::open_beneath_without_links;
use crate::suffix::Suffix;

/// Removes the file at `path` below the directory `root`. A link is removed and not followed, and
/// nothing is removed behind one. That there is no such file is no error.
///
/// # Errors
///
/// What the system says; `IsADirectory` for a directory.
pub fn remove_file_beneath(root: impl AsFd, path: &Suffix) -> io::Result<()> {
    match remove(root.as_fd(), path.as_path(), AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT | Errno::NOTDIR) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

/// Removes the directory at `path` below the directory `root` and those above it, the deepest first,
/// as far as they are empty. Nothing is removed behind a link.
pub fn remove_empty_directories_beneath(root: impl AsFd, path: &Suffix) {
    let mut below = path.as_path();
    while !below.as_os_str().is_empty() {
        match remove(root.as_fd(), below, AtFlags::REMOVEDIR) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(_) => return,
        }
        let Some(parent) = below.parent() else {
            return;
        };
        below = parent;
    }
}

fn remove(root: BorrowedFd<'_>, path: &Path, flags: AtFlags) -> Result<(), Errno> {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(Errno::ISDIR);
    };
    let flags_of_parent = OFlags::RDONLY | OFlags::DIRECTORY;
    let parent = open_beneath_without_links(root, parent, flags_of_parent)?;
    unlinkat(parent, name, flags)
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn files_go_and_directories_that_are_empty() {
        let guard = tempfile::tempdir().unwrap();
        let top = guard.path().join("root");
        fs::create_dir_all(top.join("a/b")).unwrap();
        fs::write(top.join("a/b/x"), "").unwrap();
        fs::write(top.join("a/y"), "").unwrap();
        let root = File::open(&top).unwrap();
        let of = |path: &str| Suffix::of(path).unwrap();
        remove_file_beneath(&root, &of("a/b/x")).unwrap();
        assert!(top.join("a/b").exists());
        remove_file_beneath(&root, &of("a")).unwrap_err();
        remove_file_beneath(&root, &of("")).unwrap_err();
        remove_empty_directories_beneath(&root, &of("a/b"));
        assert!(!top.join("a/b").exists() && top.join("a/y").exists());
        remove_file_beneath(&root, &of("a/y")).unwrap();
        remove_file_beneath(&root, &of("a/y")).unwrap();
        remove_empty_directories_beneath(&root, &of("a/b"));
        assert_eq!(fs::read_dir(&top).unwrap().count(), 0);
    }

    #[test]
    fn nothing_goes_behind_a_link() {
        let guard = tempfile::tempdir().unwrap();
        let top = guard.path().join("root");
        fs::create_dir_all(&top).unwrap();
        fs::write(guard.path().join("victim"), "").unwrap();
        symlink(guard.path(), top.join("out")).unwrap();
        symlink(guard.path().join("victim"), top.join("link")).unwrap();
        let root = File::open(&top).unwrap();
        remove_file_beneath(&root, &Suffix::of("out/victim").unwrap()).unwrap_err();
        remove_empty_directories_beneath(&root, &Suffix::of("out").unwrap());
        remove_file_beneath(&root, &Suffix::of("link").unwrap()).unwrap();
        assert!(guard.path().join("victim").exists());
        assert!(!top.join("link").is_symlink());
        assert!(top.join("out").is_symlink());
    }
}
