//! Canonical paths, also of what does not exist yet.

use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use crate::error::TranslateError;
use crate::shown::Shown;

/// As many dangling links in a row as Linux follows links in one path.
const MAX_LINKS: usize = 40;

/// The canonical form of `path`: absolute, free of links, `.` and `..`.
///
/// What does not exist keeps its name behind its longest existing ancestor. A link whose target is
/// missing is followed to where that target would be, since that is where a write would land.
pub(crate) fn canonical(path: &Path) -> Result<PathBuf, TranslateError> {
    let unresolvable = |source: io::Error| TranslateError::Unresolvable {
        path: Shown::path(path).to_string(),
        source: Arc::new(source),
    };
    let mut wanted = std::path::absolute(path).map_err(unresolvable)?;
    for _ in 0..MAX_LINKS {
        match fs::canonicalize(&wanted) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            done => return done.map_err(unresolvable),
        }
        let (ancestor, missing) = longest_existing(&wanted).map_err(unresolvable)?;
        let mut components = missing.components();
        let Some(first) = components.next() else {
            continue; // it came to exist between the two looks
        };
        if missing
            .components()
            .any(|component| component == Component::ParentDir)
        {
            return Err(TranslateError::ParentOfMissing {
                path: Shown::path(path).to_string(),
            });
        }
        match fs::read_link(ancestor.join(first)) {
            Ok(target) => wanted = ancestor.join(target).join(components.as_path()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(ancestor.join(missing));
            }
            // Not a link: it exists by now, look again.
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => {}
            Err(error) => return Err(unresolvable(error)),
        }
    }
    Err(unresolvable(io::Error::from_raw_os_error(
        rustix::io::Errno::LOOP.raw_os_error(),
    )))
}

/// Splits an absolute path into the canonical form of its longest existing ancestor and the rest.
fn longest_existing(path: &Path) -> io::Result<(PathBuf, PathBuf)> {
    let components: Vec<Component<'_>> = path.components().collect();
    for length in (1..=components.len()).rev() {
        let (ancestor, missing) = components.split_at(length);
        match fs::canonicalize(ancestor.iter().collect::<PathBuf>()) {
            Ok(ancestor) => return Ok((ancestor, missing.iter().collect())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::ErrorKind::NotFound.into())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn fixture() -> (tempfile::TempDir, PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(directory.path()).unwrap();
        fs::create_dir(root.join("real")).unwrap();
        symlink("real", root.join("link")).unwrap();
        (directory, root)
    }

    #[test]
    fn what_exists_is_canonical() {
        let (_guard, root) = fixture();
        assert_eq!(
            canonical(&root.join("link/../link/.")).unwrap(),
            root.join("real")
        );
    }

    #[test]
    fn what_is_missing_keeps_its_name() {
        let (_guard, root) = fixture();
        assert_eq!(
            canonical(&root.join("link/a//./b/")).unwrap(),
            root.join("real/a/b")
        );
        let absent = Path::new("/no-such-directory-here/x");
        assert_eq!(canonical(absent).unwrap(), absent);
    }

    #[test]
    fn dangling_links_lead_where_a_write_would_land() {
        let (_guard, root) = fixture();
        symlink("../elsewhere/deep", root.join("real/out")).unwrap();
        assert_eq!(
            canonical(&root.join("link/out/x")).unwrap(),
            root.join("elsewhere/deep/x")
        );
        symlink(root.join("link/out"), root.join("absolute")).unwrap();
        assert_eq!(
            canonical(&root.join("absolute")).unwrap(),
            root.join("elsewhere/deep")
        );
    }

    #[test]
    fn loops_and_climbs_are_errors() {
        let (_guard, root) = fixture();
        symlink("loop", root.join("loop")).unwrap();
        let error = canonical(&root.join("loop/x")).unwrap_err();
        assert!(
            matches!(error, TranslateError::Unresolvable { .. }),
            "{error}"
        );
        let error = canonical(&root.join("missing/../real")).unwrap_err();
        assert!(
            matches!(error, TranslateError::ParentOfMissing { .. }),
            "{error}"
        );
        fs::write(root.join("file"), "").unwrap();
        let error = canonical(&root.join("file/x")).unwrap_err();
        assert!(
            matches!(error, TranslateError::Unresolvable { .. }),
            "{error}"
        );
    }
}
