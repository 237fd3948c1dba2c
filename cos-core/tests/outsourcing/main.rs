//! System calls that reach hosts: remote spawns, dispatch over microthreads, machines that come and go, OS handles.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod dispatching;
mod handles;
mod machines;
mod spawning;

use std::future::Future;
use std::time::Duration;

use cos_core as cos;
use cos_core::Os;
use cos_core::vm::local::LocalVm;

/// How long a test may take.
const LIMIT: Duration = Duration::from_secs(60);

#[cos::task]
pub(crate) fn double(x: u64) -> u64 {
    2 * x
}

#[cos::task]
pub(crate) async fn slow(x: u64) -> u64 {
    tokio::time::sleep(Duration::from_millis(30)).await;
    x
}

#[cos::task]
pub(crate) async fn forever() {
    std::future::pending::<()>().await;
}

#[cos::task]
pub(crate) fn fails(word: String) -> Result<u64, String> {
    Err(word)
}

#[cos::task]
pub(crate) fn panics() -> u64 {
    panic!("in a task")
}

/// Runs a program on an OS with a machine of so many slots.
fn with_slots<F: Future>(slots: u32, main: F) -> F::Output {
    let main = async { tokio::time::timeout(LIMIT, main).await };
    let os = Os::new().vm(LocalVm::in_process(slots));
    os.block_on(main).unwrap().expect("in time")
}

/// Runs a program on an OS without a machine.
fn alone<F: Future>(main: F) -> F::Output {
    let main = async { tokio::time::timeout(LIMIT, main).await };
    Os::new().block_on(main).unwrap().expect("in time")
}

/// Waits until the machine has so many free slots.
async fn until_free(slots: usize) {
    while cos::free_slots() != Some(slots) {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}
