//! Licences one by one: what lending frees, who goes on first, and what ends a task that waits.

use bytes::Bytes;

use super::bench::{Bench, end, millis, seconds};
use crate::ids::{AttemptId, Epoch, HostId, TaskId};
use crate::job::{AttemptResult, Exit, Needs, TaskError};
use crate::kernel::{KernelConfig, Prefetch, SubmitError, TaskPolicy, TimeLimit};
use crate::vm::host::HostLoss;
use crate::vm::{VmCommand, VmEvent};

type At = (u32, AttemptId);

fn lend(bench: &mut Bench, (host, attempt): At) {
    let host = HostId(host);
    bench.handle(VmEvent::Lent { host, attempt });
}

fn want(bench: &mut Bench, (host, attempt): At) {
    let host = HostId(host);
    bench.handle(VmEvent::Wanted { host, attempt });
}

/// A task of one core that runs and has lent its licence.
fn lender(bench: &mut Bench) -> At {
    bench.submit();
    let at = bench.start();
    bench.started(at);
    lend(bench, at);
    at
}

fn child(bench: &mut Bench, parent: At) -> TaskId {
    let (needs, policy) = (Needs::default(), TaskPolicy::default());
    bench
        .submit_below(parent.1, needs, policy)
        .expect("it runs")
}

fn succeed(bench: &mut Bench, at: At) {
    bench.ended(at, AttemptResult::Command(end(Exit::Code(0), millis(1))));
}

/// Who was resumed since the last call.
fn resumed(bench: &mut Bench) -> Vec<AttemptId> {
    let mut resumed = Vec::new();
    bench.commands.retain(|command| match command {
        VmCommand::Resume { attempt, .. } => {
            resumed.push(*attempt);
            false
        }
        _ => true,
    });
    resumed
}

/// Who was asked to stop since the last call.
fn stopped(bench: &mut Bench) -> Vec<TaskId> {
    let mut stopped = Vec::new();
    bench.commands.retain(|command| match command {
        VmCommand::Stop { attempt, .. } => {
            stopped.push(attempt.task);
            false
        }
        _ => true,
    });
    stopped
}

#[test]
fn a_slot_that_was_lent_is_free_until_it_is_taken() {
    let mut bench = Bench::new(&[1]);
    let parent = lender(&mut bench);
    assert_eq!(bench.kernel.free_slots(), 1);
    assert_eq!(bench.kernel.wanting(), 1);
    assert!(bench.kernel.has_room(&Needs::default()));
    child(&mut bench, parent);
    let at = bench.start();
    bench.started(at);
    assert_eq!(bench.kernel.free_slots(), 0);
    want(&mut bench, parent);
    assert_eq!(bench.kernel.free_slots(), 0);
    assert_eq!(bench.kernel.wanting(), 0);
    assert_eq!(resumed(&mut bench), []);
    succeed(&mut bench, at);
    assert_eq!(resumed(&mut bench), [parent.1]);
    assert_eq!(bench.kernel.free_slots(), 0);
    succeed(&mut bench, parent);
    assert_eq!(bench.kernel.free_slots(), 1);
}

#[test]
fn the_deepest_goes_first_and_a_woken_one_before_a_new_one() {
    let mut bench = Bench::new(&[1]);
    let parent = lender(&mut bench);
    let stranger = bench.submit();
    let blocker = bench.start();
    assert_eq!(blocker.1.task, stranger);
    bench.started(blocker);
    let new = bench.submit();
    let deep = child(&mut bench, parent);
    want(&mut bench, parent);
    succeed(&mut bench, blocker);
    let at = bench.start();
    assert_eq!(at.1.task, deep, "the child is deeper than all others");
    assert_eq!(resumed(&mut bench), []);
    bench.started(at);
    succeed(&mut bench, at);
    assert_eq!(resumed(&mut bench), [parent.1], "it was there before");
    assert_eq!(bench.starts(), []);
    succeed(&mut bench, parent);
    assert_eq!(bench.start().1.task, new);
}

#[test]
fn a_large_one_that_was_woken_is_not_passed_for_ever() {
    let mut bench = Bench::new(&[4]);
    let large = bench.submit_with(Needs::cores(4), TaskPolicy::default());
    let parent = bench.start();
    assert_eq!(parent.1.task, large);
    bench.started(parent);
    lend(&mut bench, parent);
    let mut running = Vec::new();
    for _ in 0..4 {
        bench.submit();
        running.push(bench.start());
    }
    want(&mut bench, parent);
    bench.submit();
    for at in running {
        assert_eq!(
            bench.starts(),
            [],
            "a small one would take what the large one needs"
        );
        assert!(!bench.kernel.has_room(&Needs::default()));
        bench.started(at);
        succeed(&mut bench, at);
    }
    assert_eq!(resumed(&mut bench), [parent.1]);
}

#[test]
fn what_waits_on_a_host_is_asked_back_unless_it_is_deeper() {
    let mut bench = Bench::new(&[1]);
    let prefetched = TaskPolicy {
        prefetch: Prefetch::Allowed,
        ..TaskPolicy::default()
    };
    for _ in 0..5 {
        bench.submit_with(Needs::default(), prefetched);
        let at = bench.start();
        bench.run(at, Exit::Code(0), millis(1));
    }
    for _ in 0..3 {
        bench.submit_with(Needs::default(), prefetched);
    }
    let sent = bench.starts();
    assert_eq!(sent.len(), 3, "two wait there");
    bench.started(sent[0]);
    lend(&mut bench, sent[0]);
    // The host has started the second by itself.
    bench.started(sent[1]);
    let recall = bench.commands.pop();
    assert!(
        matches!(recall, Some(VmCommand::Recall { attempt, .. }) if attempt == sent[2].1),
        "{recall:?}"
    );
    let returned = VmEvent::Returned {
        host: HostId(0),
        attempt: sent[2].1,
    };
    bench.handle(returned);
    assert_eq!(
        bench.starts(),
        [],
        "it is not sent again while one lends there"
    );
    let deeper = bench.submit_below(sent[0].1, Needs::default(), prefetched);
    assert_eq!(
        bench.start().1.task,
        deeper.expect("it runs"),
        "a deeper one may wait there"
    );
}

#[test]
fn a_host_that_is_probed_by_a_parent_takes_its_child() {
    let mut bench = Bench::new(&[1, 8]);
    // The first host fails everything while the second does well.
    for _ in 0..8 {
        bench.submit_with(Needs::default().on(HostId(1)), TaskPolicy::default());
        let at = bench.start();
        bench.run(at, Exit::Code(0), millis(1));
    }
    let here = Needs::default().on(HostId(0));
    for _ in 0..5 {
        bench.submit_with(here.clone(), TaskPolicy::default());
        let at = bench.start();
        bench.run(at, Exit::Code(1), millis(1));
    }
    bench.submit_with(here.clone(), TaskPolicy::default());
    assert_eq!(bench.starts(), [], "it is paused");
    bench.pass(KernelConfig::default().blame.pause);
    bench.submit();
    let parent = bench.starts().into_iter().find(|at| at.0 == 0);
    let parent = parent.expect("one task probes it");
    bench.started(parent);
    let below = bench.submit_below(parent.1, here, TaskPolicy::default());
    assert_eq!(bench.starts(), [], "one at a time");
    lend(&mut bench, parent);
    assert_eq!(bench.start().1.task, below.expect("it runs"));
}

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
