//! Runs commands on this machine's cores from a program, and sums what they print.
//!
//! ```sh
//! cargo run -p cos-examples --bin commands -- 200
//! ```

#![expect(
    clippy::print_stdout,
    reason = "a program that is run by hand shows its result"
)]

use std::error::Error;

use cos_core::job::{CommandJob, Job};
use cos_core::vm::local::LocalVm;
use cos_core::wire::message::SlotCount;
use cos_core::{Os, dispatch};

fn main() -> Result<(), Box<dyn Error>> {
    // This program is its own worker: started by COS, it does not get past this line.
    cos_core::worker::init();

    let jobs: u64 = std::env::args()
        .nth(1)
        .map_or(Ok(20), |word| word.parse())?;
    let machine = LocalVm::new("example", SlotCount::Cores)?;
    let outputs = Os::new().vm(machine).block_on(async {
        let squares = (1..=jobs).map(|n| CommandJob::shell(n, format!("expr {n} '*' {n}")));
        dispatch(squares.map(Job::captured)).collect().await
    })??;

    let mut sum = 0;
    for output in &outputs {
        sum += String::from_utf8_lossy(&output.stdout)
            .trim()
            .parse::<u64>()?;
    }
    println!("the squares of 1 to {jobs} add up to {sum}");
    Ok(())
}
