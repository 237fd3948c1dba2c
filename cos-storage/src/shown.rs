//! How a path is written in a message: on one line, whatever bytes it holds.

use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Displays bytes of a path for a person: control characters, backslashes and bytes that are not
/// UTF-8 appear escaped, so that a name with a newline or a terminal escape cannot forge a line.
pub(crate) struct Shown<'a>(&'a [u8]);

impl<'a> Shown<'a> {
    pub(crate) fn path(path: &'a Path) -> Self {
        Self(path.as_os_str().as_bytes())
    }

    pub(crate) fn os_str(text: &'a OsStr) -> Self {
        Self(text.as_bytes())
    }
}

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for chunk in self.0.utf8_chunks() {
            for character in chunk.valid().chars() {
                if character.is_control() || character == '\\' {
                    write!(f, "{}", character.escape_default())?;
                } else {
                    write!(f, "{character}")?;
                }
            }
            for byte in chunk.invalid() {
                write!(f, "\\x{byte:02x}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_names_stay_on_one_line() {
        let shown = |bytes: &[u8]| Shown::os_str(OsStr::from_bytes(bytes)).to_string();
        assert_eq!(shown(b"/home/ana"), "/home/ana");
        assert_eq!(shown("/m\u{e9}sure".as_bytes()), "/m\u{e9}sure");
        assert_eq!(shown(b"a\nb\x1b[2J"), "a\\nb\\u{1b}[2J");
        assert_eq!(shown(b"a\xffb"), "a\\xffb");
        assert_eq!(shown(b"a\\xffb"), "a\\\\xffb");
    }
}
