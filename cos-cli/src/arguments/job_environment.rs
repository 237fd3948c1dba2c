//! What a job sees: variables, directory, and which exit codes mean success.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

/// One `--env`: a variable (or exported shell function) to hand to every job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EnvironmentEntry {
    /// With the value it has where `cos` runs.
    Inherit(String),
    /// With this value.
    Set(String, OsString),
}

/// Why an `--env` was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseEnvironmentError {
    /// No name of a variable.
    #[error("expected a variable's name or NAME=VALUE")]
    Name,
    /// GNU parallel's `_`.
    #[error("`_` (everything) is GNU parallel's; name the variables that the jobs need")]
    Everything,
}

impl EnvironmentEntry {
    /// The name of the variable or function.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Inherit(name) | Self::Set(name, _) => name,
        }
    }

    /// Reads `NAME` or `NAME=VALUE`; the value may hold any byte.
    ///
    /// # Errors
    ///
    /// When there is no name, or one that no shell could use.
    pub fn parse(word: &std::ffi::OsStr) -> Result<Self, ParseEnvironmentError> {
        let bytes = word.as_bytes();
        let end = bytes
            .iter()
            .position(|&byte| byte == b'=')
            .unwrap_or(bytes.len());
        let name = std::str::from_utf8(&bytes[..end]).map_err(|_| ParseEnvironmentError::Name)?;
        if name == "_" {
            return Err(ParseEnvironmentError::Everything);
        }
        // A shell function may be called `do-it`; a variable may not, but then the shell says so.
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | ':');
        if name.is_empty()
            || name.starts_with(|c: char| c.is_ascii_digit() || c == '-')
            || !name.chars().all(allowed)
        {
            return Err(ParseEnvironmentError::Name);
        }
        Ok(match bytes.get(end + 1..) {
            Some(value) => Self::Set(name.to_owned(), std::ffi::OsStr::from_bytes(value).into()),
            None => Self::Inherit(name.to_owned()),
        })
    }
}

/// The directory that a job starts in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WorkingDirectory {
    /// The directory that `cos` was started in, as the host sees it.
    Current,
    /// A private scratch directory per job.
    PerJob,
    /// This one, as the host sees it; relative to the current directory.
    Path(PathBuf),
}

impl From<OsString> for WorkingDirectory {
    fn from(word: OsString) -> Self {
        match word.as_bytes() {
            b"." => Self::Current,
            b"..." => Self::PerJob,
            _ => Self::Path(word.into()),
        }
    }
}

/// The exit codes that mean success: 0 and those of `--success-exit`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SuccessExit(BTreeSet<u8>);

impl SuccessExit {
    /// Success is 0 and any of these.
    pub fn new(more: impl IntoIterator<Item = u8>) -> Self {
        let mut codes: BTreeSet<u8> = more.into_iter().collect();
        codes.insert(0);
        Self(codes)
    }

    /// Whether a job that exited with this code has succeeded.
    #[must_use]
    pub fn contains(&self, code: u8) -> bool {
        self.0.contains(&code)
    }

    /// The codes, ascending.
    pub fn codes(&self) -> impl Iterator<Item = u8> + '_ {
        self.0.iter().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::OsStr;

    #[test]
    fn a_variable_comes_by_name_or_with_a_value_of_any_bytes() {
        let entry = |bytes: &[u8]| EnvironmentEntry::parse(OsStr::from_bytes(bytes));
        assert_eq!(entry(b"PDK"), Ok(EnvironmentEntry::Inherit("PDK".into())));
        assert_eq!(
            entry(b"A="),
            Ok(EnvironmentEntry::Set("A".into(), "".into()))
        );
        assert_eq!(
            entry(b"A=b=\xff"),
            Ok(EnvironmentEntry::Set(
                "A".into(),
                OsStr::from_bytes(b"b=\xff").into()
            ))
        );
        assert_eq!(
            entry(b"my-function").map(|e| e.name().to_owned()),
            Ok("my-function".into())
        );
        assert_eq!(entry(b"_"), Err(ParseEnvironmentError::Everything));
        for wrong in [&b""[..], b"=x", b"1A", b"A B", b"\xff", b"A;id", b"-x"] {
            assert_eq!(entry(wrong), Err(ParseEnvironmentError::Name), "{wrong:?}");
        }
    }

    #[test]
    fn zero_is_always_success() {
        let success = SuccessExit::new([1, 3]);
        assert_eq!(success.codes().collect::<Vec<_>>(), [0, 1, 3]);
        assert!(success.contains(3) && !success.contains(2));
    }

    #[test]
    fn dots_name_the_directory() {
        assert_eq!(
            WorkingDirectory::from(OsString::from(".")),
            WorkingDirectory::Current
        );
        assert_eq!(
            WorkingDirectory::from(OsString::from("...")),
            WorkingDirectory::PerJob
        );
        let path = WorkingDirectory::Path("sub/dir".into());
        assert_eq!(WorkingDirectory::from(OsString::from("sub/dir")), path);
    }
}
