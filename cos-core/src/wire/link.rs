//! Reliable delivery over channels that break: numbering, acknowledgement, resending. Pure.
//!
//! A link outlives its channels. Each side numbers the messages that must arrive, keeps their frames until they are
//! acknowledged, and after a new channel's hello sends again exactly what the other side has not received.
//!
//! ```text
//!            push              take_unsent           channel
//!  message ------> [ unsent ] -------------> [ sent, kept ] ---ack---> dropped
//!                       ^                          |
//!                       `------- reattached -------'   (those the peer did not receive)
//! ```

use std::collections::VecDeque;

use serde::Serialize;
use thiserror::Error;

use super::frame::{FrameError, write_frame};
use super::message::{Envelope, Sequence};

/// A peer broke the rules of the link; the channel is to be closed.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum LinkError {
    /// A message is missing: the stream jumped.
    #[error("protocol error: message {got} where {expected} was due")]
    Gap {
        /// The number that came.
        got: u64,
        /// The number that was due.
        expected: u64,
    },
    /// The peer acknowledged what was never sent.
    #[error("protocol error: message {got} acknowledged, {sent} were sent")]
    AcknowledgedUnsent {
        /// The acknowledged number.
        got: u64,
        /// The last number that was sent.
        sent: u64,
    },
}

/// One side of a link.
#[derive(Debug, Default)]
pub struct Link {
    last_pushed: u64,
    received: u64,
    /// The `received` that the peer has been told of.
    told: u64,
    /// Frames that were sent and are not yet acknowledged, oldest first; the newest has number `last_pushed`.
    kept: VecDeque<Vec<u8>>,
    kept_bytes: usize,
}

/// What to do with a message that came.
#[derive(Debug, PartialEq, Eq, Clone, Copy)]
pub enum Received {
    /// It is new: act on it.
    New,
    /// It came before: drop it.
    Duplicate,
}

impl Link {
    /// A link on which nothing was sent yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends a message that must arrive to `out` and keeps it until it is acknowledged.
    ///
    /// # Errors
    /// As [`write_frame`]; the message then has no number and nothing is kept.
    pub fn push<M: Serialize>(
        &mut self,
        message: M,
        payload: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), FrameError> {
        let start = out.len();
        let sequence = Some(Sequence(self.last_pushed + 1));
        self.write(sequence, message, payload, out)?;
        self.last_pushed += 1;
        let frame = out[start..].to_vec();
        self.kept_bytes += frame.len();
        self.kept.push_back(frame);
        Ok(())
    }

    /// Appends a message that need not arrive (hello, heartbeat, acknowledgement) to `out`.
    ///
    /// # Errors
    /// As [`write_frame`].
    pub fn push_unnumbered<M: Serialize>(
        &mut self,
        message: M,
        out: &mut Vec<u8>,
    ) -> Result<(), FrameError> {
        self.write(None, message, &[], out)
    }

    fn write<M: Serialize>(
        &mut self,
        sequence: Option<Sequence>,
        message: M,
        payload: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), FrameError> {
        let acknowledged = Sequence(self.received);
        write_frame(
            &Envelope {
                sequence,
                acknowledged,
                message,
            },
            payload,
            out,
        )?;
        self.told = self.received;
        Ok(())
    }

    /// Takes note of the envelope of a message that came.
    ///
    /// # Errors
    /// [`LinkError`] when the numbers cannot be.
    pub fn receive(
        &mut self,
        sequence: Option<Sequence>,
        acknowledged: Sequence,
    ) -> Result<Received, LinkError> {
        self.acknowledge(acknowledged)?;
        let Some(Sequence(number)) = sequence else {
            return Ok(Received::New);
        };
        if number <= self.received {
            return Ok(Received::Duplicate);
        }
        if number != self.received + 1 {
            return Err(LinkError::Gap {
                got: number,
                expected: self.received + 1,
            });
        }
        self.received = number;
        Ok(Received::New)
    }

    fn acknowledge(&mut self, Sequence(number): Sequence) -> Result<(), LinkError> {
        if number > self.last_pushed {
            return Err(LinkError::AcknowledgedUnsent {
                got: number,
                sent: self.last_pushed,
            });
        }
        while self.last_pushed - (self.kept.len() as u64) < number {
            let Some(frame) = self.kept.pop_front() else {
                break;
            };
            self.kept_bytes -= frame.len();
        }
        Ok(())
    }

    /// The last message that was received, for the hello of a new channel.
    pub fn received(&self) -> Sequence {
        Sequence(self.received)
    }

    /// How many received messages the peer has not been told of. An acknowledgement is due when this grows large
    /// or when nothing else is sent for a while.
    pub fn untold(&self) -> u64 {
        self.received - self.told
    }

    /// Bytes that are kept for resending; a sender waits above its limit.
    pub fn kept_bytes(&self) -> usize {
        self.kept_bytes
    }

    /// Appends to `out` everything that the peer, which has received all up to `received`, has not.
    ///
    /// # Errors
    /// [`LinkError::AcknowledgedUnsent`].
    pub fn resume(&mut self, received: Sequence, out: &mut Vec<u8>) -> Result<(), LinkError> {
        self.acknowledge(received)?;
        for frame in &self.kept {
            out.extend_from_slice(frame);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::wire::frame::FrameReader;

    fn deliver(from: &[u8], to: &mut Link, got: &mut Vec<u32>) {
        let mut reader = FrameReader::new();
        reader.feed(from);
        while let Some(frame) = reader.next_frame::<Envelope<u32>>().unwrap() {
            let Envelope {
                sequence,
                acknowledged,
                message,
            } = frame.header;
            if to.receive(sequence, acknowledged).unwrap() == Received::New && sequence.is_some() {
                got.push(message);
            }
        }
    }

    proptest! {
        /// Whatever is lost with a channel, resuming delivers everything once and in order.
        #[test]
        fn every_message_arrives_once(losses in prop::collection::vec(any::<bool>(), 1..100)) {
            let (mut a, mut b) = (Link::new(), Link::new());
            let mut got = Vec::new();
            let mut broken = false;
            for (number, lost) in losses.iter().enumerate() {
                let mut out = Vec::new();
                a.push(number as u32, &[], &mut out).unwrap();
                if *lost {
                    broken = true;
                }
                if broken && !lost {
                    out.clear();
                    a.resume(b.received(), &mut out).unwrap();
                    broken = false;
                }
                if !broken {
                    deliver(&out, &mut b, &mut got);
                }
            }
            let mut out = Vec::new();
            a.resume(b.received(), &mut out).unwrap();
            deliver(&out, &mut b, &mut got);
            prop_assert_eq!(got, (0..losses.len() as u32).collect::<Vec<_>>());
            a.resume(b.received(), &mut Vec::new()).unwrap();
            prop_assert_eq!(a.kept_bytes(), 0);
        }
    }

    #[test]
    fn gaps_and_false_acknowledgements_are_errors() {
        let mut link = Link::new();
        assert_eq!(
            link.receive(Some(Sequence(2)), Sequence(0)),
            Err(LinkError::Gap {
                got: 2,
                expected: 1
            })
        );
        assert_eq!(
            link.receive(None, Sequence(1)),
            Err(LinkError::AcknowledgedUnsent { got: 1, sent: 0 })
        );
    }
}
