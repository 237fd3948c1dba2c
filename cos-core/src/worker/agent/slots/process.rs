//! One slot process and the descriptors that lead to it.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::pin::Pin;
use std::process::Stdio;
use std::task::{Context, Poll, ready};

use rustix::fs::OFlags;
use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::UnixStream;

use super::Pid;
use super::progress::Progress;
use crate::ids::SlotId;
use crate::wire::frame::{Frame, FrameError, FrameReader, write_frame};
use crate::worker::agent::attempts::SlotKind;
use crate::worker::agent::preparation::Prepared;
use crate::worker::descriptors::send_pair;
use crate::worker::role;
use crate::worker::slot::protocol::{FromSlot, ToSlot};

/// One slot process.
pub(in crate::worker::agent) struct SlotProcess {
    pid: i32,
    pub(in crate::worker::agent) slot: SlotId,
    pub(in crate::worker::agent) kind: SlotKind,
    /// The call that runs there, as far as the agent sees it.
    pub(in crate::worker::agent) progress: Progress,
    socket: UnixStream,
    frames: FrameReader,
    out: Vec<u8>,
    /// The read ends of a call slot's fd 1 and 2, for the day on which it has died.
    outputs: Vec<OwnedFd>,
}

impl SlotProcess {
    pub(super) fn start(slot: SlotId, kind: SlotKind, prepared: &Prepared) -> io::Result<Self> {
        let (own, its) = std::os::unix::net::UnixStream::pair()?;
        let number = slot.to_string();
        let mut outputs = Vec::new();
        let mut command = match kind {
            SlotKind::Command => role::command("slot", [&number]),
            SlotKind::Call => {
                let mut command = role::command("call-slot", [&number]);
                let (stdout, write_stdout) = io::pipe()?;
                let (stderr, write_stderr) = io::pipe()?;
                send_pair(&own, &stdout, &stderr, "outputs")?;
                command.stdout(write_stdout).stderr(write_stderr);
                outputs = vec![OwnedFd::from(stdout), OwnedFd::from(stderr)];
                command
            }
        };
        for output in &outputs {
            rustix::fs::fcntl_setfl(output, OFlags::NONBLOCK)?;
        }
        command
            .env_clear()
            .envs(prepared.environment())
            .stdin(Stdio::from(OwnedFd::from(its)))
            .process_group(0);
        if kind == SlotKind::Call {
            let preparation = prepared.preparation();
            command
                .env("COS_RUN", &preparation.run)
                .env("COS_HOST", &preparation.host)
                .env("COS_SLOT", &number)
                .env("PWD", prepared.path());
        }
        let child = command.spawn()?;
        own.set_nonblocking(true)?;
        Ok(Self {
            pid: child.id().cast_signed(),
            slot,
            kind,
            progress: Progress::default(),
            socket: UnixStream::from_std(own)?,
            frames: FrameReader::new(),
            out: Vec::new(),
            outputs,
        })
    }

    pub(in crate::worker::agent) fn pid(&self) -> Pid {
        Pid(self.pid)
    }

    /// Takes a message to be written by the next write. A slot that takes nothing shows by its end.
    ///
    /// # Errors
    /// When the message does not fit into a frame.
    pub(in crate::worker::agent) fn push(
        &mut self,
        message: &ToSlot,
        payload: &[u8],
    ) -> io::Result<()> {
        write_frame(message, payload, &mut self.out).map_err(io::Error::other)
    }

    /// Kills it; its end is then reported as any other.
    pub(in crate::worker::agent) fn kill(&self) {
        if let Some(pid) = rustix::process::Pid::from_raw(self.pid) {
            // It is a child that is not reaped, so the number is its own.
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
        }
    }

    pub(super) fn unwritten(&self) -> usize {
        self.out.len()
    }

    pub(super) fn poll_write(&mut self, context: &mut Context<'_>) -> Poll<()> {
        while !self.out.is_empty() {
            if ready!(self.socket.poll_write_ready(context)).is_err() {
                self.out.clear();
                break;
            }
            match self.socket.try_write(&self.out) {
                Ok(count) => drop(self.out.drain(..count)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => self.out.clear(),
            }
        }
        Poll::Ready(())
    }

    /// Reads once. Ready with false when nothing can come any more.
    pub(super) fn poll_read(&mut self, context: &mut Context<'_>, piece: &mut [u8]) -> Poll<bool> {
        let mut piece = ReadBuf::new(piece);
        let read = ready!(Pin::new(&mut self.socket).poll_read(context, &mut piece));
        self.frames.feed(piece.filled());
        Poll::Ready(read.is_ok() && !piece.filled().is_empty())
    }

    pub(super) fn next_frame(&mut self) -> Result<Option<Frame<FromSlot>>, FrameError> {
        self.frames.next_frame()
    }

    /// What it had said before it ended.
    pub(super) fn last_words(&mut self, piece: &mut [u8]) -> Vec<Frame<FromSlot>> {
        let mut said = Vec::new();
        // Past the runtime, which may not yet know that there is something to read.
        while let Ok(count @ 1..) = rustix::io::read(&self.socket, &mut *piece) {
            self.frames.feed(&piece[..count]);
            while let Ok(Some(frame)) = self.frames.next_frame() {
                said.push(frame);
            }
        }
        said
    }

    /// Reads once what a call slot that has ended had printed and nobody has read: from standard output (0) or standard
    /// error (1). 0 when there is nothing.
    pub(in crate::worker::agent) fn last_output(&self, at: usize, piece: &mut [u8]) -> usize {
        let output = self.outputs.get(at);
        let read = output.map(|output| rustix::io::read(output, piece));
        read.and_then(Result::ok).unwrap_or(0)
    }
}
