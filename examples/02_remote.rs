//! The same function as a microthread here and as a task elsewhere, side by side.
//!
//! ```sh
//! cargo run -p cos-examples --bin 02_remote          # without a hosts.toml: slots of this machine
//! ```

#![expect(
    clippy::print_stdout,
    reason = "a program that is run by hand shows its result"
)]

use cos_core as cos;

#[cos::task]
pub(crate) async fn print_msg(msg: String, n: u32) -> u32 {
    for i in 0..n {
        println!("{} {msg}: {i}", cos::tid());
        cos::yield_now().await;
    }
    n
}

#[cos::main]
async fn main() -> cos::Result<()> {
    cos::set_vm(cos_ssh_vm::SshVm::discover().await?)?;
    let mut set = cos::TaskSet::new();
    set.spawn(cos::spawn(print_msg::job("A".into(), 10)))
        .await?;
    set.spawn(cos::spawn(print_msg::job("B".into(), 20)))
        .await?;
    // What the outsourced one prints comes back line by line, with its host's name.
    set.spawn(cos::spawn(print_msg::job("C".into(), 15)).remote())
        .await?;
    while let Some((tid, value)) = set.join_next().await {
        println!("{tid}: {}", value?);
    }
    Ok(())
}
