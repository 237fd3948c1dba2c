//! Tasks that make system calls: they spawn tasks, wait for them, and call their spawner, in slots that are threads.

mod calls;
mod trees;

use std::future::Future;

use cos::vm::local::LocalVm;
use cos_core as cos;

/// Runs a program over so many slots.
fn run<F: Future>(slots: u32, program: F) -> F::Output {
    let os = cos::Os::new().vm(LocalVm::in_process(slots));
    os.block_on(program).expect("a runtime")
}
