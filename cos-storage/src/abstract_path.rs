//! The path that means the same file on every host: an entry's index and a suffix below it.

use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::error::SuffixError;
use crate::path_bytes::{PathBytes, PathBytesRef};
use crate::shown::Shown;
use crate::suffix::Suffix;

/// A path that can be sent to another host and means the same file there.
///
/// It names an entry of the mirrored storage by its index and a place below that entry by a
/// relative suffix. [`MirroredStorage::to_abstract`](crate::MirroredStorage::to_abstract) makes one
/// from a path of this host, [`MirroredStorage::to_actual`](crate::MirroredStorage::to_actual)
/// turns it into a path of the host where it is called.
///
/// A suffix below an entry never leads out of it by its own text: absolute suffixes, `..` and NUL
/// are refused when the value is made and again when it is decoded. It is kept in normal form
/// (no empty or `.` components, no slash at the end), so equal places compare equal.
/// Symbolic links are a matter of the file system and not of the text; see
/// [`open_beneath`](crate::open_beneath). Without an index the suffix is a plain path that no host
/// translates and no rule restricts.
///
/// Bytes that are not UTF-8 survive every encoding: in binary formats the suffix is a byte string,
/// in readable ones (JSON) text if it can be and else a list of numbers.
///
/// ```
/// use cos_storage::AbstractPath;
///
/// let path = AbstractPath::new(1, "models//bjt.lib")?;
/// assert_eq!(path.index(), Some(1));
/// assert_eq!(path.suffix(), std::path::Path::new("models/bjt.lib"));
/// assert!(AbstractPath::new(1, "../../etc/passwd").is_err());
/// # Ok::<(), cos_storage::SuffixError>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AbstractPath {
    index: Option<u16>,
    suffix: Box<[u8]>,
}

impl AbstractPath {
    /// The place `suffix` below entry `index`; an empty suffix is the entry itself.
    ///
    /// # Errors
    ///
    /// [`SuffixError`] if the suffix is absolute or holds `..` or a NUL byte.
    pub fn new(index: u16, suffix: impl AsRef<Path>) -> Result<Self, SuffixError> {
        let suffix = Suffix::new(suffix.as_ref().as_os_str().as_bytes())?;
        Ok(Self {
            index: Some(index),
            suffix: suffix.into_bytes(),
        })
    }

    /// A path that every host takes as it stands, without translation.
    pub fn untranslated(path: impl AsRef<Path>) -> Self {
        Self {
            index: None,
            suffix: path.as_ref().as_os_str().as_bytes().into(),
        }
    }

    /// The entry of the mirrored storage, or `None` for a path that is not translated.
    pub fn index(&self) -> Option<u16> {
        self.index
    }

    /// The part below the entry, or the whole path where there is no index.
    pub fn suffix(&self) -> &Path {
        Path::new(OsStr::from_bytes(&self.suffix))
    }

    /// The place `relative` below this one.
    ///
    /// # Errors
    ///
    /// [`SuffixError`] under the rules of [`AbstractPath::new`], which hold for `relative` alone:
    /// joining never climbs. A path without an index joins as [`Path::join`] does.
    pub fn join(&self, relative: impl AsRef<Path>) -> Result<Self, SuffixError> {
        let relative = relative.as_ref();
        match self.index {
            None => Ok(Self::untranslated(self.suffix().join(relative))),
            Some(index) => {
                let below = Suffix::new(relative.as_os_str().as_bytes())?;
                Self::new(index, self.suffix().join(below.as_path()))
            }
        }
    }

    /// This place as a host names it whose entry is `entry`: a matter of text, for hosts other than
    /// this one. `entry` may be anything that host understands, `~` included. Without an index the
    /// suffix is returned as it is.
    ///
    /// ```
    /// use cos_storage::AbstractPath;
    ///
    /// let path = AbstractPath::new(0, "runs/a")?;
    /// assert_eq!(path.under("~"), std::path::Path::new("~/runs/a"));
    /// # Ok::<(), cos_storage::SuffixError>(())
    /// ```
    pub fn under(&self, entry: impl AsRef<Path>) -> PathBuf {
        match self.index {
            None => self.suffix().to_owned(),
            Some(_) if self.suffix.is_empty() => entry.as_ref().to_owned(),
            Some(_) => entry.as_ref().join(self.suffix()),
        }
    }

    /// The directory that holds this place; `None` for an entry itself, so a walk upwards ends
    /// inside the entry.
    pub fn parent(&self) -> Option<Self> {
        let parent = self.suffix().parent()?;
        Some(Self {
            index: self.index,
            suffix: parent.as_os_str().as_bytes().into(),
        })
    }
}

/// `[1]/models/bjt.lib`, or the path itself where there is no index; escaped for a terminal.
impl fmt::Display for AbstractPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let suffix = Shown::path(self.suffix());
        match self.index {
            Some(index) if self.suffix.is_empty() => write!(f, "[{index}]"),
            Some(index) => write!(f, "[{index}]/{suffix}"),
            None => write!(f, "{suffix}"),
        }
    }
}

impl fmt::Debug for AbstractPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AbstractPath")
            .field("index", &self.index)
            .field("suffix", &self.suffix())
            .finish()
    }
}

#[derive(Serialize)]
#[serde(rename = "AbstractPath")]
struct Encoded<'a> {
    index: Option<u16>,
    suffix: PathBytesRef<'a>,
}

#[derive(Deserialize)]
#[serde(rename = "AbstractPath")]
struct Decoded {
    index: Option<u16>,
    suffix: PathBytes,
}

impl Serialize for AbstractPath {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Encoded {
            index: self.index,
            suffix: PathBytesRef(&self.suffix),
        }
        .serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for AbstractPath {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let decoded = Decoded::deserialize(deserializer)?;
        let suffix = decoded.suffix.0;
        match decoded.index {
            None => Ok(Self {
                index: None,
                suffix: suffix.into(),
            }),
            Some(index) => Self::new(index, OsStr::from_bytes(&suffix)).map_err(de::Error::custom),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suffixes_are_brought_to_normal_form() {
        for (given, normal) in [
            ("", ""),
            (".", ""),
            ("a", "a"),
            ("a/", "a"),
            ("./a//b/./c///", "a/b/c"),
            ("...", "..."),
            ("a/..b", "a/..b"),
            ("a\nb", "a\nb"),
        ] {
            let path = AbstractPath::new(3, given).unwrap();
            assert_eq!(path.suffix(), Path::new(normal), "{given:?}");
        }
    }

    #[test]
    fn suffixes_that_could_escape_are_refused() {
        for bad in [
            "/",
            "/etc/passwd",
            "//x",
            "..",
            "a/..",
            "a/../b",
            "../a",
            "a/.././../b",
        ] {
            AbstractPath::new(0, bad).expect_err(bad);
            AbstractPath::new(0, "a").unwrap().join(bad).expect_err(bad);
        }
        AbstractPath::new(0, OsStr::from_bytes(b"a\0b")).unwrap_err();
    }

    #[test]
    fn without_an_index_nothing_is_changed() {
        for any in ["", "/", "../x/", "/etc//passwd", "a/./b"] {
            let path = AbstractPath::untranslated(any);
            assert_eq!(path.index(), None);
            assert_eq!(path.suffix().as_os_str(), OsStr::new(any));
        }
    }

    #[test]
    fn parents_end_at_the_entry() {
        let path = AbstractPath::new(2, "a/b").unwrap();
        let parent = path.parent().unwrap();
        assert_eq!(parent, AbstractPath::new(2, "a").unwrap());
        let root = parent.parent().unwrap();
        assert_eq!(root, AbstractPath::new(2, "").unwrap());
        assert_eq!(root.parent(), None);
    }

    #[test]
    fn decoding_applies_the_rules_again() {
        let decode = |text: &str| serde_json::from_str::<AbstractPath>(text);
        let error = decode(r#"{"index":0,"suffix":"../x"}"#)
            .unwrap_err()
            .to_string();
        assert!(error.contains("`..`"), "{error}");
        decode(r#"{"index":0,"suffix":"/etc"}"#).unwrap_err();
        decode(r#"{"index":0,"suffix":[97,0]}"#).unwrap_err();
        decode(r#"{"index":70000,"suffix":"a"}"#).unwrap_err();
        let normal = decode(r#"{"index":0,"suffix":"a//b/"}"#).unwrap();
        assert_eq!(normal, AbstractPath::new(0, "a/b").unwrap());
        let plain = decode(r#"{"index":null,"suffix":"../x"}"#).unwrap();
        assert_eq!(plain, AbstractPath::untranslated("../x"));
    }

    /// The bytes are frozen: a client and a worker of different builds exchange them.
    #[test]
    fn the_binary_form_is_compact_and_frozen() {
        let config = bincode::config::standard();
        let path = AbstractPath::new(1, OsStr::from_bytes(b"a/\xff")).unwrap();
        let bytes = bincode::serde::encode_to_vec(&path, config).unwrap();
        assert_eq!(bytes, b"\x01\x01\x03a/\xff");
        let plain = AbstractPath::untranslated("/etc");
        let bytes = bincode::serde::encode_to_vec(&plain, config).unwrap();
        assert_eq!(bytes, b"\x00\x04/etc");
    }

    #[test]
    fn the_readable_form_is_readable() {
        let text = |path: &AbstractPath| serde_json::to_string(path).unwrap();
        assert_eq!(
            text(&AbstractPath::new(0, "a/b.net").unwrap()),
            r#"{"index":0,"suffix":"a/b.net"}"#
        );
        let raw = AbstractPath::new(0, OsStr::from_bytes(b"a\xff")).unwrap();
        assert_eq!(text(&raw), r#"{"index":0,"suffix":[97,255]}"#);
        assert_eq!(
            serde_json::from_str::<AbstractPath>(&text(&raw)).unwrap(),
            raw
        );
    }

    #[test]
    fn display_names_the_entry_and_escapes() {
        assert_eq!(AbstractPath::new(1, "a/b").unwrap().to_string(), "[1]/a/b");
        assert_eq!(AbstractPath::new(1, "").unwrap().to_string(), "[1]");
        assert_eq!(AbstractPath::untranslated("/a\nb").to_string(), "/a\\nb");
    }
}
