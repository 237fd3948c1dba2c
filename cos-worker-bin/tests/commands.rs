//! Command jobs on a real agent: what they see, what comes back.

mod host;

use std::os::unix::ffi::OsStrExt;
use std::time::Duration;

use cos_core::job::{
    Amounts, AttemptResult, CommandJob, Exit, JobDirectory, LinePart, Program, Stream,
};
use cos_core::wire::message::{FromAgent, ToAgent};
use host::Host;
use serde_bytes::ByteBuf;

fn bytes(text: &[u8]) -> ByteBuf {
    ByteBuf::from(text.to_vec())
}

#[test]
fn an_echo_comes_back() {
    let mut host = Host::ready();
    let attempt = host.shell("echo hello; echo oops >&2; exit 3");
    let end = host.end(attempt);
    assert_eq!(end.exit, Exit::Code(3));
    assert_eq!(host.output_of(attempt, Stream::Stdout), b"hello\n");
    assert_eq!(host.output_of(attempt, Stream::Stderr), b"oops\n");
    assert_eq!((end.stdout.seen, end.stdout.sent), (6, 6));
    assert_eq!((end.stderr.seen, end.stderr.sent), (5, 5));
    assert_eq!(end.left_over, 0);
    assert_eq!(host.shut_down(), Vec::<String>::new());
    let (status, words) = host.bridge_end();
    assert!(status.success(), "{words}");
    assert_eq!(words, "");
}

#[test]
fn a_signal_is_told_from_an_exit_code() {
    let mut host = Host::ready();
    assert_eq!(host.run("kill -SEGV $$").0.exit, Exit::Signal(11));
    assert_eq!(host.run("kill -KILL $$").0.exit, Exit::Signal(9));
    assert_eq!(host.run("exit 255").0.exit, Exit::Code(255));
    assert_eq!(host.run("exit 137").0.exit, Exit::Code(137));
}

#[test]
fn a_command_sees_what_it_should() {
    let mut host = Host::ready_with(|preparation| {
        let variables = [
            (&b"FROM_HOST"[..], &b"h"[..]),
            (b"BOTH", b"host"),
            (b"BYTES", b"a\xff\nb"),
            (b"BASH_FUNC_greet%%", b"() { echo hi; }"),
        ];
        preparation.environment = variables.map(|(k, v)| (bytes(k), bytes(v))).to_vec();
    });
    let line = b"printf '%s|' \"$COS_RUN\" $COS_SEQ $COS_SLOT $COS_HOST $COS_TRY \
        $PARALLEL_SEQ $PARALLEL_JOBSLOT $OMP_NUM_THREADS $FROM_HOST $BOTH \"$BYTES\" \"$JOB\"; \
        pwd; readlink /proc/self/fd/0; cat";
    let sequence = host.next_sequence();
    let mut job = CommandJob::shell(sequence, *line);
    job.environment = vec![
        (bytes(b"BOTH"), bytes(b"job")),
        (bytes(b"JOB"), bytes(b"$(x) `y` '\"\\")),
    ];
    let attempt = host.start_job_with(job, Amounts::cores(2));
    assert_eq!(host.end(attempt).exit, Exit::Code(0));
    let output = host.output_of(attempt, Stream::Stdout);
    let mut expected = b"test|1|1|ws03|1|1|1|2|h|job|a\xff\nb|$(x) `y` '\"\\|".to_vec();
    expected.extend_from_slice(host.path().as_os_str().as_bytes());
    expected.extend_from_slice(b"\n/dev/null\n");
    assert_eq!(
        String::from_utf8_lossy(&output),
        String::from_utf8_lossy(&expected)
    );
    assert_eq!(output, expected);
    // Some shells drop what they could not name themselves; no shell, no loss.
    let sequence = host.next_sequence();
    let attempt = host.start_job(CommandJob::argv(sequence, ["env"]));
    host.end(attempt);
    let output = host.output_of(attempt, Stream::Stdout);
    let output = String::from_utf8_lossy(&output).into_owned();
    let is_there = |line: &str| line == "BASH_FUNC_greet%%=() { echo hi; }";
    assert!(output.lines().any(is_there), "{output}");
}

#[test]
fn threads_that_were_asked_for_are_not_overridden() {
    let mut host = Host::ready_with(|preparation| {
        preparation.environment = vec![(bytes(b"OMP_NUM_THREADS"), bytes(b"7"))];
    });
    assert_eq!(host.run("echo $OMP_NUM_THREADS").1, b"7\n");
}

#[test]
fn no_descriptor_of_ours_reaches_a_command() {
    let mut host = Host::ready();
    let sequence = host.next_sequence();
    let attempt = host.start_job(CommandJob::argv(sequence, ["ls", "/proc/self/fd"]));
    host.end(attempt);
    // The last one is the directory that `ls` reads.
    assert_eq!(host.output_of(attempt, Stream::Stdout), b"0\n1\n2\n3\n");
}

#[test]
fn no_signal_is_ignored_or_blocked_in_a_command() {
    let mut host = Host::ready();
    let (_, output) = host.run("grep -E 'Sig(Ign|Blk)' /proc/self/status | tr -d '\\t'");
    let output = String::from_utf8_lossy(&output);
    for line in output.lines() {
        let (_, mask) = line.split_once(':').unwrap();
        // Signals 32 and 33 are glibc's own, which its `posix_spawn` leaves ignored.
        let mask = u64::from_str_radix(mask, 16).unwrap() & !(0b11 << 31);
        assert_eq!(mask, 0, "{output}");
    }
}

#[test]
fn an_argument_vector_meets_no_shell() {
    let mut host = Host::ready();
    let words: [&[u8]; 4] = [b"printf", b"%s\n", b"$(id) 'x' \\", b"\xff\xfe; rm -rf x"];
    let sequence = host.next_sequence();
    let attempt = host.start_job(CommandJob::argv(sequence, words.map(<[u8]>::to_vec)));
    assert_eq!(host.end(attempt).exit, Exit::Code(0));
    let output = host.output_of(attempt, Stream::Stdout);
    assert_eq!(output, b"$(id) 'x' \\\n\xff\xfe; rm -rf x\n");
}

#[test]
fn what_is_not_there_is_127_and_what_cannot_be_executed_126() {
    let mut host = Host::ready();
    let data = host.path().join("data");
    std::fs::write(&data, "no program").unwrap();
    let mut exit_of = |word: &[u8]| {
        let sequence = host.next_sequence();
        let attempt = host.start_job(CommandJob::argv(sequence, [word.to_vec()]));
        let exit = host.end(attempt).exit;
        (exit, host.output_of(attempt, Stream::Stderr))
    };
    let (exit, words) = exit_of(b"no-such-command-here");
    assert_eq!(exit, Exit::NOT_FOUND);
    let words = String::from_utf8_lossy(&words);
    assert!(words.contains("no-such-command-here"), "{words}");
    assert_eq!(exit_of(data.as_os_str().as_bytes()).0, Exit::NOT_EXECUTABLE);
    assert_eq!(exit_of(b"").0, Exit::NOT_FOUND);
    assert_eq!(host.run("no-such-command-here").0.exit, Exit::NOT_FOUND);
}

#[test]
fn a_line_beyond_the_kernels_limit_is_the_jobs_own_failure() {
    let mut host = Host::ready();
    for kib in [140, 300, 1000] {
        let mut line = b"true ".to_vec();
        line.resize(kib * 1024, b'x');
        assert_eq!(host.run(line).0.exit, Exit::TOO_LONG);
    }
    assert_eq!(host.run("echo on").1, b"on\n");
}

#[test]
fn the_slots_number_is_filled_in_where_the_job_runs() {
    let mut host = Host::ready();
    let blocker = host.shell("echo up; sleep 1000");
    host.wait_for_output(blocker, "up");
    let line = vec![LinePart::Text(b"echo slot-".to_vec()), LinePart::Slot];
    let sequence = host.next_sequence();
    let attempt = host.start_job(CommandJob::new(sequence, Program::Shell(line)));
    assert_eq!(host.end(attempt).exit, Exit::Code(0));
    assert_eq!(host.output_of(attempt, Stream::Stdout), b"slot-2\n");
}

#[test]
fn both_streams_may_be_large_at_once() {
    let mut host = Host::ready();
    let line = "seq 1 200000 & seq 200001 400000 >&2; wait";
    let attempt = host.shell(line);
    let end = host.end(attempt);
    let lines = |from: u32, to: u32| -> Vec<u8> {
        (from..=to)
            .flat_map(|n| format!("{n}\n").into_bytes())
            .collect()
    };
    assert!(host.output_of(attempt, Stream::Stdout) == lines(1, 200_000));
    assert!(host.output_of(attempt, Stream::Stderr) == lines(200_001, 400_000));
    assert_eq!(end.stdout.seen, end.stdout.sent);
    assert_eq!(end.left_over, 0);
}

#[test]
fn output_beyond_its_limit_is_counted_and_memory_stays_flat() {
    const MEGABYTE: u64 = 1 << 20;
    let mut host = Host::ready();
    let mut job = CommandJob::shell(
        host.next_sequence(),
        "head -c 300M /dev/zero; grep VmHWM /proc/$PPID/status >&2",
    );
    job.output_limit = 3 * MEGABYTE + 7;
    let attempt = host.start_job(job);
    let end = host.end(attempt);
    assert_eq!(end.stdout.seen, 300 * MEGABYTE);
    assert_eq!(end.stdout.sent, 3 * MEGABYTE + 7);
    let output = host.output_of(attempt, Stream::Stdout);
    assert_eq!(output.len() as u64, 3 * MEGABYTE + 7);
    let memory = host.output_of(attempt, Stream::Stderr);
    let memory = String::from_utf8_lossy(&memory).into_owned();
    let kib: u64 = memory.split_whitespace().nth(1).unwrap().parse().unwrap();
    assert!(kib < 20 * 1024, "the slot took {memory}");
}

#[test]
fn a_command_waits_for_credit_and_another_does_not() {
    use cos_core::wire::message::OUTPUT_WINDOW;
    let mut host = Host::ready();
    host.grants_credit = false;
    let large = host.shell("head -c 2M /dev/zero");
    assert_eq!(host.run("echo small").1, b"small\n");
    host.wait_for_bytes(large, OUTPUT_WINDOW);
    // Nothing more may come: another job passes by, and the large one stands where it stood.
    assert_eq!(host.run("echo small").1, b"small\n");
    let key = (large.task.0, Stream::Stdout);
    assert_eq!(host.output[&key].len() as u64, OUTPUT_WINDOW);
    let bytes = 1 << 30;
    host.say(ToAgent::Credit {
        attempt: large,
        bytes,
    });
    assert_eq!(host.end(large).stdout.sent, 2 << 20);
    assert_eq!(host.output[&key].len(), 2 << 20);
}

#[test]
fn a_client_that_does_not_read_for_a_while_loses_nothing() {
    const JOBS: usize = 8;
    const BYTES: usize = 250_000;
    let mut host = Host::ready_with(|preparation| {
        preparation.slots = cos_core::wire::message::SlotCount::Number(JOBS as u32);
    });
    let reading = host.reading();
    let paused = reading.lock().unwrap();
    let line = format!("head -c {BYTES} /dev/zero; touch done-$COS_SEQ");
    let attempts: Vec<_> = (0..JOBS).map(|_| host.shell(line.clone())).collect();
    // Their windows let them finish, more than the agent takes in for a client that does not read: the rest is with
    // the slots and in pipes.
    let deadline = std::time::Instant::now() + host::PATIENCE;
    for sequence in 1..=JOBS {
        while !host.path().join(format!("done-{sequence}")).exists() {
            assert!(std::time::Instant::now() < deadline, "job {sequence} hangs");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
    drop(paused);
    for attempt in attempts {
        assert_eq!(host.end(attempt).stdout.sent, BYTES as u64);
        assert_eq!(host.output_of(attempt, Stream::Stdout), vec![0; BYTES]);
    }
}

#[test]
fn what_a_command_consumed_is_its_own() {
    let mut host = Host::ready();
    let (end, _) = host.run("i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done");
    assert!(end.usage.user > Duration::ZERO);
    assert!(end.usage.max_resident_kib > 100);
    assert!(end.elapsed > Duration::ZERO);
    let (idle, _) = host.run("true");
    assert!(idle.usage.user < end.usage.user);
}

#[test]
fn a_private_directory_is_empty_and_goes_with_its_job() {
    let mut host = Host::ready();
    let mut private = |line: &str| {
        let mut job = CommandJob::shell(host.next_sequence(), line);
        job.directory = JobDirectory::Private;
        let attempt = host.start_job(job);
        assert_eq!(host.end(attempt).exit, Exit::Code(0));
        String::from_utf8(host.output_of(attempt, Stream::Stdout)).unwrap()
    };
    let first = private("ls -A; mkdir -p a/b; echo x > a/b/c; chmod 0 a; pwd");
    let second = private("ls -A; pwd");
    assert_ne!(first, second);
    assert!(first.starts_with('/') && second.starts_with('/'));
    assert!(!std::path::Path::new(first.trim()).exists());
    assert!(!std::path::Path::new(second.trim()).exists());
    let here = host.run("pwd").1;
    assert_eq!(here.trim_ascii(), host.path().as_os_str().as_bytes());
    let local = host.path().join("local");
    assert_eq!(host.shut_down(), Vec::<String>::new());
    assert_eq!(std::fs::read_dir(local).unwrap().count(), 0);
}

#[test]
fn niceness_is_added() {
    let mut host = Host::ready_with(|preparation| preparation.nice = 7);
    let own: i32 = rustix::process::getpriority_process(None).unwrap();
    let (_, output) = host.run("nice");
    assert_eq!(output, format!("{}\n", (own + 7).min(19)).into_bytes());
}

#[test]
fn attempts_start_in_order_as_cores_are_free() {
    let mut host = Host::ready();
    let first = host.shell("echo up; sleep 1000");
    host.wait_for_output(first, "up");
    let sequence = host.next_sequence();
    let wide = host.start_job_with(CommandJob::shell(sequence, "echo wide"), Amounts::cores(2));
    let behind = host.shell("echo behind");
    host.say(ToAgent::Recall { attempt: behind });
    let returned = host.wait("the return", |message| match message {
        FromAgent::Returned { attempt } => Some(*attempt),
        _ => None,
    });
    assert_eq!(returned, behind);
    let waiting = host.shell("echo waiting");
    let grace = Duration::ZERO;
    host.say(ToAgent::Stop {
        attempt: waiting,
        grace,
    });
    assert_eq!(host.result(waiting), AttemptResult::Stopped(None));
    host.say(ToAgent::Stop {
        attempt: first,
        grace,
    });
    let AttemptResult::Stopped(Some(end)) = host.result(first) else {
        panic!("not stopped");
    };
    assert_eq!(end.exit, Exit::Signal(9));
    assert_eq!(host.end(wide).exit, Exit::Code(0));
    let sequence = host.next_sequence();
    let job = CommandJob::shell(sequence, "true");
    let too_wide = host.start_job_with(job, Amounts::cores(3));
    let AttemptResult::NotStarted { cause } = host.result(too_wide) else {
        panic!("started");
    };
    assert_eq!(cause, "it takes 3 cores, and 2 cores are given here");
}

#[test]
fn many_small_jobs_end_once_each() {
    let mut host = Host::ready();
    let attempts: Vec<_> = (0..300).map(|n| host.shell(format!("echo {n}"))).collect();
    for (n, attempt) in attempts.into_iter().enumerate() {
        assert_eq!(host.end(attempt).exit, Exit::Code(0));
        let output = host.output_of(attempt, Stream::Stdout);
        assert_eq!(output, format!("{n}\n").into_bytes());
    }
}
