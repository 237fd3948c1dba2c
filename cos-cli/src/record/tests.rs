//! The records of a run, and that GNU parallel's tools can read them.

use super::*;
use crate::output::{OutputOptions, OutputRouter};
use cos_core::event::{RunEvent, Stamped};
use cos_core::ids::{AttemptId, Epoch, HostId, SlotId, TaskId};
use cos_core::job::{
    CommandEnd, Exit, Outcome, Stream, StreamTotals, TaskEnd, TaskError, TaskLabel, Usage,
};
use cos_core::time::Time;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, SystemTime};

fn directory() -> tempfile::TempDir {
    tempfile::tempdir().expect("a directory")
}

fn end(exit: Exit) -> CommandEnd {
    CommandEnd {
        exit,
        usage: Usage::default(),
        elapsed: Duration::from_millis(12_410),
        stdout: StreamTotals { seen: 3, sent: 3 },
        stderr: StreamTotals::default(),
        left_over: 0,
        out_of_memory_kills: 0,
    }
}

fn failed(exit: Exit) -> TaskError {
    TaskError::CommandFailed {
        host: "ws03".into(),
        end: end(exit),
        tries: 1,
    }
}

/// A router that captures output and shows nothing.
fn router() -> OutputRouter<crate::output::JsonlSink> {
    let options = OutputOptions {
        mode: crate::arguments::OutputMode::Group,
        keep_order: false,
        capture_limit: u64::MAX,
    };
    OutputRouter::new(crate::output::JsonlSink::new(Box::new(io::sink())), options)
}

#[test]
fn a_run_has_a_private_directory_and_latest_names_it() {
    let state = directory();
    let first = RunDirectory::create(&state.path().join("deep/cos")).expect("created");
    let second = RunDirectory::create(&state.path().join("deep/cos")).expect("created");
    assert_ne!(first.id(), second.id());
    let mode = first
        .path()
        .metadata()
        .expect("it exists")
        .permissions()
        .mode();
    assert_eq!(mode & 0o7777, 0o700);
    let latest = std::fs::read_link(state.path().join("deep/cos/runs/latest")).expect("a link");
    assert_eq!(latest.as_os_str(), second.id().as_str());
    let entries = std::fs::read_dir(state.path().join("deep/cos/runs"))
        .expect("readable")
        .count();
    assert_eq!(entries, 3, "two runs and latest");
}

#[test]
fn a_directory_that_cannot_be_made_is_named() {
    let error = RunDirectory::create(Path::new("/proc/no/such")).expect_err("no room there");
    assert_eq!(error.path, Path::new("/proc/no/such/runs"));
}

#[test]
fn the_run_file_is_replaced_whole() {
    let state = directory();
    let run = RunDirectory::create(state.path()).expect("created");
    let mut file = RunFile::of_process(run.id(), vec!["ws01".into()], jiff::Timestamp::UNIX_EPOCH);
    file.write(&run.run_file()).expect("written");
    let end = RunEnd {
        ended: "1970-01-01T00:01:00Z".into(),
        succeeded: 3,
        failed: 1,
        not_run: 0,
        exit: crate::exit_code::JOBS_FAILED,
    };
    file.end = Some(end);
    file.write(&run.run_file()).expect("written");
    let text = std::fs::read_to_string(run.run_file()).expect("readable");
    let read: RunFile = serde_json::from_str(&text).expect("its own form");
    assert_eq!(read, file);
    assert_eq!(read.started, "1970-01-01T00:00:00Z");
    assert_eq!(std::fs::read_dir(run.path()).expect("readable").count(), 1);
}

fn entry(sequence: u64, status: JobStatus, command: &[u8]) -> JobLogEntry<'_> {
    JobLogEntry {
        sequence,
        host: "ws03",
        started: SystemTime::UNIX_EPOCH + Duration::from_millis(1_795_381_100_176),
        runtime: Duration::from_micros(12_410_499),
        sent: 0,
        received: 5,
        status,
        command,
    }
}

#[test]
fn the_joblog_is_gnus_byte_by_byte() {
    let state = directory();
    let path = state.path().join("joblog");
    let mut log = JobLog::create(&path).expect("created");
    let ok = JobStatus { exit: 0, signal: 0 };
    log.write(&entry(7, ok, b"echo a\nb\t\xff"))
        .and_then(|()| log.flush())
        .expect("written");
    assert_eq!(
        std::fs::read(&path)
            .expect("readable")
            .escape_ascii()
            .to_string(),
        "Seq\\tHost\\tStarttime\\tJobRuntime\\tSend\\tReceive\\tExitval\\tSignal\\tCommand\\n\
         7\\tws03\\t1795381100.176\\t    12.410\\t0\\t5\\t0\\t0\\techo a\\x00b\\t\\xff\\n"
    );
}

#[test]
fn outcomes_have_gnus_numbers() {
    let numbers = |outcome: &Outcome| JobStatus::of(outcome).map(|s| (s.exit, s.signal));
    assert_eq!(
        numbers(&Ok(TaskEnd::Command(end(Exit::Code(0))))),
        Some((0, 0))
    );
    assert_eq!(numbers(&Err(failed(Exit::Code(130)))), Some((130, 0)));
    assert_eq!(numbers(&Err(failed(Exit::Signal(9)))), Some((0, 9)));
    let timeout = TaskError::TimedOut {
        task: TaskLabel::default(),
        host: "ws03".into(),
        after: Duration::from_secs(1),
        end: Some(end(Exit::Signal(15))),
        tries: 1,
    };
    assert_eq!(numbers(&Err(timeout)), Some((-1, 15)));
    assert_eq!(
        numbers(&Err(TaskError::Cancelled {
            task: TaskLabel::default(),
            end: None
        })),
        None,
        "to be run again"
    );
}

#[test]
fn an_existing_joblog_is_emptied_or_with_a_plus_continued() {
    let state = directory();
    let path = state.path().join("joblog");
    let ok = JobStatus { exit: 0, signal: 0 };
    let lines = || {
        std::fs::read_to_string(&path)
            .expect("readable")
            .lines()
            .count()
    };
    for _ in 0..2 {
        let mut log = JobLog::open(path.as_os_str()).expect("opened");
        log.write(&entry(1, ok, b"true")).expect("taken");
        log.flush().expect("written");
        assert_eq!(lines(), 2);
    }
    let plus = format!("+{}", path.display());
    let mut log = JobLog::open(plus.as_ref()).expect("opened");
    log.write(&entry(2, ok, b"true")).expect("taken");
    log.flush().expect("written");
    assert_eq!(lines(), 3);
    assert_eq!(log.path(), path);
}

/// The same jobs by GNU parallel, where it is installed, give the same log but for the times; and it resumes ours.
#[test]
fn the_installed_gnu_parallel_writes_the_same_joblog_and_reads_ours() {
    let state = directory();
    let parallel = |log: &Path, flags: &[&str]| {
        std::process::Command::new("parallel")
            .args(["--will-cite", "-k", "--joblog"])
            .arg(log)
            .args(flags)
            .args(["echo {}; exit {}", ":::", "0", "3"])
            .stdin(std::process::Stdio::null())
            .output()
    };
    let (ours, gnus) = (state.path().join("ours"), state.path().join("gnus"));
    let Ok(_) = parallel(&gnus, &[]) else { return };
    let mut log = JobLog::create(&ours).expect("created");
    for (sequence, exit, command) in [(1, 0, "echo 0; exit 0"), (2, 3, "echo 3; exit 3")] {
        let status = JobStatus { exit, signal: 0 };
        let entry = JobLogEntry {
            host: ":",
            received: 2,
            ..entry(sequence, status, command.as_bytes())
        };
        log.write(&entry).expect("taken");
    }
    log.flush().expect("written");
    let without_times = |path: &Path| -> Vec<Vec<String>> {
        let text = std::fs::read_to_string(path).expect("readable");
        text.lines()
            .map(|line| {
                let columns = line.split('\t').enumerate();
                columns
                    .filter(|(index, _)| !matches!(index, 2 | 3))
                    .map(|(_, c)| c.to_owned())
                    .collect()
            })
            .collect()
    };
    assert_eq!(without_times(&ours), without_times(&gnus));
    let widths = |path: &Path| -> Vec<usize> {
        let text = std::fs::read_to_string(path).expect("readable");
        text.lines()
            .skip(1)
            .filter_map(|line| line.split('\t').nth(3))
            .map(str::len)
            .collect()
    };
    assert_eq!(widths(&ours), widths(&gnus));
    let resumed = parallel(&ours, &["--resume-failed"]).expect("installed");
    assert_eq!(
        String::from_utf8_lossy(&resumed.stdout),
        "3\n",
        "the failed one alone"
    );
}

/// The same results by GNU parallel, where it is installed, lie in the same files.
#[test]
fn the_installed_gnu_parallel_names_the_same_results() {
    let state = directory();
    let values = ["a/b", "c d", "e\\f", "g\th", "ü'"];
    let gnu = std::process::Command::new("parallel")
        .args(["--will-cite", "--results", "gnu", "printf %s {2}", ":::"])
        .args(values)
        .args([":::", "x"])
        .current_dir(state.path())
        .stdin(std::process::Stdio::null())
        .output();
    if gnu.is_err() {
        return;
    }
    let results = Results::new(state.path().join("cos").as_os_str(), &[]).expect("a directory");
    let mut router = router();
    for (sequence, value) in (1..).zip(values) {
        router
            .write(sequence, Stream::Stdout, b"x")
            .expect("captured");
        let capture = router.capture(sequence).expect("running");
        results
            .write(sequence, &[value, "x"], capture)
            .expect("written");
    }
    let listing = |name: &str| {
        let output = std::process::Command::new("sh")
            .args(["-c", "cd \"$1\" && find . -type f | sort && cat $(find . -name seq | sort | tr ' \\t' '??')"])
            .args(["sh", name])
            .current_dir(state.path())
            .output()
            .expect("sh");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    assert_eq!(listing("cos"), listing("gnu"));
    assert!(listing("cos").contains("stdout"));
}

#[test]
fn every_jobs_output_is_in_one_file() {
    let state = directory();
    let path = state.path().join("output");
    let mut archive = OutputArchive::create(&path).expect("created");
    let mut router = router();
    for sequence in 1..=50 {
        let text = format!("out {sequence}\n").repeat(usize::try_from(sequence).expect("small"));
        router
            .write(sequence, Stream::Stdout, text.as_bytes())
            .expect("captured");
        router
            .write(sequence, Stream::Stderr, b"\xff{\n")
            .expect("captured");
        let capture = router.capture(sequence).expect("running");
        archive
            .append(sequence, 2, "ws03", capture)
            .expect("appended");
        router.end(sequence).expect("ended");
    }
    for sequence in [1, 33, 50] {
        let found = find_output(&path, sequence)
            .expect("readable")
            .expect("there");
        let text = format!("out {sequence}\n").repeat(usize::try_from(sequence).expect("small"));
        assert_eq!(found.stdout, text.as_bytes());
        assert_eq!(
            (found.stderr.as_slice(), found.try_number),
            (&b"\xff{\n"[..], 2)
        );
        assert_eq!(found.host, "ws03");
    }
    assert_eq!(find_output(&path, 51).expect("readable"), None);

    // Cut anywhere, the records before are still found, and nothing wrong is.
    let whole = std::fs::read(&path).expect("readable");
    let last = find_output(&path, 50).expect("readable");
    for cut in (0..whole.len()).rev().step_by(7) {
        std::fs::write(&path, &whole[..cut]).expect("written");
        let found = find_output(&path, 50).expect("a torn record is no error");
        assert!(found.is_none() || found == last);
    }
}

#[test]
fn ten_megabytes_of_a_stream_are_kept() {
    let state = directory();
    let path = state.path().join("output");
    let mut archive = OutputArchive::create(&path).expect("created");
    let mut router = router();
    let chunk = vec![b'x'; 1 << 20];
    for _ in 0..12 {
        router.write(1, Stream::Stdout, &chunk).expect("captured");
    }
    archive
        .append(1, 1, "ws03", router.capture(1).expect("running"))
        .expect("appended");
    let found = find_output(&path, 1).expect("readable").expect("there");
    assert_eq!(
        (found.stdout.len() as u64, found.stdout_seen),
        (OUTPUT_LIMIT, 12 << 20)
    );
    assert!(path.metadata().expect("it exists").len() < OUTPUT_LIMIT + 500);
}

#[test]
fn a_full_disk_is_never_silent() {
    let full = Path::new("/dev/full");
    let mut router = router();
    router.write(1, Stream::Stdout, b"x").expect("captured");
    let capture = router.capture(1).expect("running");
    assert!(JobLog::create(full).is_err());
    let mut archive = OutputArchive::create(full).expect("created");
    assert!(archive.append(1, 1, "ws03", capture).is_err());
    let mut events = EventLog::create(full).expect("created");
    events.write("{}\n").expect("taken");
    let error = events.flush().expect_err("the disk is full");
    assert_eq!(error.hint(), Some("make room there"));
    let results = Results::new("/proc/no/results".as_ref(), &[]).expect("a directory");
    assert!(results.write(1, &["a"], capture).is_err());
}

fn line(event: RunEvent) -> Option<String> {
    let names = EventNames {
        hosts: vec!["big".into(), "ws03".into()],
    };
    let start = Time::from_boot(Duration::from_secs(1000));
    let clock = WallClock::new(
        start,
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_381_100),
    );
    let stamped = Stamped {
        at: start + Duration::from_millis(176),
        event,
    };
    event_line(&stamped, &names, clock, Some("sim.sh c.net"))
}

#[test]
fn events_are_lines_of_json() {
    let attempt = AttemptId {
        task: TaskId(5),
        epoch: Epoch::FIRST,
    };
    let started = RunEvent::TaskStarted {
        attempt,
        index: 216,
        host: HostId(1),
        slot: SlotId(3),
        try_number: 1,
        work: std::sync::Arc::new(cos_core::job::CommandJob::shell(1, "true").into()),
    };
    assert_eq!(
        line(started).as_deref(),
        Some(
            "{\"v\":1,\"t\":1795381100.176,\"event\":\"job-start\",\"seq\":217,\"host\":\"ws03\",\"slot\":3,\
             \"try\":1,\"command\":\"sim.sh c.net\"}\n"
        )
    );
    let ended = RunEvent::TaskEnded {
        attempt: Some(attempt),
        task: TaskId(5),
        index: 216,
        host: Some(HostId(1)),
        tries: 1,
        outcome: Err(failed(Exit::Code(1))),
    };
    assert_eq!(
        line(ended).as_deref(),
        Some(
            "{\"v\":1,\"t\":1795381100.176,\"event\":\"job-end\",\"seq\":217,\"host\":\"ws03\",\"try\":1,\
             \"result\":\"failed\",\"exit\":1,\"signal\":0,\"secs\":12.41,\"stdout\":3,\"stderr\":0,\
             \"cause\":\"exit 1 on ws03\"}\n"
        )
    );
    let output = RunEvent::TaskOutput {
        attempt,
        index: 0,
        stream: Stream::Stdout,
        bytes: b"x".as_slice().into(),
    };
    assert_eq!(line(output), None);
    let unknown = line(RunEvent::HostResumed { host: HostId(9) });
    assert_eq!(
        unknown.as_deref(),
        Some("{\"v\":1,\"t\":1795381100.176,\"event\":\"host-resumed\",\"host\":\"?\"}\n")
    );
}
