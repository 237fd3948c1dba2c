//! What jobs write, brought to standard output: whole jobs at once or line by line, in order or as they end, with tags.
//!
//! Standard output carries the jobs' standard output and nothing else. Everything a job writes is captured too, for the run
//! directory and `--results`; [`OutputRouter::capture`] gives it out before the job ends.
//!
//! With `-k` a job that has ended waits for those before it:
//!
//! ```text
//!   Open -- end, its turn ------------------------> out
//!    |                                               ^
//!    +-- end, not its turn --> Waiting or Filed -----+ its turn
//! ```

mod capture;
mod jsonl_sink;
mod outlet;
mod sink;
mod spill;
mod tag;
mod terminal_filter;

use std::collections::BTreeMap;
use std::io;

use cos_core::job::Stream;

pub use capture::{Capture, CapturedStream};
pub use jsonl_sink::JsonlSink;
pub use sink::{OutputSink, TextSink};
pub use spill::{SpillFile, Spool};

use crate::arguments::OutputMode;
use outlet::Outlet;
use spill::Filed;

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

impl OutputError {
    fn of_stdout(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::Closed,
            _ => Self::Write(error),
        }
    }
}

/// Routes the output of all jobs of a run.
pub struct OutputRouter<S> {
    sink: S,
    options: OutputOptions,
    spill: SpillFile,
    /// Jobs that have started, and with `-k` those that wait for their turn.
    jobs: BTreeMap<u64, Job>,
    /// How many of them wait with their output in memory.
    waiting: usize,
    /// With `-k`, the job whose turn it is.
    turn: u64,
}

#[derive(Debug)]
enum Job {
    /// It has started, or may yet run again.
    Open(Box<JobOutput>),
    /// It has ended and waits for its turn; its outlets have what there is to show.
    Waiting(Box<JobOutput>),
    /// The same, reduced to the place in a file of what there is to show: of these there may be a million.
    Filed { stdout: Filed, stderr: Filed },
}

#[derive(Debug)]
struct JobOutput {
    capture: Capture,
    stdout: Outlet,
    stderr: Outlet,
}

/// How many jobs may wait for their turn with their output in memory: enough where jobs are of about the same length. Those behind
/// a job that takes hours are filed.
const WAITING_IN_MEMORY: usize = 1024;

impl<S: OutputSink> OutputRouter<S> {
    /// A router for jobs that are numbered from 1.
    pub fn new(sink: S, options: OutputOptions) -> Self {
        let spill = SpillFile::new();
        Self {
            sink,
            options,
            spill,
            jobs: BTreeMap::new(),
            waiting: 0,
            turn: 1,
        }
    }

    /// Where the output goes, to write something between two jobs.
    pub fn sink_mut(&mut self) -> &mut S {
        &mut self.sink
    }

    /// A job has been taken up; its lines begin with `tag`, where there is one. Later tries need no call.
    pub fn start(&mut self, sequence: u64, tag: Option<&[u8]>) {
        let limit = match self.options.mode {
            OutputMode::Group => u64::MAX,
            OutputMode::Line | OutputMode::None => self.options.capture_limit,
        };
        let spill = &self.spill;
        self.jobs.entry(sequence).or_insert_with(|| {
            Job::Open(Box::new(JobOutput {
                capture: Capture::new(spill, limit),
                stdout: Outlet::new(Stream::Stdout, tag, spill),
                stderr: Outlet::new(Stream::Stderr, tag, spill),
            }))
        });
    }

    /// A job has written. What a job writes after its end is dropped.
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
        let Some(Job::Open(job)) = self.jobs.get_mut(&sequence) else {
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
        if let Some(Job::Open(job)) = self.jobs.get_mut(&sequence) {
            job.capture.clear();
            job.stdout.clear();
            job.stderr.clear();
        }
    }

    /// What the job has written, until it ends.
    #[must_use]
    pub fn capture(&self, sequence: u64) -> Option<&Capture> {
        match self.jobs.get(&sequence) {
            Some(Job::Open(job)) => Some(&job.capture),
            _ => None,
        }
    }

    /// A job has its outcome, or will never run. Its output comes out now, or with `-k` when it is its turn.
    ///
    /// # Errors
    ///
    /// As [`write`](Self::write).
    pub fn end(&mut self, sequence: u64) -> Result<(), OutputError> {
        let job = match self.jobs.remove(&sequence) {
            Some(Job::Open(job)) => Some(job),
            Some(ended) => {
                self.jobs.insert(sequence, ended);
                return Ok(());
            }
            None => None,
        };
        if !self.options.keep_order {
            return job.map_or(Ok(()), |job| self.bring_out(sequence, job));
        }
        if self.turn == sequence {
            self.turn += 1;
            if let Some(job) = job {
                self.bring_out(sequence, job)?;
            }
            return self.take_turns();
        }
        let waiting = match job {
            Some(job) => self.reduce(job).map_err(OutputError::Spill)?,
            None => Job::Filed {
                stdout: Filed::default(),
                stderr: Filed::default(),
            },
        };
        self.jobs.insert(sequence, waiting);
        Ok(())
    }

    /// The run is over: brings out what still waits for jobs that never came.
    ///
    /// # Errors
    ///
    /// As [`write`](Self::write).
    pub fn finish(&mut self) -> Result<(), OutputError> {
        while let Some((sequence, job)) = self.jobs.pop_first() {
            self.take_turn(sequence, job)?;
        }
        self.sink.flush().map_err(OutputError::of_stdout)
    }

    /// Reduces a job that has ended to what it has to show.
    fn reduce(&mut self, mut job: Box<JobOutput>) -> io::Result<Job> {
        let JobOutput {
            capture,
            stdout,
            stderr,
        } = &mut *job;
        for (outlet, stream) in [
            (&mut *stdout, &mut capture.stdout),
            (&mut *stderr, &mut capture.stderr),
        ] {
            match self.options.mode {
                OutputMode::Group => outlet.wait_with(&mut stream.kept),
                OutputMode::Line => {}
                OutputMode::None => outlet.clear(),
            }
            stream.kept.clear();
            outlet.shrink();
        }
        if self.waiting < WAITING_IN_MEMORY {
            self.waiting += 1;
            return Ok(Job::Waiting(job));
        }
        Ok(Job::Filed {
            stdout: stdout.file()?,
            stderr: stderr.file()?,
        })
    }

    fn take_turns(&mut self) -> Result<(), OutputError> {
        while let Some(entry) = self
            .jobs
            .first_entry()
            .filter(|entry| *entry.key() == self.turn)
        {
            let (sequence, job) = entry.remove_entry();
            if let Job::Open(mut job) = job {
                // It is on the screen from now on, line by line. The start of a line comes along: nobody else writes
                // until this job has ended.
                if self.options.mode == OutputMode::Line {
                    job.stdout.release(sequence, &mut self.sink)?;
                    job.stderr.release(sequence, &mut self.sink)?;
                    self.sink.flush().map_err(OutputError::of_stdout)?;
                }
                self.jobs.insert(sequence, Job::Open(job));
                return Ok(());
            }
            self.turn += 1;
            self.take_turn(sequence, job)?;
        }
        Ok(())
    }

    fn take_turn(&mut self, sequence: u64, job: Job) -> Result<(), OutputError> {
        let (spill, sink) = (&self.spill, &mut self.sink);
        match job {
            Job::Open(job) => return self.bring_out(sequence, job),
            Job::Waiting(mut job) => {
                self.waiting -= 1;
                job.stdout.release(sequence, sink)?;
                job.stderr.release(sequence, sink)?;
            }
            Job::Filed { stdout, stderr } => {
                Outlet::pour_filed(Stream::Stdout, sequence, stdout, spill, sink)?;
                Outlet::pour_filed(Stream::Stderr, sequence, stderr, spill, sink)?;
            }
        }
        self.sink.flush().map_err(OutputError::of_stdout)
    }

    fn bring_out(&mut self, sequence: u64, mut job: Box<JobOutput>) -> Result<(), OutputError> {
        let JobOutput {
            capture,
            stdout,
            stderr,
        } = &mut *job;
        match self.options.mode {
            OutputMode::Group => {
                stdout.pour(sequence, &capture.stdout.kept, &mut self.sink)?;
                stderr.pour(sequence, &capture.stderr.kept, &mut self.sink)?;
            }
            OutputMode::Line => {
                stdout.release(sequence, &mut self.sink)?;
                stderr.release(sequence, &mut self.sink)?;
            }
            OutputMode::None => return Ok(()),
        }
        self.sink.flush().map_err(OutputError::of_stdout)
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
