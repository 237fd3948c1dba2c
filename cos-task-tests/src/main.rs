//! The program whose tasks are tested: as a worker it runs them; by hand it tries them in slots of this machine.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program that is run by hand shows its result"
)]

use std::error::Error;
use std::process::ExitCode;

use cos_core::vm::local::LocalVm;
use cos_core::wire::message::SlotCount;
use cos_task_tests::good;

fn main() -> ExitCode {
    cos_core::worker::init();
    match run() {
        Ok(sum) => {
            println!("{sum}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Doubles the numbers to 100 in slots that are processes of this very program.
fn run() -> Result<u64, Box<dyn Error>> {
    let machine = LocalVm::new("task-tests", SlotCount::Number(2))?;
    let doubled = cos_core::Os::new().vm(machine).block_on(async {
        let jobs = (1..=100).map(good::double::job);
        cos_core::dispatch(jobs).collect().await
    })??;
    Ok(doubled.iter().sum())
}
