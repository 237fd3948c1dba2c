//! What tasks leave behind, and what the next task sees of it: nothing.

use std::collections::BTreeSet;

use cos_task_tests::{good, traces};

use crate::host::*;

#[test]
fn every_task_starts_in_the_same_directory() {
    for host in [Host::local(), Host::ssh()] {
        host.run(async |log| {
            let places = values((0..50).map(|_| traces::changes_directory::job())).await;
            let places: BTreeSet<String> = places.into_iter().collect();
            assert_eq!(places.len(), 1, "{places:?}");
            assert!(!places.contains("/"));
            assert_eq!(log.restarts(), 0);
        });
    }
}

#[test]
fn processes_that_are_left_behind_are_killed() {
    for host in [Host::local(), Host::ssh()] {
        host.run(async |log| {
            let left = values((0..3).map(|_| traces::leaves_children::job())).await;
            for pid in left.into_iter().flatten() {
                assert!(!lives(&pid.to_string()), "{pid} lives on");
            }
            assert_eq!((log.left_over(), log.restarts()), (6, 0));
        });
    }
}

#[test]
fn a_child_that_ends_by_itself_is_not_left_behind() {
    Host::local().run(async |log| {
        values([traces::leaves_a_short_child::job()]).await;
        assert_eq!(log.left_over(), 0);
    });
}

#[test]
fn a_task_waits_for_its_own_commands() {
    for host in [Host::local(), Host::ssh()] {
        host.run(async |log| {
            let codes = values((0..4).map(|_| traces::runs_commands::job(40))).await;
            for codes in codes {
                assert_eq!(codes, (0..40).collect::<Vec<i32>>());
            }
            assert_eq!(log.left_over(), 0);
        });
    }
}

#[test]
fn an_asynchronous_task_has_an_os_of_its_own() {
    Host::local().run(async |_| {
        let sums = values((0..20).map(|n| good::sum::job((0..=n).collect()))).await;
        let expected: Vec<u64> = (0..20).map(|n| n * (n + 1) / 2).collect();
        assert_eq!(sums, expected);
    });
}
