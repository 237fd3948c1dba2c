//! `events.jsonl`, and what `--format jsonl` writes: every event as one line of JSON.
//!
//! ```text
//! {"v":1,"t":1795381100.176,"event":"job-end","seq":217,"host":"ws03","try":1,"result":"failed","exit":1,"signal":0,"secs":12.41}
//! ```
//!
//! Fields are only ever added within one `v`. What a host sent stands in JSON strings, which escape it.

use std::path::Path;
use std::time::{Duration, SystemTime};

use cos_core::event::{RunEvent, Stamped};
use cos_core::ids::HostId;
use cos_core::job::{Stream, command_end};
use cos_core::time::Time;
use serde::Serialize;

use super::RecordError;
use super::append::AppendFile;
use super::event_text::{again_text, note_text, pause_text, result_word};
use super::job_log::JobStatus;

/// The version of the lines' form.
const VERSION: u32 = 1;

/// Writes `events.jsonl`.
#[derive(Debug)]
pub struct EventLog(AppendFile);

/// The names of the hosts, by their ids.
#[derive(Debug, Clone)]
pub struct EventNames {
    /// The names.
    pub hosts: Vec<String>,
}

/// Tells the time of day of a moment on the boot-time clock.
#[derive(Debug, Clone, Copy)]
pub struct WallClock {
    moment: Time,
    time_of_day: SystemTime,
}

impl WallClock {
    /// At this moment it was this time of day.
    #[must_use]
    pub fn new(moment: Time, time_of_day: SystemTime) -> Self {
        Self {
            moment,
            time_of_day,
        }
    }

    /// The time of day at a moment.
    #[must_use]
    pub fn at(&self, moment: Time) -> SystemTime {
        if moment >= self.moment {
            self.time_of_day.checked_add(moment.since(self.moment))
        } else {
            self.time_of_day.checked_sub(self.moment.since(moment))
        }
        .unwrap_or(self.time_of_day)
    }
}

impl EventNames {
    fn host(&self, host: HostId) -> &str {
        usize::try_from(host.0)
            .ok()
            .and_then(|index| self.hosts.get(index))
            .map_or("?", String::as_str)
    }
}

impl EventLog {
    /// A new log, readable by the user alone.
    ///
    /// # Errors
    ///
    /// When it cannot be made.
    pub fn create(path: &Path) -> Result<Self, RecordError> {
        AppendFile::create(path).map(Self)
    }

    /// Takes a line made by [`event_line`], to be written by the next [`flush`](Self::flush) at the latest.
    ///
    /// # Errors
    ///
    /// As [`flush`](Self::flush).
    pub fn write(&mut self, line: &str) -> Result<(), RecordError> {
        self.0.push(&[line.as_bytes()])
    }

    /// Writes the lines that were taken.
    ///
    /// # Errors
    ///
    /// When not all of them can be written; the file then ends with a whole line.
    pub fn flush(&mut self) -> Result<(), RecordError> {
        self.0.flush()
    }
}

#[derive(Serialize)]
struct Line<'a> {
    v: u32,
    t: f64,
    #[serde(flatten)]
    event: Event<'a>,
}

#[derive(Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
enum Event<'a> {
    HostStage {
        host: &'a str,
        stage: String,
    },
    HostUp {
        host: &'a str,
        system: &'a str,
        cores: u32,
        slots: u32,
        uploaded: u64,
        secs: f64,
    },
    HostFailed {
        host: &'a str,
        stage: String,
        message: &'a str,
        cause: &'a str,
        retry_in: Option<f64>,
    },
    HostLost {
        host: &'a str,
        cause: String,
        requeued: u32,
        retry_in: Option<f64>,
    },
    HostSilent {
        host: &'a str,
        secs: Option<f64>,
        lost_in: f64,
    },
    HostLeftOut {
        host: &'a str,
        exit: String,
        moved: u32,
    },
    HostPaused {
        host: &'a str,
        cause: String,
    },
    HostResumed {
        host: &'a str,
    },
    HostNote {
        host: &'a str,
        text: String,
    },
    HostClosed {
        host: &'a str,
        left: &'a [String],
    },
    JobStart {
        seq: u64,
        host: &'a str,
        slot: u32,
        r#try: u32,
        #[serde(skip_serializing_if = "Option::is_none")]
        command: Option<&'a str>,
    },
    JobSlow {
        seq: u64,
        host: &'a str,
        threshold: f64,
    },
    JobAgain {
        seq: u64,
        host: &'a str,
        cause: String,
    },
    JobEnd {
        seq: u64,
        host: Option<&'a str>,
        r#try: u32,
        result: &'static str,
        exit: Option<i32>,
        signal: Option<i32>,
        secs: Option<f64>,
        stdout: Option<u64>,
        stderr: Option<u64>,
        #[serde(skip_serializing_if = "Option::is_none")]
        cause: Option<String>,
    },
    LateDropped {
        total: u64,
    },
}

/// An event as a line of JSON with its line feed; `None` for output, which is recorded elsewhere. `command` is that of the job
/// that starts.
#[must_use]
pub fn event_line(
    stamped: &Stamped,
    names: &EventNames,
    clock: WallClock,
    command: Option<&str>,
) -> Option<String> {
    let event = convert(&stamped.event, names, command)?;
    let time_of_day = clock.at(stamped.at).duration_since(SystemTime::UNIX_EPOCH);
    let t = rounded(time_of_day.unwrap_or(Duration::ZERO));
    to_line(&Line {
        v: VERSION,
        t,
        event,
    })
}

/// Output of a job as lines of JSON: `text` where it is UTF-8, the numbers of its `bytes` where it is not.
#[must_use]
pub fn output_lines(sequence: u64, stream: Stream, bytes: &[u8]) -> String {
    #[derive(Serialize)]
    struct Output<'a> {
        v: u32,
        event: &'static str,
        seq: u64,
        stream: &'static str,
        #[serde(skip_serializing_if = "str::is_empty")]
        text: &'a str,
        #[serde(skip_serializing_if = "<[u8]>::is_empty")]
        bytes: &'a [u8],
    }
    let stream = match stream {
        Stream::Stdout => "stdout",
        Stream::Stderr => "stderr",
    };
    let line = |text, bytes| {
        to_line(&Output {
            v: VERSION,
            event: "job-output",
            seq: sequence,
            stream,
            text,
            bytes,
        })
    };
    let mut lines = String::new();
    for chunk in bytes.utf8_chunks() {
        if !chunk.valid().is_empty() {
            lines.extend(line(chunk.valid(), &[]));
        }
        if !chunk.invalid().is_empty() {
            lines.extend(line("", chunk.invalid()));
        }
    }
    lines
}

fn to_line(value: &impl Serialize) -> Option<String> {
    // Strings, numbers and lists only: this cannot fail.
    let mut line = serde_json::to_string(value).ok()?;
    line.push('\n');
    Some(line)
}

fn convert<'a>(
    event: &'a RunEvent,
    names: &'a EventNames,
    command: Option<&'a str>,
) -> Option<Event<'a>> {
    Some(match event {
        RunEvent::HostStage { host, stage } => Event::HostStage {
            host: names.host(*host),
            stage: stage.to_string(),
        },
        RunEvent::HostUp { host, info } => Event::HostUp {
            host: names.host(*host),
            system: &info.report.system,
            cores: info.report.cores,
            slots: info.report.slots,
            uploaded: info.uploaded,
            secs: rounded(info.start_time),
        },
        RunEvent::HostFailed {
            host,
            failure,
            retry_in,
        } => Event::HostFailed {
            host: names.host(*host),
            stage: failure.stage.to_string(),
            message: &failure.headline,
            cause: &failure.cause,
            retry_in: retry_in.map(rounded),
        },
        RunEvent::HostLost {
            host,
            loss,
            requeued,
            retry_in,
        } => Event::HostLost {
            host: names.host(*host),
            cause: loss.to_string(),
            requeued: *requeued,
            retry_in: retry_in.map(rounded),
        },
        RunEvent::HostSilent {
            host,
            silent_for,
            lost_in,
        } => Event::HostSilent {
            host: names.host(*host),
            secs: silent_for.map(rounded),
            lost_in: rounded(*lost_in),
        },
        RunEvent::HostLeftOut { host, exit, moved } => Event::HostLeftOut {
            host: names.host(*host),
            exit: exit.to_string(),
            moved: *moved,
        },
        RunEvent::HostPaused { host, cause } => Event::HostPaused {
            host: names.host(*host),
            cause: pause_text(*cause),
        },
        RunEvent::HostResumed { host } => Event::HostResumed {
            host: names.host(*host),
        },
        RunEvent::HostNote { host, note } => Event::HostNote {
            host: names.host(*host),
            text: note_text(note),
        },
        RunEvent::HostClosed { host, left } => Event::HostClosed {
            host: names.host(*host),
            left,
        },
        RunEvent::TaskStarted {
            index,
            host,
            slot,
            try_number,
            ..
        } => Event::JobStart {
            seq: index + 1,
            host: names.host(*host),
            slot: slot.0,
            r#try: *try_number,
            command,
        },
        RunEvent::TaskOutput { .. } => return None,
        RunEvent::TaskSlow {
            index,
            host,
            threshold,
            ..
        } => Event::JobSlow {
            seq: index + 1,
            host: names.host(*host),
            threshold: rounded(*threshold),
        },
        RunEvent::TaskAgain {
            index, host, cause, ..
        } => Event::JobAgain {
            seq: index + 1,
            host: names.host(*host),
            cause: again_text(cause),
        },
        RunEvent::TaskEnded {
            index,
            host,
            tries,
            outcome,
            ..
        } => {
            let status = JobStatus::of(outcome);
            let end = command_end(outcome);
            Event::JobEnd {
                seq: index + 1,
                host: host.map(|host| names.host(host)),
                r#try: *tries,
                result: result_word(outcome),
                exit: status.map(|status| status.exit),
                signal: status.map(|status| status.signal),
                secs: end.map(|end| rounded(end.elapsed)),
                stdout: end.map(|end| end.stdout.seen),
                stderr: end.map(|end| end.stderr.seen),
                cause: outcome.as_ref().err().map(ToString::to_string),
            }
        }
        RunEvent::LateDropped { total } => Event::LateDropped { total: *total },
    })
}

/// Seconds, in milliseconds' precision.
pub(super) fn rounded(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1000.0).round() / 1000.0
}
