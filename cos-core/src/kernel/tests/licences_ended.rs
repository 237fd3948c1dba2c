//! What ends a task that waits without a licence: losses, limits, stops, drains.

use bytes::Bytes;

use super::bench::{Bench, millis, seconds};
use super::licences::{child, lend, lender, resumed, stopped, succeed, want};
use crate::ids::{Epoch, HostId};
use crate::job::{AttemptResult, Exit, Needs, TaskError};
use crate::kernel::{KernelConfig, SubmitError, TaskPolicy, TimeLimit};
use crate::vm::host::HostLoss;
use crate::vm::{VmCommand, VmEvent};

#[test]
fn what_nobody_waits_for_any_more_is_cancelled() {
    let mut bench = Bench::new(&[2]);
    let parent = lender(&mut bench);
    let running = child(&mut bench, parent);
    let at = bench.start();
    bench.started(at);
    let (needs, policy) = (Needs::default(), TaskPolicy::default());
    let grandchild = bench
        .submit_below(at.1, needs.clone(), policy)
        .expect("it runs");
    let deepest = bench.start();
    let queued = child(&mut bench, parent);
    bench.kernel.cancel(parent.1.task, seconds(1), bench.now);
    bench.pass(millis(1));
    assert_eq!(stopped(&mut bench), [parent.1.task, running, grandchild]);
    let outcomes = bench.outcomes();
    assert_eq!(outcomes.len(), 1);
    assert_eq!(outcomes[0].0, queued);
    assert!(matches!(outcomes[0].1, Err(TaskError::Cancelled { .. })));
    let late = bench.submit_below(parent.1, needs, policy);
    assert_eq!(late, Err(SubmitError::ParentGone));
    for at in [deepest, at, parent] {
        bench.ended(at, AttemptResult::Stopped(None));
    }
    assert_eq!(bench.outcomes().len(), 3);
    assert_eq!(bench.kernel.free_slots(), 2);
}

#[test]
fn a_lost_parent_runs_again_without_its_children() {
    let mut bench = Bench::new(&[1, 1]);
    let parent = lender(&mut bench);
    let elsewhere = Needs::default().on(HostId(1 - parent.0));
    let submit = |bench: &mut Bench| {
        let child = bench.submit_below(parent.1, elsewhere.clone(), TaskPolicy::default());
        child.expect("it runs")
    };
    let running = submit(&mut bench);
    let at = bench.start();
    bench.started(at);
    let queued = submit(&mut bench);
    bench.lose(parent.0, Bench::disconnected());
    assert_eq!(bench.outcomes()[0].0, queued);
    assert_eq!(stopped(&mut bench), [running]);
    assert_eq!(bench.starts(), [], "the other host is not free yet");
    bench.ended(at, AttemptResult::Stopped(None));
    let again = bench.start().1;
    assert_eq!(again.task, parent.1.task);
    assert_eq!(again.epoch, Epoch::FIRST.next());
}

#[test]
fn three_lost_hosts_are_enough_also_for_one_that_waits() {
    let mut bench = Bench::new(&[1, 1, 1]);
    let mut parent = lender(&mut bench);
    for _ in 0..2 {
        bench.lose(parent.0, Bench::disconnected());
        parent = bench.start();
        bench.started(parent);
        lend(&mut bench, parent);
    }
    bench.lose(parent.0, Bench::disconnected());
    let outcome = bench.outcome(parent.1.task);
    assert!(
        matches!(outcome, Err(TaskError::Quarantined { .. })),
        "{outcome:?}"
    );
}

#[test]
fn a_slot_that_dies_takes_no_licence_with_it() {
    for woken in [false, true] {
        let mut bench = Bench::new(&[1]);
        let parent = lender(&mut bench);
        child(&mut bench, parent);
        let at = bench.start();
        bench.started(at);
        if woken {
            want(&mut bench, parent);
        }
        let exit = Exit::Signal(11);
        bench.ended(parent, AttemptResult::SlotDied { exit });
        assert_eq!(stopped(&mut bench), [at.1.task]);
        assert_eq!(
            bench.starts(),
            [],
            "the child has the only slot until it is gone"
        );
        bench.ended(at, AttemptResult::Stopped(None));
        assert_eq!(bench.start().1.task, parent.1.task);
    }
}

#[test]
fn a_limit_counts_waiting_but_not_waiting_for_a_licence() {
    let limit = TaskPolicy {
        limit: TimeLimit::After(seconds(10)),
        ..TaskPolicy::default()
    };
    let mut bench = Bench::new(&[1]);
    let task = bench.submit_with(Needs::default(), limit);
    let parent = bench.start();
    bench.started(parent);
    lend(&mut bench, parent);
    child(&mut bench, parent);
    let at = bench.start();
    bench.started(at);
    bench.pass(seconds(4));
    want(&mut bench, parent);
    bench.pass(seconds(100));
    assert_eq!(stopped(&mut bench), [], "it cannot go on");
    succeed(&mut bench, at);
    assert_eq!(resumed(&mut bench), [parent.1]);
    bench.pass(seconds(5));
    assert_eq!(stopped(&mut bench), []);
    lend(&mut bench, parent);
    bench.pass(seconds(1));
    assert_eq!(
        stopped(&mut bench),
        [task],
        "six seconds it waited or ran, and four before"
    );
}

#[test]
fn a_task_that_is_stopped_is_not_resumed() {
    let mut bench = Bench::new(&[1]);
    let parent = lender(&mut bench);
    bench.submit();
    let at = bench.start();
    bench.started(at);
    want(&mut bench, parent);
    bench.kernel.cancel(parent.1.task, seconds(5), bench.now);
    succeed(&mut bench, at);
    want(&mut bench, parent);
    assert_eq!(resumed(&mut bench), []);
    bench.ended(parent, AttemptResult::Stopped(None));
    assert_eq!(bench.kernel.accepted(), 0);
}

#[test]
fn what_runs_may_end_with_all_that_it_spawns() {
    let mut bench = Bench::new(&[1]);
    let parent = lender(&mut bench);
    let queued = bench.submit();
    let running = bench.start();
    assert_eq!(running.1.task, queued);
    bench.started(running);
    let waiting = bench.submit();
    bench.kernel.stop_starting(bench.now);
    bench.pass(millis(1));
    assert_eq!(bench.outcomes()[0].0, waiting);
    let below = child(&mut bench, parent);
    succeed(&mut bench, running);
    let at = bench.start();
    assert_eq!(at.1.task, below);
    bench.started(at);
    succeed(&mut bench, at);
    want(&mut bench, parent);
    assert_eq!(resumed(&mut bench), [parent.1]);
}

#[test]
fn a_host_that_drains_lets_its_tasks_go_on() {
    let mut bench = Bench::new(&[1, 1]);
    let parent = lender(&mut bench);
    bench.kernel.drain(HostId(parent.0), bench.now);
    child(&mut bench, parent);
    let at = bench.start();
    assert_ne!(at.0, parent.0);
    bench.started(at);
    succeed(&mut bench, at);
    want(&mut bench, parent);
    assert_eq!(resumed(&mut bench), [parent.1]);
    succeed(&mut bench, parent);
    assert!(bench.commands.iter().any(|command| matches!(
        command,
        VmCommand::Disconnect { host, .. } if host.0 == parent.0
    )));
}

#[test]
fn a_host_kept_free_for_a_large_task_takes_deeper_ones() {
    let mut bench = Bench::new(&[2]);
    let parent = lender(&mut bench);
    bench.submit();
    let blocker = bench.start();
    bench.started(blocker);
    bench.submit_with(Needs::cores(2), TaskPolicy::default());
    bench.pass(KernelConfig::default().reserve_after);
    bench.submit();
    assert_eq!(bench.starts(), [], "the host is kept free");
    let below = child(&mut bench, parent);
    assert_eq!(bench.start().1.task, below);
}

#[test]
fn a_silent_loss_ends_the_children_at_once() {
    let mut bench = Bench::new(&[1, 1]);
    let parent = lender(&mut bench);
    bench
        .submit_below(
            parent.1,
            Needs::default().on(HostId(1 - parent.0)),
            TaskPolicy::default(),
        )
        .expect("it runs");
    let at = bench.start();
    bench.started(at);
    let silent_for = seconds(60);
    bench.lose(parent.0, HostLoss::Silent { silent_for });
    assert_eq!(stopped(&mut bench), [at.1.task]);
}

#[test]
fn messages_reach_the_current_attempt_alone() {
    let mut bench = Bench::new(&[1, 1]);
    bench.submit();
    let at = bench.start();
    let host = HostId(at.0);
    let words = Bytes::from_static(b"words");
    let told = |attempt| VmEvent::Told {
        host,
        attempt,
        bytes: words.clone(),
    };
    assert!(
        !bench.kernel.tell(at.1, words.clone()),
        "it does not run yet"
    );
    assert_eq!(bench.kernel.running_attempt(at.1.task), None);
    bench.started(at);
    bench.handle(told(at.1));
    assert_eq!(bench.delivered, [(at.1, words.clone())]);
    bench.delivered.clear();
    assert_eq!(bench.kernel.running_attempt(at.1.task), Some(at.1));
    assert!(bench.kernel.tell(at.1, words.clone()));
    bench.pass(millis(1));
    let tell = VmCommand::Tell {
        host,
        attempt: at.1,
        bytes: words.clone(),
    };
    assert!(bench.commands.contains(&tell));
    bench.lose(at.0, Bench::disconnected());
    let again = bench.start();
    bench.started(again);
    let before = bench.kernel.late_messages();
    bench.handle(told(at.1));
    assert!(!bench.kernel.tell(at.1, words.clone()));
    assert!(bench.delivered.is_empty());
    assert_eq!(bench.kernel.late_messages(), before + 2);
}

#[test]
fn tasks_are_not_nested_without_end() {
    let config = KernelConfig {
        max_depth: 3,
        ..KernelConfig::default()
    };
    let mut bench = Bench::with(config, &[1]);
    let mut parent = lender(&mut bench);
    for _ in 0..3 {
        child(&mut bench, parent);
        parent = bench.start();
        bench.started(parent);
        lend(&mut bench, parent);
    }
    let refused = bench.submit_below(parent.1, Needs::default(), TaskPolicy::default());
    assert_eq!(refused, Err(SubmitError::TooDeep { limit: 3 }));
}
