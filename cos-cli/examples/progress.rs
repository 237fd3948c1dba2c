//! Plays a made-up run on the progress display, to look at it in a real terminal: no host is reached, nothing runs.
//!
//! `cargo run -p cos-cli --example progress -- [HOSTS] [SECONDS] [bar|counter|none]`

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use cos_cli::arguments::{ColorChoice, ShowProgress, StatusLevel};
use cos_cli::progress::{Detail, Display, Ending, HostFacts, RunFacts, Settings, Target};
use cos_core::event::{AgainCause, RunEvent, Stamped};
use cos_core::ids::{AttemptId, Epoch, HostId, SlotId, TaskId};
use cos_core::job::{CommandEnd, Exit, StreamTotals, TaskEnd, TaskError, Usage};
use cos_core::time::Time;
use cos_core::vm::host::{FailureKind, HostFailure, HostInfo, HostLoss, HostNote, Stage};
use cos_core::wire::message::{Containment, DirectoryReport, HostReport};

const TURN: Duration = Duration::from_millis(20);
const TICK: Duration = Duration::from_millis(100);
/// The host that falls silent, when, and when it is given up.
const SILENT: (usize, Duration, Duration) = (4, Duration::from_secs(4), Duration::from_secs(9));
/// The host that cannot be reached.
const UNREACHABLE: usize = 6;

/// A made-up run.
struct Play {
    display: Display,
    random: fastrand::Rng,
    begin: Time,
    now: Time,
    hosts: Vec<Host>,
    running: HashMap<AttemptId, Job>,
    again: Vec<(u64, u32)>,
    total: u64,
    next: u64,
    done: u64,
    attempts: u64,
}

struct Host {
    name: String,
    slots: u32,
    state: State,
}

#[derive(PartialEq)]
enum State {
    Starting,
    Up,
    Silent,
    Gone,
}

struct Job {
    host: usize,
    index: u64,
    try_number: u32,
    since: Time,
    ends: Time,
    slow_at: Option<Time>,
}

fn main() -> std::io::Result<()> {
    let mut words = std::env::args().skip(1);
    let mut number = |otherwise| {
        words
            .next()
            .and_then(|word| word.parse().ok())
            .unwrap_or(otherwise)
    };
    let (hosts, seconds) = (number(12), number(20));
    let progress = match words.next().as_deref() {
        Some("bar") => ShowProgress::Bar,
        Some("counter") => ShowProgress::Counter,
        Some("none") => ShowProgress::None,
        _ => ShowProgress::Auto,
    };
    let mut play = Play::new(hosts, seconds, progress);
    let mut ticked = play.begin;
    while play.done < play.total {
        std::thread::sleep(TURN);
        play.now = cos_core::clock::now();
        play.start_hosts();
        play.trouble_hosts();
        play.end_jobs()?;
        play.start_jobs();
        if play.now.since(ticked) >= TICK {
            ticked = play.now;
            play.display.tick(ticked);
        }
    }
    play.display
        .finish(cos_core::clock::now(), Ending::Complete);
    Ok(())
}

impl Play {
    fn new(hosts: usize, seconds: usize, progress: ShowProgress) -> Self {
        let hosts: Vec<Host> = (0..hosts)
            .map(|host| Host {
                name: if host == 0 {
                    "big".to_owned()
                } else {
                    format!("ws{host:02}")
                },
                slots: if host == 0 { 32 } else { [4, 8, 12][host % 3] },
                state: State::Starting,
            })
            .collect();
        let slots: u64 = hosts.iter().map(|host| u64::from(host.slots)).sum();
        let total = slots * seconds as u64 / 3;
        let settings = Settings {
            progress,
            max_hosts_shown: 8,
            status_level: StatusLevel::Slow,
            detail: Detail::Normal,
        };
        let facts = RunFacts {
            run: "7kq2".to_owned(),
            total: Some(total),
            cores: 1,
            hosts: hosts
                .iter()
                .map(|host| HostFacts {
                    name: host.name.clone(),
                    slots: None,
                })
                .collect(),
            directory: "~/.local/state/cos/runs/7kq2".to_owned(),
        };
        let begin = cos_core::clock::now();
        Self {
            display: Display::new(settings, facts, Target::stderr(ColorChoice::Auto), begin),
            random: fastrand::Rng::with_seed(7),
            begin,
            now: begin,
            hosts,
            running: HashMap::new(),
            again: Vec::new(),
            total,
            next: 0,
            done: 0,
            attempts: 0,
        }
    }

    fn send(&mut self, event: RunEvent) {
        let labels = |index: u64| {
            Some(format!("sim.sh c{:03}.net --corner tt --temp 27", index + 1).into_bytes())
        };
        self.display.event(
            &Stamped {
                at: self.now,
                event,
            },
            &labels,
        );
    }

    fn start_hosts(&mut self) {
        let elapsed = self.now.since(self.begin);
        for position in 0..self.hosts.len() {
            if self.hosts[position].state != State::Starting {
                continue;
            }
            let host = id(position);
            if elapsed < Duration::from_millis(300 + 90 * position as u64) {
                let stage = match elapsed.as_millis() {
                    0..300 => Stage::Connecting,
                    300..600 => Stage::Probing,
                    _ => Stage::Uploading { bytes: 1_400_000 },
                };
                self.send(RunEvent::HostStage { host, stage });
            } else if position == UNREACHABLE {
                self.hosts[position].state = State::Gone;
                let name = &self.hosts[position].name;
                let failure = Arc::new(HostFailure {
                    stage: Stage::Connecting,
                    headline: format!("{name} is unreachable"),
                    cause: format!("ssh: connect to host {name} port 22: No route to host\r\n"),
                    cure: Some("set `enabled = false` in hosts.toml to silence this".to_owned()),
                    kind: FailureKind::Retry,
                });
                let retry_in = Some(Duration::from_secs(30));
                self.send(RunEvent::HostFailed {
                    host,
                    failure,
                    retry_in,
                });
            } else {
                self.hosts[position].state = State::Up;
                if position == 2 {
                    let first = "Welcome to \u{1b}[1mws02\u{1b}[0m!".to_owned();
                    self.send(RunEvent::HostNote {
                        host,
                        note: HostNote::IgnoredLines { lines: 3, first },
                    });
                }
                let info = Arc::new(info(self.hosts[position].slots));
                self.send(RunEvent::HostUp { host, info });
            }
        }
    }

    fn trouble_hosts(&mut self) {
        let (position, silent_at, lost_at) = SILENT;
        let elapsed = self.now.since(self.begin);
        let Some(host) = self.hosts.get_mut(position) else {
            return;
        };
        if host.state == State::Up && elapsed > silent_at && elapsed < lost_at {
            host.state = State::Silent;
            self.send(RunEvent::HostSilent {
                host: id(position),
                silent_for: Some(Duration::from_secs(12)),
                lost_in: lost_at - silent_at,
            });
        } else if host.state == State::Silent && elapsed > lost_at {
            host.state = State::Gone;
            let gone: Vec<AttemptId> = self
                .running
                .iter()
                .filter(|(_, job)| job.host == position)
                .map(|(attempt, _)| *attempt)
                .collect();
            self.send(RunEvent::HostLost {
                host: id(position),
                loss: HostLoss::Silent {
                    silent_for: Duration::from_secs(60),
                },
                requeued: u32::try_from(gone.len()).unwrap_or(u32::MAX),
                retry_in: Some(Duration::from_secs(60)),
            });
            for attempt in gone {
                let Some(job) = self.running.remove(&attempt) else {
                    continue;
                };
                self.again.push((job.index, job.try_number));
                let cause = AgainCause::Crash {
                    crashes: 1,
                    limit: 3,
                    cause: "silent".to_owned(),
                };
                self.send(RunEvent::TaskAgain {
                    attempt,
                    index: job.index,
                    host: id(position),
                    cause,
                });
            }
        }
    }

    fn start_jobs(&mut self) {
        for position in 0..self.hosts.len() {
            if self.hosts[position].state != State::Up {
                continue;
            }
            let used = self
                .running
                .values()
                .filter(|job| job.host == position)
                .count();
            for slot in used..self.hosts[position].slots as usize {
                let (index, try_number) = match self.again.pop() {
                    Some(job) => job,
                    None if self.next < self.total => (self.next, 1),
                    None => break,
                };
                self.next = self.next.max(index + 1);
                self.attempts += 1;
                let attempt = AttemptId {
                    task: TaskId(self.attempts),
                    epoch: Epoch::FIRST,
                };
                let is_slow = self.random.u32(0..100) == 0;
                let factor = if is_slow { 4 } else { 1 };
                let job = Job {
                    host: position,
                    index,
                    try_number,
                    since: self.now,
                    ends: self.now + Duration::from_millis(self.random.u64(1000..5000) * factor),
                    slow_at: is_slow.then_some(self.now + Duration::from_secs(6)),
                };
                self.running.insert(attempt, job);
                let slot = SlotId(u32::try_from(slot).unwrap_or(0) + 1);
                self.send(RunEvent::TaskStarted {
                    attempt,
                    index,
                    host: id(position),
                    slot,
                    try_number,
                    work: std::sync::Arc::new(cos_core::job::CommandJob::shell(1, "true").into()),
                });
            }
        }
    }

    fn end_jobs(&mut self) -> std::io::Result<()> {
        let mut slow = Vec::new();
        let mut ended = Vec::new();
        for (attempt, job) in &mut self.running {
            if self.hosts[job.host].state == State::Silent {
                continue;
            }
            if job.ends <= self.now {
                ended.push(*attempt);
            } else if job.slow_at.is_some_and(|at| at <= self.now) {
                job.slow_at = None;
                slow.push((*attempt, job.index, id(job.host), self.now.since(job.since)));
            }
        }
        for (attempt, index, host, threshold) in slow {
            self.send(RunEvent::TaskSlow {
                attempt,
                index,
                host,
                threshold,
            });
        }
        for attempt in ended {
            let Some(job) = self.running.remove(&attempt) else {
                continue;
            };
            let (index, host) = (job.index, id(job.host));
            let failed = self.random.u32(0..100) < 3;
            let end = end(i32::from(failed), self.now.since(job.since));
            if failed && job.try_number < 3 {
                self.again.push((index, job.try_number + 1));
                let cause = AgainCause::Retry {
                    end,
                    try_number: job.try_number,
                    tries: 3,
                };
                self.send(RunEvent::TaskAgain {
                    attempt,
                    index,
                    host,
                    cause,
                });
                continue;
            }
            self.done += 1;
            let (task, tries) = (attempt.task, job.try_number);
            let outcome = match failed {
                true => Err(TaskError::CommandFailed {
                    host: self.hosts[job.host].name.clone(),
                    end,
                    tries,
                }),
                false => Ok(TaskEnd::Command(end)),
            };
            let (attempt, host) = (Some(attempt), Some(host));
            self.send(RunEvent::TaskEnded {
                attempt,
                task,
                index,
                host,
                tries,
                outcome,
            });
            if index % 50 == 7 {
                let line = format!("job {index} says hello\n");
                self.display
                    .write_output(&mut std::io::stdout(), line.as_bytes())?;
            }
        }
        Ok(())
    }
}

fn id(position: usize) -> HostId {
    HostId(u32::try_from(position).unwrap_or(u32::MAX))
}

fn end(code: i32, elapsed: Duration) -> CommandEnd {
    CommandEnd {
        exit: Exit::Code(code),
        usage: Usage::default(),
        elapsed,
        stdout: StreamTotals::default(),
        stderr: StreamTotals::default(),
        left_over: 0,
        out_of_memory_kills: 0,
    }
}

fn info(slots: u32) -> HostInfo {
    HostInfo {
        name: String::new(),
        report: HostReport {
            node: "node".to_owned(),
            system: "x86_64 Linux".to_owned(),
            kernel: "6.1".to_owned(),
            cores: slots,
            slots,
            memory_kib: 1 << 24,
            load_hundredths: 0,
            clock: 0,
            containment: Containment::Subreaper,
            directory: DirectoryReport::Shared {
                path: serde_bytes::ByteBuf::from("/home/ana"),
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
