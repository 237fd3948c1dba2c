//! One captured output stream of a command.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::OFlags;
use rustix::io::Errno;

use crate::job::{Stream, StreamTotals};

/// What one read found.
#[derive(Debug, PartialEq, Eq, Clone, Copy)]
pub(super) enum Piece {
    /// So many bytes at the beginning of the buffer, to be sent.
    Send(usize),
    /// Bytes beyond the limit, which are only counted.
    Dropped,
    /// Nothing at present.
    Empty,
    /// Nothing ever again.
    End,
}

/// Reads a stream, counts it and says what of it is to be sent.
#[derive(Debug)]
pub(super) struct Capture {
    pub(super) stream: Stream,
    reader: Option<OwnedFd>,
    limit: u64,
    totals: StreamTotals,
}

impl Capture {
    /// Captures what comes from `reader`, of which at most `limit` bytes are sent.
    pub(super) fn new(stream: Stream, reader: OwnedFd, limit: u64) -> Self {
        // This end of a pipe is a file description of its own: the command's end stays as it is. Without the flag
        // a read would still end at what is there whenever poll said so.
        let _ = rustix::fs::fcntl_setfl(&reader, OFlags::NONBLOCK);
        Self {
            stream,
            reader: Some(reader),
            limit,
            totals: StreamTotals::default(),
        }
    }

    /// The descriptor to poll: there is one, and what comes from it could be sent or dropped.
    pub(super) fn wanted(&self, credit: u64) -> Option<BorrowedFd<'_>> {
        let reader = self.reader.as_ref()?;
        (credit > 0 || self.is_full()).then(|| reader.as_fd())
    }

    /// Whether everything beyond is dropped.
    fn is_full(&self) -> bool {
        self.totals.sent >= self.limit
    }

    /// No more of it is to be sent.
    pub(super) fn close_limit(&mut self) {
        self.limit = self.totals.sent;
    }

    /// Whether the stream has ended.
    pub(super) fn has_ended(&self) -> bool {
        self.reader.is_none()
    }

    pub(super) fn totals(&self) -> StreamTotals {
        self.totals
    }

    /// Reads once; at most `credit` bytes are to be sent.
    pub(super) fn read(&mut self, buffer: &mut [u8], credit: u64) -> Piece {
        let Some(reader) = &self.reader else {
            return Piece::End;
        };
        let room = match self.is_full() {
            true => u64::MAX,
            false => (self.limit - self.totals.sent).min(credit),
        };
        let room = usize::try_from(room)
            .unwrap_or(usize::MAX)
            .min(buffer.len());
        if room == 0 {
            return Piece::Empty;
        }
        match rustix::io::read(reader, &mut buffer[..room]) {
            Ok(0) => {
                self.reader = None;
                Piece::End
            }
            Ok(count) => {
                self.totals.seen += count as u64;
                if self.is_full() {
                    return Piece::Dropped;
                }
                self.totals.sent += count as u64;
                Piece::Send(count)
            }
            Err(Errno::AGAIN | Errno::INTR) => Piece::Empty,
            Err(_) => {
                self.reader = None;
                Piece::End
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn a_limit_is_exact_and_the_rest_is_counted() {
        let (reader, mut writer) = std::io::pipe().unwrap();
        let mut capture = Capture::new(Stream::Stdout, reader.into(), 10);
        let mut buffer = [0; 64];
        assert_eq!(capture.read(&mut buffer, 100), Piece::Empty);
        writer.write_all(&[b'x'; 25]).unwrap();
        assert_eq!(capture.read(&mut buffer, 4), Piece::Send(4));
        assert!(capture.wanted(0).is_none());
        assert_eq!(capture.read(&mut buffer, 0), Piece::Empty);
        assert_eq!(capture.read(&mut buffer, 100), Piece::Send(6));
        assert!(capture.wanted(0).is_some());
        assert_eq!(capture.read(&mut buffer, 0), Piece::Dropped);
        drop(writer);
        assert_eq!(capture.read(&mut buffer, 0), Piece::End);
        assert!(capture.has_ended());
        let expected = StreamTotals { seen: 25, sent: 10 };
        assert_eq!(capture.totals(), expected);
    }

    #[test]
    fn nothing_is_sent_after_the_limit_was_closed() {
        let (reader, mut writer) = std::io::pipe().unwrap();
        let mut capture = Capture::new(Stream::Stderr, reader.into(), 10);
        writer.write_all(&[b'x'; 5]).unwrap();
        capture.close_limit();
        let mut buffer = [0; 64];
        assert_eq!(capture.read(&mut buffer, 0), Piece::Dropped);
        assert_eq!(capture.totals(), StreamTotals { seen: 5, sent: 0 });
    }
}
