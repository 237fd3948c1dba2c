//! A relative path that cannot climb: the part of a path below some directory.

use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::error::SuffixError;
use crate::path_bytes::{PathBytes, PathBytesRef};
use crate::shown::Shown;

/// A place below some directory: a relative path in normal form, without `..`, NUL, empty or `.`
/// components, and without a slash at either end. The empty one is the directory itself.
///
/// Decoding applies the same rules. Any other byte is allowed, newlines and bytes that are not
/// UTF-8 included; `Display` escapes them for a terminal.
///
/// ```
/// use cos_storage::Suffix;
///
/// assert_eq!(Suffix::of("out//./a.csv")?.to_string(), "out/a.csv");
/// assert!(Suffix::of("../a.csv").is_err());
/// # Ok::<(), cos_storage::SuffixError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Suffix(Box<[u8]>);

impl Suffix {
    /// The place that `path` names below a directory.
    ///
    /// # Errors
    ///
    /// [`SuffixError`] if it is absolute or holds `..` or a NUL byte.
    pub fn of(path: impl AsRef<Path>) -> Result<Self, SuffixError> {
        Self::new(path.as_ref().as_os_str().as_bytes())
    }

    pub(crate) fn new(path: &[u8]) -> Result<Self, SuffixError> {
        let shown = || Shown::os_str(OsStr::from_bytes(path)).to_string();
        if path.first() == Some(&b'/') {
            return Err(SuffixError::Absolute { suffix: shown() });
        }
        if path.contains(&0) {
            return Err(SuffixError::Nul { suffix: shown() });
        }
        let mut normal = Vec::with_capacity(path.len());
        for component in path.split(|byte| *byte == b'/') {
            match component {
                b"" | b"." => continue,
                b".." => return Err(SuffixError::ParentDirectory { suffix: shown() }),
                name => {
                    if !normal.is_empty() {
                        normal.push(b'/');
                    }
                    normal.extend_from_slice(name);
                }
            }
        }
        Ok(Self(normal.into()))
    }

    /// The path, relative to the directory.
    pub fn as_path(&self) -> &Path {
        Path::new(OsStr::from_bytes(&self.0))
    }

    /// Whether it is the directory itself.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn into_bytes(self) -> Box<[u8]> {
        self.0
    }
}

impl fmt::Display for Suffix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Shown::path(self.as_path()).fmt(f)
    }
}

impl Serialize for Suffix {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        PathBytesRef(&self.0).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Suffix {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let bytes = PathBytes::deserialize(deserializer)?;
        Self::new(&bytes.0).map_err(de::Error::custom)
    }
}
