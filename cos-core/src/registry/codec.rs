//! Arguments and values of typed tasks as bytes, one after the other.

use serde::Serialize;
use serde::de::DeserializeOwned;
use thiserror::Error;

use crate::encoding::{self, EncodingError, VALUE_LIMIT};

/// Collects encoded values. What goes wrong is told at the end.
#[derive(Debug, Default)]
pub struct Encoder {
    bytes: Vec<u8>,
    error: Option<String>,
}

impl Encoder {
    /// Appends an argument.
    pub fn argument<T: Serialize>(&mut self, name: &str, value: &T) {
        self.append(value, || format!("argument `{name}`: "));
    }

    /// Appends the value of a call.
    pub fn value<T: Serialize>(&mut self, value: &T) {
        self.append(value, String::new);
    }

    fn append<T: Serialize>(&mut self, value: &T, subject: impl FnOnce() -> String) {
        if self.error.is_none()
            && let Err(error) = encoding::encode_into(value, &mut self.bytes)
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
    pub fn argument<T: DeserializeOwned>(&mut self, name: &str) -> Result<T, Undecodable> {
        self.take(|| format!("argument `{name}`"))
    }

    /// Takes the value of a call.
    ///
    /// # Errors
    /// When the bytes are no such value.
    pub fn value<T: DeserializeOwned>(&mut self) -> Result<T, Undecodable> {
        self.take(|| "the value".to_owned())
    }

    fn take<T: DeserializeOwned>(
        &mut self,
        subject: impl FnOnce() -> String,
    ) -> Result<T, Undecodable> {
        match encoding::decode_prefix(self.rest) {
            Ok((value, used)) => {
                self.rest = &self.rest[used..];
                Ok(value)
            }
            Err(error) => {
                let start = self.length - self.rest.len();
                let at = start + encoding::offset_of_error::<T>(self.rest);
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
