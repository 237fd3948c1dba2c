//! Random programs on the real tables and on the reference model: both must show the same, with remote children by a list
//! and on a simulated lab.
//!
//! `COS_SIM_SEEDS=n` runs n seeds, `COS_SIM_SEED=s` runs the one, as a failure tells.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use fastrand::Rng;

use super::interpreter::{Call, How, Remote, Scripts, run};
use super::model;
use super::worlds::{Lab, Listed, Recorded};
use crate::job::Exit;
use crate::vm::sim::{HostPlan, JobEnd, JobPlan, LossKind, PlannedLoss};

/// Jobs that a program can ask for at most, with some room.
const JOBS: usize = 4_000;

fn numbers(rng: &mut Rng) -> Vec<usize> {
    (0..rng.usize(1..4)).map(|_| rng.usize(..5)).collect()
}

fn call(rng: &mut Rng) -> Call {
    match rng.u32(..26) {
        0..6 => {
            let how = [How::Block, How::Enqueue, How::TryNow][rng.usize(..3)];
            // There are three hosts at most, and requests for a fourth.
            let host = (rng.u32(..3) == 0).then(|| rng.u32(..4));
            Call::SpawnRemote(Remote { how, host })
        }
        6..9 => Call::JoinAny,
        9..12 => Call::Join(numbers(rng)),
        12..14 => Call::TryJoinAny,
        14..16 => Call::TryJoin(numbers(rng)),
        16 | 17 => Call::Detach(rng.usize(..5)),
        18 => Call::Fail,
        _ => Call::Yield,
    }
}

fn program(rng: &mut Rng) -> Scripts {
    let count = rng.usize(1..6);
    let script = |own: usize| {
        let mut spawns = 0;
        let calls = (0..rng.usize(..12)).map(|_| {
            // Only later scripts are spawned, and few, so that every program ends.
            if own + 1 < count && spawns < 3 && rng.u32(..3) == 0 {
                spawns += 1;
                let script = rng.usize(own + 1..count);
                return match rng.u32(..4) {
                    0 => Call::SpawnHidden(script),
                    _ => Call::Spawn(script),
                };
            }
            call(rng)
        });
        calls.collect()
    };
    (0..count).map(script).collect()
}

fn lab(rng: &mut Rng, seed: u64) -> Lab {
    let hosts = (0..rng.u32(1..4)).map(|n| {
        let mut plan = HostPlan::sound(format!("h{n}"), rng.u32(1..3));
        plan.latency = Duration::from_micros(rng.u64(10..50_000));
        plan.start_time = Duration::from_millis(rng.u64(..50));
        if rng.u32(..4) == 0 {
            let kinds = [LossKind::Disconnected, LossKind::Silent, LossKind::Left];
            plan.losses.push_back(PlannedLoss {
                after: Duration::from_millis(rng.u64(1..300)),
                kind: kinds[rng.usize(..3)],
            });
        }
        plan
    });
    let hosts = hosts.collect();
    let jobs = (0..JOBS).map(|_| {
        let mut plan = JobPlan::good(Duration::from_micros(rng.u64(1..100_000)));
        if rng.u32(..5) == 0 {
            plan.end = JobEnd::Exit(Exit::Code(1));
        }
        plan
    });
    let jobs = jobs.collect();
    Lab::new(seed, hosts, jobs)
}

fn on_a_list(seed: u64) -> usize {
    let rng = &mut Rng::with_seed(seed);
    let scripts = program(rng);
    let ends = (0..rng.usize(..12)).map(|_| (rng.usize(..80), rng.usize(..8)));
    let ends: Vec<_> = ends.collect();
    let expected = model::run(&scripts, &mut Listed::new(ends.clone()));
    let found = run(&scripts, &mut Listed::new(ends));
    assert_eq!(found, expected, "{scripts:?}");
    found.len()
}

fn on_a_lab(seed: u64) -> usize {
    let rng = &mut Rng::with_seed(seed);
    let scripts = program(rng);
    let mut lab = lab(rng, seed);
    let found = run(&scripts, &mut lab);
    let expected = model::run(&scripts, &mut Recorded::new(lab.record.clone()));
    assert_eq!(found, expected, "{scripts:?} {:?}", lab.record);
    found.len()
}

fn every_seed(compare: fn(u64) -> usize) {
    let number = |name| {
        let value = std::env::var(name).ok()?;
        Some(value.parse::<u64>().expect("a number"))
    };
    let seeds = match number("COS_SIM_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("COS_SIM_SEEDS").unwrap_or(1_000),
    };
    let mut seen = 0;
    for seed in seeds {
        match catch_unwind(AssertUnwindSafe(|| compare(seed))) {
            Ok(steps) => seen += steps,
            Err(_) => panic!("seed {seed} fails: COS_SIM_SEED={seed} repeats it"),
        }
    }
    assert!(seen > 0, "something ran");
}

#[test]
fn programs_with_remote_children_by_a_list_show_what_the_model_shows() {
    every_seed(on_a_list);
}

#[test]
fn programs_with_remote_children_on_a_lab_show_what_the_model_shows() {
    every_seed(on_a_lab);
}
