//! Which task starts where, and what waits on hosts.

use super::bench::{Bench, millis, seconds, spec};
use crate::ids::HostId;
use crate::job::{AttemptResult, Exit, Needs};
use crate::kernel::{KernelConfig, Prefetch, TaskPolicy};
use crate::vm::{VmCommand, VmEvent};

fn prefetched() -> TaskPolicy {
    TaskPolicy {
        prefetch: Prefetch::Allowed,
        ..TaskPolicy::default()
    }
}

fn recalls(bench: &mut Bench) -> Vec<(u32, crate::ids::AttemptId)> {
    let mut recalls = Vec::new();
    bench.commands.retain(|command| match command {
        VmCommand::Recall { host, attempt } => {
            recalls.push((host.0, *attempt));
            false
        }
        _ => true,
    });
    recalls
}

#[test]
fn a_task_for_one_host_waits_for_it_and_is_passed_by_others() {
    let mut bench = Bench::new(&[1, 1]);
    bench.submit_with(Needs::default().on(HostId(1)), TaskPolicy::default());
    let first = bench.start();
    assert_eq!(first.0, 1);
    let second = bench.submit_with(Needs::default().on(HostId(1)), TaskPolicy::default());
    let third = bench.submit_with(Needs::default().on(HostId(1)), TaskPolicy::default());
    assert_eq!(bench.starts(), []);
    bench.submit();
    assert_eq!(bench.start().0, 0);
    bench.run(first, Exit::Code(0), seconds(1));
    let at = bench.start();
    assert_eq!(at.1.task, second, "first come, first served");
    bench.run(at, Exit::Code(0), seconds(1));
    assert_eq!(bench.start().1.task, third);
}

#[test]
fn tags_decide_where_a_task_may_run() {
    let specs = [
        spec("a", &["lab"]),
        spec("b", &["lab", "gpu"]),
        spec("c", &["gpu"]),
    ];
    let mut bench = Bench::cold(KernelConfig::default(), &specs);
    for host in 0..3 {
        bench.up(host, 4);
    }
    let needs = Needs::default().tag("gpu").tag("lab");
    for _ in 0..4 {
        bench.submit_with(needs.clone(), TaskPolicy::default());
    }
    assert!(bench.starts().iter().all(|at| at.0 == 1));
}

#[test]
fn the_oldest_task_is_served_first_whatever_it_needs() {
    let mut bench = Bench::new(&[1]);
    bench.submit();
    let at = bench.start();
    let second = bench.submit_with(Needs::default().on(HostId(0)), TaskPolicy::default());
    bench.submit();
    bench.run(at, Exit::Code(0), seconds(1));
    assert_eq!(bench.start().1.task, second);
}

#[test]
fn a_task_for_many_cores_gets_a_host_after_a_while() {
    let mut bench = Bench::new(&[4]);
    let mut running = Vec::new();
    for _ in 0..4 {
        bench.submit();
        running.push(bench.start());
    }
    let big = bench.submit_with(Needs::cores(4), TaskPolicy::default());
    let small: Vec<_> = (0..8).map(|_| bench.submit()).collect();
    // Small tasks pass it at first.
    bench.run(running.remove(0), Exit::Code(0), seconds(1));
    let at = bench.start();
    assert_eq!(at.1.task, small[0]);
    running.push(at);
    // Then the host is kept free for it.
    bench.pass(seconds(10));
    for at in running {
        assert_eq!(bench.starts(), []);
        bench.run(at, Exit::Code(0), seconds(1));
    }
    let at = bench.start();
    assert_eq!(at.1.task, big);
    bench.run(at, Exit::Code(0), seconds(1));
    assert_eq!(bench.starts().len(), 4);
}

#[test]
fn short_tasks_wait_on_the_host_and_long_ones_do_not() {
    let mut bench = Bench::new(&[1]);
    for _ in 0..40 {
        bench.submit_with(Needs::default(), prefetched());
    }
    // The round trip is 1 ms. Nothing waits there before tasks have proven short.
    for _ in 0..4 {
        let at = bench.start();
        bench.run(at, Exit::Code(0), millis(1));
    }
    assert_eq!(bench.starts().len(), 1 + 7, "one runs, seven wait");
    assert_eq!(bench.kernel.wanting(), 0);

    let mut bench = Bench::new(&[1]);
    for _ in 0..40 {
        bench.submit_with(Needs::default(), prefetched());
    }
    for _ in 0..8 {
        let at = bench.start();
        bench.run(at, Exit::Code(0), millis(21));
    }
    assert_eq!(bench.starts().len(), 1);
}

#[test]
fn what_waits_on_a_host_comes_back_when_another_is_idle() {
    let mut bench = Bench::new(&[1, 1]);
    bench.handle(VmEvent::RoundTrip {
        host: HostId(0),
        duration: millis(10),
    });
    for _ in 0..20 {
        let needs = Needs::default().on(HostId(0));
        bench.submit_with(needs, prefetched());
        let at = bench.start();
        bench.run(at, Exit::Code(0), millis(1));
    }
    for _ in 0..5 {
        bench.submit_with(Needs::default(), prefetched());
    }
    let starts = bench.starts();
    let on_a: Vec<_> = starts.iter().copied().filter(|at| at.0 == 0).collect();
    let on_b: Vec<_> = starts.iter().copied().filter(|at| at.0 == 1).collect();
    assert_eq!((on_a.len(), on_b.len()), (4, 1));
    assert_eq!(recalls(&mut bench), []);
    bench.started(on_a[0]);
    bench.run(on_b[0], Exit::Code(0), millis(1));
    // The youngest comes back, one for the one free slot.
    assert_eq!(recalls(&mut bench), [on_a[3]]);
    bench.handle(VmEvent::Returned {
        host: HostId(0),
        attempt: on_a[3].1,
    });
    let at = bench.start();
    assert_eq!((at.0, at.1.task), (1, on_a[3].1.task));
    assert_eq!(at.1.epoch, on_a[3].1.epoch.next());
}

#[test]
fn an_attempt_that_started_before_its_recall_arrived_stays() {
    let mut bench = Bench::new(&[1, 1]);
    for _ in 0..20 {
        let needs = Needs::default().on(HostId(0));
        bench.submit_with(needs, prefetched());
        let at = bench.start();
        bench.run(at, Exit::Code(0), millis(1));
    }
    bench.outcomes();
    bench.submit_with(Needs::default().on(HostId(1)), TaskPolicy::default());
    let elsewhere = bench.start();
    for _ in 0..2 {
        bench.submit_with(Needs::default(), prefetched());
    }
    let starts = bench.starts();
    assert_eq!(starts.iter().map(|at| at.0).collect::<Vec<_>>(), [0, 0]);
    bench.started(starts[0]);
    bench.run(elsewhere, Exit::Code(0), millis(1));
    assert_eq!(recalls(&mut bench), [starts[1]]);
    bench.run(starts[0], Exit::Code(0), millis(1));
    bench.run(starts[1], Exit::Code(0), millis(1));
    assert_eq!(bench.outcomes().len(), 3);
    assert_eq!(bench.kernel.late_messages(), 0);
}

#[test]
fn a_host_cannot_make_the_client_want_tasks_without_end() {
    let bench = Bench::new(&[u32::MAX]);
    assert_eq!(
        bench.kernel.slots(),
        KernelConfig::default().max_slots as usize
    );
    assert_eq!(bench.kernel.wanting(), bench.kernel.slots());
}

#[test]
fn a_host_that_starts_what_it_has_no_room_for_does_no_harm() {
    let mut bench = Bench::new(&[1]);
    for _ in 0..4 {
        bench.submit_with(Needs::default(), prefetched());
        let at = bench.start();
        bench.run(at, Exit::Code(0), millis(1));
    }
    for _ in 0..3 {
        bench.submit_with(Needs::default(), prefetched());
    }
    bench.outcomes();
    let starts = bench.starts();
    assert_eq!(starts.len(), 3);
    // All at once, out of order, although there is one core: not checked, since the host is not honest.
    for at in starts.iter().rev() {
        let (host, attempt) = *at;
        let started = VmEvent::Started {
            host: HostId(host),
            attempt,
            slot: crate::ids::SlotId(1),
        };
        bench.kernel.handle(started, bench.now);
    }
    for at in starts {
        let end = super::bench::end(Exit::Code(0), millis(1));
        let ended = VmEvent::Ended {
            host: HostId(at.0),
            attempt: at.1,
            result: AttemptResult::Command(end),
        };
        bench.kernel.handle(ended, bench.now);
    }
    bench.pass(millis(1));
    assert_eq!(bench.outcomes().len(), 3);
    bench.kernel.check();
}
