//! Arguments and values of typed tasks as bytes, one after the other.

use serde::Serialize;
use serde::de::DeserializeOwned;
use thiserror::Error;

use crate::encoding::{self, EncodingError, VALUE_LIMIT};

/// What can be an argument of a task.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be an argument of a task",
    label = "it comes from another process",
    note = "an argument is `Serialize`, `Deserialize` and `Send`, and owns what it holds",
    note = "put `#[derive(serde::Serialize, serde::Deserialize)]` before a type of your own; for one of another crate \
            look for a feature `serde`"
)]
pub trait TaskArgument: Serialize + DeserializeOwned + Send + 'static {}

#[diagnostic::do_not_recommend]
impl<T: Serialize + DeserializeOwned + Send + 'static> TaskArgument for T {}

/// What can be the value of a task.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the value of a task",
    label = "it goes to another process",
    note = "a value is `Serialize` and `Deserialize`, and owns what it holds",
    note = "put `#[derive(serde::Serialize, serde::Deserialize)]` before a type of your own; for one of another crate \
            look for a feature `serde`",
    note = "the error of a task travels as text: only the word `Result` in its signature takes it apart"
)]
pub trait TaskValue: Serialize + DeserializeOwned + 'static {}

#[diagnostic::do_not_recommend]
impl<T: Serialize + DeserializeOwned + 'static> TaskValue for T {}

/// How a type travels.
///
/// Generated code names each type once, where its codec is made: a type that cannot travel is one error, at its place in
/// the signature.
pub struct Codec<T> {
    encode: fn(&T, &mut Vec<u8>) -> Result<(), EncodingError>,
    decode: Decode<T>,
    offset_of_error: fn(&[u8]) -> usize,
}

/// Reads a value from the beginning of bytes, and says how many they were.
type Decode<T> = fn(&[u8]) -> Result<(T, usize), EncodingError>;

/// The codec of an argument.
pub const fn argument<T: TaskArgument>() -> Codec<T> {
    codec()
}

/// The codec of a value.
pub const fn value<T: TaskValue>() -> Codec<T> {
    codec()
}

const fn codec<T: Serialize + DeserializeOwned>() -> Codec<T> {
    Codec {
        encode: encoding::encode_into::<T>,
        decode: encoding::decode_prefix::<T>,
        offset_of_error: encoding::offset_of_error::<T>,
    }
}

/// Collects encoded values. What goes wrong is told at the end.
#[derive(Debug, Default)]
pub struct Encoder {
    bytes: Vec<u8>,
    error: Option<String>,
}

impl Encoder {
    /// Appends an argument.
    pub fn argument<T>(&mut self, codec: &Codec<T>, name: &str, argument: &T) {
        self.append(codec, argument, || format!("argument `{name}`: "));
    }

    /// Appends the value of a call.
    pub fn value<T>(&mut self, codec: &Codec<T>, value: &T) {
        self.append(codec, value, String::new);
    }

    fn append<T>(&mut self, codec: &Codec<T>, value: &T, subject: impl FnOnce() -> String) {
        if self.error.is_none()
            && let Err(error) = (codec.encode)(value, &mut self.bytes)
        {
            self.error = Some(format!("{}{error}", subject()));
        }
    }

    /// All that was appended, or why there is nothing.
    pub(super) fn finish(self) -> Result<Vec<u8>, String> {
        match self.error {
            Some(error) => Err(error),
            None if self.bytes.len() > VALUE_LIMIT => {
                let bytes = self.bytes.len();
                Err(EncodingError::TooLarge { bytes }.to_string())
            }
            None => Ok(self.bytes),
        }
    }
}

/// Takes encoded values apart.
#[derive(Debug)]
pub struct Decoder<'a> {
    rest: &'a [u8],
    length: usize,
}

/// Bytes are not the value that was wanted.
#[derive(Debug, Error)]
#[error("{0}")]
pub struct Undecodable(String);

impl<'a> Decoder<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self {
            rest: bytes,
            length: bytes.len(),
        }
    }

    /// Takes an argument.
    ///
    /// # Errors
    /// When the bytes are no such argument.
    pub fn argument<T>(&mut self, codec: &Codec<T>, name: &str) -> Result<T, Undecodable> {
        self.take(codec, || format!("argument `{name}`"))
    }

    /// Takes the value of a call.
    ///
    /// # Errors
    /// When the bytes are no such value.
    pub fn value<T>(&mut self, codec: &Codec<T>) -> Result<T, Undecodable> {
        self.take(codec, || "the value".to_owned())
    }

    fn take<T>(
        &mut self,
        codec: &Codec<T>,
        subject: impl FnOnce() -> String,
    ) -> Result<T, Undecodable> {
        match (codec.decode)(self.rest) {
            Ok((value, used)) => {
                self.rest = &self.rest[used..];
                Ok(value)
            }
            Err(error) => {
                let start = self.length - self.rest.len();
                let at = start + (codec.offset_of_error)(self.rest);
                let (subject, of) = (subject(), std::any::type_name::<T>());
                let length = self.length;
                Err(Undecodable(format!(
                    "{subject} ({of}), at byte {at} of {length}: {error}"
                )))
            }
        }
    }

    /// Nothing may be left.
    pub(super) fn finish(self) -> Result<(), Undecodable> {
        match self.rest.len() {
            0 => Ok(()),
            left => Err(Undecodable(EncodingError::LeftOver { left }.to_string())),
        }
    }
}
