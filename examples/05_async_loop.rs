//! An asynchronous loop, as optimisers are written: a slot that is free gets a task, a task that is done changes what comes next.
//!
//! ```sh
//! cargo run -p cos-examples --bin 05_async_loop
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
    let (mut set, mut next, mut best, mut stop) = (cos::TaskSet::new(), 0_u64, 0_u64, false);
    loop {
        while !stop && (set.is_empty() || cos::free_slots() > Some(0)) {
            set.spawn(cos::spawn(double::job(next)).remote()).await?;
            next += 1;
        }
        let Some((_, value)) = set.join_next().await else {
            break;
        };
        best = best.max(value?);
        stop |= best >= 150;
    }
    println!("best {best} after {next} tasks");
    Ok(())
}
