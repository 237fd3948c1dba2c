//! Command jobs per second, beside the floor and the peers, in one run on one machine.
//!
//! ```sh
//! cargo bench -p cos-cli --bench command_jobs            # 4000 jobs a peer
//! cargo bench -p cos-cli --bench command_jobs -- 20000
//! ```
//!
//! Every figure is jobs per second of `/bin/sh -c true` with its output captured, two at a time: a bare loop of
//! `posix_spawn`, `cos run` on one private sshd host with two slots, and whichever of xargs, GNU parallel and HyperQueue
//! are installed. Start-up does not count: a tool runs a few jobs and then many, and the difference is divided.
//! Machines are noisy; the ratios within one run are what to read.

#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

use std::error::Error;
use std::fmt::Write as _;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use cos_testlab::Lab;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// So many jobs go before the measured ones, to pay for start-up.
const FEW: u64 = 100;

fn main() -> Result<()> {
    let many = std::env::args()
        .skip(1)
        .find_map(|word| word.parse().ok())
        .unwrap_or(4000);
    let lab = Lab::new()?;
    let host = lab.host("bench1").slots(2).start()?;
    let hosts_file = lab.directory().join("hosts.toml");
    lab.write_hosts_toml(&hosts_file)?;

    let bare = posix_spawn_loop(many)?;
    let mut rows = vec![Row {
        name: "posix_spawn, 2 threads (the floor)",
        rate: Some(bare),
        note: "",
    }];
    let cos = rate(many, |jobs| {
        let mut command = lab.command(env!("CARGO_BIN_EXE_cos"));
        command.args(["run", "--quiet", "--show-progress", "none", "--hosts"]);
        command.arg(&hosts_file).arg("true {#}");
        feed(command, jobs)
    })?;
    rows.push(Row {
        name: "cos run, 1 sshd host, 2 slots",
        rate: Some(cos),
        note: "",
    });
    rows.push(peer("xargs -P2", "xargs", many, |jobs| {
        let mut command = Command::new("xargs");
        command.args(["-P2", "-n1", "/bin/sh", "-c", "true"]);
        feed(command, jobs)
    })?);
    rows.push(peer(
        "GNU parallel -j2, this machine",
        "parallel",
        many / 4,
        |jobs| {
            let mut command = Command::new("parallel");
            command.args(["--will-cite", "-j2", "true {}"]);
            feed(command, jobs)
        },
    )?);
    // A small count: it makes an ssh login for each job.
    rows.push(peer(
        "GNU parallel -S, the same sshd, -j2",
        "parallel",
        40,
        |jobs| {
            let mut command = lab.command("parallel");
            let ssh = format!("ssh -F {}", lab.ssh_config().display());
            command.args([
                "--will-cite",
                "-j2",
                "--ssh",
                &ssh,
                "-S",
                host.name(),
                "true {}",
            ]);
            feed(command, jobs)
        },
    )?);
    rows.push(hyperqueue(many)?);
    print!("{}", table(&rows, bare, cos)?);
    Ok(())
}

struct Row {
    name: &'static str,
    rate: Option<f64>,
    note: &'static str,
}

/// The floor: two threads that spawn, drain and reap as fast as they can. `Command` uses posix_spawn here.
fn posix_spawn_loop(jobs: u64) -> Result<f64> {
    let start = Instant::now();
    let workers: Vec<_> = (0..2)
        .map(|_| {
            thread::spawn(move || -> std::io::Result<()> {
                for _ in 0..jobs / 2 {
                    Command::new("/bin/sh")
                        .args(["-c", "true"])
                        .stdin(Stdio::null())
                        .output()?;
                }
                Ok(())
            })
        })
        .collect();
    for worker in workers {
        worker.join().map_err(|_| "a spawning thread panicked")??;
    }
    Ok(jobs as f64 / start.elapsed().as_secs_f64())
}

/// Jobs per second once a tool has started: (many - few) / (time of many - time of few).
fn rate(many: u64, mut run: impl FnMut(u64) -> Result<Duration>) -> Result<f64> {
    let few = FEW.min(many / 10).max(1);
    let short = run(few)?;
    let long = run(many)?;
    let seconds = long.saturating_sub(short).as_secs_f64().max(1e-6);
    Ok((many - few) as f64 / seconds)
}

/// Runs a tool with so many lines on its standard input and says how long it took.
fn feed(mut command: Command, jobs: u64) -> Result<Duration> {
    let mut lines = String::new();
    for number in 1..=jobs {
        writeln!(lines, "{number}")?;
    }
    let start = Instant::now();
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()?;
    let mut input = child.stdin.take().ok_or("no standard input")?;
    let writer = thread::spawn(move || std::io::Write::write_all(&mut input, lines.as_bytes()));
    let status = child.wait()?;
    let elapsed = start.elapsed();
    writer.join().map_err(|_| "the writing thread panicked")??;
    if !status.success() {
        return Err(format!("{command:?}: {status}").into());
    }
    Ok(elapsed)
}

fn peer(
    name: &'static str,
    program: &str,
    many: u64,
    run: impl FnMut(u64) -> Result<Duration>,
) -> Result<Row> {
    let found = Command::new(program).arg("--version").output().is_ok();
    match found {
        true => Ok(Row {
            name,
            rate: Some(rate(many, run)?),
            note: "",
        }),
        false => Ok(Row {
            name,
            rate: None,
            note: "not installed",
        }),
    }
}

/// HyperQueue with one worker of two cores: its jobs come as one array, so its own clock is what counts.
fn hyperqueue(many: u64) -> Result<Row> {
    let name = "HyperQueue, 1 worker, 2 cores, no ssh";
    if Command::new("hq").arg("--version").output().is_err() {
        return Ok(Row {
            name,
            rate: None,
            note: "not installed",
        });
    }
    let home = tempfile::tempdir()?;
    let hq = |arguments: &[&str]| {
        let mut command = Command::new("hq");
        command
            .arg("--server-dir")
            .arg(home.path())
            .args(arguments)
            .stdout(Stdio::null());
        command
    };
    let mut server = hq(&["server", "start"]).spawn()?;
    let mut worker = loop {
        if hq(&["server", "info"])
            .stderr(Stdio::null())
            .status()?
            .success()
        {
            break hq(&["worker", "start", "--cpus", "2"]).spawn()?;
        }
    };
    let measured = rate(many, |jobs| {
        let array = format!("1-{jobs}");
        let start = Instant::now();
        let status = hq(&[
            "submit", "--array", &array, "--wait", "/bin/sh", "-c", "true",
        ])
        .status()?;
        if !status.success() {
            return Err(format!("hq submit: {status}").into());
        }
        Ok(start.elapsed())
    });
    hq(&["server", "stop"]).status()?;
    worker.wait()?;
    server.wait()?;
    Ok(Row {
        name,
        rate: Some(measured?),
        note: "",
    })
}

fn table(rows: &[Row], bare: f64, cos: f64) -> Result<String> {
    let mut text = String::new();
    writeln!(
        text,
        "{:<40} {:>10} {:>12} {:>14}",
        "", "jobs/s", "of the floor", "cos is so many"
    )?;
    writeln!(
        text,
        "{:<40} {:>10} {:>12} {:>14}",
        "", "", "", "times as fast"
    )?;
    for Row { name, rate, note } in rows {
        match rate {
            Some(rate) => {
                let (floor, times) = (rate / bare, cos / rate);
                writeln!(text, "{name:<40} {rate:>10.0} {floor:>12.2} {times:>14.1}")?;
            }
            None => writeln!(text, "{name:<40} {note:>10}")?,
        }
    }
    Ok(text)
}
