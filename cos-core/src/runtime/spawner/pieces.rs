//! Messages of any length over pieces of limited length.
//!
//! ```text
//! length u32 | message (bincode)     one after the other, cut into pieces wherever a piece is full
//! ```

use bytes::{Buf, Bytes, BytesMut};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::encoding::{self, HEADER_LIMIT, VALUE_LIMIT};
use crate::wire::frame::CHUNK;

/// The longest message: a value or arguments, and what stands around them.
const MESSAGE_LIMIT: usize = VALUE_LIMIT + HEADER_LIMIT;

/// The bytes of a length.
const LENGTH: usize = 4;

/// A message that cannot be said, or was said wrongly.
#[derive(Debug)]
pub(super) struct Malformed;

/// A message, ready to be sent piece by piece.
pub(super) fn cut(message: &impl Serialize) -> Result<impl Iterator<Item = Bytes>, Malformed> {
    let mut buffer = vec![0; LENGTH];
    encoding::encode_into(message, &mut buffer).map_err(|_| Malformed)?;
    let length = buffer.len() - LENGTH;
    if length > MESSAGE_LIMIT {
        return Err(Malformed);
    }
    let length = u32::try_from(length).map_err(|_| Malformed)?;
    buffer[..LENGTH].copy_from_slice(&length.to_le_bytes());
    let mut rest = Bytes::from(buffer);
    Ok(std::iter::from_fn(move || {
        let piece = rest.split_to(rest.len().min(CHUNK));
        (!piece.is_empty()).then_some(piece)
    }))
}

/// Puts the pieces together.
#[derive(Default, Debug)]
pub(super) struct Assembly {
    bytes: BytesMut,
}

impl Assembly {
    /// Takes the next piece.
    pub(super) fn feed(&mut self, piece: &[u8]) {
        self.bytes.extend_from_slice(piece);
    }

    /// The next message, when all of it is there.
    pub(super) fn next<M: DeserializeOwned>(&mut self) -> Result<Option<M>, Malformed> {
        let Some(length) = self.bytes.first_chunk::<LENGTH>() else {
            return Ok(None);
        };
        let length = u32::from_le_bytes(*length) as usize;
        if length > MESSAGE_LIMIT {
            return Err(Malformed);
        }
        if self.bytes.len() < LENGTH + length {
            return Ok(None);
        }
        self.bytes.advance(LENGTH);
        let message = self.bytes.split_to(length);
        let decoded = encoding::decode_message::<M, MESSAGE_LIMIT>(&message);
        decoded.map(Some).map_err(|_| Malformed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_of_any_length_arrive_in_any_pieces() {
        let messages: Vec<Vec<u8>> = [0, 1, CHUNK - 8, CHUNK, 3 * CHUNK + 7]
            .map(|length| vec![7; length])
            .into();
        let mut stream = Vec::new();
        for message in &messages {
            for piece in cut(message).expect("it fits") {
                assert!(piece.len() <= CHUNK);
                stream.extend_from_slice(&piece);
            }
        }
        for size in [1, 3, 1000, CHUNK, stream.len()] {
            let mut assembly = Assembly::default();
            let mut arrived = Vec::new();
            for piece in stream.chunks(size) {
                assembly.feed(piece);
                while let Some(message) = assembly.next::<Vec<u8>>().expect("well formed") {
                    arrived.push(message);
                }
            }
            assert_eq!(arrived, messages, "in pieces of {size}");
        }
    }

    #[test]
    fn what_is_too_long_or_no_message_is_refused() {
        let mut assembly = Assembly::default();
        assembly.feed(&u32::MAX.to_le_bytes());
        assert!(assembly.next::<Vec<u8>>().is_err());
        let mut assembly = Assembly::default();
        assembly.feed(&[3, 0, 0, 0, 250, 1, 2]);
        assert!(assembly.next::<Vec<u8>>().is_err());
    }
}
