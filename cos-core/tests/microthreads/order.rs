//! The order of turns: PyOPUS's, step for step, through the ambient functions.

use cos_core::{join, spawn, try_join, yield_now};

use super::{Log, run};

/// A microthread that yields so often and then ends.
async fn yielding(log: Log, times: u32) -> u32 {
    for _ in 0..times {
        log.note("yield");
        yield_now().await;
    }
    log.note("ends");
    times
}

fn trace<F: Future<Output = ()>>(program: impl FnOnce(Log) -> F) -> Vec<String> {
    let log = Log::default();
    run(program(log.clone()));
    log.take()
}

async fn spawn_noted(log: &Log, times: u32) -> cos_core::ids::Tid {
    log.note("spawn");
    spawn(yielding(log.clone(), times)).await.unwrap().tid()
}

async fn join_noted(log: &Log) {
    log.note("join");
    match join(&[]).await {
        Some((tid, _)) => log.note(format_args!("got {tid}")),
        None => log.note("got none"),
    }
}

#[test]
fn a_child_runs_before_its_parent_goes_on() {
    let found = trace(|log| async move {
        spawn_noted(&log, 1).await;
        spawn_noted(&log, 1).await;
        join_noted(&log).await;
        join_noted(&log).await;
        log.note("ends");
    });
    assert_eq!(
        found,
        [
            "1 spawn", "2 yield", "1 spawn", "2 ends", "3 yield", "1 join", "3 ends", "1 got 2",
            "1 join", "1 got 3", "1 ends",
        ]
    );
}

#[test]
fn yields_go_round_in_order() {
    let found = trace(|log| async move {
        spawn_noted(&log, 2).await;
        spawn_noted(&log, 2).await;
        for _ in 0..3 {
            log.note("yield");
            yield_now().await;
        }
        log.note("ends");
    });
    assert_eq!(
        found,
        [
            "1 spawn", "2 yield", "1 spawn", "2 yield", "3 yield", "1 yield", "2 ends", "3 yield",
            "1 yield", "3 ends", "1 yield", "1 ends",
        ]
    );
}

#[test]
fn a_join_goes_behind_the_queue_even_with_a_result_at_hand() {
    let found = trace(|log| async move {
        let first = spawn_noted(&log, 0).await;
        spawn_noted(&log, 3).await;
        log.note("join");
        let joined = join(&[first]).await;
        log.note(format_args!("got {}", joined.unwrap().0));
        log.note("try");
        let joined = try_join(&[]).await;
        log.note(format_args!("got {}", joined.map_or(0, |(tid, _)| tid.0)));
    });
    assert_eq!(
        found,
        [
            "1 spawn", "2 ends", "1 spawn", "3 yield", "1 join", "3 yield", "1 got 2", "1 try",
            "3 yield", "1 got 0",
        ]
    );
}

#[test]
fn handles_and_task_sets_go_behind_the_queue_too() {
    let found = trace(|log| async move {
        let first = spawn(yielding(log.clone(), 0)).await.unwrap();
        spawn_noted(&log, 3).await;
        log.note("await");
        log.note(format_args!("got {}", first.await.unwrap()));
        let mut set = cos_core::TaskSet::new();
        set.spawn(async {}).await.unwrap();
        log.note("next");
        let (tid, _) = set.join_next().await.unwrap();
        log.note(format_args!("got {tid}"));
    });
    assert_eq!(
        found,
        [
            "2 ends", "1 spawn", "3 yield", "1 await", "3 yield", "1 got 0", "3 yield", "1 next",
            "3 ends", "1 got 4",
        ]
    );
}

#[test]
fn among_those_finished_at_the_call_the_lowest_tid_is_joined() {
    let found = trace(|log| async move {
        for times in [3, 0, 0] {
            spawn_noted(&log, times).await;
        }
        for _ in 0..2 {
            log.note("yield");
            yield_now().await;
        }
        for _ in 0..4 {
            join_noted(&log).await;
        }
    });
    // 3 and 4 end before 2, which has ended too when main asks.
    assert_eq!(
        found,
        [
            "1 spawn",
            "2 yield",
            "1 spawn",
            "2 yield",
            "3 ends",
            "1 spawn",
            "2 yield",
            "4 ends",
            "1 yield",
            "2 ends",
            "1 yield",
            "1 join",
            "1 got 2",
            "1 join",
            "1 got 3",
            "1 join",
            "1 got 4",
            "1 join",
            "1 got none",
        ]
    );
}

#[test]
fn a_blocked_join_is_bound_to_the_child_that_finishes_first() {
    let found = trace(|log| async move {
        spawn_noted(&log, 3).await;
        spawn_noted(&log, 1).await;
        join_noted(&log).await;
        join_noted(&log).await;
    });
    // 3 ends first, and 2 ends before main's turn: main gets 3 nevertheless.
    assert_eq!(
        found,
        [
            "1 spawn", "2 yield", "1 spawn", "2 yield", "3 yield", "1 join", "2 yield", "3 ends",
            "2 ends", "1 got 3", "1 join", "1 got 2",
        ]
    );
}

#[test]
fn children_end_with_their_parent() {
    let found = trace(|log| async move {
        log.note("spawn");
        let inner = log.clone();
        let parent = async move {
            spawn_noted(&inner, 9).await;
            inner.note("yield");
            yield_now().await;
            inner.note("ends");
        };
        spawn(parent).await.unwrap().detach();
        for _ in 0..5 {
            log.note("yield");
            yield_now().await;
        }
    });
    let of_child = found.iter().filter(|line| line.starts_with("3 "));
    let ended = found.iter().position(|line| line == "2 ends").unwrap();
    assert!(of_child.count() < 4, "{found:?}");
    assert!(found[ended..].iter().all(|line| !line.starts_with("3 ")));
}
