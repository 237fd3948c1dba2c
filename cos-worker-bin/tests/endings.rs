//! Ends of all kinds, after which nothing is left.

mod host;

use std::process::Stdio;
use std::time::Duration;

use cos_core::ids::AttemptId;
use cos_core::job::{AttemptResult, Exit, Stream};
use cos_core::wire::PROTOCOL_VERSION;
use cos_core::wire::message::{AgentNote, FromAgent, ToAgent};
use host::{Host, preparation};
use rustix::process::{Pid, Signal, kill_process};

/// How long a tree may take to be gone. It takes about 0.1 s; machines that test are busy.
const SOON: Duration = Duration::from_secs(10);

/// A tree that resists: TERM and HUP are ignored, some of it has left the session.
const STUBBORN: &str = "trap '' TERM HUP INT; setsid sleep 1000 & sleep 1000 & \
    setsid sh -c 'setsid sleep 1000 & sleep 1000' & echo $PPID ready; sleep 1000";

fn stubborn(host: &mut Host) -> AttemptId {
    let attempt = host.shell(STUBBORN);
    host.wait_for_output(attempt, "ready");
    attempt
}

fn kill(pid: i32, signal: Signal) {
    let pid = Pid::from_raw(pid).expect("a process number");
    kill_process(pid, signal).expect("a process to signal");
}

#[test]
fn the_end_of_the_channel_ends_everything() {
    let mut host = Host::ready();
    stubborn(&mut host);
    host.close();
    host.assert_gone_within(SOON);
    let (status, words) = host.bridge_end();
    assert!(status.success(), "{words}");
}

#[test]
fn processes_left_behind_are_killed_counted_and_told() {
    let mut host = Host::ready();
    let line = "setsid sleep 1000 & (setsid sh -c 'setsid sleep 1001 & exec sleep 1002' &) ; \
        echo done";
    let attempt = host.shell(line);
    let end = host.end(attempt);
    assert_eq!(end.exit, Exit::Code(0));
    assert_eq!(end.left_over, 3);
    let killed = host.wait("the note", |message| match message {
        FromAgent::Note(AgentNote::LeftOver {
            attempt: of,
            killed,
        }) if *of == attempt => Some(*killed),
        _ => None,
    });
    assert_eq!(killed, 3);
    let names = host.processes();
    assert!(
        names.iter().all(|(_, name)| name.starts_with("cos-")),
        "{names:?}"
    );
}

#[test]
fn a_process_that_forks_without_end_is_caught() {
    let mut host = Host::ready();
    let forker = "f() { sleep 0.02; setsid sh -c \"$FORKER\" & }; f";
    let line = format!("FORKER='{forker}'; export FORKER; sh -c \"$FORKER\"; sleep 0.2; echo done");
    let (end, output) = host.run(line);
    assert_eq!(output, b"done\n");
    assert!(end.left_over > 0);
    let names = host.processes();
    assert!(
        names.iter().all(|(_, name)| name.starts_with("cos-")),
        "{names:?}"
    );
}

#[test]
fn what_ends_by_itself_right_after_the_command_is_let_alone() {
    let mut host = Host::ready();
    let (end, output) = host.run("(sleep 0.05; echo last words) & echo first");
    assert_eq!(output, b"first\nlast words\n");
    assert_eq!(end.left_over, 0);
}

#[test]
fn a_stop_is_term_and_after_its_grace_kill() {
    let mut host = Host::ready();
    let polite =
        host.shell("trap 'echo bye; exit 7' TERM; echo ready; while :; do sleep 0.01; done");
    host.wait_for_output(polite, "ready");
    let grace = Duration::from_secs(20);
    host.say(ToAgent::Stop {
        attempt: polite,
        grace,
    });
    let AttemptResult::Stopped(Some(end)) = host.result(polite) else {
        panic!("not stopped");
    };
    assert_eq!(end.exit, Exit::Code(7));
    assert_eq!(host.output_of(polite, Stream::Stdout), b"ready\nbye\n");

    let attempt = stubborn(&mut host);
    let grace = Duration::from_millis(300);
    host.say(ToAgent::Stop { attempt, grace });
    // The slot still answers: another job passes by on the other slot, and output flows.
    assert_eq!(host.run("echo meanwhile").1, b"meanwhile\n");
    let AttemptResult::Stopped(Some(end)) = host.result(attempt) else {
        panic!("not stopped");
    };
    assert_eq!(end.exit, Exit::Signal(9));
    let names = host.processes();
    assert!(
        names.iter().all(|(_, name)| name.starts_with("cos-")),
        "{names:?}"
    );
}

#[test]
fn a_stopped_job_without_credit_ends_all_the_same() {
    let mut host = Host::ready();
    host.grants_credit = false;
    let attempt = host.shell("cat /dev/zero");
    host.wait_for_bytes(attempt, cos_core::wire::message::OUTPUT_WINDOW);
    let grace = Duration::from_secs(20);
    host.say(ToAgent::Stop { attempt, grace });
    let AttemptResult::Stopped(Some(end)) = host.result(attempt) else {
        panic!("not stopped");
    };
    assert_eq!(end.exit, Exit::Signal(15));
    assert!(end.stdout.seen >= end.stdout.sent);
}

#[test]
fn a_killed_agent_leaves_nothing_and_the_bridge_says_so() {
    let mut host = Host::ready();
    stubborn(&mut host);
    kill(host.process("cos-agent"), Signal::KILL);
    host.wait_for_end();
    host.assert_gone_within(SOON);
    let (status, words) = host.bridge_end();
    assert_eq!(status.code(), Some(1));
    assert_eq!(words, "cos-worker: agent died: SIGKILL\n");
}

#[test]
fn an_agent_asked_to_leave_says_so_and_leaves_nothing() {
    let mut host = Host::ready();
    stubborn(&mut host);
    kill(host.process("cos-agent"), Signal::TERM);
    let signal = host.wait("leave", |message| match message {
        FromAgent::Leaving { signal } => Some(*signal),
        _ => None,
    });
    assert_eq!(signal, 15);
    let left = host.wait("goodbye", |message| match message {
        FromAgent::Bye { left } => Some(left.clone()),
        _ => None,
    });
    assert_eq!(left, Vec::<String>::new());
    host.assert_gone_within(SOON);
    let ended = |message: &FromAgent| matches!(message, FromAgent::Ended { .. });
    assert!(!host.passed.iter().any(ended), "{:?}", host.passed);
}

#[test]
fn a_signal_to_every_process_of_the_worker_means_leave() {
    let mut host = Host::ready();
    let attempt = host.shell("trap '' TERM; echo ready; sleep 1000");
    host.wait_for_output(attempt, "ready");
    for (pid, name) in host.processes() {
        if name.starts_with("cos-") && name != "cos-bridge" {
            // The first of them may have ended the others by now.
            let _ = kill_process(Pid::from_raw(pid).expect("a process number"), Signal::TERM);
        }
    }
    let signal = host.wait("leave", |message| match message {
        FromAgent::Leaving { signal } => Some(*signal),
        _ => None,
    });
    assert_eq!(signal, 15);
    let ended = |message: &FromAgent| matches!(message, FromAgent::Ended { .. });
    assert!(!host.passed.iter().any(ended), "{:?}", host.passed);
    host.assert_gone_within(SOON);
}

#[test]
fn an_agent_without_its_guardian_leaves() {
    let mut host = Host::ready();
    stubborn(&mut host);
    kill(host.process("cos-guardian"), Signal::KILL);
    host.wait("leave", |message| match message {
        FromAgent::Leaving { .. } => Some(()),
        _ => None,
    });
    host.assert_gone_within(SOON);
    let (status, words) = host.bridge_end();
    assert_eq!(status.code(), Some(1));
    assert!(words.contains("guardian"), "{words}");
}

#[test]
fn a_killed_slot_costs_one_attempt_and_no_other() {
    let mut host = Host::ready();
    let other = host.shell("echo ready; read x < /dev/null; sleep 0.3; echo unharmed");
    host.wait_for_output(other, "ready");
    let victim = stubborn(&mut host);
    let words = host.output_of(victim, Stream::Stdout);
    let words = String::from_utf8(words).unwrap();
    let slot = words.split(' ').next().unwrap().parse().unwrap();
    kill(slot, Signal::KILL);
    let result = host.result(victim);
    let exit = Exit::Signal(9);
    assert_eq!(result, AttemptResult::SlotDied { exit });
    host.wait("the note", |message| match message {
        FromAgent::Note(AgentNote::SlotRestarted { slot, cause }) => {
            assert_eq!((slot.0, cause.as_str()), (2, "SIGKILL"));
            Some(())
        }
        _ => None,
    });
    assert_eq!(host.end(other).exit, Exit::Code(0));
    let sleepers = host
        .processes()
        .into_iter()
        .filter(|(_, name)| name == "sleep");
    assert_eq!(sleepers.count(), 0);
    assert_eq!(host.run("echo $COS_SLOT").1, b"1\n");
    let both: Vec<_> = (0..2)
        .map(|_| host.shell("sleep 0.2; echo $COS_SLOT"))
        .collect();
    for attempt in both {
        assert_eq!(host.end(attempt).exit, Exit::Code(0));
    }
}

#[test]
fn garbage_ends_the_agent_without_a_panic() {
    let garbage: [&[u8]; 3] = [&[0xff; 64], b"GET / HTTP/1.1\r\n\r\n", &[0; 64]];
    for bytes in garbage {
        let mut host = Host::ready();
        stubborn(&mut host);
        host.write(bytes);
        host.wait_for_end();
        host.assert_gone_within(SOON);
        let (status, words) = host.bridge_end();
        assert_eq!(status.code(), Some(1));
        assert!(words.contains("the client broke the protocol: "), "{words}");
        assert!(!words.contains("died"), "{words}");
    }
}

#[test]
fn messages_out_of_order_end_the_agent() {
    let start = |host: &mut Host| {
        host.shell("true");
    };
    let prepare = |host: &mut Host| {
        let preparation = preparation(host.path());
        host.say(ToAgent::Prepare(Box::new(preparation)));
    };
    let mut unprepared = Host::start();
    unprepared.hello(PROTOCOL_VERSION);
    start(&mut unprepared);
    let mut greeted_late = Host::start();
    prepare(&mut greeted_late);
    let mut prepared_twice = Host::ready();
    prepare(&mut prepared_twice);
    let cases = [
        (unprepared, "an attempt before the host was ready"),
        (greeted_late, "no hello came first"),
        (prepared_twice, "a second preparation"),
    ];
    for (mut host, cause) in cases {
        host.wait_for_end();
        let (status, words) = host.bridge_end();
        assert_eq!(status.code(), Some(1));
        assert!(words.contains(cause), "{words}");
    }
}

#[test]
fn another_protocol_version_is_answered_with_a_hello() {
    let mut host = Host::start();
    host.hello(PROTOCOL_VERSION + 1);
    let theirs = host.wait("hello", |message| match message {
        FromAgent::Hello(hello) => Some(hello.protocol),
        _ => None,
    });
    assert_eq!(theirs, PROTOCOL_VERSION);
    host.wait_for_end();
    let (status, words) = host.bridge_end();
    assert_eq!(status.code(), Some(1));
    assert!(words.contains("protocol"), "{words}");
}

#[test]
fn an_agent_that_hears_nothing_for_a_lease_ends() {
    let mut host = Host::start();
    let mut preparation = preparation(host.path());
    preparation.lease = Duration::from_secs(1);
    host.prepare(preparation).unwrap();
    stubborn(&mut host);
    // The client's own messages are answers to heartbeats, which the test now no longer reads.
    host.assert_gone_within(SOON);
    let (status, words) = host.bridge_end();
    assert_eq!(status.code(), Some(1));
    assert!(words.contains("silent"), "{words}");
}

#[test]
fn an_agent_that_was_stopped_beyond_its_lease_fences_itself() {
    let mut host = Host::start();
    let mut preparation = preparation(host.path());
    let lease = Duration::from_secs(1);
    preparation.lease = lease;
    host.prepare(preparation).unwrap();
    let attempt = host.shell("echo ready; sleep 1000");
    host.wait_for_output(attempt, "ready");
    let agent = host.process("cos-agent");
    kill(agent, Signal::STOP);
    let began = std::time::Instant::now();
    while began.elapsed() < lease + Duration::from_millis(200) {
        host.say(ToAgent::Heartbeat { stamp: 1 });
        std::thread::sleep(Duration::from_millis(100));
    }
    // What came meanwhile was meant for a living agent: it must not act on it.
    let late = host.shell("touch late");
    kill(agent, Signal::CONT);
    host.wait_for_end();
    host.assert_gone_within(SOON);
    let of_late = |message: &FromAgent| matches!(message, FromAgent::Started { attempt, .. } if *attempt == late);
    assert!(!host.passed.iter().any(of_late), "{:?}", host.passed);
    assert!(!host.path().join("late").exists());
    let (_, words) = host.bridge_end();
    assert!(words.contains("silent"), "{words}");
}

#[test]
fn an_attempt_that_comes_twice_is_a_broken_client() {
    let mut host = Host::ready();
    let attempt = host.shell("echo ready; sleep 1000");
    host.wait_for_output(attempt, "ready");
    let mut job = cos_core::job::CommandJob::shell(1, "true");
    job.sequence = attempt.task.0;
    host.start_job(job);
    host.wait_for_end();
    let (_, words) = host.bridge_end();
    assert!(words.contains("an attempt came twice"), "{words}");
}

#[test]
fn a_shutdown_with_grace_lets_jobs_end() {
    let mut host = Host::ready();
    let attempt =
        host.shell("trap 'echo saved; exit 0' TERM; echo ready; while :; do sleep 0.01; done");
    host.wait_for_output(attempt, "ready");
    let grace = Duration::from_secs(20);
    host.say(ToAgent::Shutdown { grace });
    let AttemptResult::Stopped(Some(end)) = host.result(attempt) else {
        panic!("not stopped");
    };
    assert_eq!(end.exit, Exit::Code(0));
    assert_eq!(host.output_of(attempt, Stream::Stdout), b"ready\nsaved\n");
    host.wait("goodbye", |message| match message {
        FromAgent::Bye { left } if left.is_empty() => Some(()),
        _ => None,
    });
    host.assert_gone_within(SOON);
}

#[test]
fn a_client_that_never_sends_a_word_is_no_burden() {
    let mut host = Host::start();
    host.wait("hello", |message| match message {
        FromAgent::Hello(_) => Some(()),
        _ => None,
    });
    host.close();
    host.assert_gone_within(SOON);
}

#[test]
fn a_bridge_that_cannot_have_a_directory_says_why() {
    let directory = tempfile::tempdir().unwrap();
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_cos-worker"))
        .args(cos_core::worker::bridge_arguments("n", "../x", "h"))
        .env("XDG_RUNTIME_DIR", directory.path())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(words.contains("`../x` is no run id"), "{words}");
}
