//! An endless source of jobs that the collector stops: jobs are made only as slots free up.
//!
//! ```sh
//! cargo run -p cos-examples --bin 04_generator
//! ```

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program that is run by hand shows its result"
)]

use cos_core as cos;
use cos_core::Flow;

#[cos::task]
pub(crate) fn double(x: u64) -> u64 {
    2 * x
}

#[cos::main]
async fn main() -> cos::Result<()> {
    cos::set_vm(cos_ssh_vm::SshVm::discover().await?)?;
    let mut results = Vec::new();
    cos::dispatch((0..).map(|x| double::job(x).extra(x)))
        .for_each(|done| {
            let value = match done.result {
                Ok(value) => value,
                Err(error) => {
                    eprintln!("{error}");
                    return Flow::Go;
                }
            };
            results.push((done.extra, value));
            if value >= 150 {
                Flow::StopSoon
            } else {
                Flow::Go
            }
        })
        .await?;
    // The results came as they were ready; what a collector does at its end in PyOPUS simply follows the await.
    results.sort_unstable();
    println!("{results:?}");
    Ok(())
}
