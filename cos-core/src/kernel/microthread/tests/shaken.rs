//! Random operations in any order, whose tables are checked after each.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::waits::family;
use crate::ids::Tid;
use crate::kernel::microthread::{Answer, Child, MAIN, Place, Visibility};

/// Anything, in any order: the tables agree after each step, no value is given twice, and in the end every join is answered.
fn shake(seed: u64) {
    let rng = &mut fastrand::Rng::with_seed(seed);
    let (mut threads, mut live) = family(0);
    let group = threads.open_group();
    let mut all = Vec::new();
    let mut waits = Vec::new();
    let mut given = BTreeSet::new();
    let keep = |answer: Option<Answer<u64>>, given: &mut BTreeSet<Tid>| {
        if let Some(Answer::Joined(Some((tid, value)))) = &answer {
            assert_eq!(*value, tid.0 * 10);
            assert!(given.insert(*tid), "{tid} is given twice");
        }
        answer.is_some()
    };
    for _ in 0..rng.usize(..120) {
        match rng.u32(..13) {
            0 | 1 => {
                let visibility = match rng.u32(..5) {
                    0 => Visibility::Hidden,
                    1 => Visibility::Grouped(group),
                    _ => Visibility::Shown,
                };
                let (Child { tid: child, .. }, wait) =
                    threads.spawn(MAIN, visibility, Place::Local);
                live.push(child);
                all.push(child);
                waits.push(wait);
            }
            2 if !live.is_empty() => {
                let child = live.swap_remove(rng.usize(..live.len()));
                assert_eq!(threads.finish(child, child.0 * 10), []);
            }
            3 => waits.push(threads.join_any(MAIN)),
            4 if !all.is_empty() => {
                let names = (0..rng.usize(1..4)).map(|_| all[rng.usize(..all.len())]);
                let names: Vec<Tid> = names.collect();
                waits.push(threads.join_named(MAIN, &names));
            }
            5 => waits.push(threads.try_join(MAIN, &[])),
            6 if !waits.is_empty() => {
                threads.withdraw(waits.swap_remove(rng.usize(..waits.len())));
            }
            7 if !waits.is_empty() => {
                let wait = rng.usize(..waits.len());
                if keep(threads.take(waits[wait]), &mut given) {
                    waits.swap_remove(wait);
                }
            }
            10 => waits.push(threads.join_group(MAIN, group)),
            11 if !all.is_empty() => {
                waits.push(threads.join_one(MAIN, all[rng.usize(..all.len())]));
            }
            12 if !live.is_empty() && rng.bool() => {
                let child = live.swap_remove(rng.usize(..live.len()));
                assert_eq!(threads.cancel(child).len(), 1);
            }
            8 if !all.is_empty() && rng.bool() => threads.detach(all[rng.usize(..all.len())]),
            _ => {
                threads.next_turn();
            }
        }
        threads.check();
    }
    for child in live {
        threads.finish(child, child.0 * 10);
    }
    // Joins for children that others hold are answered when those are taken.
    while !waits.is_empty() {
        let mut moved = false;
        while threads.next_turn().is_some() {
            moved = true;
        }
        waits.retain(|wait| {
            let taken = keep(threads.take(*wait), &mut given);
            moved |= taken;
            !taken
        });
        threads.check();
        assert!(moved, "{} waits are never answered", waits.len());
    }
}

#[test]
fn random_operations_keep_the_tables_in_order() {
    for seed in 0..2_000 {
        if catch_unwind(AssertUnwindSafe(|| shake(seed))).is_err() {
            panic!("seed {seed} fails");
        }
    }
}
