//! A slot's end of the socket to its agent: frames in, frames out, never blocking.

use std::io::{ErrorKind, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;

use super::protocol::{FromSlot, ToSlot};
use crate::wire::frame::{Frame, FrameError, FrameReader, write_frame};

/// The agent is gone or talks nonsense: the slot is to end.
#[derive(Debug)]
pub(in crate::worker) struct AgentGone;

#[derive(Debug)]
pub(in crate::worker) struct Channel {
    stream: UnixStream,
    frames: FrameReader,
    out: Vec<u8>,
    written: usize,
    piece: Box<[u8]>,
}

impl Channel {
    pub(in crate::worker) fn new(stream: UnixStream) -> std::io::Result<Self> {
        stream.set_nonblocking(true)?;
        Ok(Self {
            stream,
            frames: FrameReader::new(),
            out: Vec::new(),
            written: 0,
            piece: vec![0; 16 * 1024].into_boxed_slice(),
        })
    }

    pub(in crate::worker) fn descriptor(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }

    /// Bytes that wait to be written.
    pub(in crate::worker) fn unwritten(&self) -> usize {
        self.out.len() - self.written
    }

    /// Reads once and gives what has come.
    pub(in crate::worker) fn receive(&mut self) -> Result<Vec<Frame<ToSlot>>, AgentGone> {
        match self.stream.read(&mut self.piece) {
            Ok(0) => return Err(AgentGone),
            Ok(count) => self.frames.feed(&self.piece[..count]),
            Err(error) if is_passing(&error) => {}
            Err(_) => return Err(AgentGone),
        }
        let mut frames = Vec::new();
        while let Some(frame) = self.frames.next_frame().map_err(|_| AgentGone)? {
            frames.push(frame);
        }
        Ok(frames)
    }

    /// Takes a message to be written by the next [`flush`](Self::flush).
    pub(in crate::worker) fn push(
        &mut self,
        message: &FromSlot,
        payload: &[u8],
    ) -> Result<(), FrameError> {
        write_frame(message, payload, &mut self.out)
    }

    /// Writes what can be written.
    pub(in crate::worker) fn flush(&mut self) -> Result<(), AgentGone> {
        while self.unwritten() > 0 {
            match self.stream.write(&self.out[self.written..]) {
                Ok(0) => return Err(AgentGone),
                Ok(count) => self.written += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if is_passing(&error) => {}
                Err(_) => return Err(AgentGone),
            }
        }
        self.out.clear();
        self.written = 0;
        Ok(())
    }
}

fn is_passing(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}
