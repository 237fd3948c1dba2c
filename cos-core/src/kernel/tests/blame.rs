//! Missing tools, and hosts that fail good tasks.

use std::time::Duration;

use super::bench::{Bench, end, millis, seconds};
use crate::event::{AgainCause, PauseCause, RunEvent};
use crate::ids::HostId;
use crate::job::{AttemptResult, Exit, Needs, TaskError};
use crate::kernel::{ExitCodes, TaskPolicy};

fn missing() -> AttemptResult {
    AttemptResult::Command(end(Exit::NOT_FOUND, millis(1)))
}

fn left_out(bench: &Bench) -> Vec<(u32, u32)> {
    let events = bench.events.iter();
    events
        .filter_map(|event| match event {
            RunEvent::HostLeftOut { host, moved, .. } => Some((host.0, *moved)),
            _ => None,
        })
        .collect()
}

fn paused(bench: &Bench) -> Vec<(u32, u32)> {
    let events = bench.events.iter();
    events
        .filter_map(|event| match event {
            RunEvent::HostPaused {
                host,
                cause: PauseCause::FailsFast { failures },
            } => Some((host.0, *failures)),
            _ => None,
        })
        .collect()
}

fn resumed(bench: &Bench, host: u32) -> bool {
    let host = HostId(host);
    bench.events.contains(&RunEvent::HostResumed { host })
}

#[test]
fn a_host_without_the_tool_is_left_out_and_the_task_moves_without_losing_its_try() {
    let mut bench = Bench::new(&[2, 2]);
    let task = bench.submit();
    let other = bench.submit();
    let third = bench.submit();
    let starts = bench.starts();
    let on_a: Vec<_> = starts.iter().copied().filter(|at| at.0 == 0).collect();
    assert_eq!(on_a.len(), 2);
    for at in &on_a {
        bench.started(*at);
        bench.ended(*at, missing());
    }
    assert_eq!(left_out(&bench), [(0, 1), (0, 2)]);
    let mut moved = bench.starts();
    assert_eq!(moved.len(), 1, "the other host has one free slot");
    moved.extend(starts.iter().filter(|at| at.0 == 1));
    for at in moved {
        bench.run(at, Exit::Code(0), seconds(1));
    }
    let at = bench.start();
    assert_eq!(at.0, 1);
    bench.run(at, Exit::Code(0), seconds(1));
    let outcomes = bench.outcomes();
    assert_eq!(outcomes.len(), 3);
    assert!(outcomes.iter().all(|(_, outcome)| outcome.is_ok()));
    let mut ids: Vec<_> = outcomes.iter().map(|(id, _)| *id).collect();
    ids.sort();
    assert_eq!(ids, [task, other, third]);
}

#[test]
fn a_tool_that_no_host_has_ends_every_task() {
    let mut bench = Bench::new(&[1, 1]);
    for _ in 0..10 {
        bench.submit();
    }
    for _ in 0..2 {
        for at in bench.starts() {
            bench.started(at);
            bench.ended(at, missing());
        }
    }
    let outcomes = bench.outcomes();
    assert_eq!(outcomes.len(), 10);
    for (id, outcome) in outcomes {
        let expected = TaskError::CommandMissing {
            exit: Exit::NOT_FOUND,
        };
        assert_eq!(outcome, Err(expected), "task {id}");
    }
    assert_eq!(bench.starts(), []);
}

#[test]
fn hosts_that_are_still_connecting_may_have_the_tool() {
    let specs = [super::bench::spec("a", &[]), super::bench::spec("b", &[])];
    let mut bench = Bench::cold(super::super::KernelConfig::default(), &specs);
    let task = bench.submit();
    bench.up(0, 1);
    let at = bench.start();
    bench.started(at);
    bench.ended(at, missing());
    assert_eq!(bench.outcomes(), []);
    bench.up(1, 1);
    let at = bench.start();
    bench.run(at, Exit::Code(0), seconds(1));
    assert!(bench.outcome(task).is_ok());
}

#[test]
fn a_host_that_has_the_tool_keeps_its_place_when_one_task_says_otherwise() {
    let mut bench = Bench::new(&[1, 1]);
    for _ in 0..2 {
        bench.submit();
    }
    for at in bench.starts() {
        bench.run(at, Exit::Code(0), seconds(1));
    }
    bench.outcomes();
    let odd = bench.submit();
    for host in 0..2 {
        let at = bench.start();
        assert_eq!(at.0, host);
        bench.started(at);
        bench.ended(at, missing());
    }
    match bench.outcome(odd) {
        Err(TaskError::CommandFailed { host, tries: 1, .. }) => assert_eq!(host, "b"),
        other => panic!("{other:?}"),
    }
    assert_eq!(left_out(&bench), []);
    bench.submit();
    assert_eq!(bench.start().0, 0);
}

#[test]
fn a_task_that_ends_well_where_another_found_no_tool_lets_the_host_in_again() {
    let mut bench = Bench::new(&[2]);
    let odd = bench.submit();
    let good = bench.submit();
    let starts = bench.starts();
    bench.started(starts[0]);
    bench.started(starts[1]);
    bench.ended(starts[0], missing());
    assert_eq!(
        bench.outcomes(),
        [],
        "the other may yet show that the tool is there"
    );
    bench.submit();
    assert_eq!(bench.starts(), []);
    bench.ended(
        starts[1],
        AttemptResult::Command(end(Exit::Code(0), seconds(1))),
    );
    let outcomes = bench.outcomes();
    assert_eq!(outcomes[0].0, good);
    assert!(matches!(&outcomes[1], (id, Err(TaskError::CommandFailed { .. })) if *id == odd));
    assert_eq!(bench.starts().len(), 1);
}

#[test]
fn exit_127_is_success_for_those_who_say_so() {
    let mut bench = Bench::new(&[1]);
    let policy = TaskPolicy {
        success: ExitCodes::ZERO.with(127),
        ..TaskPolicy::default()
    };
    let task = bench.submit_with(Needs::default(), policy);
    let at = bench.start();
    bench.run(at, Exit::NOT_FOUND, millis(1));
    assert!(bench.outcome(task).is_ok());
    assert_eq!(left_out(&bench), []);
}

#[test]
fn classes_are_judged_apart() {
    let mut bench = Bench::new(&[1]);
    bench.class = 1;
    bench.submit();
    let at = bench.start();
    bench.started(at);
    bench.ended(at, missing());
    assert_eq!(bench.outcomes().len(), 1);
    bench.class = 2;
    bench.submit();
    assert_eq!(bench.starts().len(), 1);
}

/// Host a fails every task at once while b does well, so often.
fn fail_on_a(bench: &mut Bench, times: u32, elapsed: Duration) {
    for _ in 0..times {
        bench.submit();
        bench.submit();
        for at in bench.starts() {
            let exit = Exit::Code(i32::from(at.0 == 0));
            bench.run(at, exit, elapsed);
        }
    }
}

#[test]
fn a_host_that_fails_fast_while_others_succeed_is_paused_and_probed_by_one_task() {
    let mut bench = Bench::new(&[4, 4]);
    fail_on_a(&mut bench, 5, millis(2));
    assert_eq!(paused(&bench), [], "four results of the others are too few");
    fail_on_a(&mut bench, 1, millis(2));
    assert_eq!(paused(&bench), [(0, 6)]);
    bench.submit();
    assert_eq!(bench.start().0, 1);
    bench.pass(seconds(30));
    let mut starts = Vec::new();
    for _ in 0..3 {
        bench.submit();
        starts.push(bench.start());
    }
    let probes: Vec<_> = starts.iter().filter(|at| at.0 == 0).collect();
    assert_eq!(probes.len(), 1, "one task alone");
    // The probe fails: the pause is twice as long.
    bench.run(*probes[0], Exit::Code(1), millis(2));
    assert_eq!(paused(&bench), [(0, 6), (0, 1)]);
    bench.pass(seconds(59));
    bench.submit();
    assert_eq!(bench.start().0, 1);
    bench.pass(seconds(1));
    bench.submit();
    let at = bench.start();
    assert_eq!(at.0, 0);
    assert!(!resumed(&bench, 0));
    bench.run(at, Exit::Code(0), millis(2));
    assert!(resumed(&bench, 0));
    bench.submit();
    bench.submit();
    assert_eq!(bench.starts().iter().filter(|at| at.0 == 0).count(), 2);
}

#[test]
fn nobody_is_paused_when_the_tasks_are_bad() {
    let mut bench = Bench::new(&[1, 1]);
    for _ in 0..40 {
        bench.submit();
        for at in bench.starts() {
            bench.run(at, Exit::Code(1), millis(2));
        }
    }
    assert_eq!(paused(&bench), []);
}

#[test]
fn slow_failures_are_the_tasks_own() {
    let mut bench = Bench::new(&[1, 1]);
    for _ in 0..12 {
        bench.submit();
        bench.submit();
        for at in bench.starts() {
            let (exit, elapsed) = if at.0 == 0 {
                (1, seconds(90))
            } else {
                (0, seconds(9))
            };
            bench.run(at, Exit::Code(exit), elapsed);
        }
    }
    assert_eq!(paused(&bench), []);
}

#[test]
fn a_host_that_cannot_start_tasks_loses_them_to_others_and_is_paused() {
    let mut bench = Bench::new(&[1, 1]);
    for n in 0..4 {
        let task = bench.submit();
        let mut at = bench.start();
        if at.0 == 0 {
            let cause = "fork: no memory".into();
            bench.ended(at, AttemptResult::NotStarted { cause });
            at = bench.start();
        } else {
            assert_eq!(n, 3, "paused after three");
        }
        assert_eq!(at.0, 1);
        bench.run(at, Exit::Code(0), millis(5));
        assert!(bench.outcome(task).is_ok());
    }
    assert_eq!(paused(&bench), [(0, 3)]);
}

#[test]
fn a_task_that_no_host_can_start_ends_and_says_why() {
    let mut bench = Bench::new(&[1, 1]);
    let task = bench.submit();
    for _ in 0..2 {
        let at = bench.start();
        let cause = "Argument list too long".into();
        bench.ended(at, AttemptResult::NotStarted { cause });
    }
    match bench.outcome(task) {
        Err(TaskError::NoHostLeft { cause, .. }) => assert_eq!(cause, "b: Argument list too long"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_retry_goes_to_another_host_even_if_that_one_is_busy() {
    let mut bench = Bench::new(&[1, 1]);
    let policy = TaskPolicy {
        tries: 3,
        ..TaskPolicy::default()
    };
    let task = bench.submit_with(Needs::default(), policy);
    let first = bench.start();
    bench.submit();
    let busy = bench.start();
    bench.run(first, Exit::Code(1), seconds(1));
    assert_eq!(bench.starts(), [], "it waits for the other host");
    assert!(bench.events.iter().any(|event| matches!(
        event,
        RunEvent::TaskAgain {
            cause: AgainCause::Retry {
                try_number: 1,
                tries: 3,
                ..
            },
            ..
        }
    )));
    bench.run(busy, Exit::Code(0), seconds(1));
    let second = bench.start();
    assert_eq!((second.0, second.1.task), (1, task));
    bench.run(second, Exit::Code(1), seconds(1));
    // It has failed everywhere: any host will do.
    let third = bench.start();
    bench.run(third, Exit::Code(1), seconds(1));
    let outcomes = bench.outcomes();
    assert!(matches!(
        &outcomes[1],
        (id, Err(TaskError::CommandFailed { tries: 3, .. })) if *id == task
    ));
}

#[test]
fn a_retry_does_not_wait_for_a_host_that_is_down() {
    let mut bench = Bench::new(&[1, 1]);
    bench.lose(1, Bench::disconnected());
    let policy = TaskPolicy {
        tries: 2,
        ..TaskPolicy::default()
    };
    bench.submit_with(Needs::default(), policy);
    let at = bench.start();
    bench.run(at, Exit::Code(1), seconds(1));
    assert_eq!(bench.start().0, 0);
}
