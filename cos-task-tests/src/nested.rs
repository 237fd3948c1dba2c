//! Tasks that spawn tasks, each of which takes a whole host of two cores.

use std::cell::RefCell;

use cos_core as cos;
use cos_core::job::{Job, Needs};

fn whole_host<T>(job: Job<T>) -> Job<T> {
    job.needs(Needs::cores(2))
}

/// The number of Fibonacci, by its definition.
#[cos::task]
pub async fn fibonacci(n: u64) -> cos::Result<u64> {
    if n < 2 {
        return Ok(n);
    }
    let one = cos::spawn(whole_host(fibonacci::job(n - 1))).remote();
    let two = cos::spawn(whole_host(fibonacci::job(n - 2))).remote();
    let (one, two) = (one.enqueue().await?, two.enqueue().await?);
    Ok(one.await? + two.await?)
}

/// Sorts, each half elsewhere.
#[cos::task]
pub async fn quicksort(numbers: Vec<u64>) -> cos::Result<Vec<u64>> {
    let Some((&pivot, rest)) = numbers.split_first() else {
        return Ok(numbers);
    };
    let (low, high): (Vec<u64>, Vec<u64>) = rest.iter().partition(|number| **number < pivot);
    let low = cos::spawn(whole_host(quicksort::job(low))).remote().await?;
    let high = cos::spawn(whole_host(quicksort::job(high)))
        .remote()
        .await?;
    let mut sorted = low.await?;
    sorted.push(pivot);
    sorted.extend(high.await?);
    Ok(sorted)
}

/// As many bytes as both of its children have made, which are large.
#[cos::task]
pub async fn bulk(bytes: usize) -> cos::Result<usize> {
    let numbers = vec![7_u64; bytes / 8];
    let child = cos::spawn(whole_host(echo::job(numbers))).remote().await?;
    let echoed = child.await?;
    Ok(8 * echoed.iter().filter(|number| **number == 7).count())
}

/// What it is given.
#[cos::task]
pub fn echo(numbers: Vec<u64>) -> Vec<u64> {
    numbers
}

thread_local! {
    static NOTED: RefCell<Vec<u64>> = const { RefCell::new(Vec::new()) };
}

/// Takes a note in the process that calls it, and gives how many there are.
#[cos::task]
pub fn note(number: u64) -> usize {
    NOTED.with_borrow_mut(|noted| {
        noted.push(number);
        noted.len()
    })
}

/// The notes that were taken in this process.
pub fn noted() -> Vec<u64> {
    NOTED.take()
}

/// Takes notes in its spawner.
#[cos::task]
pub async fn notes(first: u64) -> cos::Result<usize> {
    cos::spawner_notify(note::job(first))?;
    Ok(cos::spawner_call(note::job(first + 1)).await?)
}

/// The same, blocking.
#[cos::task]
pub fn notes_blocking(first: u64) -> cos::Result<usize> {
    cos::spawner_notify(note::job(first))?;
    Ok(cos::blocking::spawner_call(note::job(first + 1))?)
}
