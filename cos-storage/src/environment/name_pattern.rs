//! Patterns of file names, as a shell has them, over names of any bytes.
//!
//! The `glob` crate matches text. A name that is not UTF-8 is made text first, each of its stray
//! bytes being a character of its own that stands for nothing else, and so is the pattern.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use glob::{MatchOptions, Pattern};

use super::EnvironmentError;
use crate::shown::Shown;
use crate::suffix::Suffix;

/// As in a shell: `*` matches no name that begins with a dot.
const OPTIONS: MatchOptions = MatchOptions {
    case_sensitive: true,
    require_literal_separator: true,
    require_literal_leading_dot: true,
};

/// Stray bytes become characters from here on, in a plane for private use.
const STRAY: u32 = 0x0010_ff00;

/// The part of a path before its first component that is a pattern, and the rest.
pub(super) fn split(path: &Path) -> (PathBuf, PathBuf) {
    let is_plain = |name: &&OsStr| !is_pattern(name);
    let base: PathBuf = path.iter().take_while(is_plain).collect();
    let rest = path.iter().skip_while(is_plain).collect();
    (base, rest)
}

fn is_pattern(name: &OsStr) -> bool {
    name.as_bytes()
        .iter()
        .any(|byte| matches!(byte, b'*' | b'?' | b'['))
}

/// Finds mistakes in a pattern before it travels.
pub(super) fn check(source: &Path, pattern: &Suffix) -> Result<(), EnvironmentError> {
    for name in pattern.as_path() {
        compile(name).map_err(|reason| EnvironmentError::Pattern {
            pattern: Shown::path(source).to_string(),
            reason,
        })?;
    }
    Ok(())
}

/// The pattern of one name.
pub(super) fn compile(name: &OsStr) -> Result<Pattern, String> {
    Pattern::new(&text(name)).map_err(|error| error.msg.to_owned())
}

/// Whether a name fits.
pub(super) fn fits(pattern: &Pattern, name: &OsStr) -> bool {
    pattern.matches_with(&text(name), OPTIONS)
}

fn text(name: &OsStr) -> String {
    let mut text = String::new();
    for chunk in name.as_bytes().utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend(
            chunk
                .invalid()
                .iter()
                .filter_map(|byte| char::from_u32(STRAY + u32::from(*byte))),
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fit_as_in_a_shell() {
        let fits = |pattern: &[u8], name: &[u8]| {
            fits(
                &compile(OsStr::from_bytes(pattern)).unwrap(),
                OsStr::from_bytes(name),
            )
        };
        assert!(fits(b"*.net", b"a.net"));
        assert!(fits(b"*", b"\xff\n"));
        assert!(fits(b"a?c", b"a\xffc"));
        assert!(fits(b"a?c", "a\u{e9}c".as_bytes()));
        assert!(fits(b"\xff*", b"\xffx"));
        assert!(fits(b"[ab]1", b"b1"));
        assert!(fits(b"[*]", b"*"));
        assert!(!fits(b"\xfe*", b"\xffx"));
        assert!(!fits(b"*", b".hidden"));
        assert!(fits(b".*", b".hidden"));
        assert!(!fits(b"[!a]", b"a"));
    }

    #[test]
    fn paths_are_split_at_the_first_pattern() {
        let split = |path: &str| {
            let (base, rest) = split(Path::new(path));
            (base.display().to_string(), rest.display().to_string())
        };
        assert_eq!(split("/a/b"), ("/a/b".into(), String::new()));
        assert_eq!(split("/a/b*/c"), ("/a".into(), "b*/c".into()));
        assert_eq!(split("/*"), ("/".into(), "*".into()));
    }

    #[test]
    fn mistakes_are_told() {
        let pattern = Suffix::of("a/b[").unwrap();
        let error = check(Path::new("/x/a/b["), &pattern)
            .unwrap_err()
            .to_string();
        assert!(error.starts_with("/x/a/b[ is no pattern: "), "{error}");
    }
}
