//! A relative path that cannot climb: the part of a path below some directory.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::error::SuffixError;
use crate::path_bytes::{PathBytes, PathBytesRef};
use crate::shown::Shown;

/// A relative path in normal form: no `..`, no NUL, no empty or `.` components, no slash at
/// either end. Decoding applies the same rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Suffix(Box<[u8]>);

impl Suffix {
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

    pub(crate) fn as_path(&self) -> &Path {
        Path::new(OsStr::from_bytes(&self.0))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn into_bytes(self) -> Box<[u8]> {
        self.0
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
