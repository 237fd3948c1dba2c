//! Typed tasks per second through one sshd host with two slots, beside a bare echo of frames through the same ssh.
//!
//! ```sh
//! cargo bench -p cos-ssh-vm --bench typed_tasks            # 200,000 tasks in each of three rounds
//! cargo bench -p cos-ssh-vm --bench typed_tasks -- 20000
//! ```
//!
//! This program is its own worker: it sends itself to the host. The echo is what the transport alone allows: as many
//! frames of the same size under way as there are tasks.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a benchmark shows its result"
)]

use std::cell::Cell;
use std::error::Error;
use std::io::{self, Read, Write};
use std::path::Path;
use std::process::{ExitCode, Stdio};
use std::time::{Duration, Instant};

use cos_core as cos;
use cos_core::kernel::{Prefetch, TaskPolicy};
use cos_core::{Flow, Os, dispatch};
use cos_ssh_vm::inventory::Inventory;
use cos_ssh_vm::{SshVm, StartDirectory};
use cos_testlab::{Lab, TestHost};

/// What makes this program the far end of the echo.
const ECHO: &str = "--echo";

/// The size of a frame of the echo: about that of a short call and of its end.
const FRAME: usize = 100;

/// How many frames are under way: as many as the tasks of two slots, each with a full queue.
const WINDOW: usize = 2 * 65;

/// How many tasks are run one by one for the latency.
const ONE_BY_ONE: u64 = 2_000;

/// Does nothing.
#[cos::task]
fn nothing(x: u64) -> u64 {
    x
}

fn main() -> ExitCode {
    cos_core::worker::init();
    let mut arguments = std::env::args().skip(1);
    let result = match arguments.next().as_deref() {
        Some(ECHO) => echo(),
        // `cargo bench` adds a word of its own.
        Some("--bench") => compare(arguments.next()),
        first => compare(first.map(str::to_owned)),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Gives back every byte at once.
fn echo() -> Result<(), Box<dyn Error>> {
    let (mut input, mut output) = (io::stdin().lock(), io::stdout().lock());
    let mut piece = vec![0; 64 * 1024];
    loop {
        let count = input.read(&mut piece)?;
        if count == 0 {
            return Ok(());
        }
        output.write_all(&piece[..count])?;
        output.flush()?;
    }
}

fn compare(tasks: Option<String>) -> Result<(), Box<dyn Error>> {
    let tasks: u64 = tasks.map_or(Ok(200_000), |word| word.parse())?;
    let lab = Lab::new()?;
    let host = lab.host("ws01").start()?;
    for round in 1..=3 {
        let echoed = echo_through_ssh(&lab, &host, tasks)?;
        let (parallel, latency) = tasks_through_ssh(&lab, &host, tasks)?;
        println!(
            "round {round}: echo {echoed:.0} frames/s; typed tasks {parallel:.0}/s ({:.0} % of the echo); one by one \
             {:.0} us each",
            100.0 * parallel / echoed,
            latency.as_secs_f64() * 1e6
        );
    }
    Ok(())
}

/// Frames per second that come back from a bare program behind ssh.
fn echo_through_ssh(lab: &Lab, host: &TestHost, frames: u64) -> Result<f64, Box<dyn Error>> {
    let program = std::env::current_exe()?;
    let mut ssh = lab
        .command("ssh")
        .arg("-F")
        .arg(lab.ssh_config())
        .args(["-T", host.name()])
        .arg(format!("{} {ECHO}", program.display()))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let (Some(mut input), Some(mut output)) = (ssh.stdin.take(), ssh.stdout.take()) else {
        return Err("ssh without pipes".into());
    };
    let mut piece = vec![0; 64 * 1024];
    input.write_all(&piece[..FRAME])?;
    output.read_exact(&mut piece[..FRAME])?;
    let total = usize::try_from(frames)? * FRAME;
    let (mut sent, mut received) = (0, 0);
    let began = Instant::now();
    while received < total {
        let room = (WINDOW * FRAME - (sent - received)).min(total - sent);
        if room > 0 {
            input.write_all(&piece[..room])?;
            sent += room;
        }
        received += output.read(&mut piece)?;
    }
    let elapsed = began.elapsed();
    drop(input);
    ssh.wait()?;
    Ok(frames as f64 / elapsed.as_secs_f64())
}

/// Tasks per second, and how long one takes alone.
fn tasks_through_ssh(
    lab: &Lab,
    host: &TestHost,
    tasks: u64,
) -> Result<(f64, Duration), Box<dyn Error>> {
    let inventory = lab.hosts_toml(&[host.name()])?;
    let inventory = Inventory::from_text(&inventory, Path::new("hosts.toml"))
        .map_err(|report| report.to_string())?;
    let machine = SshVm::builder()
        .inventory(inventory)
        .directory(StartDirectory::Scratch)
        .start()?;
    let policy = || TaskPolicy {
        prefetch: Prefetch::Allowed,
        ..TaskPolicy::default()
    };
    let failed = Cell::new(0_u64);
    let run = async |count: u64, window: Option<usize>| {
        let jobs = (0..count).map(nothing::job);
        let jobs = dispatch(jobs).policy(policy());
        let jobs = match window {
            Some(window) => jobs.window(window),
            None => jobs,
        };
        let began = Instant::now();
        let done = jobs.for_each(|done| {
            if done.result != Ok(done.index) {
                failed.set(failed.get() + 1);
            }
            Flow::Go
        });
        done.await.map(|()| began.elapsed())
    };
    let (elapsed, alone) = Os::new().vm(machine).block_on(async {
        // Slots start, and show that these tasks are short.
        run(1_000, None).await?;
        let elapsed = run(tasks, None).await?;
        let alone = run(ONE_BY_ONE, Some(1)).await?;
        Ok::<_, Box<dyn Error>>((elapsed, alone))
    })??;
    if failed.get() > 0 {
        return Err(format!("{} tasks failed", failed.get()).into());
    }
    let alone = alone / u32::try_from(ONE_BY_ONE)?;
    Ok((tasks as f64 / elapsed.as_secs_f64(), alone))
}
