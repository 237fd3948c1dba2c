//! Tasks that leave something behind, or do to their process what the next task should not see.

use std::io;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use cos_core as cos;

/// Goes elsewhere, and says where it was.
#[cos::task]
pub fn changes_directory() -> std::io::Result<String> {
    let here = std::env::current_dir()?;
    std::env::set_current_dir("/")?;
    Ok(here.display().to_string())
}

/// Starts processes that it does not wait for, and says their numbers: one below it, and one that leaves its session
/// and has lost its parent.
#[cos::task]
pub fn leaves_children() -> std::io::Result<Vec<u32>> {
    let plain = Command::new("sleep").arg("1000").spawn()?;
    let shell = "setsid sh -c 'echo $$; exec sleep 1000' & :";
    let output = Command::new("sh")
        .args(["-c", shell])
        .stdout(Stdio::piped())
        .spawn()?;
    let mut first = String::new();
    let output = output.stdout.ok_or(io::ErrorKind::BrokenPipe)?;
    io::BufRead::read_line(&mut io::BufReader::new(output), &mut first)?;
    Ok(vec![
        plain.id(),
        first.trim().parse().map_err(io::Error::other)?,
    ])
}

/// Starts a process that ends by itself a moment later.
#[cos::task]
pub fn leaves_a_short_child() -> std::io::Result<()> {
    Command::new("sleep").arg("0.05").spawn()?;
    Ok(())
}

/// Runs commands and waits for each itself: their exit codes.
#[cos::task]
pub fn runs_commands(count: i32) -> std::io::Result<Vec<i32>> {
    (0..count)
        .map(|code| {
            let status = Command::new("sh")
                .args(["-c", &format!("exit {code}")])
                .status()?;
            status
                .code()
                .ok_or_else(|| io::ErrorKind::Interrupted.into())
        })
        .collect()
}

/// Starts a thread that prints for as long as the process lives.
#[cos::task]
pub fn starts_a_thread(text: String) {
    std::thread::spawn(move || {
        loop {
            let _ = io::Write::write_all(&mut io::stderr(), text.as_bytes());
            std::thread::sleep(Duration::from_millis(1));
        }
    });
}

/// Makes a file, starts a child that ignores what is asked of it, and never returns.
#[cos::task]
pub fn runs_for_ever(begun: String, child: bool) -> std::io::Result<()> {
    if child {
        let mut command = Command::new("sh");
        command.args([
            "-c",
            "trap '' TERM; echo $$ > \"$0\"; while :; do sleep 1; done",
            &begun,
        ]);
        command.process_group(0).spawn()?;
    } else {
        std::fs::write(&begun, std::process::id().to_string())?;
    }
    loop {
        std::thread::sleep(Duration::from_secs(1));
    }
}

/// Waits for a child, as long as nobody ends that: its exit code or signal.
#[cos::task]
pub fn waits_for_a_child(begun: String) -> std::io::Result<String> {
    let mut child = Command::new("sleep").arg("1000").spawn()?;
    std::fs::write(&begun, child.id().to_string())?;
    Ok(child.wait()?.to_string())
}

/// Says which process it runs in, and returns when a file is there.
#[cos::task]
pub fn waits_for_a_file(begun: String, file: String) -> std::io::Result<()> {
    std::fs::write(&begun, std::process::id().to_string())?;
    while !Path::new(&file).exists() {
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}
