//! Tests of the display as a whole, on a terminal in memory and on a file in memory.

mod files;
mod lines;
mod properties;
mod screens;

use std::collections::HashMap;
use std::io::{self, Write};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cos_core::event::{AgainCause, RunEvent, Stamped};
use cos_core::ids::{AttemptId, Epoch, HostId, SlotId, TaskId};
use cos_core::job::{CommandEnd, Exit, StreamTotals, TaskEnd, TaskError, Usage};
use cos_core::time::Time;
use cos_core::vm::host::{FailureKind, HostFailure, HostInfo, Stage};
use cos_core::wire::message::{Containment, DirectoryReport, HostReport};
use indicatif::{InMemoryTerm, TermLike as _};

use super::*;
use crate::arguments::{ShowProgress, StatusLevel};
use crate::message::Palette;

/// A run that a test plays.
struct Play {
    display: Display,
    now: Time,
    attempts: u64,
    jobs: HashMap<u64, (AttemptId, HostId)>,
    commands: fn(u64) -> String,
}

/// Everything that was written.
#[derive(Clone, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

/// A terminal in memory, as something to write to.
struct TerminalWriter(InMemoryTerm);

const SETTINGS: Settings = Settings {
    progress: ShowProgress::Auto,
    max_hosts_shown: 8,
    status_level: StatusLevel::Slow,
    detail: Detail::Normal,
};

impl Play {
    /// A run of 1000 jobs on hosts of these names, drawn on a terminal in memory.
    fn on_terminal(
        settings: Settings,
        hosts: &[&str],
        rows: u16,
        columns: u16,
    ) -> (Self, InMemoryTerm) {
        let terminal = InMemoryTerm::new(rows, columns);
        let size = TerminalSize { rows, columns };
        let writer = TerminalWriter(terminal.clone());
        let target = Target::terminal(writer, Palette::PLAIN, move || Some(size));
        (Self::new(settings, hosts, target), terminal)
    }

    /// A run of 1000 jobs on hosts of these names, told into a file.
    fn into_file(settings: Settings, hosts: &[&str]) -> (Self, Written) {
        let written = Written::default();
        let target = Target::plain(written.clone(), Palette::PLAIN);
        (Self::new(settings, hosts, target), written)
    }

    fn new(settings: Settings, hosts: &[&str], target: Target) -> Self {
        let now = Time::from_boot(Duration::from_secs(100_000));
        let facts = RunFacts {
            run: "7kq2".to_owned(),
            total: Some(1000),
            cores: 1,
            hosts: hosts
                .iter()
                .map(|name| HostFacts {
                    name: (*name).to_owned(),
                    slots: None,
                })
                .collect(),
            directory: "~/.local/state/cos/runs/7kq2".to_owned(),
        };
        Self {
            display: Display::new(settings, facts, target, now),
            now,
            attempts: 0,
            jobs: HashMap::new(),
            commands: |index| format!("sim.sh c{:03}.net", index + 1),
        }
    }

    fn event(&mut self, event: RunEvent) {
        let commands = self.commands;
        let labels = |index: u64| Some(commands(index).into_bytes());
        self.display.event(
            &Stamped {
                at: self.now,
                event,
            },
            &labels,
        );
    }

    fn pass(&mut self, seconds: f64) {
        self.now = self.now + Duration::from_secs_f64(seconds);
        self.display.tick(self.now);
    }

    fn stage(&mut self, host: u32, stage: Stage) {
        let host = HostId(host);
        self.event(RunEvent::HostStage { host, stage });
    }

    fn up(&mut self, host: u32, slots: u32) {
        let info = Arc::new(host_info(slots));
        self.event(RunEvent::HostUp {
            host: HostId(host),
            info,
        });
    }

    fn start(&mut self, host: u32, index: u64) {
        self.attempts += 1;
        let attempt = AttemptId {
            task: TaskId(self.attempts),
            epoch: Epoch::FIRST,
        };
        let host = HostId(host);
        self.jobs.insert(index, (attempt, host));
        self.event(RunEvent::TaskStarted {
            attempt,
            index,
            host,
            slot: SlotId(1),
            try_number: 1,
            work: std::sync::Arc::new(cos_core::job::CommandJob::shell(1, "true").into()),
        });
    }

    fn end_with(&mut self, index: u64, tries: u32, outcome: Result<CommandEnd, TaskError>) {
        let (attempt, host) = self.jobs.remove(&index).expect("a job that runs");
        self.event(RunEvent::TaskEnded {
            attempt: Some(attempt),
            task: attempt.task,
            index,
            host: Some(host),
            tries,
            outcome: outcome.map(TaskEnd::Command),
        });
    }

    fn succeed(&mut self, index: u64) {
        self.end_with(index, 1, Ok(end(0)));
    }

    fn fail(&mut self, index: u64, tries: u32) {
        let error = TaskError::CommandFailed {
            host: String::new(),
            end: end(1),
            tries,
        };
        self.end_with(index, tries, Err(error));
    }

    fn again(&mut self, index: u64, cause: AgainCause) {
        let (attempt, host) = self.jobs.remove(&index).expect("a job that runs");
        self.event(RunEvent::TaskAgain {
            attempt,
            index,
            host,
            cause,
        });
    }

    fn retry(&mut self, index: u64) {
        self.again(
            index,
            AgainCause::Retry {
                end: end(1),
                try_number: 1,
                tries: 3,
            },
        );
    }

    fn unreachable(&mut self, host: u32, name: &str) {
        let failure = HostFailure {
            stage: Stage::Connecting,
            headline: format!("{name} is unreachable"),
            cause: format!("ssh: connect to host {name} port 22: No route to host\r\n"),
            cure: Some("set `enabled = false` to silence".to_owned()),
            kind: FailureKind::Retry,
        };
        self.event(RunEvent::HostFailed {
            host: HostId(host),
            failure: Arc::new(failure),
            retry_in: Some(Duration::from_secs(30)),
        });
    }
}

impl Written {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().expect("a lock").clone()).expect("UTF-8")
    }
}

impl Write for Written {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("a lock").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Write for TerminalWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0
            .write_str(std::str::from_utf8(bytes).expect("UTF-8"))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn end(code: i32) -> CommandEnd {
    CommandEnd {
        exit: Exit::Code(code),
        usage: Usage::default(),
        elapsed: Duration::from_millis(12_400),
        stdout: StreamTotals::default(),
        stderr: StreamTotals::default(),
        left_over: 0,
        out_of_memory_kills: 0,
    }
}

fn host_info(slots: u32) -> HostInfo {
    HostInfo {
        name: String::new(),
        report: HostReport {
            node: "node".to_owned(),
            system: "x86_64 Linux".to_owned(),
            kernel: "6.1.0".to_owned(),
            cores: slots,
            slots,
            memory_kib: 16 << 20,
            load_hundredths: 0,
            clock: 0,
            containment: Containment::Subreaper,
            directory: DirectoryReport::Shared {
                path: b"/home/ana".to_vec().into(),
            },
            kills_user_processes: false,
            neighbours: Vec::new(),
            swept: Vec::new(),
            mirrors: Vec::new(),
            cleared: None,
        },
        release: "0.1.0".to_owned(),
        uploaded: 0,
        start_time: Duration::from_millis(300),
        round_trip: Duration::from_millis(1),
    }
}
