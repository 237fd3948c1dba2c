//! Tasks that spawn tasks and call their spawner, on a host that has room for one of them at a time.

use std::time::Duration;

use cos_core::job::{Job, Needs};
use cos_task_tests::nested::{bulk, fibonacci, noted, notes, notes_blocking, quicksort};

use crate::host::{Host, Log, kill_a_call_slot, values};

/// The levels below the root of the trees.
const DEPTH: usize = 12;

fn whole_host<T>(job: Job<T>) -> Job<T> {
    job.needs(Needs::cores(2))
}

/// Runs the recursion and looks how many tasks were alive at a time.
async fn trees(log: &Log) {
    let value = values([whole_host(fibonacci::job(DEPTH as u64))]).await;
    assert_eq!(value, [144]);
    let most = log.most_alive();
    assert!(most <= DEPTH + 2, "{most} were alive");
    let numbers: Vec<u64> = (0..40).map(|n| n * 29 % 41).collect();
    let mut expected = numbers.clone();
    expected.sort_unstable();
    let sorted = values([whole_host(quicksort::job(numbers))]).await;
    assert_eq!(sorted, [expected]);
}

#[test]
fn a_recursion_runs_on_one_slot_of_this_machine() {
    Host::local().run(trees);
}

#[test]
fn a_recursion_runs_on_one_slot_behind_ssh() {
    Host::ssh().run(trees);
}

#[test]
fn large_arguments_and_values_travel_between_tasks() {
    let bytes = 3 << 20;
    let echoed = Host::local().run(async |_| values([whole_host(bulk::job(bytes))]).await);
    assert_eq!(echoed, [bytes]);
}

#[test]
fn processes_that_are_killed_in_the_middle_cost_time_only() {
    let host = Host::local();
    let mark = host.mark();
    host.run(async |log: &Log| {
        let killing = async {
            for kills in 1..=2 {
                while log.most_alive() < 4 * kills {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
                kill_a_call_slot(&mark);
                while (log.restarts() as usize) < kills {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            }
        };
        let (value, ()) = tokio::join!(values([whole_host(fibonacci::job(10))]), killing);
        assert_eq!(value, [55]);
    });
}

#[test]
fn calls_reach_the_spawner() {
    for host in [Host::local(), Host::ssh()] {
        let mut noted = host.run(async |_| {
            values((0..5).map(|n| notes::job(10 * n))).await;
            values((5..10).map(|n| notes_blocking::job(10 * n))).await;
            noted()
        });
        noted.sort_unstable();
        let expected = (0..10).flat_map(|n| [10 * n, 10 * n + 1]);
        assert_eq!(noted, expected.collect::<Vec<_>>());
    }
}
