//! Dispatch over microthreads and over hosts: order, width, stopping, and what is cancelled.

use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

use cos_core::job::TaskError;
use cos_core::{
    DispatchError, Flow, dispatch, dispatch_single, dispatch_stream, join, spawn, task_count,
};
use futures_util::{FutureExt, StreamExt, stream};

use super::*;

thread_local! {
    static RUNNING: Cell<usize> = const { Cell::new(0) };
    static MOST: Cell<usize> = const { Cell::new(0) };
}

/// Notes how many of it run at the same time.
#[cos::task]
pub(crate) async fn counted(x: u64) -> u64 {
    RUNNING.set(RUNNING.get() + 1);
    MOST.set(MOST.get().max(RUNNING.get()));
    for _ in 0..5 {
        cos::yield_now().await;
    }
    RUNNING.set(RUNNING.get() - 1);
    x
}

#[test]
fn results_are_in_the_order_of_the_jobs() {
    for slots in [0, 3] {
        let main = async {
            let results = dispatch((0..100).map(double::job)).collect().await.unwrap();
            assert_eq!(results, (0..100).map(|x| 2 * x).collect::<Vec<_>>());
        };
        match slots {
            0 => alone(main),
            slots => with_slots(slots, main),
        }
    }
}

#[test]
fn an_endless_source_is_stopped_by_the_collector() {
    let main = async {
        let mut results = Vec::new();
        let jobs = (0..).map(|x| double::job(x).extra(x));
        let run = dispatch(jobs).for_each(|done| {
            let value = done.result.unwrap();
            results.push((done.extra, value));
            if value >= 150 {
                Flow::StopSoon
            } else {
                Flow::Go
            }
        });
        run.await.unwrap();
        assert!(results.len() >= 76 && results.iter().all(|(x, value)| *value == 2 * x));
    };
    alone(main);
}

#[test]
fn local_width_is_one_or_the_machine_s_slots_or_what_is_asked_for() {
    let most = |width: Option<usize>| async move {
        MOST.set(0);
        let jobs = dispatch((0..20).map(counted::job)).local();
        let jobs = match width {
            Some(width) => jobs.window(width),
            None => jobs,
        };
        jobs.collect().await.unwrap();
        MOST.get()
    };
    alone(async {
        assert_eq!(most(None).await, 1);
        assert_eq!(most(Some(4)).await, 4);
    });
    with_slots(3, async {
        until_free(3).await;
        assert_eq!(most(None).await, 3);
    });
}

#[test]
fn its_children_have_tids_and_no_other_join_sees_them() {
    alone(async {
        let mine = spawn(async { 1 }).await.unwrap();
        let mut results = dispatch((0..3).map(double::job)).stream();
        let mut tids = Vec::new();
        while let Some(done) = results.next().await {
            assert_eq!((done.task, done.host, done.attempts), (None, None, 1));
            tids.push(done.tid.0);
            assert_eq!(cos::finished_tasks(), None);
        }
        assert_eq!(tids, [3, 4, 5]);
        assert_eq!(join(&[]).await.unwrap().0, mine.tid());
        assert!(join(&[]).await.is_none());
    });
}

#[test]
fn two_dispatches_and_a_spawn_share_one_os() {
    with_slots(2, async {
        let even = dispatch((0..40).map(double::job)).collect();
        let slow = dispatch((0..6).map(slow::job)).collect();
        let child = spawn(async {
            let inner = dispatch((0..10).map(double::job)).collect().await.unwrap();
            inner.into_iter().sum::<u64>()
        });
        let child = child.await.unwrap();
        let (even, slow, child) = tokio::join!(even, slow, child);
        assert_eq!(even.unwrap().len(), 40);
        assert_eq!(slow.unwrap(), [0, 1, 2, 3, 4, 5]);
        assert_eq!(child.unwrap(), 90);
    });
}

#[test]
fn the_first_error_ends_a_collect_and_not_a_collect_all() {
    for remote in [false, true] {
        let main = async move {
            let jobs = || {
                (0..4).map(|x| match x {
                    2 => fails::job("bad".into()),
                    _ => double::job(x),
                })
            };
            let error = dispatch(jobs()).collect().await.unwrap_err();
            assert!(
                matches!(error, DispatchError::Job { index: 2, .. }),
                "{error}"
            );
            assert_eq!(task_count(), 1, "the rest was cancelled");
            let all = dispatch(jobs()).collect_all().await.unwrap();
            assert_eq!(all.iter().filter(|result| result.is_ok()).count(), 3);
        };
        match remote {
            false => alone(main),
            true => with_slots(2, main),
        }
    }
}

#[test]
fn a_dropped_stream_cancels_what_runs() {
    for local in [false, true] {
        with_slots(2, async {
            until_free(2).await;
            let jobs = dispatch((0..).map(|_| forever::job()));
            let mut results = match local {
                true => jobs.local().stream(),
                false => jobs.stream(),
            };
            assert!(results.next().now_or_never().is_none());
            cos::yield_now().await;
            assert!(results.next().now_or_never().is_none());
            assert!(results.under_way() > 0 && task_count() > 1);
            drop(results);
            assert_eq!(task_count(), 1);
            until_free(2).await;
        });
    }
}

#[test]
fn a_collector_that_panics_stops_the_run_and_keeps_what_it_has() {
    let results = Rc::new(RefCell::new(Vec::new()));
    let taken = Rc::clone(&results);
    let caught = catch_unwind(AssertUnwindSafe(|| {
        alone(async move {
            let other = spawn(async { cos::yield_now().await }).await.unwrap();
            let run = dispatch((0..).map(double::job)).for_each(|done| {
                taken.borrow_mut().push(done.result.unwrap());
                assert!(done.index < 5, "the collector's own");
                Flow::Go
            });
            let run = AssertUnwindSafe(run).catch_unwind().await;
            assert!(run.is_err());
            assert_eq!(task_count(), 1, "nothing runs on");
            other.await.unwrap();
        });
    }));
    assert!(caught.is_ok());
    assert_eq!(*results.borrow(), [0, 2, 4, 6, 8, 10]);
}

#[test]
fn a_stream_of_jobs_and_a_single_job() {
    let main = || async {
        let jobs = stream::iter(0..5).then(|x| async move {
            tokio::time::sleep(Duration::from_millis(1)).await;
            double::job(x)
        });
        let results = dispatch_stream(jobs).collect().await.unwrap();
        assert_eq!(results, [0, 2, 4, 6, 8]);
        assert_eq!(dispatch_single(double::job(21)).await.unwrap(), 42);
        let error = dispatch_single(fails::job("no".into())).await.unwrap_err();
        assert!(matches!(
            error,
            DispatchError::Single(TaskError::Failed { .. })
        ));
    };
    alone(main());
    with_slots(2, main());
}

#[test]
fn tries_and_limits_are_kept_on_hosts() {
    with_slots(1, async {
        let failing = dispatch([fails::job("no".into())]).retries(3);
        let mut results = failing.stream();
        let done = results.next().await.unwrap();
        assert_eq!(done.attempts, 3);
        let jobs = dispatch([forever::job()]).timeout(Duration::from_millis(20));
        let late = jobs.collect_all().await.unwrap().remove(0);
        assert!(matches!(late, Err(TaskError::TimedOut { .. })), "{late:?}");
    });
}
