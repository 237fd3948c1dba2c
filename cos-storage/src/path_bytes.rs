//! Serde form of a path's bytes: a byte string in binary formats, text where it is text in
//! readable ones, a list of numbers where it is not.

use std::fmt;
use std::str;

use serde::de::{self, Deserialize, Deserializer, SeqAccess, Visitor};
use serde::ser::{Serialize, Serializer};

/// Bytes of a path on their way out.
pub(crate) struct PathBytesRef<'a>(pub(crate) &'a [u8]);

/// Bytes of a path as they came in, not yet checked by any rule.
pub(crate) struct PathBytes(pub(crate) Vec<u8>);

impl Serialize for PathBytesRef<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if !serializer.is_human_readable() {
            return serializer.serialize_bytes(self.0);
        }
        match str::from_utf8(self.0) {
            Ok(text) => serializer.serialize_str(text),
            Err(_) => serializer.collect_seq(self.0),
        }
    }
}

impl<'de> Deserialize<'de> for PathBytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            deserializer.deserialize_any(PathBytesVisitor)
        } else {
            deserializer.deserialize_byte_buf(PathBytesVisitor)
        }
    }
}

struct PathBytesVisitor;

impl<'de> Visitor<'de> for PathBytesVisitor {
    type Value = PathBytes;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a path as text or as a list of bytes")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<PathBytes, E> {
        Ok(PathBytes(text.as_bytes().to_vec()))
    }

    fn visit_string<E: de::Error>(self, text: String) -> Result<PathBytes, E> {
        Ok(PathBytes(text.into_bytes()))
    }

    fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<PathBytes, E> {
        Ok(PathBytes(bytes.to_vec()))
    }

    fn visit_byte_buf<E: de::Error>(self, bytes: Vec<u8>) -> Result<PathBytes, E> {
        Ok(PathBytes(bytes))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<PathBytes, A::Error> {
        // The list's own claim about its length is not believed: it grows as elements arrive.
        let mut bytes = Vec::new();
        while let Some(byte) = list.next_element()? {
            bytes.push(byte);
        }
        Ok(PathBytes(bytes))
    }
}
