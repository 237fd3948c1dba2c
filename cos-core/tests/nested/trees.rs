//! Trees of tasks.

use std::sync::atomic::{AtomicUsize, Ordering};

use cos_core as cos;

use super::run;

#[cos::task]
async fn fibonacci(n: u64) -> cos::Result<u64> {
    if n < 2 {
        return Ok(n);
    }
    let one = cos::spawn(fibonacci::job(n - 1)).remote().enqueue().await?;
    let two = cos::spawn(fibonacci::job(n - 2)).remote().enqueue().await?;
    Ok(one.await? + two.await?)
}

#[test]
fn a_tree_runs_on_one_slot() {
    for slots in [1, 2, 5] {
        let value = run(slots, async {
            cos::spawn(fibonacci::job(10))
                .remote()
                .await?
                .await
                .map_err(cos::Error::from)
        });
        assert_eq!(value.expect("a value"), 55, "{slots} slots");
    }
}

static ALIVE: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);

#[cos::task]
async fn binary(depth: u32) -> cos::Result<u64> {
    let alive = ALIVE.fetch_add(1, Ordering::SeqCst) + 1;
    MOST.fetch_max(alive, Ordering::SeqCst);
    let mut leaves = 1;
    if depth > 0 {
        leaves = 0;
        // The spawns wait until each is handed over.
        let children = [
            cos::spawn(binary::job(depth - 1)).remote().await?,
            cos::spawn(binary::job(depth - 1)).remote().await?,
        ];
        for child in children {
            leaves += child.await?;
        }
    }
    ALIVE.fetch_sub(1, Ordering::SeqCst);
    Ok(leaves)
}

#[test]
fn as_many_are_alive_as_the_tree_is_deep() {
    let leaves = run(1, async {
        let root = cos::spawn(binary::job(8)).remote().await?;
        root.await.map_err(cos::Error::from)
    });
    assert_eq!(leaves.expect("a value"), 256);
    let most = MOST.load(Ordering::SeqCst);
    assert!(most <= 2 * 9, "{most} were alive");
}

#[cos::task]
async fn row(n: u64) -> cos::Result<u64> {
    let cells = cos::dispatch((0..20).map(move |m| cell::job(n, m)));
    let cells: Vec<u64> = cells.collect().await?;
    Ok(cells.iter().sum())
}

#[cos::task]
fn cell(n: u64, m: u64) -> u64 {
    n * m
}

#[test]
fn a_task_dispatches_to_all_slots() {
    let rows = run(3, async {
        cos::dispatch((0..10).map(row::job)).collect().await
    });
    let expected: Vec<u64> = (0..10).map(|n| n * 190).collect();
    assert_eq!(rows.expect("values"), expected);
}

#[cos::task]
async fn fails_below(depth: u32) -> Result<(), String> {
    if depth == 0 {
        return Err("the deepest fails".to_owned());
    }
    let child = cos::spawn(fails_below::job(depth - 1)).remote().await;
    let child = child.map_err(|error| error.to_string())?;
    child.await.map_err(|error| error.to_string())
}

#[test]
fn an_error_comes_up_through_all_levels() {
    let error = run(1, async {
        let root = cos::spawn(fails_below::job(3))
            .remote()
            .await
            .expect("a slot");
        root.await
    });
    let error = error.expect_err("it fails").to_string();
    assert!(error.contains("the deepest fails"), "{error}");
}

static STARTED: AtomicUsize = AtomicUsize::new(0);
static DROPPED: AtomicUsize = AtomicUsize::new(0);

struct Guard;

impl Drop for Guard {
    fn drop(&mut self) {
        DROPPED.fetch_add(1, Ordering::SeqCst);
    }
}

#[cos::task]
async fn waits_for_ever(depth: u32) -> cos::Result<()> {
    let _guard = Guard;
    STARTED.fetch_add(1, Ordering::SeqCst);
    if depth == 0 {
        std::future::pending::<()>().await;
    }
    let child = cos::spawn(waits_for_ever::job(depth - 1)).remote().await?;
    Ok(child.await?)
}

#[test]
fn what_a_cancelled_task_has_spawned_is_cancelled() {
    run(2, async {
        let mut set = cos::TaskSet::new();
        set.spawn(cos::spawn(waits_for_ever::job(3)).remote())
            .await
            .expect("a slot");
        while STARTED.load(Ordering::SeqCst) < 4 {
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
        drop(set);
        while DROPPED.load(Ordering::SeqCst) < 4 {
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
        // Both slots are free again.
        let cells = cos::dispatch((0..4).map(|n| cell::job(n, 1)))
            .collect()
            .await;
        assert_eq!(cells.expect("values"), [0, 1, 2, 3]);
    });
}
