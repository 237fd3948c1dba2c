//! Length-delimited, capped frames: a decoded header and raw payload bytes.

use bytes::{Buf, Bytes, BytesMut};
use serde::Serialize;
use serde::de::DeserializeOwned;
use thiserror::Error;

use crate::encoding::{self, EncodingError};

/// The largest body of a frame (header and payload together): 1 MiB.
///
/// Bulk data is cut into [`CHUNK`]s far below it; a larger length prefix is a broken or hostile peer, and is
/// refused before anything is allocated.
pub const MAX_BODY: usize = 1 << 20;

/// How large a piece of bulk data is at most in one frame (64 KiB): a pipe's capacity, and small enough that a
/// heartbeat behind it is not late.
pub const CHUNK: usize = 64 * 1024;

const LENGTHS: usize = 8;

/// A peer broke the framing. The channel cannot be trusted any further and is to be closed.
#[derive(Debug, Error)]
pub enum FrameError {
    /// A length beyond [`MAX_BODY`].
    #[error("protocol error: a frame of {claimed} bytes (at most {MAX_BODY} are allowed)")]
    TooLong {
        /// The claimed length.
        claimed: u64,
    },
    /// A header longer than its frame.
    #[error("protocol error: a header of {header} bytes in a frame of {body}")]
    HeaderBeyondFrame {
        /// The claimed header length.
        header: u64,
        /// The frame's length.
        body: u64,
    },
    /// A header that is no message, or a message that cannot be written.
    #[error("protocol error: {0}")]
    Message(#[from] EncodingError),
}

/// One frame: a message and the bytes that travel beside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame<M> {
    /// The decoded header.
    pub header: M,
    /// Raw bytes, empty for most messages.
    pub payload: Bytes,
}

/// Appends a frame to `out`.
///
/// # Errors
/// [`FrameError::Message`] when the header cannot be encoded, [`FrameError::TooLong`] when header and payload
/// together exceed [`MAX_BODY`]; `out` is then as it was.
pub fn write_frame<M: Serialize>(
    header: &M,
    payload: &[u8],
    out: &mut Vec<u8>,
) -> Result<(), FrameError> {
    let start = out.len();
    out.extend_from_slice(&[0; LENGTHS]);
    if let Err(error) = encoding::encode_into(header, out) {
        out.truncate(start);
        return Err(error.into());
    }
    let header_length = out.len() - start - LENGTHS;
    let body = header_length + payload.len();
    if body > MAX_BODY {
        out.truncate(start);
        return Err(FrameError::TooLong {
            claimed: body as u64,
        });
    }
    out.extend_from_slice(payload);
    // Both fit: MAX_BODY is far below u32::MAX.
    out[start..start + 4].copy_from_slice(&(body as u32).to_le_bytes());
    out[start + 4..start + 8].copy_from_slice(&(header_length as u32).to_le_bytes());
    Ok(())
}

/// Cuts a byte stream into frames. Feed it whatever a read returned; take every frame out before the next read.
#[derive(Debug, Default)]
pub struct FrameReader {
    buffer: BytesMut,
}

impl FrameReader {
    /// An empty reader.
    pub fn new() -> Self {
        Self::default()
    }

    /// The buffer that reads append to. It never needs to hold more than one frame and one read.
    pub fn buffer(&mut self) -> &mut BytesMut {
        &mut self.buffer
    }

    /// Appends bytes that were read.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// Whether bytes of an unfinished frame are held: true at the end of a stream means that it was cut.
    pub fn is_mid_frame(&self) -> bool {
        !self.buffer.is_empty()
    }

    /// The next whole frame, or `None` until more bytes have come.
    ///
    /// # Errors
    /// [`FrameError`]; the reader is of no use afterwards.
    pub fn next_frame<M: DeserializeOwned>(&mut self) -> Result<Option<Frame<M>>, FrameError> {
        let Some(lengths) = self.buffer.first_chunk::<LENGTHS>() else {
            return Ok(None);
        };
        let [b0, b1, b2, b3, h0, h1, h2, h3] = *lengths;
        let body = u32::from_le_bytes([b0, b1, b2, b3]) as usize;
        let header_length = u32::from_le_bytes([h0, h1, h2, h3]) as usize;
        if body > MAX_BODY {
            return Err(FrameError::TooLong {
                claimed: body as u64,
            });
        }
        if header_length > body {
            let (header, body) = (header_length as u64, body as u64);
            return Err(FrameError::HeaderBeyondFrame { header, body });
        }
        if self.buffer.len() < LENGTHS + body {
            self.buffer.reserve(LENGTHS + body - self.buffer.len());
            return Ok(None);
        }
        self.buffer.advance(LENGTHS);
        let mut frame = self.buffer.split_to(body);
        let header = encoding::decode(&frame[..header_length])?;
        frame.advance(header_length);
        Ok(Some(Frame {
            header,
            payload: frame.freeze(),
        }))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn frames_survive_any_cutting(
            messages in prop::collection::vec((any::<u64>(), ".{0,20}", prop::collection::vec(any::<u8>(), 0..200)), 0..20),
            cut in 1_usize..64,
        ) {
            let mut stream = Vec::new();
            for (number, text, payload) in &messages {
                write_frame(&(*number, text.clone()), payload, &mut stream).unwrap();
            }
            let mut reader = FrameReader::new();
            let mut back = Vec::new();
            for piece in stream.chunks(cut) {
                reader.feed(piece);
                while let Some(frame) = reader.next_frame::<(u64, String)>().unwrap() {
                    back.push((frame.header.0, frame.header.1, frame.payload.to_vec()));
                }
            }
            prop_assert!(!reader.is_mid_frame());
            prop_assert_eq!(back, messages);
        }

        #[test]
        fn any_bytes_give_frames_or_an_error_within_bounds(bytes in prop::collection::vec(any::<u8>(), 0..4096)) {
            let mut reader = FrameReader::new();
            reader.feed(&bytes);
            while let Ok(Some(_)) = reader.next_frame::<(u64, String)>() {}
            prop_assert!(reader.buffer.capacity() <= 2 * (MAX_BODY + LENGTHS));
        }
    }

    #[test]
    fn a_length_prefix_of_all_ones_is_refused_without_allocation() {
        let mut reader = FrameReader::new();
        reader.feed(&[0xff; 8]);
        let error = reader.next_frame::<u8>().unwrap_err();
        assert!(matches!(
            error,
            FrameError::TooLong {
                claimed: 0xffff_ffff
            }
        ));
        assert!(reader.buffer.capacity() < 4096);
    }

    #[test]
    fn a_payload_over_the_cap_is_not_written() {
        let mut out = vec![7];
        assert!(matches!(
            write_frame(&1_u8, &vec![0; MAX_BODY], &mut out),
            Err(FrameError::TooLong { .. })
        ));
        assert_eq!(out, [7]);
    }
}
