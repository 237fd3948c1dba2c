//! A shared bound for a distributed search: tasks ask the spawner for the best cost so far and give up when they are far from it.
//!
//! ```sh
//! cargo run -p cos-examples --bin 06_spawner_call
//! ```

#![expect(
    clippy::print_stdout,
    reason = "a program that is run by hand shows its result"
)]

use std::cell::RefCell;

use cos_core as cos;

thread_local! {
    static BEST: RefCell<f64> = const { RefCell::new(f64::INFINITY) };
}

/// Runs in the spawner, on the thread of its OS: the thread-local is the spawner's.
#[cos::task]
pub(crate) fn offer(cost: f64) -> f64 {
    BEST.with(|best| {
        let lowest = best.borrow().min(cost);
        *best.borrow_mut() = lowest;
        lowest
    })
}

/// Runs on a slot.
#[cos::task]
pub(crate) async fn search(seed: u64) -> cos::Result<f64> {
    let mut x = seed as f64;
    for _ in 0..3 {
        x /= 2.0;
        if x > 4.0 * cos::spawner_call(offer::job(x)).await? {
            break;
        }
    }
    Ok(x)
}

#[cos::main]
async fn main() -> cos::Result<()> {
    cos::set_vm(cos_ssh_vm::SshVm::discover().await?)?;
    let costs = cos::dispatch((1..=40).map(search::job)).collect().await?;
    let given_up = (1..=40)
        .zip(&costs)
        .filter(|(seed, cost)| f64::from(*seed) / 8.0 != **cost);
    println!("best {}", BEST.with(|best| *best.borrow()));
    println!(
        "{} of {} searches gave up early",
        given_up.count(),
        costs.len()
    );
    Ok(())
}
