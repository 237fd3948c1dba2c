//! Where the jobs' output goes at last: this process's standard output and standard error.

use std::fs::File;
use std::io::{self, BufWriter, IsTerminal, Write};
use std::os::fd::AsFd;

use cos_core::job::Stream;

use super::terminal_filter::TerminalFilter;

/// Takes the jobs' output in its final order.
pub trait OutputSink {
    /// Takes bytes of job number `sequence`. They may be a part of a line.
    ///
    /// # Errors
    ///
    /// When they cannot be written; a closed pipe is [`io::ErrorKind::BrokenPipe`].
    fn write(&mut self, sequence: u64, stream: Stream, bytes: &[u8]) -> io::Result<()>;

    /// Makes sure that everything that was taken is seen. Called when a line or a job is complete.
    ///
    /// # Errors
    ///
    /// As [`write`](Self::write).
    fn flush(&mut self) -> io::Result<()>;
}

impl<S: OutputSink + ?Sized> OutputSink for &mut S {
    fn write(&mut self, sequence: u64, stream: Stream, bytes: &[u8]) -> io::Result<()> {
        (**self).write(sequence, stream, bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        (**self).flush()
    }
}

/// The jobs' bytes as they are, on standard output and standard error. On a terminal, what would do more than show text and
/// colours is escaped.
pub struct TextSink {
    stdout: BufWriter<Destination>,
    stderr: BufWriter<Destination>,
}

enum Destination {
    Bytes(Box<dyn Write + Send>),
    Terminal(TerminalFilter<Box<dyn Write + Send>>),
}

impl TextSink {
    /// The streams of this process.
    ///
    /// # Errors
    ///
    /// When their descriptors cannot be duplicated.
    pub fn of_process() -> io::Result<Self> {
        // Files of our own: the library's standard output looks for line ends in every byte.
        let stdout: File = io::stdout().as_fd().try_clone_to_owned()?.into();
        let stderr: File = io::stderr().as_fd().try_clone_to_owned()?.into();
        let terminals = (stdout.is_terminal(), stderr.is_terminal());
        Ok(Self::new(
            Box::new(stdout),
            terminals.0,
            Box::new(stderr),
            terminals.1,
        ))
    }

    /// Any two streams, and whether each is a terminal.
    #[must_use]
    pub fn new(
        stdout: Box<dyn Write + Send>,
        stdout_is_terminal: bool,
        stderr: Box<dyn Write + Send>,
        stderr_is_terminal: bool,
    ) -> Self {
        let buffered = |out, is_terminal| {
            BufWriter::with_capacity(
                64 << 10,
                if is_terminal {
                    Destination::Terminal(TerminalFilter::new(out))
                } else {
                    Destination::Bytes(out)
                },
            )
        };
        Self {
            stdout: buffered(stdout, stdout_is_terminal),
            stderr: buffered(stderr, stderr_is_terminal),
        }
    }
}

impl OutputSink for TextSink {
    fn write(&mut self, _sequence: u64, stream: Stream, bytes: &[u8]) -> io::Result<()> {
        match stream {
            Stream::Stdout => self.stdout.write_all(bytes),
            Stream::Stderr => self.stderr.write_all(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        let stdout = self.stdout.flush();
        // A closed standard error keeps no output from standard output.
        let _ = self.stderr.flush();
        stdout
    }
}

impl std::fmt::Debug for TextSink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TextSink").finish_non_exhaustive()
    }
}

impl Write for Destination {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Bytes(out) => out.write(bytes),
            Self::Terminal(out) => out.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Bytes(out) => out.flush(),
            Self::Terminal(out) => out.flush(),
        }
    }
}
