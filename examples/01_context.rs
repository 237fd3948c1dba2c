//! Two microthreads take turns on one thread: every `yield_now` passes the turn on.
//!
//! ```sh
//! cargo run -p cos-examples --bin 01_context
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
    let a = cos::spawn(print_msg::job("Hello A".into(), 10)).await?;
    let b = cos::spawn(print_msg::job("Hello B".into(), 20)).await?;
    let mut running = vec![a.tid(), b.tid()];
    // A join names the children that it waits for; with an empty list it would take any.
    while let Some((tid, value)) = cos::join(&running).await {
        running.retain(|other| *other != tid);
        println!("task {tid}: {}", value.get::<u32>()?);
    }
    Ok(())
}
