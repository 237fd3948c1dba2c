//! Calls that tasks make in their spawner.

use std::cell::{Cell, RefCell};

use cos_core as cos;

use super::run;

thread_local! {
    static BEST: Cell<f64> = const { Cell::new(f64::INFINITY) };
    static NOTED: RefCell<Vec<(u64, u64)>> = const { RefCell::new(Vec::new()) };
}

#[cos::task]
fn offer(cost: f64) -> f64 {
    BEST.with(|best| {
        best.set(best.get().min(cost));
        best.get()
    })
}

#[cos::task]
async fn offer_later(cost: f64) -> f64 {
    cos::yield_now().await;
    BEST.with(|best| best.get().min(cost))
}

#[cos::task]
fn refuses(cost: f64) -> Result<f64, String> {
    Err(format!("{cost} is too much"))
}

#[cos::task]
async fn search(seed: u64) -> cos::Result<f64> {
    let mut x = seed as f64;
    for _ in 0..3 {
        x /= 2.0;
        if x > 4.0 * cos::spawner_call(offer::job(x)).await? {
            break;
        }
    }
    Ok(x)
}

#[cos::task]
fn search_blocking(seed: u64) -> cos::Result<f64> {
    Ok(cos::blocking::spawner_call(offer::job(seed as f64))?)
}

#[cos::task]
async fn search_below(seed: u64) -> cos::Result<f64> {
    let below = cos::spawn(search::job(seed)).remote().await?;
    Ok(below.await?)
}

#[test]
fn a_call_sees_the_thread_of_the_spawner() {
    for slots in [1, 3] {
        let results = run(slots, async {
            BEST.with(|best| best.set(f64::INFINITY));
            let found = cos::dispatch((1..10).map(search::job)).collect().await?;
            let best = BEST.with(Cell::get);
            Ok::<_, cos::Error>((found, best))
        });
        let (found, best) = results.expect("values");
        assert_eq!(found.len(), 9);
        assert!(best <= 0.25, "{best}");
    }
}

#[test]
fn a_plain_function_blocks_and_lends_its_slot() {
    let best = run(1, async {
        BEST.with(|best| best.set(f64::INFINITY));
        let jobs = [5, 3, 8].map(search_blocking::job);
        cos::dispatch(jobs).collect().await
    });
    let mut best = best.expect("values");
    best.sort_by(f64::total_cmp);
    assert_eq!(best[0], 3.0);
}

#[test]
fn a_task_of_a_task_calls_the_same_spawner() {
    let best = run(1, async {
        BEST.with(|best| best.set(f64::INFINITY));
        let _: Vec<f64> = cos::dispatch([search_below::job(8)]).collect().await?;
        Ok::<_, cos::Error>(BEST.with(Cell::get))
    });
    assert_eq!(best.expect("a value"), 1.0);
}

#[cos::task]
async fn asks_for_a_refusal() -> String {
    let error = cos::spawner_call(refuses::job(3.5)).await;
    error.expect_err("it refuses").to_string()
}

#[cos::task]
async fn asks_later() -> cos::Result<f64> {
    Ok(cos::spawner_call(offer_later::job(-1.0)).await?)
}

#[test]
fn errors_come_back_as_errors_and_async_jobs_run() {
    run(1, async {
        let error = cos::dispatch_single(asks_for_a_refusal::job()).await;
        assert!(
            error
                .as_ref()
                .is_ok_and(|it| it.contains("3.5 is too much")),
            "{error:?}"
        );
        let later = cos::dispatch_single(asks_later::job()).await;
        assert_eq!(later.expect("a value"), -1.0);
    });
}

#[cos::task]
fn note(caller: u64, number: u64) {
    NOTED.with(|noted| noted.borrow_mut().push((caller, number)));
}

#[cos::task]
async fn notifies(caller: u64) -> cos::Result<()> {
    for number in 0..20 {
        cos::spawner_notify(note::job(caller, number))?;
    }
    // What is called in the spawner after that is called later.
    Ok(cos::spawner_call(note::job(caller, 20)).await?)
}

#[cos::task]
fn notifies_plainly(caller: u64) -> cos::Result<()> {
    cos::spawner_notify(note::job(caller, 0))?;
    Ok(cos::blocking::spawner_call(note::job(caller, 1))?)
}

#[test]
fn notices_of_one_caller_keep_their_order() {
    run(3, async {
        let jobs = (0..4)
            .map(notifies::job)
            .chain((4..6).map(notifies_plainly::job));
        cos::dispatch(jobs).collect().await.expect("they do");
    });
    NOTED.with(|noted| {
        for (caller, count) in [(0, 21), (3, 21), (4, 2), (5, 2)] {
            let noted = noted.borrow();
            let of_one = noted.iter().filter(|(it, _)| *it == caller);
            let numbers: Vec<u64> = of_one.map(|(_, number)| *number).collect();
            assert_eq!(numbers, (0..count).collect::<Vec<_>>());
        }
    });
}

#[test]
fn in_the_spawner_itself_a_call_runs_in_line() {
    run(1, async {
        BEST.with(|best| best.set(7.0));
        assert_eq!(cos::spawner_call(offer::job(9.0)).await, Ok(7.0));
        assert_eq!(cos::blocking::spawner_call(offer::job(6.0)), Ok(6.0));
        assert_eq!(cos::spawner_call(offer_later::job(9.0)).await, Ok(6.0));
        let refused = cos::blocking::spawner_call(offer_later::job(9.0));
        let refused = refused.expect_err("it would wait for a turn of this very thread");
        assert!(refused.to_string().contains("would block"), "{refused}");
    });
}
