//! Ctrl-C once, twice and thrice, SIGTERM and SIGHUP, sent as a terminal sends them: to the whole process group.

use std::time::{Duration, Instant};

use cos_testlab::HostProcess;
use rustix::process::Signal;

use crate::support::{DEADLINE, Fixture, Running, sorted_lines};

/// How a job begins that is to be ended: it does not care for SIGTERM, and has a child that has left its session.
const STUBBORN: &str =
    "trap '' TERM INT HUP; setsid sleep 1000 & echo up {}; while :; do sleep 1001; done";

fn is_sleep(process: &HostProcess) -> bool {
    process.name == "sleep"
}

/// Starts jobs that never end, one on each slot of each host, and waits until all run.
fn start_stubborn<'a>(fixture: &'a Fixture) -> Running<'a> {
    let numbers: Vec<String> = (1..=20).map(|number| number.to_string()).collect();
    let mut cos = fixture
        .run(&["--output", "line", STUBBORN, ":::"])
        .args(&numbers)
        .start();
    cos.wait_for_lines(2 * fixture.hosts.len());
    cos
}

#[test]
fn the_first_interrupt_lets_running_jobs_finish() {
    for (signal, code) in [(Signal::INT, 130), (Signal::HUP, 129)] {
        let fixture = Fixture::of(1);
        let command = "until [ -e \"$HOME/go\" ]; do sleep 0.01; done; echo done {}";
        let mut cos = fixture.run(&[command, ":::", "1", "2", "3", "4"]).start();
        let host = fixture.host("ws01");
        cos.wait_for("two running jobs", |_| {
            let jobs = host.processes();
            jobs.iter()
                .filter(|it| it.command_line.starts_with("/bin/sh -c until"))
                .count()
                == 2
        });
        cos.signal(signal);
        cos.wait_for_stderr("finishing 2");
        std::fs::write(host.home().join("go"), "").unwrap();
        let ran = cos.end().exited(code);
        assert_eq!(
            sorted_lines(&ran.stdout),
            ["done 1", "done 2"],
            "{}",
            ran.story()
        );
        let log = fixture.latest_run().job_log();
        log.has_each_once(1, 2);
        assert!(
            log.lines
                .iter()
                .all(|line| line.exit == 0 && line.signal == 0),
            "{log:#?}"
        );
    }
}

#[test]
fn the_second_interrupt_ends_running_jobs() {
    let fixture = Fixture::of(2);
    let mut cos = start_stubborn(&fixture);
    cos.signal(Signal::INT);
    cos.wait_for_stderr("finishing 4");
    for host in &fixture.hosts {
        assert!(
            host.processes().iter().any(is_sleep),
            "the first one lets jobs run"
        );
    }
    cos.signal(Signal::INT);
    cos.end().exited(130);
}

/// Ended jobs get TERM and a second later KILL, and are promised to be gone a second after that.
#[test]
fn two_seconds_after_the_second_interrupt_no_process_is_left() {
    let fixture = Fixture::of(2);
    let mut cos = start_stubborn(&fixture);
    cos.signal(Signal::INT);
    cos.wait_for_stderr("finishing 4");
    cos.signal(Signal::INT);
    let since = Instant::now();
    for host in &fixture.hosts {
        host.wait_for_no_processes(DEADLINE).unwrap();
    }
    let took = since.elapsed();
    let ran = cos.end().exited(130);
    // It is promised of a machine that has time for it: where three want to run on each core, all takes three times as
    // long.
    let wanting = wanting_per_core();
    let wanted = Duration::from_secs(2).mul_f64(wanting);
    println!("all gone after {took:?}, while {wanting:.1} tasks wanted each core");
    assert!(took < wanted, "{took:?}, not {wanted:?}: {}", ran.story());
}

/// How many tasks of this machine want to run, for each of its cores; at least 1.
fn wanting_per_core() -> f64 {
    let load = std::fs::read_to_string("/proc/loadavg").unwrap();
    let mut fields = load.split([' ', '/']);
    let average: f64 = fields.next().unwrap().parse().unwrap();
    let now: f64 = fields.nth(2).unwrap().parse().unwrap();
    let cores = std::thread::available_parallelism().unwrap().get();
    (average.max(now) / cores as f64).max(1.0)
}

#[test]
fn the_third_interrupt_leaves_at_once() {
    let fixture = Fixture::of(2);
    let mut cos = start_stubborn(&fixture);
    cos.signal(Signal::INT);
    cos.wait_for_stderr("finishing 4");
    cos.signal(Signal::INT);
    cos.signal(Signal::INT);
    // The hosts clean themselves when they see the end of their channels.
    cos.end().exited(130);
}

#[test]
fn termination_ends_running_jobs() {
    let fixture = Fixture::of(2);
    let cos = start_stubborn(&fixture);
    cos.signal(Signal::TERM);
    cos.end().exited(143);
}

#[test]
fn local_jobs_obey_signals_too() {
    let fixture = Fixture::local();
    let numbers: Vec<String> = (1..=20).map(|number| number.to_string()).collect();
    let words = ["-j2", "--output", "line", STUBBORN, ":::"];
    let mut cos = fixture.run(&words).args(&numbers).start();
    cos.wait_for_lines(2);
    cos.signal(Signal::INT);
    cos.wait_for_stderr("finishing 2");
    cos.signal(Signal::INT);
    cos.end().exited(130);
}

#[test]
fn an_interrupt_before_any_host_is_ready() {
    let fixture = Fixture::with_broken(|lab| {
        let silent = lab
            .broken_host("ws01", cos_testlab::Breakage::Silent)
            .unwrap();
        (Vec::new(), vec![silent])
    });
    let mut cos = fixture.run(&["echo", ":::", "a"]).start();
    cos.wait_for("an ssh that connects", |cos| has_child(cos.pid(), "ssh"));
    cos.signal(Signal::INT);
    cos.end().exited(130).printed("");
}

#[test]
fn an_interrupt_while_input_is_awaited() {
    let fixture = Fixture::of(1);
    let mut cos = fixture.run(&["echo {}"]).open_input().start();
    cos.write("1\n");
    cos.wait_for_stdout("1\n");
    cos.signal(Signal::INT);
    // Nothing runs: the end of the input is not waited for.
    let input = cos.take_input();
    cos.end().exited(130).printed("1\n");
    drop(input);
}

#[test]
fn jobs_do_not_see_the_interrupt() {
    let fixture = Fixture::of(1);
    let command = "trap 'echo hit' INT; echo up; until [ -e \"$HOME/go\" ]; do sleep 0.01; done; echo end # {}";
    let mut cos = fixture
        .run(&["--output", "line", command, ":::", "1"])
        .start();
    cos.wait_for_stdout("up\n");
    cos.signal(Signal::INT);
    cos.wait_for_stderr("finishing 1");
    std::fs::write(fixture.host("ws01").home().join("go"), "").unwrap();
    cos.end().exited(130).printed("up\nend\n");
}

/// Whether a process has a child of this name.
fn has_child(pid: i32, name: &str) -> bool {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    processes.into_iter().any(|entry| {
        let stat = std::fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        stat.contains(&format!("({name}) ")) && stat.contains(&format!(" {pid} "))
    })
}

#[test]
fn an_interrupt_leaves_a_dead_host_out_of_the_wait() {
    let fixture = Fixture::of(2);
    let mut cos = start_stubborn(&fixture);
    let host = fixture.host("ws02");
    // Frozen: it neither answers nor closes anything.
    let proxyless = host.processes();
    assert!(proxyless.iter().any(is_sleep));
    cos.signal(Signal::INT);
    cos.wait_for_stderr("finishing");
    host.kill().unwrap();
    cos.signal(Signal::INT);
    let ran = cos.end_unchecked().exited(130);
    std::fs::remove_dir_all(host.root()).unwrap();
    fixture.assert_nothing_left(&ran);
    host.wait_for_no_processes(DEADLINE).unwrap();
}

#[test]
fn a_hang_up_that_was_ignored_before_stays_ignored() {
    let fixture = Fixture::of(1);
    let command = "until [ -e \"$HOME/go\" ]; do sleep 0.01; done; echo {}";
    let mut cos = fixture
        .run_by_nohup(&["--output", "line", "-k", command, ":::", "1", "2", "3", "4"])
        .start();
    let host = fixture.host("ws01");
    cos.wait_for("a running job", |_| {
        let jobs = host.processes();
        jobs.iter()
            .any(|it| it.command_line.starts_with("/bin/sh -c until"))
    });
    cos.signal(Signal::HUP);
    std::fs::write(host.home().join("go"), "").unwrap();
    cos.end()
        .exited(0)
        .printed("1\n2\n3\n4\n")
        .never_said("finishing");
}
