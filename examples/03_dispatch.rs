//! A hundred jobs on whatever slots there are, and their results in the order of the jobs.
//!
//! ```sh
//! cargo run -p cos-examples --bin 03_dispatch
//! ```

#![expect(
    clippy::print_stdout,
    reason = "a program that is run by hand shows its result"
)]

use cos_core as cos;

#[cos::task]
pub(crate) fn double(x: u64) -> u64 {
    2 * x
}

#[cos::main]
async fn main() -> cos::Result<()> {
    cos::set_vm(cos_ssh_vm::SshVm::discover().await?)?;
    let results: Vec<u64> = cos::dispatch((0..100).map(double::job)).collect().await?;
    println!("{results:?}");
    Ok(())
}
