//! The one user of bincode: every value that is written to or read from a stream passes here, with a limit.
//!
//! The format is bincode 2's standard configuration (little endian, variable-length integers). Decoding never
//! allocates more than the given limit, whatever a length prefix claims, and refuses bytes that are left over.

use bincode::config::{Configuration, Limit, LittleEndian, Varint};
use serde::Serialize;
use serde::de::DeserializeOwned;
use thiserror::Error;

/// The most that [`decode`] may allocate for one message header (1 MiB): as much as a whole frame may hold.
///
/// No kernel executes a command line of more than 128 KiB (`MAX_ARG_STRLEN`), but a longer one is the mistake of one
/// job, which it fails; it must not end the channel.
pub const HEADER_LIMIT: usize = 1024 * 1024;

/// The most that [`decode_large`] may allocate for a value that was asked for, such as a host's preparation (4 MiB).
pub const LARGE_LIMIT: usize = 4 * 1024 * 1024;

/// The most that a typed task's encoded arguments, or its encoded value, may have (64 MiB). What is larger belongs into a
/// file: the client would have to hold it in memory once for each task that is under way.
pub const VALUE_LIMIT: usize = 64 * 1024 * 1024;

/// Why a value could not be written or read.
#[derive(Debug, Error)]
pub enum EncodingError {
    /// The value cannot be encoded; the caller's type is at fault.
    #[error("cannot encode: {0}")]
    Encode(#[source] bincode::error::EncodeError),
    /// What a typed task takes or gives is longer than [`VALUE_LIMIT`].
    #[error(
        "{bytes} bytes encoded, and at most 64 MiB are taken: put it into a file and pass its path"
    )]
    TooLarge {
        /// How long it is.
        bytes: usize,
    },
    /// The bytes are no value of the wanted type, or exceed the limit; the sender is at fault.
    #[error("cannot decode: {0}")]
    Decode(#[source] bincode::error::DecodeError),
    /// A value was read and `left` of the bytes remained.
    #[error("cannot decode: {left} bytes left over")]
    LeftOver {
        /// How many bytes followed the value.
        left: usize,
    },
}

/// Appends `value` to `buffer`.
///
/// # Errors
/// [`EncodingError::Encode`] when the value's `Serialize` fails; the buffer then holds part of it and is cut back.
pub fn encode_into<T: Serialize>(value: &T, buffer: &mut Vec<u8>) -> Result<(), EncodingError> {
    let before = buffer.len();
    let config = bincode::config::standard();
    match bincode::serde::encode_into_std_write(value, buffer, config) {
        Ok(_) => Ok(()),
        Err(error) => {
            buffer.truncate(before);
            Err(EncodingError::Encode(error))
        }
    }
}

/// Reads a message header: at most [`HEADER_LIMIT`] bytes are allocated, and `bytes` must hold nothing else.
///
/// # Errors
/// [`EncodingError::Decode`] or [`EncodingError::LeftOver`].
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, EncodingError> {
    decode_with::<T, HEADER_LIMIT>(bytes)
}

/// As [`decode`], with [`LARGE_LIMIT`].
///
/// # Errors
/// [`EncodingError::Decode`] or [`EncodingError::LeftOver`].
pub fn decode_large<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, EncodingError> {
    decode_with::<T, LARGE_LIMIT>(bytes)
}

/// As [`decode`], with a limit of the caller's own.
///
/// # Errors
/// [`EncodingError::Decode`] or [`EncodingError::LeftOver`].
pub fn decode_message<T: DeserializeOwned, const LIMIT: usize>(
    bytes: &[u8],
) -> Result<T, EncodingError> {
    decode_with::<T, LIMIT>(bytes)
}

/// Reads the arguments or the value of a typed task, at most [`VALUE_LIMIT`] bytes, and says how many bytes it took.
///
/// # Errors
/// [`EncodingError::Decode`].
pub fn decode_prefix<T: DeserializeOwned>(bytes: &[u8]) -> Result<(T, usize), EncodingError> {
    let config = bincode::config::standard().with_limit::<VALUE_LIMIT>();
    bincode::serde::decode_from_slice(bytes, config).map_err(EncodingError::Decode)
}

/// Where in `bytes` a value of type `T` stops to be one: how many bytes were read before the error. To be asked after
/// [`decode_prefix`] has failed.
pub fn offset_of_error<T: DeserializeOwned>(bytes: &[u8]) -> usize {
    let config = bincode::config::standard().with_limit::<VALUE_LIMIT>();
    let mut reader = Counted { bytes, read: 0 };
    // That it fails is known.
    let _ = bincode::serde::decode_from_reader::<T, _, _>(&mut reader, config);
    reader.read
}

/// Counts what is read.
struct Counted<'a> {
    bytes: &'a [u8],
    read: usize,
}

impl bincode::de::read::Reader for &mut Counted<'_> {
    fn read(&mut self, into: &mut [u8]) -> Result<(), bincode::error::DecodeError> {
        let rest = &self.bytes[self.read..];
        match rest.get(..into.len()) {
            Some(bytes) => {
                into.copy_from_slice(bytes);
                self.read += into.len();
                Ok(())
            }
            None => Err(bincode::error::DecodeError::UnexpectedEnd {
                additional: into.len() - rest.len(),
            }),
        }
    }
}

fn decode_with<T: DeserializeOwned, const LIMIT: usize>(bytes: &[u8]) -> Result<T, EncodingError> {
    let config: Configuration<LittleEndian, Varint, Limit<LIMIT>> =
        bincode::config::standard().with_limit::<LIMIT>();
    let (value, used) =
        bincode::serde::decode_from_slice(bytes, config).map_err(EncodingError::Decode)?;
    match bytes.len() - used {
        0 => Ok(value),
        left => Err(EncodingError::LeftOver { left }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_survives_the_round_trip() {
        let mut buffer = Vec::new();
        encode_into(&("ws03", 17_u64, Some(-4_i32)), &mut buffer).unwrap();
        let back: (String, u64, Option<i32>) = decode(&buffer).unwrap();
        assert_eq!(back, ("ws03".to_owned(), 17, Some(-4)));
    }

    #[test]
    fn a_length_that_claims_more_than_the_limit_is_refused_before_allocation() {
        // A string whose varint length claims 2^62 bytes.
        let mut bytes = vec![253];
        bytes.extend_from_slice(&(1_u64 << 62).to_le_bytes());
        assert!(matches!(
            decode::<String>(&bytes),
            Err(EncodingError::Decode(_))
        ));
    }

    #[test]
    fn an_error_has_its_place() {
        let mut bytes = Vec::new();
        encode_into(&("ws03", 300_u64), &mut bytes).unwrap();
        // The second value is cut off after its first byte.
        bytes.truncate(6);
        assert!(decode_prefix::<(String, u64)>(&bytes).is_err());
        assert_eq!(offset_of_error::<(String, u64)>(&bytes), 6);
        // No value of a bool.
        assert!(decode_prefix::<(u8, bool)>(&[9, 9, 9]).is_err());
        assert_eq!(offset_of_error::<(u8, bool)>(&[9, 9, 9]), 2);
    }

    #[test]
    fn left_over_bytes_are_refused() {
        assert!(matches!(
            decode::<u8>(&[1, 2, 3]),
            Err(EncodingError::LeftOver { left: 2 })
        ));
    }
}
