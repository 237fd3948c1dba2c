//! Hosts that come, fail, come back, leave.

use super::bench::{Bench, millis, seconds, spec};
use crate::event::RunEvent;
use crate::job::{Exit, Needs, TaskError};
use crate::kernel::{ConnectConfig, KernelConfig, SubmitError, TaskPolicy};
use crate::vm::host::{FailureKind, HostLoss};
use crate::vm::{VmCommand, VmEvent};

fn hosts(n: usize) -> Vec<crate::vm::host::HostSpec> {
    (0..n).map(|i| spec(&format!("h{i}"), &["lab"])).collect()
}

#[test]
fn all_hosts_are_connected_at_once_but_for_the_cap() {
    let mut bench = Bench::cold(KernelConfig::default(), &hosts(20));
    let first = bench.connects();
    assert_eq!(first.len(), 16);
    assert_eq!(first[0], 0, "the first host is not put off");
    bench.up(first[3], 1);
    bench.fail(first[4], FailureKind::Permanent);
    assert_eq!(bench.connects().len(), 2);
}

#[test]
fn a_failed_host_is_tried_again_with_pauses_that_grow_to_half_a_minute() {
    let mut bench = Bench::cold(KernelConfig::default(), &hosts(1));
    let mut pauses = Vec::new();
    for _ in 0..9 {
        assert_eq!(bench.connects(), [0]);
        bench.fail(0, FailureKind::Retry);
        let asked = bench.now;
        let at = bench.kernel.poll_timeout().expect("it is tried again");
        pauses.push(at.since(asked));
        bench.pass(at.since(asked));
    }
    for (n, pause) in (0..).zip(&pauses) {
        let nominal = seconds(1 << n).min(seconds(30));
        assert!(*pause <= nominal && *pause >= nominal * 3 / 4, "{pauses:?}");
    }
}

#[test]
fn a_crowded_sshd_is_tried_soon_and_is_no_failure() {
    let mut bench = Bench::cold(KernelConfig::default(), &hosts(1));
    for _ in 0..ConnectConfig::default().crowded_tries {
        bench.connects();
        bench.fail(0, FailureKind::Crowded);
        let at = bench.kernel.poll_timeout().expect("it is tried again");
        let pause = at.since(bench.now);
        assert!(pause >= millis(300) && pause <= seconds(3), "{pause:?}");
        bench.pass(pause);
    }
    bench.submit();
    assert_eq!(bench.outcomes(), [], "still hoped for");
    for _ in 0..3 {
        bench.fail(0, FailureKind::Crowded);
        bench.pass(seconds(30));
    }
    assert_eq!(bench.outcomes().len(), 1, "bounded");
}

#[test]
fn a_permanent_failure_is_never_tried_again() {
    let mut bench = Bench::cold(KernelConfig::default(), &hosts(1));
    let task = bench.submit();
    bench.connects();
    bench.fail(0, FailureKind::Permanent);
    match bench.outcome(task) {
        Err(TaskError::NoHostLeft { cause, .. }) => assert_eq!(cause, "h0: ssh: no"),
        other => panic!("{other:?}"),
    }
    assert_eq!(bench.kernel.poll_timeout(), None);
    assert!(matches!(
        bench.try_submit(Needs::default(), TaskPolicy::default()),
        Err(SubmitError::NoHostLeft { .. })
    ));
}

#[test]
fn a_host_is_hoped_for_until_it_has_failed_three_times() {
    let mut bench = Bench::cold(KernelConfig::default(), &hosts(2));
    let task = bench.submit();
    bench.fail(0, FailureKind::Permanent);
    for _ in 0..2 {
        bench.fail(1, FailureKind::Retry);
        bench.pass(seconds(30));
        assert_eq!(bench.outcomes(), []);
        assert_eq!(bench.kernel.no_host_left(&Needs::default()), None);
        assert_eq!(bench.kernel.wanting(), 0);
    }
    bench.fail(1, FailureKind::Retry);
    assert!(matches!(
        bench.outcome(task),
        Err(TaskError::NoHostLeft { .. })
    ));
    assert!(bench.kernel.no_host_left(&Needs::default()).is_some());
    assert_eq!(bench.kernel.wanting(), 1, "whoever asks is told");
    // It is tried on, and taken when it comes.
    bench.connects();
    bench.pass(seconds(30));
    assert_eq!(bench.connects(), [1]);
    bench.up(1, 1);
    bench.submit();
    assert_eq!(bench.start().0, 1);
}

#[test]
fn a_lost_host_comes_back_and_takes_tasks_again() {
    let mut bench = Bench::new(&[1]);
    bench.lose(0, Bench::disconnected());
    bench.submit();
    bench.pass(seconds(1));
    assert_eq!(bench.connects(), [0]);
    bench.up(0, 1);
    let at = bench.start();
    bench.run(at, Exit::Code(0), seconds(1));
    assert_eq!(bench.outcomes().len(), 1);
}

#[test]
fn a_host_that_comes_up_only_to_be_lost_is_given_up() {
    let mut bench = Bench::new(&[1]);
    let task = bench.submit();
    bench.starts();
    for _ in 0..2 {
        bench.lose(0, Bench::disconnected());
        bench.pass(seconds(30));
        bench.up(0, 1);
    }
    assert_eq!(bench.outcomes(), []);
    bench.lose(0, Bench::disconnected());
    assert!(matches!(
        bench.outcome(task),
        Err(TaskError::NoHostLeft { .. })
    ));
}

#[test]
fn a_host_that_worked_is_hoped_for_a_minute_however_often_it_fails() {
    let mut bench = Bench::new(&[1]);
    bench.submit();
    let at = bench.start();
    bench.run(at, Exit::Code(0), seconds(1));
    bench.outcomes();
    bench.lose(0, Bench::disconnected());
    bench.submit();
    let lost = bench.now;
    while bench.outcomes().is_empty() {
        let at = bench.kernel.poll_timeout().expect("it is tried again");
        bench.pass(at.since(bench.now));
        assert_eq!(bench.connects(), [0]);
        bench.fail(0, FailureKind::Retry);
    }
    let hoped = bench.now.since(lost);
    assert!(hoped >= seconds(60) && hoped <= seconds(90), "{hoped:?}");
}

#[test]
fn a_host_that_breaks_the_protocol_is_dropped() {
    let mut bench = Bench::new(&[1, 1]);
    let loss = HostLoss::Protocol {
        cause: "frame of 4 GiB".into(),
    };
    bench.lose(0, loss);
    bench.pass(seconds(3600));
    assert_eq!(bench.connects(), []);
}

#[test]
fn events_of_hosts_that_are_not_there_change_nothing() {
    let mut bench = Bench::new(&[1]);
    bench.up(7, 4);
    bench.up(0, 4);
    bench.fail(0, FailureKind::Permanent);
    bench.lose(9, Bench::disconnected());
    assert_eq!(bench.kernel.slots(), 1);
    assert_eq!(bench.events, []);
}

#[test]
fn a_start_that_hangs_is_given_up_and_tried_again() {
    let mut bench = Bench::cold(KernelConfig::default(), &hosts(1));
    bench.connects();
    bench.pass(ConnectConfig::default().stage_limit);
    assert!(matches!(
        bench.commands.as_slice(),
        [VmCommand::Disconnect { .. }]
    ));
    bench.handle(VmEvent::Closed {
        host: crate::ids::HostId(0),
        left: Vec::new(),
    });
    bench.pass(seconds(2));
    assert_eq!(bench.connects(), [0]);
}

#[test]
fn load_of_others_pauses_with_hysteresis() {
    let mut specs = hosts(1);
    specs[0].max_load = Some(1.0);
    let mut bench = Bench::cold(KernelConfig::default(), &specs);
    bench.up(0, 2);
    let load = |bench: &mut Bench, others_per_core| {
        bench.handle(VmEvent::Load {
            host: crate::ids::HostId(0),
            others_per_core,
        });
    };
    load(&mut bench, 1.5);
    assert!(!bench.kernel.has_room(&Needs::default()));
    bench.submit();
    assert_eq!(bench.starts(), []);
    assert_eq!(bench.kernel.wanting(), 0);
    load(&mut bench, 0.9);
    assert_eq!(bench.starts(), [], "not far enough below");
    load(&mut bench, 0.8);
    assert_eq!(bench.starts().len(), 1);
    assert!(bench.kernel.has_room(&Needs::default()));
    assert!(!bench.kernel.has_room(&Needs::cores(2)));
    let changes = bench.events.iter().filter(|event| {
        matches!(
            event,
            RunEvent::HostPaused { .. } | RunEvent::HostResumed { .. }
        )
    });
    assert_eq!(changes.count(), 2);
}

#[test]
fn a_drained_host_ends_what_it_has() {
    let mut bench = Bench::new(&[2, 1]);
    bench.submit();
    let at = bench.start();
    bench.started(at);
    bench.kernel.drain(crate::ids::HostId(0), bench.now);
    bench.submit();
    assert_eq!(bench.start().0, 1);
    bench.submit();
    assert_eq!(bench.starts(), []);
    bench.run(at, Exit::Code(0), seconds(1));
    assert!(matches!(
        bench.commands.as_slice(),
        [VmCommand::Disconnect { .. }]
    ));
}

#[test]
fn needs_that_no_host_can_meet_are_refused() {
    let mut bench = Bench::new(&[2, 4]);
    let mut refused = |needs| {
        bench
            .try_submit(needs, TaskPolicy::default())
            .expect_err("it cannot run")
            .to_string()
    };
    assert_eq!(
        refused(Needs::default().tag("gpu")),
        "no enabled host has tag `gpu`"
    );
    assert_eq!(
        refused(Needs::cores(5)),
        "it needs 5 cores, the largest host that may run it has 4 cores"
    );
    assert_eq!(
        refused(Needs::default().on(crate::ids::HostId(2))),
        "there is no host number 2"
    );
}

#[test]
fn a_task_that_proves_too_large_ends_when_the_last_host_is_known() {
    let mut bench = Bench::cold(KernelConfig::default(), &hosts(2));
    let task = bench.submit_with(Needs::cores(8), TaskPolicy::default());
    bench.up(0, 4);
    assert_eq!(bench.outcomes(), []);
    bench.up(1, 4);
    match bench.outcome(task) {
        Err(TaskError::NoHostLeft { cause, .. }) => {
            assert_eq!(cause, "h0: has 4 cores only; h1: has 4 cores only");
        }
        other => panic!("{other:?}"),
    }
}
