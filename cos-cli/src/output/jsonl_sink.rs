//! The jobs' output as lines of JSON, for `--format jsonl`.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;

use cos_core::job::Stream;

use super::OutputSink;
use crate::record::output_lines;

/// What is collected before a line is written.
const LONGEST_LINE: usize = 64 << 10;

/// Writes events on standard output: the run's, by [`write_line`](Self::write_line), and the jobs' output between them.
pub struct JsonlSink {
    out: Box<dyn Write + Send>,
    /// Output of this job and stream that is not yet written.
    pending: Option<(u64, Stream, Vec<u8>)>,
}

impl JsonlSink {
    /// On the standard output of this process.
    ///
    /// # Errors
    ///
    /// When its descriptor cannot be duplicated.
    pub fn of_process() -> io::Result<Self> {
        let stdout: File = io::stdout().as_fd().try_clone_to_owned()?.into();
        Ok(Self::new(Box::new(stdout)))
    }

    /// On any stream.
    #[must_use]
    pub fn new(out: Box<dyn Write + Send>) -> Self {
        Self { out, pending: None }
    }

    /// Writes a line that is JSON already, after the output that came before it.
    ///
    /// # Errors
    ///
    /// When it cannot be written; a closed pipe is [`io::ErrorKind::BrokenPipe`].
    pub fn write_line(&mut self, line: &str) -> io::Result<()> {
        self.flush()?;
        self.out.write_all(line.as_bytes())
    }

    /// Writes what is pending, but for the start of a character whose rest is still to come.
    fn emit(&mut self, everything: bool) -> io::Result<()> {
        let Some((sequence, stream, bytes)) = &mut self.pending else {
            return Ok(());
        };
        let end = if everything {
            bytes.len()
        } else {
            complete(bytes)
        };
        let lines = output_lines(*sequence, *stream, &bytes[..end]);
        bytes.drain(..end);
        if bytes.is_empty() {
            self.pending = None;
        }
        self.out.write_all(lines.as_bytes())
    }
}

/// How many bytes are left when the start of a character at the end is cut off.
fn complete(bytes: &[u8]) -> usize {
    let incomplete = match std::str::from_utf8(&bytes[bytes.len().saturating_sub(3)..]) {
        Err(error) if error.error_len().is_none() => bytes.len().min(3) - error.valid_up_to(),
        // What is wrong for another reason is not made right by more bytes; nor by looking at its middle.
        _ => 0,
    };
    bytes.len() - incomplete
}

impl OutputSink for JsonlSink {
    fn write(&mut self, sequence: u64, stream: Stream, bytes: &[u8]) -> io::Result<()> {
        if self
            .pending
            .as_ref()
            .is_some_and(|(job, of, _)| (*job, *of) != (sequence, stream))
        {
            self.emit(true)?;
        }
        let (_, _, pending) = self
            .pending
            .get_or_insert_with(|| (sequence, stream, Vec::new()));
        pending.extend_from_slice(bytes);
        if pending.len() >= LONGEST_LINE {
            self.emit(false)?;
        }
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.emit(true)?;
        self.out.flush()
    }
}

impl std::fmt::Debug for JsonlSink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("JsonlSink").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};

    #[derive(Clone, Default)]
    struct Shared(Arc<Mutex<Vec<u8>>>);

    impl Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0
                .lock()
                .expect("not poisoned")
                .extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn output_stands_between_events_and_keeps_every_byte() {
        let shared = Shared::default();
        let mut sink = JsonlSink::new(Box::new(shared.clone()));
        sink.write(1, Stream::Stdout, b"a\n\x1b").expect("written");
        sink.write(1, Stream::Stdout, "ü".as_bytes())
            .expect("written");
        sink.write(1, Stream::Stderr, b"e\xffe").expect("written");
        sink.write_line("{\"event\":\"x\"}\n").expect("written");
        let text = String::from_utf8(shared.0.lock().expect("not poisoned").clone())
            .expect("JSON is UTF-8");
        let expected = [
            "{\"v\":1,\"event\":\"job-output\",\"seq\":1,\"stream\":\"stdout\",\"text\":\"a\\n\\u001bü\"}",
            "{\"v\":1,\"event\":\"job-output\",\"seq\":1,\"stream\":\"stderr\",\"text\":\"e\"}",
            "{\"v\":1,\"event\":\"job-output\",\"seq\":1,\"stream\":\"stderr\",\"bytes\":[255]}",
            "{\"v\":1,\"event\":\"job-output\",\"seq\":1,\"stream\":\"stderr\",\"text\":\"e\"}",
            "{\"event\":\"x\"}",
        ];
        assert_eq!(text.lines().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn no_character_is_cut_in_two() {
        let shared = Shared::default();
        let mut sink = JsonlSink::new(Box::new(shared.clone()));
        let text = "日本ü🦀".repeat(20_000);
        for piece in text.as_bytes().chunks(1001) {
            sink.write(1, Stream::Stdout, piece).expect("written");
        }
        sink.flush().expect("flushed");
        let lines =
            String::from_utf8(shared.0.lock().expect("not poisoned").clone()).expect("UTF-8");
        assert!(!lines.contains("bytes"));
        let mut together = String::new();
        for line in lines.lines() {
            let value: serde_json::Value = serde_json::from_str(line).expect("JSON");
            together += value["text"].as_str().expect("text");
        }
        assert!(together == text);
    }
}
