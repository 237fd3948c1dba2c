//! The read ends of what this process writes to fd 1 and 2.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::OFlags;
use rustix::io::Errno;

use crate::job::Stream;

/// Standard output and standard error, in this order.
pub(super) const STREAMS: [Stream; 2] = [Stream::Stdout, Stream::Stderr];

pub(super) struct Outputs {
    readers: [OwnedFd; 2],
    /// Kept beside fd 1 and 2, which a task may close or put to other uses.
    writers: [OwnedFd; 2],
}

impl Outputs {
    /// # Errors
    /// When the descriptors cannot be made non-blocking, or there are no standard ones.
    pub(super) fn new(readers: [OwnedFd; 2]) -> io::Result<Self> {
        for reader in &readers {
            // The agent has a duplicate, which it does not use while this process lives.
            rustix::fs::fcntl_setfl(reader, OFlags::NONBLOCK)?;
        }
        let writers = [
            rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdout(), 3)?,
            rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stderr(), 3)?,
        ];
        Ok(Self { readers, writers })
    }

    /// Makes fd 1 and 2 the pipes again.
    ///
    /// # Errors
    /// When the system refuses.
    pub(super) fn restore(&self) -> io::Result<()> {
        let [stdout, stderr] = &self.writers;
        rustix::stdio::dup2_stdout(stdout)?;
        rustix::stdio::dup2_stderr(stderr)?;
        Ok(())
    }

    /// The descriptors to wait for.
    pub(super) fn descriptors(&self) -> [BorrowedFd<'_>; 2] {
        self.readers.each_ref().map(AsFd::as_fd)
    }

    /// Which of them hold something, by one system call.
    pub(super) fn ready(&self) -> [bool; 2] {
        let mut polled = self
            .descriptors()
            .map(|reader| PollFd::from_borrowed_fd(reader, PollFlags::IN));
        match poll(&mut polled, Some(&Timespec::default())) {
            Ok(0) => [false; 2],
            Ok(_) => polled.map(|it| it.revents().contains(PollFlags::IN)),
            Err(_) => [true; 2],
        }
    }

    /// Reads once from one of them; `None` when there is nothing.
    pub(super) fn read(&self, at: usize, buffer: &mut [u8]) -> Option<usize> {
        loop {
            match rustix::io::read(&self.readers[at], &mut *buffer) {
                Ok(count @ 1..) => return Some(count),
                Err(Errno::INTR) => {}
                // An end is told as nothing: a task may have closed the other side.
                Ok(0) | Err(_) => return None,
            }
        }
    }

    /// Drops what they hold at present.
    pub(super) fn discard(&self, buffer: &mut [u8]) {
        for at in 0..self.readers.len() {
            while self.read(at, buffer) == Some(buffer.len()) {}
        }
    }
}
