//! From submission to outcome on hosts that do as they should, and when one is lost.

use super::bench::{Bench, millis, seconds};
use crate::event::{AgainCause, RunEvent};
use crate::ids::Epoch;
use crate::job::{AttemptResult, Exit, TaskError};
use crate::vm::host::HostLoss;

#[test]
fn a_task_runs_and_has_one_outcome() {
    let mut bench = Bench::new(&[1]);
    let task = bench.submit();
    let at = bench.start();
    assert_eq!((at.0, at.1.task, at.1.epoch), (0, task, Epoch::FIRST));
    bench.run(at, Exit::Code(0), seconds(2));
    assert!(bench.outcome(task).is_ok());
    assert_eq!(bench.kernel.accepted(), 0);
}

#[test]
fn work_begins_on_the_first_host_that_is_up() {
    let specs = [super::bench::spec("a", &[]), super::bench::spec("b", &[])];
    let mut bench = Bench::cold(super::super::KernelConfig::default(), &specs);
    assert_eq!(bench.connects(), [0, 1]);
    bench.submit();
    assert_eq!(bench.starts(), []);
    bench.up(1, 4);
    assert_eq!(bench.start().0, 1);
}

#[test]
fn tasks_go_where_the_smallest_share_is_used() {
    let mut bench = Bench::new(&[1, 4]);
    for _ in 0..6 {
        bench.submit();
    }
    let hosts: Vec<u32> = bench.starts().iter().map(|at| at.0).collect();
    assert_eq!(hosts, [0, 1, 1, 1, 1], "the sixth waits");
    assert_eq!(bench.kernel.free_slots(), 0);
}

#[test]
fn a_lost_host_costs_a_crash_for_what_ran_and_nothing_for_what_did_not() {
    let mut bench = Bench::new(&[2, 2]);
    let running = bench.submit();
    let first = bench.start();
    bench.started(first);
    let sent = bench.submit();
    let second = bench.start();
    assert_eq!((first.0, second.0), (0, 1));
    bench.lose(0, Bench::disconnected());
    let (host, attempt) = bench.start();
    assert_eq!((host, attempt.task, attempt.epoch), (1, running, Epoch(2)));
    bench.lose(1, Bench::disconnected());
    let again: Vec<_> = bench
        .events
        .iter()
        .filter_map(|event| match event {
            RunEvent::TaskAgain { attempt, cause, .. } => Some((
                attempt.task,
                matches!(cause, AgainCause::Crash { crashes: 1, .. }),
            )),
            _ => None,
        })
        .collect();
    assert_eq!(again, [(running, true), (running, false), (sent, false)]);
    // What the lost host still says is dropped.
    let late = AttemptResult::Command(super::bench::end(Exit::Code(0), millis(1)));
    bench.ended(first, late);
    assert_eq!(bench.outcomes(), []);
    assert_eq!(bench.kernel.late_messages(), 1);
    assert_eq!(bench.kernel.accepted(), 2);
}

#[test]
fn a_task_that_takes_hosts_down_is_quarantined_at_the_third() {
    let mut bench = Bench::new(&[1, 1, 1, 1]);
    let task = bench.submit();
    for host in 0..3 {
        let at = bench.start();
        assert_eq!(at.0, host, "another host each time");
        bench.started(at);
        bench.lose(
            host,
            HostLoss::AgentDied {
                cause: "SIGKILL".into(),
            },
        );
    }
    match bench.outcome(task) {
        Err(TaskError::Quarantined {
            host, crashes: 3, ..
        }) => assert_eq!(host, "c"),
        other => panic!("{other:?}"),
    }
    assert_eq!(bench.starts(), []);
}

#[test]
fn what_ran_on_a_silent_host_waits_until_its_agent_is_dead_for_certain() {
    let mut bench = Bench::new(&[1, 1]);
    bench.submit();
    let at = bench.start();
    bench.started(at);
    bench.lose(
        0,
        HostLoss::Silent {
            silent_for: seconds(60),
        },
    );
    bench.pass(seconds(10) - millis(1));
    assert_eq!(bench.starts(), []);
    bench.pass(millis(1));
    assert_eq!(bench.start().0, 1);
}

#[test]
fn a_host_that_was_told_to_leave_counts_nothing_and_stays_away() {
    let mut bench = Bench::new(&[1, 1]);
    bench.submit();
    let at = bench.start();
    bench.started(at);
    bench.lose(0, HostLoss::Left { signal: 15 });
    assert_eq!(bench.start().0, 1);
    assert!(!bench.events.iter().any(|event| matches!(
        event,
        RunEvent::TaskAgain {
            cause: AgainCause::Crash { .. },
            ..
        }
    )));
    bench.pass(seconds(3600));
    assert_eq!(bench.connects(), []);
}
