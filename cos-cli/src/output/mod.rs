//! What jobs write, brought to standard output: whole jobs at once or line by line, in order or as they end, with tags.
//!
//! Standard output carries the jobs' standard output and nothing else. Everything a job writes is captured too, for the run
//! directory and `--results`; [`OutputRouter::capture`] gives it out before the job ends.

mod capture;
mod jsonl_sink;
mod sink;
mod spill;
mod tag;
mod terminal_filter;

use std::collections::BTreeMap;
use std::io::{self, Write};

use cos_core::job::Stream;

pub use capture::{Capture, CapturedStream};
pub use jsonl_sink::JsonlSink;
pub use sink::{OutputSink, TextSink};
pub use spill::{SpillFile, Spool};

use crate::arguments::OutputMode;
use tag::LineTag;

/// How output is brought out.
#[derive(Debug, Clone, Copy)]
pub struct OutputOptions {
    /// When.
    pub mode: OutputMode,
    /// In the order of the input (`-k`).
    pub keep_order: bool,
    /// How many bytes of each stream have to be captured for others; grouped output is always captured whole.
    pub capture_limit: u64,
}

/// Why output did not come out.
#[derive(Debug, thiserror::Error)]
pub enum OutputError {
    /// Whoever read standard output has gone: end quietly.
    #[error("standard output is closed")]
    Closed,
    /// Standard output cannot be written, such as for a full disk.
    #[error("cannot write standard output")]
    Write(#[source] io::Error),
    /// The temporary file cannot be written or read, such as for a full disk.
    #[error("cannot keep the jobs' output in a temporary file in `{}`", std::env::temp_dir().display())]
    Spill(#[source] io::Error),
}

/// Routes the output of all jobs of a run.
pub struct OutputRouter<S> {
    sink: S,
    options: OutputOptions,
    spill: SpillFile,
    /// Jobs that have started, and with `-k` those that wait for their turn.
    jobs: BTreeMap<u64, JobOutput>,
    /// With `-k`, the job whose turn it is.
    turn: u64,
}

#[derive(Debug)]
struct JobOutput {
    capture: Capture,
    stdout: Outlet,
    stderr: Outlet,
    ended: bool,
}

/// One stream of one job, on its way out.
#[derive(Debug)]
struct Outlet {
    stream: Stream,
    tag: Option<LineTag>,
    /// With [`OutputMode::Line`]: what is not yet out, the start of a line or lines that wait for their turn.
    waiting: Spool,
}

impl<S: OutputSink> OutputRouter<S> {
    /// A router for jobs that are numbered from 1.
    pub fn new(sink: S, options: OutputOptions) -> Self {
        Self {
            sink,
            options,
            spill: SpillFile::new(),
            jobs: BTreeMap::new(),
            turn: 1,
        }
    }

    /// A job has been taken up; its lines begin with `tag`, where there is one. Later tries need no call.
    pub fn start(&mut self, sequence: u64, tag: Option<&[u8]>) {
        let limit = match self.options.mode {
            OutputMode::Group => u64::MAX,
            OutputMode::Line | OutputMode::None => self.options.capture_limit,
        };
        let outlet = |stream| Outlet {
            stream,
            tag: tag.map(LineTag::new),
            waiting: self.spill.spool(),
        };
        let (stdout, stderr) = (outlet(Stream::Stdout), outlet(Stream::Stderr));
        let capture = Capture::new(&self.spill, limit);
        self.jobs.entry(sequence).or_insert(JobOutput {
            capture,
            stdout,
            stderr,
            ended: false,
        });
    }

    /// A job has written.
    ///
    /// # Errors
    ///
    /// When standard output is closed or full, or the temporary file is.
    pub fn write(
        &mut self,
        sequence: u64,
        stream: Stream,
        bytes: &[u8],
    ) -> Result<(), OutputError> {
        if !self.jobs.contains_key(&sequence) {
            self.start(sequence, None);
        }
        let Some(job) = self.jobs.get_mut(&sequence) else {
            return Ok(());
        };
        let captured = job
            .capture
            .stream_mut(stream)
            .push(bytes)
            .map_err(OutputError::Spill);
        if self.options.mode == OutputMode::Line {
            let live = !self.options.keep_order || self.turn == sequence;
            let outlet = match stream {
                Stream::Stdout => &mut job.stdout,
                Stream::Stderr => &mut job.stderr,
            };
            outlet.take(sequence, bytes, live, &mut self.sink)?;
        }
        captured
    }

    /// The try that wrote so far does not count: the job runs again. Lines that are out already stay.
    pub fn void(&mut self, sequence: u64) {
        if let Some(job) = self.jobs.get_mut(&sequence) {
            job.capture.clear();
            for outlet in [&mut job.stdout, &mut job.stderr] {
                outlet.waiting.clear();
            }
        }
    }

    /// What the job has written, until it ends.
    #[must_use]
    pub fn capture(&self, sequence: u64) -> Option<&Capture> {
        self.jobs
            .get(&sequence)
            .filter(|job| !job.ended)
            .map(|job| &job.capture)
    }

    /// A job has its outcome, or will never run. Its output comes out now, or with `-k` when it is its turn.
    ///
    /// # Errors
    ///
    /// As [`write`](Self::write).
    pub fn end(&mut self, sequence: u64) -> Result<(), OutputError> {
        if !self.options.keep_order {
            return match self.jobs.remove(&sequence) {
                Some(job) => self.bring_out(sequence, job),
                None => Ok(()),
            };
        }
        if !self.jobs.contains_key(&sequence) {
            self.start(sequence, None);
        }
        if let Some(job) = self.jobs.get_mut(&sequence) {
            job.ended = true;
            for stream in [&mut job.capture.stdout, &mut job.capture.stderr] {
                if self.options.mode == OutputMode::Group {
                    stream.kept.shrink();
                } else {
                    stream.kept.clear();
                }
            }
        }
        self.take_turns()
    }

    /// The run is over: brings out what still waits for jobs that never came.
    ///
    /// # Errors
    ///
    /// As [`write`](Self::write).
    pub fn finish(&mut self) -> Result<(), OutputError> {
        while let Some((sequence, job)) = self.jobs.pop_first() {
            self.bring_out(sequence, job)?;
        }
        self.sink.flush().map_err(OutputError::of_stdout)
    }

    fn take_turns(&mut self) -> Result<(), OutputError> {
        while let Some(job) = self.jobs.get_mut(&self.turn) {
            let sequence = self.turn;
            if !job.ended {
                // It is on the screen from now on, line by line.
                if self.options.mode == OutputMode::Line {
                    // The start of a line comes along: nobody else writes until this job has ended.
                    job.stdout.release(sequence, &mut self.sink)?;
                    job.stderr.release(sequence, &mut self.sink)?;
                    self.sink.flush().map_err(OutputError::of_stdout)?;
                }
                break;
            }
            self.turn += 1;
            if let Some(job) = self.jobs.remove(&sequence) {
                self.bring_out(sequence, job)?;
            }
        }
        Ok(())
    }

    fn bring_out(&mut self, sequence: u64, mut job: JobOutput) -> Result<(), OutputError> {
        match self.options.mode {
            OutputMode::Group => {
                let capture = &job.capture;
                job.stdout
                    .pour(sequence, &capture.stdout.kept, &mut self.sink)?;
                // Standard error second, and all the same when nobody reads it any more.
                job.stderr
                    .pour(sequence, &capture.stderr.kept, &mut self.sink)?;
            }
            OutputMode::Line => {
                job.stdout.release(sequence, &mut self.sink)?;
                job.stderr.release(sequence, &mut self.sink)?;
            }
            OutputMode::None => return Ok(()),
        }
        self.sink.flush().map_err(OutputError::of_stdout)
    }
}

impl Outlet {
    /// Takes bytes of a stream that is shown line by line. When it is `live`, complete lines come out at once.
    fn take<S: OutputSink>(
        &mut self,
        sequence: u64,
        bytes: &[u8],
        live: bool,
        sink: &mut S,
    ) -> Result<(), OutputError> {
        let lines = bytes
            .iter()
            .rposition(|&byte| byte == b'\n')
            .map_or(0, |last| last + 1);
        let (complete, rest) = bytes.split_at(lines);
        if live && !complete.is_empty() {
            self.release(sequence, sink)?;
            self.send(sequence, complete, sink)?;
            sink.flush().map_err(OutputError::of_stdout)?;
        } else if !complete.is_empty() {
            self.waiting.push(complete).map_err(OutputError::Spill)?;
        }
        self.waiting.push(rest).map_err(OutputError::Spill)
    }

    /// Brings out all that waits.
    fn release<S: OutputSink>(&mut self, sequence: u64, sink: &mut S) -> Result<(), OutputError> {
        let mut waiting = std::mem::replace(&mut self.waiting, SpillFile::new().spool());
        self.pour(sequence, &waiting, sink)?;
        waiting.clear();
        self.waiting = waiting;
        Ok(())
    }

    fn pour<S: OutputSink>(
        &mut self,
        sequence: u64,
        spool: &Spool,
        sink: &mut S,
    ) -> Result<(), OutputError> {
        let mut pipe = Pour {
            outlet: self,
            sequence,
            sink,
            failure: None,
        };
        let copied = spool.copy_to(u64::MAX, &mut pipe);
        match (pipe.failure, copied) {
            (Some(failure), _) => Err(failure),
            (None, copied) => copied.map_err(OutputError::Spill),
        }
    }

    fn send<S: OutputSink>(
        &mut self,
        sequence: u64,
        bytes: &[u8],
        sink: &mut S,
    ) -> Result<(), OutputError> {
        let stream = self.stream;
        let mut write = |bytes: &[u8]| sink.write(sequence, stream, bytes);
        let written = match &mut self.tag {
            Some(tag) => tag.pass(bytes, write),
            None => write(bytes),
        };
        match (stream, written) {
            // A closed standard error keeps no output from standard output.
            (Stream::Stderr, _) => Ok(()),
            (Stream::Stdout, written) => written.map_err(OutputError::of_stdout),
        }
    }
}

/// Sends what is copied from a spool; keeps the sink's own error apart from the spool's.
struct Pour<'a, S> {
    outlet: &'a mut Outlet,
    sequence: u64,
    sink: &'a mut S,
    failure: Option<OutputError>,
}

impl<S: OutputSink> Write for Pour<'_, S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.outlet.send(self.sequence, bytes, self.sink) {
            Ok(()) => Ok(bytes.len()),
            Err(failure) => {
                self.failure = Some(failure);
                Err(io::ErrorKind::Other.into())
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl OutputError {
    fn of_stdout(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::Closed,
            _ => Self::Write(error),
        }
    }
}

impl<S> std::fmt::Debug for OutputRouter<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OutputRouter")
            .field("options", &self.options)
            .field("jobs", &self.jobs.len())
            .field("turn", &self.turn)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
