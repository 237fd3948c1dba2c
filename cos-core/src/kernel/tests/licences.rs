//! Licences one by one: what lending frees, who goes on first.

use super::bench::{Bench, end, millis};
use crate::ids::{AttemptId, HostId, TaskId};
use crate::job::{AttemptResult, Exit, Needs};
use crate::kernel::{KernelConfig, Prefetch, TaskPolicy};
use crate::vm::{VmCommand, VmEvent};

pub(super) type At = (u32, AttemptId);

pub(super) fn lend(bench: &mut Bench, (host, attempt): At) {
    let host = HostId(host);
    bench.handle(VmEvent::Lent { host, attempt });
}

pub(super) fn want(bench: &mut Bench, (host, attempt): At) {
    let host = HostId(host);
    bench.handle(VmEvent::Wanted { host, attempt });
}

/// A task of one core that runs and has lent its licence.
pub(super) fn lender(bench: &mut Bench) -> At {
    bench.submit();
    let at = bench.start();
    bench.started(at);
    lend(bench, at);
    at
}

pub(super) fn child(bench: &mut Bench, parent: At) -> TaskId {
    let (needs, policy) = (Needs::default(), TaskPolicy::default());
    bench
        .submit_below(parent.1, needs, policy)
        .expect("it runs")
}

pub(super) fn succeed(bench: &mut Bench, at: At) {
    bench.ended(at, AttemptResult::Command(end(Exit::Code(0), millis(1))));
}

/// Who was resumed since the last call.
pub(super) fn resumed(bench: &mut Bench) -> Vec<AttemptId> {
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
pub(super) fn stopped(bench: &mut Bench) -> Vec<TaskId> {
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
