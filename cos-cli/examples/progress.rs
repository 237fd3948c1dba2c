//! Plays a made-up run on the progress display, to look at it in a real terminal: no host is reached, nothing runs.
//!
//! `cargo run -p cos-cli --example progress -- [HOSTS] [SECONDS] [bar|counter|none]`

use std::collections::HashMap;
use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use cos_cli::arguments::{ColorChoice, ShowProgress, StatusLevel};
use cos_cli::progress::{Detail, Display, Ending, HostFacts, RunFacts, Settings, Target};
use cos_core::event::{AgainCause, RunEvent, Stamped};
use cos_core::ids::{AttemptId, Epoch, HostId, SlotId, TaskId};
use cos_core::job::{CommandEnd, Exit, StreamTotals, TaskError, Usage};
use cos_core::time::Time;
use cos_core::vm::host::{FailureKind, HostFailure, HostInfo, HostLoss, HostNote, Stage};
use cos_core::wire::message::{Containment, DirectoryReport, HostReport};

const TURN: Duration = Duration::from_millis(20);

struct Job {
    host: usize,
    index: u64,
    try_number: u32,
    since: Time,
    ends: Time,
    told_slow: Option<Time>,
}

fn main() -> std::io::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let mut number = |otherwise| {
        let word = arguments.next();
        word.and_then(|word| word.parse().ok()).unwrap_or(otherwise)
    };
    let hosts: usize = number(12);
    let seconds: u64 = number(20) as u64;
    let progress = match arguments.next().as_deref() {
        Some("bar") => ShowProgress::Bar,
        Some("counter") => ShowProgress::Counter,
        Some("none") => ShowProgress::None,
        _ => ShowProgress::Auto,
    };
    let slots = |host: usize| match host {
        0 => 32,
        _ => 4 + (host as u32 % 3) * 4,
    };
    let names: Vec<String> = (0..hosts)
        .map(|host| match host {
            0 => "big".to_owned(),
            host => format!("ws{host:02}"),
        })
        .collect();
    let all: u64 = (0..hosts).map(|host| u64::from(slots(host))).sum();
    let total = all * seconds / 3;
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
        hosts: names
            .iter()
            .map(|name| HostFacts {
                name: name.clone(),
                slots: None,
            })
            .collect(),
        directory: "~/.local/state/cos/runs/7kq2".to_owned(),
    };
    let mut random = fastrand::Rng::with_seed(7);
    let begin = cos_core::clock::now();
    let mut display = Display::new(settings, facts, Target::stderr(ColorChoice::Auto), begin);
    let labels = |index: u64| {
        Some(format!("sim.sh c{:03}.net --corner tt --temp 27", index + 1).into_bytes())
    };
    let mut running: HashMap<AttemptId, Job> = HashMap::new();
    let mut again: Vec<(u64, u32)> = Vec::new();
    let (mut next, mut done, mut task) = (0, 0, 0);
    let mut ticked = begin;
    let mut up = vec![false; hosts];
    let mut silent = false;
    while done < total {
        std::thread::sleep(TURN);
        let now = cos_core::clock::now();
        let elapsed = now.since(begin);
        let send =
            |display: &mut Display, event| display.event(&Stamped { at: now, event }, &labels);
        for host in 0..hosts {
            let id = HostId(host as u32);
            let ready = Duration::from_millis(300 + 90 * host as u64);
            if up[host] || (host == 4 && silent) {
                continue;
            }
            if hosts > 6 && host == 6 {
                if elapsed > ready {
                    up[host] = true;
                    let failure = Arc::new(HostFailure {
                        stage: Stage::Connecting,
                        headline: format!("{} is unreachable", names[host]),
                        cause: format!(
                            "ssh: connect to host {} port 22: No route to host\r\n",
                            names[host]
                        ),
                        cure: Some(
                            "set `enabled = false` in hosts.toml to silence this".to_owned(),
                        ),
                        kind: FailureKind::Retry,
                    });
                    let retry_in = Some(Duration::from_secs(30));
                    send(
                        &mut display,
                        RunEvent::HostFailed {
                            host: id,
                            failure,
                            retry_in,
                        },
                    );
                }
            } else if elapsed > ready {
                up[host] = true;
                if host == 2 {
                    let note = HostNote::IgnoredLines {
                        lines: 3,
                        first: "Welcome to \u{1b}[1mws02\u{1b}[0m!".to_owned(),
                    };
                    send(&mut display, RunEvent::HostNote { host: id, note });
                }
                let info = Arc::new(info(slots(host)));
                send(&mut display, RunEvent::HostUp { host: id, info });
            } else {
                let stage = match elapsed.as_millis() % 1000 {
                    0..300 => Stage::Connecting,
                    300..600 => Stage::Probing,
                    _ => Stage::Uploading { bytes: 1_400_000 },
                };
                send(&mut display, RunEvent::HostStage { host: id, stage });
            }
        }
        let ended: Vec<AttemptId> = running
            .iter()
            .filter(|(_, job)| job.ends <= now && !(silent && job.host == 4))
            .map(|(attempt, _)| *attempt)
            .collect();
        for attempt in ended {
            let Some(job) = running.remove(&attempt) else {
                continue;
            };
            let (index, host) = (job.index, HostId(job.host as u32));
            let failed = random.u32(0..100) < 3;
            let end = end(if failed { 1 } else { 0 }, now.since(job.since));
            if failed && job.try_number < 3 {
                let cause = AgainCause::Retry {
                    end,
                    try_number: job.try_number,
                    tries: 3,
                };
                again.push((index, job.try_number + 1));
                send(
                    &mut display,
                    RunEvent::TaskAgain {
                        attempt,
                        index,
                        host,
                        cause,
                    },
                );
                continue;
            }
            done += 1;
            let outcome = match failed {
                true => Err(TaskError::Failed {
                    host: names[job.host].clone(),
                    end,
                    tries: job.try_number,
                }),
                false => Ok(end),
            };
            let event = RunEvent::TaskEnded {
                attempt: Some(attempt),
                task: attempt.task,
                index,
                host: Some(host),
                tries: job.try_number,
                outcome,
            };
            send(&mut display, event);
            if index % 50 == 7 {
                let line = format!("job {index} says hello\n");
                display.write_output(&mut std::io::stdout(), line.as_bytes())?;
            }
        }
        for (attempt, job) in &mut running {
            if job.told_slow.is_some_and(|at| at <= now) {
                job.told_slow = None;
                let event = RunEvent::TaskSlow {
                    attempt: *attempt,
                    index: job.index,
                    host: HostId(job.host as u32),
                    threshold: now.since(job.since),
                };
                send(&mut display, event);
            }
        }
        for host in 0..hosts {
            if !up[host] || host == 6 || (silent && host == 4) {
                continue;
            }
            let mut used = running.values().filter(|job| job.host == host).count();
            while used < slots(host) as usize {
                let (index, try_number) = match again.pop() {
                    Some(job) => job,
                    None if next < total => {
                        next += 1;
                        (next - 1, 1)
                    }
                    None => break,
                };
                used += 1;
                task += 1;
                let attempt = AttemptId {
                    task: TaskId(task),
                    epoch: Epoch::FIRST,
                };
                let slow = random.u32(0..100) == 0;
                let length =
                    Duration::from_millis(random.u64(1000..5000) * if slow { 4 } else { 1 });
                let told_slow = slow.then_some(now + Duration::from_secs(6));
                running.insert(
                    attempt,
                    Job {
                        host,
                        index,
                        try_number,
                        since: now,
                        ends: now + length,
                        told_slow,
                    },
                );
                let event = RunEvent::TaskStarted {
                    attempt,
                    index,
                    host: HostId(host as u32),
                    slot: SlotId(used as u32),
                    try_number,
                };
                send(&mut display, event);
            }
        }
        let host = HostId(4);
        if hosts > 4 && !silent && elapsed > Duration::from_secs(4) && up[4] {
            silent = true;
            let event = RunEvent::HostSilent {
                host,
                silent_for: Some(Duration::from_secs(12)),
                lost_in: Duration::from_secs(5),
            };
            send(&mut display, event);
        }
        if silent && up[4] && elapsed > Duration::from_secs(9) {
            up[4] = false;
            let gone: Vec<AttemptId> = running
                .iter()
                .filter(|(_, job)| job.host == 4)
                .map(|(attempt, _)| *attempt)
                .collect();
            let loss = HostLoss::Silent {
                silent_for: Duration::from_secs(60),
            };
            let event = RunEvent::HostLost {
                host,
                loss,
                requeued: gone.len() as u32,
                retry_in: Some(Duration::from_secs(60)),
            };
            send(&mut display, event);
            for attempt in gone {
                let Some(job) = running.remove(&attempt) else {
                    continue;
                };
                again.push((job.index, job.try_number));
                let cause = AgainCause::Crash {
                    crashes: 1,
                    limit: 3,
                    cause: "silent".to_owned(),
                };
                send(
                    &mut display,
                    RunEvent::TaskAgain {
                        attempt,
                        index: job.index,
                        host,
                        cause,
                    },
                );
            }
        }
        if now.since(ticked) >= Duration::from_millis(100) {
            ticked = now;
            display.tick(now);
        }
    }
    display.finish(cos_core::clock::now(), Ending::Complete);
    std::io::stdout().flush()
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
        },
        release: "0.1.0".to_owned(),
        uploaded: 0,
        start_time: Duration::from_millis(300),
        round_trip: Duration::from_millis(1),
    }
}
