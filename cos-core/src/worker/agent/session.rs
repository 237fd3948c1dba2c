//! The agent's side of the client's channel.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use rustix::fs::OFlags;
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::unix::pipe::{Receiver, Sender};

use super::opening::Descriptors;
use crate::clock;
use crate::time::Time;
use crate::wire::PROTOCOL_VERSION;
use crate::wire::frame::{CHUNK, FrameError, FrameReader};
use crate::wire::link::{Link, LinkError, Received};
use crate::wire::message::{AgentHello, ClientHello, Envelope, FromAgent, ToAgent};

/// Acknowledge at the latest after so many messages, so that a client keeps few of them.
const ACKNOWLEDGE_AFTER: u64 = 64;

/// When so many bytes wait to be written (1 MiB), slots are not listened to: on a slow line a heartbeat waits behind them.
const UNWRITTEN_LIMIT: usize = 1 << 20;

/// The same for bytes that the client has not acknowledged (8 MiB): they are kept to be sent again.
const KEPT_LIMIT: usize = 8 << 20;

/// How long an agent lives on when it hears nothing, until the client has said how long (60 s).
const FIRST_LEASE: Duration = Duration::from_secs(60);

/// Why a session cannot go on.
#[derive(Debug, Error)]
pub(super) enum SessionError {
    /// The client's end is gone.
    #[error("the channel ended")]
    Ended,
    /// The client speaks another protocol version; it has been told ours.
    #[error("the client speaks protocol {theirs}, this worker {PROTOCOL_VERSION}")]
    Version {
        /// The client's version.
        theirs: u32,
    },
    /// The client broke the protocol.
    #[error("the client broke the protocol: {0}")]
    Protocol(String),
}

impl From<FrameError> for SessionError {
    fn from(error: FrameError) -> Self {
        Self::Protocol(error.to_string())
    }
}

impl From<LinkError> for SessionError {
    fn from(error: LinkError) -> Self {
        Self::Protocol(error.to_string())
    }
}

/// One channel and the link that it carries.
pub(super) struct Session {
    reader: Receiver,
    writer: Sender,
    frames: FrameReader,
    /// What one read gives.
    piece: Box<[u8]>,
    link: Link,
    out: Vec<u8>,
    written: usize,
    greeted: Greeting,
    heard: Time,
    lease: Duration,
}

enum Greeting {
    Awaited,
    Done,
}

impl Session {
    /// Begins with the agent's hello.
    pub(super) fn new(descriptors: Descriptors) -> std::io::Result<Self> {
        let Descriptors { reader, writer } = descriptors;
        for descriptor in [&reader, &writer] {
            let flags = rustix::fs::fcntl_getfl(descriptor)?;
            rustix::fs::fcntl_setfl(descriptor, flags | OFlags::NONBLOCK)?;
        }
        let mut session = Self {
            // Pipes under most sshds, sockets under others: both are read, written and waited for alike.
            reader: Receiver::from_owned_fd_unchecked(reader)?,
            writer: Sender::from_owned_fd_unchecked(writer)?,
            frames: FrameReader::new(),
            piece: vec![0; CHUNK].into_boxed_slice(),
            link: Link::new(),
            out: Vec::new(),
            written: 0,
            greeted: Greeting::Awaited,
            heard: clock::now(),
            lease: FIRST_LEASE,
        };
        let hello = AgentHello {
            protocol: PROTOCOL_VERSION,
            release: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            received: session.link.received(),
        };
        session.say_unnumbered(FromAgent::Hello(hello));
        Ok(session)
    }

    /// Takes a message that must arrive.
    pub(super) fn say(&mut self, message: FromAgent, payload: &[u8]) {
        // Own messages are encodable and far below a frame's limit: texts in them are cut where they arise.
        if let Err(error) = self.link.push(message, payload, &mut self.out) {
            tracing::error!(target: "cos::agent", %error, "message dropped");
        }
    }

    /// Takes a message that need not arrive.
    pub(super) fn say_unnumbered(&mut self, message: FromAgent) {
        if let Err(error) = self.link.push_unnumbered(message, &mut self.out) {
            tracing::error!(target: "cos::agent", %error, "message dropped");
        }
    }

    /// Whether the client is so far behind that no more output should be taken in for it.
    pub(super) fn is_congested(&self) -> bool {
        self.out.len() - self.written > UNWRITTEN_LIMIT || self.link.kept_bytes() > KEPT_LIMIT
    }

    /// From now on this lease holds.
    pub(super) fn set_lease(&mut self, lease: Duration) {
        self.lease = lease;
    }

    /// For how long nothing was heard, once that is longer than the lease.
    ///
    /// To be asked before anything is read: what an agent finds after its lease has ended was meant for a living one.
    pub(super) fn silent_beyond_lease(&self) -> Option<Duration> {
        let silent_for = clock::now().since(self.heard);
        (silent_for > self.lease).then_some(silent_for)
    }

    /// Reads once; ready when the next message can be asked for or the session is over.
    pub(super) fn poll_read(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Result<(), SessionError>> {
        let mut piece = ReadBuf::new(&mut self.piece);
        let read = ready!(Pin::new(&mut self.reader).poll_read(context, &mut piece));
        if read.is_err() || piece.filled().is_empty() {
            return Poll::Ready(Err(SessionError::Ended));
        }
        self.frames.feed(piece.filled());
        self.heard = clock::now();
        Poll::Ready(Ok(()))
    }

    /// The next message of what was read, hello and acknowledgements aside.
    pub(super) fn next_message(&mut self) -> Result<Option<(ToAgent, Bytes)>, SessionError> {
        while let Some(frame) = self.frames.next_frame::<Envelope<ToAgent>>()? {
            let envelope = frame.header;
            if let ToAgent::Hello(hello) = &envelope.message {
                self.greet(hello)?;
                continue;
            }
            if let Greeting::Awaited = self.greeted {
                return Err(SessionError::Protocol("no hello came first".to_owned()));
            }
            let received = self
                .link
                .receive(envelope.sequence, envelope.acknowledged)?;
            match (received, envelope.message) {
                (Received::Duplicate, _) | (_, ToAgent::Acknowledge) => {}
                (Received::New, message) => return Ok(Some((message, frame.payload))),
            }
        }
        if self.link.untold() >= ACKNOWLEDGE_AFTER {
            self.say_unnumbered(FromAgent::Acknowledge);
        }
        Ok(None)
    }

    fn greet(&mut self, hello: &ClientHello) -> Result<(), SessionError> {
        if hello.protocol != PROTOCOL_VERSION {
            let theirs = hello.protocol;
            return Err(SessionError::Version { theirs });
        }
        self.greeted = Greeting::Done;
        Ok(())
    }

    /// Writes what can be written; ready when nothing is left to be written or the channel is gone.
    pub(super) fn poll_write(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Result<(), SessionError>> {
        while self.written < self.out.len() {
            let unwritten = &self.out[self.written..];
            match ready!(Pin::new(&mut self.writer).poll_write(context, unwritten)) {
                Ok(count @ 1..) => self.written += count,
                Ok(0) | Err(_) => return Poll::Ready(Err(SessionError::Ended)),
            }
        }
        self.out.clear();
        self.written = 0;
        Poll::Ready(Ok(()))
    }
}
