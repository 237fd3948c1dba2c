//! What is written down, in the formats of GNU parallel, which is asked itself where it is installed.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use crate::support::{Fixture, JobLine, JobLog};

const HEADER: &str = "Seq\tHost\tStarttime\tJobRuntime\tSend\tReceive\tExitval\tSignal\tCommand";

/// Whether GNU parallel is there to be asked.
fn has_parallel() -> bool {
    let version = Command::new("parallel").arg("--version").output();
    version.is_ok_and(|output| output.stdout.starts_with(b"GNU parallel"))
}

/// A line without what differs from run to run.
fn settled(line: &JobLine) -> (u64, u64, u64, i64, i64, String) {
    let JobLine {
        sequence,
        send,
        receive,
        exit,
        signal,
        command,
        ..
    } = line.clone();
    (sequence, send, receive, exit, signal, command)
}

/// Jobs that end in every way, and what a job log says about each.
const WAYS: [(&str, i64, i64, u64); 5] = [
    ("echo 12345", 0, 0, 6),
    ("exit 3", 3, 0, 0),
    ("kill -9 $$", 0, 9, 0),
    ("kill -15 $$", 0, 15, 0),
    ("printf 'a b'; exit 255", 255, 0, 3),
];

#[test]
fn the_job_log_has_the_columns_and_numbers_of_gnu_parallel() {
    let fixture = Fixture::local();
    let ours = fixture.lab.client_home().join("ours");
    let commands: String = WAYS
        .iter()
        .map(|(command, ..)| format!("{command}\n"))
        .collect();
    let flags = ["-j1", "--joblog", ours.to_str().unwrap()];
    fixture
        .run(&flags)
        .input(commands.clone())
        .end()
        .exited(100);
    let ours = JobLog::read(&ours);
    assert_eq!(ours.header, HEADER);
    ours.has_each_once(1, 5);
    for ((command, exit, signal, receive), sequence) in WAYS.iter().zip(1..) {
        let line = ours.job(sequence);
        let expected = (sequence, 0, *receive, *exit, *signal, (*command).to_owned());
        assert_eq!(settled(line), expected);
        assert!(
            line.start > 1.7e9 && line.runtime >= 0.0 && line.runtime < 60.0,
            "{line:?}"
        );
    }
    assert_eq!(fixture.latest_run().job_log().lines, ours.lines);

    if has_parallel() {
        let theirs = fixture.lab.client_home().join("theirs");
        let input = fixture.lab.client_home().join("input");
        fs::write(&input, commands).unwrap();
        let mut parallel = fixture.lab.command("parallel");
        parallel
            .args(["--will-cite", "-j1", "-a"])
            .arg(&input)
            .arg("--joblog")
            .arg(&theirs);
        parallel.output().unwrap();
        let theirs = JobLog::read(&theirs);
        assert_eq!(ours.header, theirs.header);
        let ours: Vec<_> = ours.lines.iter().map(settled).collect();
        let theirs: Vec<_> = theirs.lines.iter().map(settled).collect();
        assert_eq!(ours, theirs);
    }
}

#[test]
fn a_timeout_is_logged_as_gnu_parallel_does() {
    let fixture = Fixture::of(1);
    let log = fixture.lab.client_home().join("log");
    let words = [
        "--timeout",
        "3s",
        "--joblog",
        log.to_str().unwrap(),
        "sleep {}",
        ":::",
        "0",
        "1000",
    ];
    fixture.run(&words).end().exited(100).said("TIMEOUT");
    let log = JobLog::read(&log);
    assert_eq!((log.job(1).exit, log.job(1).signal), (0, 0));
    assert_eq!((log.job(2).exit, log.job(2).signal), (-1, 15));
    assert_eq!(log.job(2).host, "ws01");
}

#[test]
fn gnu_parallel_resumes_from_the_job_log() {
    if !has_parallel() {
        eprintln!("GNU parallel is not installed: nothing to resume with");
        return;
    }
    let fixture = Fixture::local();
    let log = fixture.lab.client_home().join("log");
    let flags = [
        "-j1",
        "--joblog",
        log.to_str().unwrap(),
        "echo {}",
        ":::",
        "a",
        "b",
    ];
    fixture.run(&flags).end().exited(0);
    let mut parallel = fixture.lab.command("parallel");
    parallel
        .args(["--will-cite", "-k", "--resume", "--joblog"])
        .arg(&log);
    let output = parallel
        .args(["echo {}", ":::", "a", "b", "c"])
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "c\n", "{output:?}");
}

/// Every file below a directory with what is in it.
fn tree(directory: &Path) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut pending = vec![directory.to_owned()];
    while let Some(next) = pending.pop() {
        for entry in
            fs::read_dir(&next).unwrap_or_else(|error| panic!("{}: {error}", next.display()))
        {
            let path = entry.unwrap().path();
            if path.is_dir() {
                pending.push(path);
            } else {
                let name = path.strip_prefix(directory).unwrap().display().to_string();
                found.push((
                    name,
                    String::from_utf8_lossy(&fs::read(&path).unwrap()).into_owned(),
                ));
            }
        }
    }
    found.sort();
    found
}

#[test]
fn results_have_the_files_of_gnu_parallel() {
    let fixture = Fixture::local();
    let ours = fixture.lab.client_home().join("ours");
    let jobs = [
        "echo {1} {2}; echo no >&2",
        ":::",
        "a",
        "b c",
        ":::",
        "x/y",
        "1",
    ];
    fixture
        .run(&["-k", "--results", ours.to_str().unwrap()])
        .args(&jobs)
        .end()
        .exited(0);
    let ours = tree(&ours);
    assert_eq!(ours.len(), 12, "{ours:#?}");
    if has_parallel() {
        let theirs = fixture.lab.client_home().join("theirs");
        let mut parallel = fixture.lab.command("parallel");
        parallel
            .args(["--will-cite", "-k", "--results"])
            .arg(&theirs)
            .args(jobs);
        assert!(parallel.output().unwrap().status.success());
        assert_eq!(ours, tree(&theirs));
    }
}

#[test]
fn the_run_directory_is_private_and_complete() {
    let fixture = Fixture::of(1);
    fixture
        .run(&["echo {}; exit {}", ":::", "0", "7"])
        .end()
        .exited(100);
    let run = fixture.latest_run();
    let mode = fs::metadata(&run.path).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o700);
    let log = run.job_log();
    assert_eq!(log.header, HEADER);
    log.has_each_once(1, 2);
    assert_eq!((log.job(2).exit, log.job(2).host.as_str()), (7, "ws01"));
    assert!(run.path.join("run.json").is_file());
    let told = fs::read_to_string(run.path.join("cos.log")).unwrap();
    assert!(told.contains("ws01"), "{told}");
    assert!(
        run.events()
            .iter()
            .any(|event| event["event"] == "job-end" && event["seq"] == 2)
    );
}

#[test]
fn records_that_cannot_be_written_are_an_error_before_anything_starts() {
    let fixture = Fixture::of(1);
    for (flag, path) in [
        ("--joblog", "/nonexistent/log"),
        ("--results", "/proc/results"),
    ] {
        let ran = fixture.run(&[flag, path, "echo", ":::", "a"]).end();
        let ran = ran.printed("").said(path);
        assert_eq!(ran.code(), 1, "{}", ran.story());
    }
    assert_eq!(fixture.host("ws01").connections(), 0);
}
