//! Time limits, slow tasks, stopping, and the end of a run.

use bytes::Bytes;

use super::bench::{Bench, end, millis, seconds};
use crate::event::RunEvent;
use crate::ids::HostId;
use crate::job::{AttemptResult, Exit, Needs, Stream, TaskError, TaskLabel};
use crate::kernel::{KernelConfig, SubmitError, TaskPolicy, TimeLimit};
use crate::vm::{VmCommand, VmEvent};

fn limited(limit: TimeLimit, tries: u32) -> TaskPolicy {
    TaskPolicy {
        tries,
        limit,
        ..TaskPolicy::default()
    }
}

fn stops(bench: &mut Bench) -> usize {
    let before = bench.commands.len();
    bench
        .commands
        .retain(|command| !matches!(command, VmCommand::Stop { .. }));
    before - bench.commands.len()
}

fn slow(bench: &Bench) -> usize {
    let events = bench.events.iter();
    events
        .filter(|event| matches!(event, RunEvent::TaskSlow { .. }))
        .count()
}

fn closed(host: u32) -> VmEvent {
    VmEvent::Closed {
        host: HostId(host),
        left: Vec::new(),
    }
}

#[test]
fn a_limit_counts_from_the_start_and_uses_a_try() {
    let mut bench = Bench::new(&[1]);
    let policy = limited(TimeLimit::After(seconds(5)), 2);
    let task = bench.submit_with(Needs::default(), policy);
    for try_number in 1..=2 {
        let at = bench.start();
        bench.pass(seconds(60));
        bench.started(at);
        bench.pass(seconds(5) - millis(1));
        assert_eq!(stops(&mut bench), 0);
        bench.pass(millis(1));
        assert_eq!(stops(&mut bench), 1);
        let end = end(Exit::Signal(15), seconds(5));
        bench.ended(at, AttemptResult::Stopped(Some(end)));
        assert_eq!(bench.kernel.accepted(), usize::from(try_number == 1));
    }
    match bench.outcome(task) {
        Err(TaskError::TimedOut {
            after,
            tries: 2,
            end: Some(_),
            ..
        }) => {
            assert_eq!(after, seconds(5));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_success_that_was_on_its_way_counts() {
    let mut bench = Bench::new(&[1]);
    let task = bench.submit_with(Needs::default(), limited(TimeLimit::After(seconds(5)), 1));
    let at = bench.start();
    bench.started(at);
    bench.pass(seconds(5));
    assert_eq!(stops(&mut bench), 1);
    bench.ended(at, AttemptResult::Command(end(Exit::Code(0), seconds(5))));
    assert!(bench.outcome(task).is_ok());
}

#[test]
fn a_host_that_does_not_stop_a_task_is_dropped() {
    let mut bench = Bench::new(&[1, 1]);
    let task = bench.submit_with(Needs::default(), limited(TimeLimit::After(seconds(5)), 2));
    let at = bench.start();
    bench.started(at);
    bench.pass(seconds(5));
    let config = KernelConfig::default();
    bench.pass(config.grace + config.stop_margin);
    let dropped = VmCommand::Disconnect {
        host: HostId(0),
        grace: seconds(0),
    };
    assert!(bench.commands.contains(&dropped));
    assert_eq!(bench.starts(), [], "it may still run");
    bench.handle(closed(0));
    let at = bench.start();
    assert_eq!((at.0, at.1.task), (1, task));
}

/// Ten tasks of a class have taken so long.
fn ten_took(bench: &mut Bench, each: u64) {
    for _ in 0..10 {
        bench.submit();
        let at = bench.start();
        bench.run(at, Exit::Code(0), seconds(each));
    }
    bench.outcomes();
}

#[test]
fn a_limit_of_the_median_is_set_when_the_median_is_known() {
    let mut bench = Bench::new(&[1, 1]);
    let task = bench.submit_with(
        Needs::default().on(HostId(1)),
        limited(TimeLimit::OfMedian(300), 1),
    );
    let at = bench.start();
    bench.started(at);
    bench.pass(seconds(1000));
    assert_eq!(stops(&mut bench), 0, "nothing to compare with");
    ten_took(&mut bench, 10);
    bench.pass(seconds(0));
    assert_eq!(stops(&mut bench), 1);
    bench.ended(at, AttemptResult::Stopped(None));
    assert!(matches!(
        bench.outcome(task),
        Err(TaskError::TimedOut { .. })
    ));
}

#[test]
fn a_slow_task_is_told_once() {
    let mut bench = Bench::new(&[1]);
    ten_took(&mut bench, 10);
    bench.submit();
    let at = bench.start();
    bench.started(at);
    bench.pass(seconds(27));
    assert_eq!(slow(&bench), 0);
    bench.pass(seconds(4));
    assert_eq!(slow(&bench), 1);
    bench.pass(seconds(1000));
    assert_eq!(slow(&bench), 1);
    assert_eq!(stops(&mut bench), 0);
}

#[test]
fn deadlines_follow_a_median_that_changes() {
    let mut bench = Bench::new(&[1, 1]);
    ten_took(&mut bench, 100);
    bench.submit_with(Needs::default().on(HostId(1)), TaskPolicy::default());
    let at = bench.start();
    bench.started(at);
    for _ in 0..3 {
        ten_took(&mut bench, 1);
    }
    assert_eq!(slow(&bench), 1, "30 s are slow by now");
}

#[test]
fn cancelling_ends_a_task_in_every_state_once() {
    let mut bench = Bench::new(&[1]);
    let running = bench.submit();
    let waiting = bench.submit();
    let at = bench.start();
    bench.started(at);
    bench.kernel.cancel(waiting, seconds(1), bench.now);
    bench.pass(seconds(0));
    let cancelled = TaskError::Cancelled {
        task: TaskLabel::default(),
        end: None,
    };
    assert_eq!(bench.outcome(waiting), Err(cancelled));
    bench.kernel.cancel(running, seconds(1), bench.now);
    bench.kernel.cancel(running, seconds(0), bench.now);
    bench.pass(seconds(0));
    assert_eq!(stops(&mut bench), 2, "the second time with a shorter grace");
    assert_eq!(bench.outcomes(), []);
    bench.ended(
        at,
        AttemptResult::Stopped(Some(end(Exit::Signal(9), seconds(1)))),
    );
    assert!(matches!(
        bench.outcome(running),
        Err(TaskError::Cancelled { end: Some(_), .. })
    ));
    bench.kernel.cancel(running, seconds(0), bench.now);
    bench.pass(seconds(0));
    assert_eq!(bench.outcomes(), []);
    assert_eq!(bench.commands, []);
}

#[test]
fn stopping_softly_lets_what_runs_end_and_tries_nothing_again() {
    let mut bench = Bench::new(&[1]);
    let policy = limited(TimeLimit::Never, 3);
    let running = bench.submit_with(Needs::default(), policy);
    let waiting = bench.submit();
    let at = bench.start();
    bench.started(at);
    bench.kernel.stop_starting(bench.now);
    bench.pass(seconds(0));
    assert!(bench.outcome(waiting).is_err());
    assert_eq!(
        bench.try_submit(Needs::default(), TaskPolicy::default()),
        Err(SubmitError::Stopping)
    );
    assert_eq!(bench.kernel.wanting(), 0);
    bench.ended(at, AttemptResult::Command(end(Exit::Code(1), seconds(1))));
    assert!(matches!(
        bench.outcome(running),
        Err(TaskError::CommandFailed { tries: 1, .. })
    ));
}

#[test]
fn disconnecting_ends_everything() {
    let mut bench = Bench::new(&[1, 1]);
    let first = bench.submit();
    let second = bench.submit();
    let waiting = bench.submit();
    for at in bench.starts() {
        bench.started(at);
    }
    bench.kernel.disconnect_all(seconds(1), bench.now);
    bench.pass(seconds(0));
    assert!(bench.outcome(waiting).is_err());
    assert!(!bench.kernel.is_closed());
    bench.handle(closed(0));
    assert!(matches!(
        bench.outcome(first),
        Err(TaskError::Cancelled { .. })
    ));
    // The other one is lost before it can say that all is clean.
    bench.lose(1, Bench::disconnected());
    assert!(matches!(
        bench.outcome(second),
        Err(TaskError::Cancelled { .. })
    ));
    assert!(bench.kernel.is_closed());
    let left = bench.events.iter().find_map(|event| match event {
        RunEvent::HostClosed {
            host: HostId(1),
            left,
        } => Some(left.clone()),
        _ => None,
    });
    assert_eq!(left.expect("it is told").len(), 1);
    assert_eq!(bench.kernel.poll_timeout(), None);
}

#[test]
fn output_is_credited_when_it_was_consumed() {
    let mut bench = Bench::new(&[1]);
    bench.submit();
    let (host, attempt) = bench.start();
    bench.started((host, attempt));
    let mut credited = 0;
    for _ in 0..100 {
        bench.handle(VmEvent::Output {
            host: HostId(host),
            attempt,
            stream: Stream::Stdout,
            bytes: Bytes::from_static(&[0; 10_000]),
        });
        for command in bench.commands.drain(..) {
            match command {
                VmCommand::Credit { bytes, .. } => credited += bytes,
                other => panic!("{other:?}"),
            }
        }
    }
    assert!(credited > 900_000 && credited <= 1_000_000, "{credited}");
}
