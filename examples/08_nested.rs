//! Multilevel parallelism: rows are outsourced, and inside each row microthreads share the slot.
//!
//! ```sh
//! cargo run -p cos-examples --bin 08_nested
//! ```

#![expect(
    clippy::print_stdout,
    reason = "a program that is run by hand shows its result"
)]

use cos_core as cos;
use futures_util::StreamExt;

#[cos::task]
pub(crate) fn double(x: u64) -> u64 {
    2 * x
}

#[cos::task]
pub(crate) async fn point(row: u64) -> cos::Result<u64> {
    let mut inner = cos::dispatch((0..4).map(move |i| double::job(row * i)))
        .local()
        .stream();
    let mut sum = 0;
    while let Some(done) = inner.next().await {
        sum += done.result?;
    }
    Ok(sum)
}

#[cos::main]
async fn main() -> cos::Result<()> {
    cos::set_vm(cos_ssh_vm::SshVm::discover().await?)?;
    let rows: Vec<u64> = cos::dispatch((0..10).map(point::job)).collect().await?;
    println!("{rows:?}");
    Ok(())
}
