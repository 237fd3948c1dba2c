//! Lines that stall, break, fall silent or are slow, while jobs run.

use std::time::Duration;

use cos_testlab::FaultPlan;

use crate::support::{Fixture, Running, sorted_lines, sorted_numbers};

/// How many jobs a run has.
const JOBS: u32 = 12;

/// A run whose jobs, the first ones excepted, end only when [`release`] lets them; some run on each host.
fn start(fixture: &Fixture) -> Running<'_> {
    let numbers: Vec<String> = (1..=JOBS).map(|number| number.to_string()).collect();
    let gate = fixture.lab.directory().join("gate");
    let command = format!(
        "test {{}} -le 2 || until [ -e {} ]; do sleep 0.05; done; echo {{}}",
        gate.display()
    );
    let mut cos = fixture.run(&[&command, ":::"]).args(&numbers).start();
    cos.wait_for_lines(2);
    for host in &fixture.hosts {
        cos.wait_for("a running job", |_| {
            let processes = host.processes();
            processes
                .iter()
                .any(|process| process.command_line.starts_with("/bin/sh -c test"))
        });
    }
    cos
}

fn release(fixture: &Fixture) {
    std::fs::write(fixture.lab.directory().join("gate"), "").unwrap();
}

fn assert_all_done(fixture: &Fixture, cos: Running<'_>) -> crate::support::Ran {
    let ran = cos.end().exited(0);
    assert_eq!(
        sorted_lines(&ran.stdout),
        sorted_numbers(1, JOBS),
        "{}",
        ran.story()
    );
    let log = fixture.latest_run().job_log();
    log.has_each_once(1, u64::from(JOBS));
    ran
}

#[test]
fn a_host_that_falls_silent_is_given_up_when_its_lease_has_ended() {
    let fixture = Fixture::of(2).default_line("lease = \"10s\"");
    let proxy = fixture.host("ws02").through(FaultPlan::new()).unwrap();
    let mut cos = start(&fixture);
    proxy.blackhole();
    release(&fixture);
    cos.wait_for_stderr("ws02: ");
    assert_all_done(&fixture, cos).said("requeued");
}

#[test]
fn a_line_that_stalls_for_less_than_the_lease_loses_nothing() {
    let fixture = Fixture::of(2);
    let proxy = fixture.host("ws02").through(FaultPlan::new()).unwrap();
    let cos = start(&fixture);
    proxy.stall();
    std::thread::sleep(Duration::from_secs(3));
    release(&fixture);
    proxy.resume();
    let ran = assert_all_done(&fixture, cos).never_said("requeued");
    assert_eq!(fixture.host("ws02").connections(), 1, "{}", ran.story());
}

#[test]
fn a_line_that_is_reset_is_made_again() {
    let fixture = Fixture::of(1);
    let proxy = fixture.host("ws01").through(FaultPlan::new()).unwrap();
    let mut cos = start(&fixture);
    proxy.reset();
    cos.wait_for_stderr("ws01: ");
    release(&fixture);
    assert_all_done(&fixture, cos);
    assert_eq!(fixture.host("ws01").connections(), 2);
}

#[test]
fn a_slow_line_is_slow_and_nothing_else() {
    let fixture = Fixture::of(1);
    let plan = FaultPlan::new()
        .seed(7)
        .latency(Duration::from_millis(150))
        .jitter(Duration::from_millis(50));
    let proxy = fixture.host("ws01").through(plan).unwrap();
    let ran = fixture
        .run(&["-k", "echo {}", ":::", "1", "2", "3", "4"])
        .end()
        .exited(0);
    // The worker is there now.
    proxy.set_bytes_per_second(Some(125_000));
    let words = [
        "-k",
        "head -c 200000 /dev/zero | tr '\\0' {}",
        ":::",
        "a",
        "b",
        "c",
    ];
    let slow = fixture.run(&words).end().exited(0);
    assert_eq!(
        slow.stdout,
        [[b'a'; 200_000], [b'b'; 200_000], [b'c'; 200_000]].concat()
    );
    ran.printed("1\n2\n3\n4\n")
        .never_said("lost")
        .never_said("requeued");
    assert_eq!(fixture.host("ws01").connections(), 2);
}
