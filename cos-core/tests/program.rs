//! Programs as their users write them: `#[cos::main]`, slots on this machine that are processes of the program itself.
//!
//! A test harness cannot be its own worker, so this is a program that starts itself with the name of a case.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "programs print")]

use std::process::{Command, Output};

use cos::vm::local::LocalVm;
use cos_core as cos;
use cos_core::wire::message::SlotCount;

#[cos::task]
fn double(x: u64) -> u64 {
    2 * x
}

#[cos::task]
async fn speak(x: u64) -> u64 {
    println!("x is {x}\x1b[0m");
    eprint!("no end of line");
    tokio::task::yield_now().await;
    x
}

#[cos::task]
fn process() -> u32 {
    std::process::id()
}

#[cos::task]
fn refuse(x: u64) -> cos::Result<u64> {
    let text = format!("{x}x");
    Ok(text.parse::<u64>()?)
}

/// The cases, and whether each succeeds.
const CASES: [(&str, bool); 5] = [
    ("dispatches", true),
    ("speaks", true),
    ("fails", false),
    ("is local without a machine", true),
    ("is quiet", true),
];

#[cos::main]
async fn main() -> cos::Result<()> {
    match std::env::var("COS_CASE").as_deref() {
        Ok("dispatches") => dispatches().await,
        Ok("speaks") => speaks().await,
        Ok("fails") => fails().await,
        Ok("is local without a machine") => is_local_without_a_machine().await,
        Ok("is quiet") => Ok(()),
        _ => {
            for (case, succeeds) in CASES {
                let output = run(case)?;
                let told = String::from_utf8_lossy(&output.stderr).into_owned();
                assert_eq!(output.status.code() == Some(0), succeeds, "{case}: {told}");
                let spoken = String::from_utf8_lossy(&output.stdout).into_owned();
                check(case, &spoken, &told);
                println!("{case}: ok");
            }
            Ok(())
        }
    }
}

fn run(case: &str) -> std::io::Result<Output> {
    Command::new("/proc/self/exe")
        .env("COS_CASE", case)
        .env("RUST_BACKTRACE", "0")
        .output()
}

/// What a case must have written.
fn check(case: &str, stdout: &str, stderr: &str) {
    match case {
        "speaks" => {
            let mut lines: Vec<&str> = stdout.lines().collect();
            lines.sort_unstable();
            assert_eq!(
                lines,
                [
                    "local speak(0) | x is 10\\x1b[0m",
                    "local speak(1) | x is 11\\x1b[0m"
                ]
            );
            let mut lines: Vec<&str> = stderr.lines().collect();
            lines.sort_unstable();
            assert_eq!(
                lines,
                [
                    "local speak(0) | no end of line",
                    "local speak(1) | no end of line"
                ]
            );
        }
        "fails" => {
            assert_eq!(stdout, "");
            assert_eq!(
                stderr,
                "error: job 0: refuse(0) on local: invalid digit found in string\n"
            );
        }
        _ => assert_eq!((stdout, stderr), ("", ""), "{case}"),
    }
}

fn use_this_machine() -> cos::Result<()> {
    cos::set_vm(LocalVm::new("program", SlotCount::Number(2))?)?;
    Ok(())
}

async fn dispatches() -> cos::Result<()> {
    use_this_machine()?;
    let doubled = cos::dispatch((0..100).map(double::job)).collect().await?;
    assert_eq!(doubled, (0..100).map(|x| 2 * x).collect::<Vec<_>>());
    let processes = cos::dispatch((0..20).map(|_| process::job()))
        .collect()
        .await?;
    assert!(!processes.contains(&std::process::id()));
    Ok(())
}

async fn speaks() -> cos::Result<()> {
    use_this_machine()?;
    let spoken = cos::dispatch([speak::job(10), speak::job(11)])
        .collect()
        .await?;
    assert_eq!(spoken, [10, 11]);
    Ok(())
}

async fn fails() -> cos::Result<()> {
    use_this_machine()?;
    cos::dispatch([refuse::job(4)]).collect().await?;
    Ok(())
}

async fn is_local_without_a_machine() -> cos::Result<()> {
    let handle = cos::spawn(process::job()).await?;
    assert_eq!(handle.await?, std::process::id());
    Ok(())
}
