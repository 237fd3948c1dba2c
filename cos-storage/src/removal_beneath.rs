//! Removing single files that somebody else named, and nothing outside.

use std::io;
use std::os::fd::AsFd;
use std::path::Path;

use rustix::fs::{AtFlags, OFlags, unlinkat};
use rustix::io::Errno;

use crate::beneath::open_beneath_without_links;
use crate::suffix::Suffix;

/// Removes the file at `path` below the directory `root`, and then those directories on the way to it
/// that are empty, the deepest first. A link is removed and not followed, and nothing is removed behind
/// one. A directory stays. That there is no such file is no error.
///
/// # Errors
///
/// What the system says; `IsADirectory` for a directory.
pub fn remove_beneath(root: impl AsFd, path: &Suffix) -> io::Result<()> {
    let root = root.as_fd();
    let open =
        |path: &Path| open_beneath_without_links(root, path, OFlags::RDONLY | OFlags::DIRECTORY);
    let mut below = path.as_path();
    let mut flags = AtFlags::empty();
    while let (Some(parent), Some(name)) = (below.parent(), below.file_name()) {
        let removed = open(parent).and_then(|parent| unlinkat(parent, name, flags));
        match removed {
            Ok(()) | Err(Errno::NOENT) => {}
            // A directory that is not empty, or is in use, and with it those above.
            Err(_) if flags == AtFlags::REMOVEDIR => return Ok(()),
            Err(errno) => return Err(errno.into()),
        }
        (below, flags) = (parent, AtFlags::REMOVEDIR);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn files_go_and_directories_that_are_empty_then() {
        let guard = tempfile::tempdir().unwrap();
        let top = guard.path().join("root");
        fs::create_dir_all(top.join("a/b")).unwrap();
        fs::write(top.join("a/b/x"), "").unwrap();
        fs::write(top.join("a/y"), "").unwrap();
        let root = File::open(&top).unwrap();
        remove_beneath(&root, &Suffix::of("a/b/x").unwrap()).unwrap();
        assert!(!top.join("a/b").exists() && top.join("a/y").exists());
        remove_beneath(&root, &Suffix::of("a/y").unwrap()).unwrap();
        remove_beneath(&root, &Suffix::of("a/y").unwrap()).unwrap();
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
        remove_beneath(&root, &Suffix::of("out/victim").unwrap()).unwrap_err();
        remove_beneath(&root, &Suffix::of("link").unwrap()).unwrap();
        assert!(guard.path().join("victim").exists());
        assert!(!top.join("link").is_symlink());
        assert!(top.join("out").is_symlink());
    }
}
