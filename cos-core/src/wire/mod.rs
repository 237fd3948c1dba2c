//! The protocol between a client and its agents, and between an agent and its slots.
//!
//! ```text
//! bytes of a channel:   preamble (text, ended by the nonce line)   then frames
//! frame:                length u32 | header length u32 | header (bincode) | payload (raw bytes)
//! header:               Envelope { sequence, acknowledged, message }
//! ```
//!
//! * [`preamble`] finds the beginning of the protocol behind whatever a login shell prints.
//! * [`frame`] cuts a byte stream into capped frames and writes many frames as one piece.
//! * [`message`] is what the two sides say. The first message of either side is its hello, which carries
//!   [`PROTOCOL_VERSION`]; nothing else is decoded before both sides have seen the same number there.
//! * [`staging`] is what they say about files.
//! * [`link`] numbers messages, acknowledges them and keeps what is not yet acknowledged, so that a broken channel
//!   can be resumed without losing or repeating one.

pub mod frame;
pub mod link;
pub mod message;
pub mod preamble;
mod report;
pub mod staging;

/// The version of everything in this module. It rises with every change of a message, a frame or the preamble.
pub const PROTOCOL_VERSION: u32 = 5;
