//! The cost of a call does not depend on how many tasks wait or have ended. Steps are counted, not time.

use std::collections::VecDeque;

use super::bench::{Bench, millis};
use crate::ids::AttemptId;
use crate::job::Exit;

type Running = VecDeque<(u32, AttemptId)>;

/// The steps that so many tasks take, run one after another on full hosts.
fn steps(bench: &mut Bench, running: &mut Running, tasks: usize) -> u64 {
    let before = bench.kernel.steps();
    for _ in 0..tasks {
        running.extend(bench.starts());
        let at = running.pop_front().expect("the slots are full");
        bench.run_unchecked(at, Exit::Code(0), millis(100));
        bench.events.clear();
    }
    bench.kernel.steps() - before
}

#[test]
fn a_million_waiting_tasks_cost_nothing() {
    let mut few = Bench::new(&[2, 2]);
    for _ in 0..3_000 {
        few.submit_unchecked();
    }
    let with_few = steps(&mut few, &mut Running::new(), 2_000);
    let mut many = Bench::new(&[2, 2]);
    for _ in 0..1_000_000 {
        many.submit_unchecked();
    }
    let with_many = steps(&mut many, &mut Running::new(), 2_000);
    assert_eq!(with_few, with_many);
}

#[test]
fn ended_tasks_leave_nothing_behind() {
    let mut bench = Bench::new(&[2, 2]);
    for _ in 0..50_000 {
        bench.submit_unchecked();
    }
    let mut running = Running::new();
    steps(&mut bench, &mut running, 100);
    let first = steps(&mut bench, &mut running, 1_000);
    steps(&mut bench, &mut running, 40_000);
    assert_eq!(steps(&mut bench, &mut running, 1_000), first);
    let rest = bench.kernel.accepted();
    steps(&mut bench, &mut running, rest);
    bench.kernel.check();
    assert_eq!(bench.kernel.accepted(), 0);
    assert_eq!(bench.kernel.poll_timeout(), None);
}
