//! What one job has written so far, both streams.

use std::io;

use cos_core::job::Stream;

use super::spill::{SpillFile, Spool};

/// The captured output of one try of a job.
#[derive(Debug)]
pub struct Capture {
    /// Its standard output.
    pub stdout: CapturedStream,
    /// Its standard error.
    pub stderr: CapturedStream,
}

/// One captured stream: its first bytes, up to a limit, and how many there were.
#[derive(Debug)]
pub struct CapturedStream {
    /// The bytes that were kept.
    pub kept: Spool,
    /// How many came in all.
    pub seen: u64,
    limit: u64,
}

impl Capture {
    /// Nothing yet. Of each stream at most `limit` bytes are kept.
    #[must_use]
    pub fn new(spill: &SpillFile, limit: u64) -> Self {
        let stream = || CapturedStream {
            kept: spill.spool(),
            seen: 0,
            limit,
        };
        Self {
            stdout: stream(),
            stderr: stream(),
        }
    }

    /// One of the streams.
    #[must_use]
    pub fn stream(&self, stream: Stream) -> &CapturedStream {
        match stream {
            Stream::Stdout => &self.stdout,
            Stream::Stderr => &self.stderr,
        }
    }

    /// Whether the job has written anything.
    #[must_use]
    pub fn has_any(&self) -> bool {
        self.stdout.seen > 0 || self.stderr.seen > 0
    }

    pub(super) fn stream_mut(&mut self, stream: Stream) -> &mut CapturedStream {
        match stream {
            Stream::Stdout => &mut self.stdout,
            Stream::Stderr => &mut self.stderr,
        }
    }

    /// Forgets everything: the try did not count.
    pub(super) fn clear(&mut self) {
        for stream in [&mut self.stdout, &mut self.stderr] {
            stream.kept.clear();
            stream.seen = 0;
        }
    }
}

impl CapturedStream {
    pub(super) fn push(&mut self, bytes: &[u8]) -> io::Result<()> {
        let room = usize::try_from(self.limit.saturating_sub(self.seen)).unwrap_or(usize::MAX);
        self.seen += bytes.len() as u64;
        self.kept.push(&bytes[..room.min(bytes.len())])
    }

    /// The last bytes that were kept, at most `limit`: for messages about a failure.
    ///
    /// # Errors
    ///
    /// When the temporary file cannot be read.
    pub fn tail(&self, limit: usize) -> io::Result<Vec<u8>> {
        let mut tail = Tail {
            bytes: Vec::new(),
            limit,
        };
        self.kept.copy_to(u64::MAX, &mut tail)?;
        let excess = tail.bytes.len().saturating_sub(limit);
        tail.bytes.drain(..excess);
        Ok(tail.bytes)
    }
}

/// Keeps the last bytes of what is written to it.
struct Tail {
    bytes: Vec<u8>,
    limit: usize,
}

impl io::Write for Tail {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let start = bytes.len().saturating_sub(self.limit);
        self.bytes.extend_from_slice(&bytes[start..]);
        if self.bytes.len() > 2 * self.limit {
            let excess = self.bytes.len() - self.limit;
            self.bytes.drain(..excess);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rest_is_counted_and_dropped() {
        let mut capture = Capture::new(&SpillFile::new(), 5);
        let stream = capture.stream_mut(Stream::Stderr);
        for piece in [b"abc", b"def", b"ghi"] {
            stream.push(piece).expect("pushed");
        }
        assert_eq!((stream.seen, stream.kept.len()), (9, 5));
        assert_eq!(stream.tail(100).expect("readable"), b"abcde");
        assert_eq!(stream.tail(2).expect("readable"), b"de");
        assert!(capture.stdout.kept.is_empty());
    }

    #[test]
    fn the_tail_of_much_output_is_its_end() {
        let mut capture = Capture::new(&SpillFile::new(), u64::MAX);
        for number in 0..100_000 {
            let line = format!("line {number}\n");
            capture.stdout.push(line.as_bytes()).expect("pushed");
        }
        assert_eq!(
            capture.stdout.tail(12).expect("readable"),
            b"\nline 99999\n"
        );
    }
}
