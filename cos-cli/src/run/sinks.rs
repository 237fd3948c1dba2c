//! Everything that watches a run: one event goes to the display, the job log, the event log, the output and the archive.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::rc::Rc;
use std::time::SystemTime;

use cos_core::clock;
use cos_core::event::{RunEvent, Stamped};
use cos_core::ids::{HostId, TaskId};
use cos_core::job::{Outcome, command_end};
use cos_core::time::Time;
use tokio::sync::watch;

use super::failures::Failures;
use super::jobs::JobRecords;
use super::tally::Stop;
use crate::message::Message;
use crate::output::{Capture, JsonlSink, OutputError, OutputRouter, OutputSink};
use crate::progress::Display;
use crate::record::{
    EventLog, EventNames, JobLog, JobLogEntry, JobStatus, OutputArchive, RecordError, Results,
    WallClock, event_line,
};

/// The files that a run writes.
pub(super) struct Records {
    pub(super) job_logs: Vec<JobLog>,
    pub(super) events: EventLog,
    pub(super) archive: OutputArchive,
    pub(super) results: Option<Results>,
}

impl Records {
    /// Writes what they have taken; what cannot be written to one keeps nothing from the others.
    fn flush(&mut self) -> Result<(), RecordError> {
        let logs = self.job_logs.iter_mut().map(JobLog::flush);
        let logs: Result<(), RecordError> = logs.fold(Ok(()), Result::and);
        logs.and(self.events.flush())
    }
}

/// Where the jobs' output goes.
pub(super) enum Standard {
    Text(Box<dyn OutputSink>),
    Jsonl(Rc<RefCell<JsonlSink>>),
}

/// One sink of many: feeds them all with each event.
pub(super) struct Sinks {
    display: Rc<RefCell<Display>>,
    router: OutputRouter<Standard>,
    jsonl: Option<Rc<RefCell<JsonlSink>>>,
    records: Records,
    jobs: JobRecords,
    names: EventNames,
    clock: WallClock,
    started: HashMap<TaskId, Started>,
    failures: Failures,
    stop: Rc<watch::Sender<Option<Stop>>>,
}

#[derive(Clone, Copy)]
struct Started {
    at: Time,
    host: HostId,
}

impl Sinks {
    pub(super) fn new(
        display: Rc<RefCell<Display>>,
        router: OutputRouter<Standard>,
        jsonl: Option<Rc<RefCell<JsonlSink>>>,
        records: Records,
        jobs: JobRecords,
        hosts: Vec<String>,
        stop: Rc<watch::Sender<Option<Stop>>>,
    ) -> Self {
        Self {
            display,
            router,
            jsonl,
            records,
            jobs,
            names: EventNames { hosts },
            clock: WallClock::new(clock::now(), SystemTime::now()),
            started: HashMap::new(),
            failures: Failures::default(),
            stop,
        }
    }

    /// Something has happened.
    ///
    /// What nobody is told or shown yet, as that a job has ended well and silently, is recorded by the next
    /// [`flush`](Self::flush).
    pub(super) fn event(&mut self, stamped: &Stamped) {
        let was_said = self.display.borrow_mut().event(stamped, &self.jobs);
        let recorded = self.record(stamped);
        if was_said {
            self.flush();
        }
        if let Err(trouble) = recorded {
            self.fail(trouble);
        }
    }

    /// Writes what is to be recorded. To be called whenever there is nothing more to be shown for now.
    pub(super) fn flush(&mut self) {
        if let Err(error) = self.records.flush() {
            self.fail(error.into());
        }
    }

    fn record(&mut self, stamped: &Stamped) -> Result<(), Trouble> {
        match &stamped.event {
            RunEvent::TaskStarted {
                attempt,
                index,
                host,
                ..
            } => {
                self.started.insert(
                    attempt.task,
                    Started {
                        at: stamped.at,
                        host: *host,
                    },
                );
                let tag = self.jobs.of(index + 1).and_then(|job| job.tag.clone());
                self.router.start(index + 1, tag.as_deref());
            }
            RunEvent::TaskOutput {
                index,
                stream,
                bytes,
                ..
            } => {
                self.router.write(index + 1, *stream, bytes)?;
            }
            RunEvent::TaskAgain {
                index, host, cause, ..
            } => {
                let host = self.names.hosts.get(host.0 as usize);
                let host = host.map_or("?", String::as_str);
                self.failures.note_again(index + 1, host, cause);
                self.router.void(index + 1);
            }
            RunEvent::TaskEnded {
                task,
                index,
                host,
                tries,
                outcome,
                ..
            } => {
                let sequence = index + 1;
                let ended = self.ended(*task, sequence, *host, *tries, outcome);
                if self.router.capture(sequence).is_some_and(Capture::has_any) {
                    // On record before it is shown.
                    self.flush();
                }
                // With `--format jsonl`, a job's output stands before its end.
                let shown = self.router.end(sequence);
                let logged = self.log_event(stamped);
                self.jobs.forget(sequence);
                logged?;
                ended?;
                return Ok(shown?);
            }
            _ => {}
        }
        self.log_event(stamped)
    }

    fn log_event(&mut self, stamped: &Stamped) -> Result<(), Trouble> {
        let command = match &stamped.event {
            RunEvent::TaskStarted { index, .. } => self
                .jobs
                .of(index + 1)
                .map(|job| String::from_utf8_lossy(&job.command).into_owned()),
            _ => None,
        };
        let line = event_line(stamped, &self.names, self.clock, command.as_deref());
        let Some(line) = line else { return Ok(()) };
        self.records.events.write(&line)?;
        if let Some(jsonl) = &self.jsonl {
            jsonl.borrow_mut().write_line(&line).map_err(of_stdout)?;
        }
        Ok(())
    }

    /// Keeps what a job has written and how it ended.
    fn ended(
        &mut self,
        task: TaskId,
        sequence: u64,
        host: Option<HostId>,
        tries: u32,
        outcome: &Outcome,
    ) -> Result<(), Trouble> {
        let started = self.started.remove(&task);
        let host = started.map(|started| started.host).or(host);
        let name = match host.and_then(|host| self.names.hosts.get(host.0 as usize)) {
            Some(name) if name == cos_core::vm::local::LOCAL => ":",
            Some(name) => name,
            None => "",
        };
        let capture = self.router.capture(sequence);
        if let Some(job) = self.jobs.of(sequence) {
            self.failures.note_end(sequence, outcome, &job, capture);
        }
        if let Some(capture) = capture {
            self.records
                .archive
                .append(sequence, tries, name, capture)?;
        }
        let (Some(job), Some(started)) = (self.jobs.of(sequence), started) else {
            return Ok(());
        };
        if let (Some(results), Some(capture)) = (&self.records.results, capture) {
            results.write(sequence, job.row.values(), capture)?;
        }
        let Some(status) = JobStatus::of(outcome) else {
            return Ok(());
        };
        let end = command_end(outcome);
        let entry = JobLogEntry {
            sequence,
            host: name,
            started: self.clock.at(started.at),
            runtime: end.map_or_else(|| clock::now().since(started.at), |end| end.elapsed),
            sent: 0,
            received: end.map_or(0, |end| end.stdout.seen),
            status,
            command: &job.command,
        };
        for log in &mut self.records.job_logs {
            log.write(&entry)?;
        }
        Ok(())
    }

    /// The failed jobs that are told in full.
    pub(super) fn take_failures(&mut self) -> Vec<Message> {
        self.failures.take()
    }

    /// The jobs, so many in all, that were not run since no host was left for them.
    pub(super) fn jobs_not_run(&self, number: u64) -> Option<Message> {
        self.failures.not_run(number)
    }

    /// Brings out what is still held back at the end of the run.
    pub(super) fn finish(&mut self) {
        self.flush();
        if let Err(error) = self.router.finish() {
            self.fail(error.into());
        }
    }

    /// Stops the run; the first trouble is the one that is told.
    fn fail(&mut self, trouble: Trouble) {
        if self
            .stop
            .borrow()
            .is_some_and(|stop| matches!(stop, Stop::OutputClosed | Stop::Internal))
        {
            return;
        }
        let stop = match trouble {
            Trouble::Closed => Stop::OutputClosed,
            Trouble::Said(message) => {
                self.display.borrow_mut().message(*message);
                Stop::Internal
            }
        };
        self.stop.send_replace(Some(stop));
    }
}

/// What this machine did not let a sink do.
enum Trouble {
    /// Nobody reads standard output any more.
    Closed,
    Said(Box<Message>),
}

impl From<RecordError> for Trouble {
    fn from(error: RecordError) -> Self {
        let message = Message::of_error(&error);
        Self::Said(Box::new(match error.hint() {
            Some(hint) => message.hint(hint),
            None => message,
        }))
    }
}

impl From<OutputError> for Trouble {
    fn from(error: OutputError) -> Self {
        match error {
            OutputError::Closed => Self::Closed,
            other => Self::Said(Box::new(Message::of_error(&other))),
        }
    }
}

fn of_stdout(error: io::Error) -> Trouble {
    match error.kind() {
        io::ErrorKind::BrokenPipe => Trouble::Closed,
        _ => OutputError::Write(error).into(),
    }
}

impl OutputSink for Standard {
    fn write(
        &mut self,
        sequence: u64,
        stream: cos_core::job::Stream,
        bytes: &[u8],
    ) -> io::Result<()> {
        match self {
            Self::Text(sink) => sink.write(sequence, stream, bytes),
            Self::Jsonl(sink) => sink.borrow_mut().write(sequence, stream, bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Text(sink) => sink.flush(),
            Self::Jsonl(sink) => sink.borrow_mut().flush(),
        }
    }
}
