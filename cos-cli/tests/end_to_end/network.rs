//! Lines that stall, break, fall silent or are slow, while jobs run.

use std::time::Duration;

use cos_testlab::FaultPlan;

use crate::support::{Fixture, Gated};

/// A run of which some jobs run on each host.
fn start(fixture: &Fixture) -> Gated<'_> {
    let hosts: Vec<&str> = fixture.hosts.iter().map(|host| host.name()).collect();
    Gated::start(fixture, 12, 2, &hosts)
}

#[test]
fn a_host_that_falls_silent_is_given_up_when_its_lease_has_ended() {
    let fixture = Fixture::of(2).default_line("lease = \"10s\"");
    let proxy = fixture.host("ws02").through(FaultPlan::new()).unwrap();
    let mut run = start(&fixture);
    proxy.blackhole();
    run.open();
    run.cos.wait_for_stderr("ws02: ");
    run.end().said("requeued");
}

#[test]
fn a_line_that_stalls_for_less_than_the_lease_loses_nothing() {
    let fixture = Fixture::of(2);
    let proxy = fixture.host("ws02").through(FaultPlan::new()).unwrap();
    let run = start(&fixture);
    proxy.stall();
    std::thread::sleep(Duration::from_secs(3));
    run.open();
    proxy.resume();
    let ran = run.end().never_said("requeued");
    assert_eq!(fixture.host("ws02").connections(), 1, "{}", ran.story());
}

#[test]
fn a_line_that_is_reset_is_made_again() {
    let fixture = Fixture::of(1);
    let proxy = fixture.host("ws01").through(FaultPlan::new()).unwrap();
    let mut run = start(&fixture);
    proxy.reset();
    run.cos.wait_for_stderr("ws01: ");
    run.open();
    run.end();
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
