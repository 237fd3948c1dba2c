//! How runs on this computer end, as their users read it: failed jobs in full, jobs that were not run, logs, the order of
//! events. No ssh is needed.

use std::path::Path;
use std::process::{Command, Output, Stdio};

/// `cos run` on this computer, in a directory and a home of its own.
fn run(directory: &Path, words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_cos"))
        .args(["run", "-S", ":"])
        .args(words)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", directory)
        .current_dir(directory)
        .stdin(Stdio::null())
        .output()
        .expect("cos runs")
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("text")
}

#[track_caller]
fn assert_has(text: &str, part: &str) {
    assert!(text.contains(part), "{part:?} is not in\n{text}");
}

#[test]
fn a_failed_job_is_told_in_full_and_named_once_at_the_end() {
    let directory = tempfile::tempdir().expect("a directory");
    let script = "echo first >&2; echo 'no convergence' >&2; exit 3 # {}";
    let output = run(directory.path(), &["--retries", "2", script, ":::", "c188"]);
    assert_eq!(output.status.code(), Some(100), "{output:?}");
    let told = text(&output.stderr);
    assert_has(
        told,
        "error: job 1 failed on all 2 tries (on local): exit 3\n  \
         command: echo first >&2; echo 'no convergence' >&2; exit 3 # c188\n  \
         stderr, last lines:\n    first\n    no convergence\n",
    );
    let summary = told.split("Summary").nth(1).expect("a summary");
    assert!(!summary.contains("FAIL"), "{told}");
}

#[test]
fn many_failed_jobs_are_few_blocks() {
    let directory = tempfile::tempdir().expect("a directory");
    let numbers: Vec<String> = (1..=50).map(|number| number.to_string()).collect();
    let mut words = vec!["-j2", "exit 1 # {}", ":::"];
    words.extend(numbers.iter().map(String::as_str));
    let output = run(directory.path(), &words);
    let told = text(&output.stderr);
    assert_eq!(told.matches("\nerror: job ").count(), 3, "{told}");
    assert_has(told, "50 jobs: 0 ok, 50 failed");
}

#[test]
fn jobs_that_found_no_host_are_listed() {
    let directory = tempfile::tempdir().expect("a directory");
    let words = ["--shell", "/no/such/shell", "echo", ":::", "a", "b", "c"];
    let output = run(directory.path(), &words);
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    let told = text(&output.stderr);
    assert_has(told, "/no/such/shell");
    assert_has(told, "3 jobs: 0 ok, 3 not run");
    assert!(!told.contains("Starting"), "{told}");
}

#[test]
fn the_log_goes_to_the_run_directory_and_to_a_file_that_is_asked_for() {
    let directory = tempfile::tempdir().expect("a directory");
    let output = run(
        directory.path(),
        &["-vv", "--log-file", "my.log", "true", ":::", "a"],
    );
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_has(text(&output.stderr), "PASS");
    let mine = std::fs::read_to_string(directory.path().join("my.log")).expect("written");
    let runs = directory.path().join(".local/state/cos/runs/latest");
    let kept = std::fs::read_to_string(runs.join("cos.log")).expect("written");
    assert_eq!(mine, kept);
    for part in [
        "DEBUG cos::kernel: local: up after",
        "TRACE cos::kernel: local: job 1 runs",
    ] {
        assert_has(&mine, part);
    }
    assert!(!mine.contains('\x1b'));
}

#[test]
fn in_the_stream_of_events_a_job_writes_before_it_ends() {
    let directory = tempfile::tempdir().expect("a directory");
    let words = [
        "--format",
        "jsonl",
        "echo out; echo err >&2; exit 1 # {}",
        ":::",
        "a",
    ];
    let output = run(directory.path(), &words);
    let kinds: Vec<String> = text(&output.stdout)
        .lines()
        .map(|line| {
            let event: serde_json::Value = serde_json::from_str(line).expect("JSON");
            event["event"].as_str().expect("text").to_owned()
        })
        .filter(|kind| kind.starts_with("job"))
        .collect();
    assert_eq!(kinds, ["job-start", "job-output", "job-output", "job-end"]);
}

#[test]
fn input_that_cannot_be_read_starts_nothing() {
    let directory = tempfile::tempdir().expect("a directory");
    let output = run(directory.path(), &["echo", "::::", "/"]);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert_eq!(
        text(&output.stderr),
        "error: cannot open `/`\n  is a directory\n"
    );
    assert!(!directory.path().join(".local").exists());
}
