//! Tasks that do what they should.

use cos_core as cos;
use serde_bytes::ByteBuf;

/// Twice a number.
#[cos::task]
pub fn double(x: u64) -> u64 {
    2 * x
}

/// So many bytes, each as it should be by its place.
#[cos::task]
pub fn bytes(count: usize) -> ByteBuf {
    pattern(count)
}

/// How many bytes it was given, if each is as it should be.
#[cos::task]
pub fn count(bytes: ByteBuf) -> std::io::Result<usize> {
    match bytes == pattern(bytes.len()) {
        true => Ok(bytes.len()),
        false => Err(std::io::Error::other("the bytes are not as they were sent")),
    }
}

/// The process that runs it.
#[cos::task]
pub fn process() -> u32 {
    std::process::id()
}

/// Takes its time, in milliseconds.
#[cos::task]
pub fn sleep(milliseconds: u64) -> u64 {
    std::thread::sleep(std::time::Duration::from_millis(milliseconds));
    milliseconds
}

/// Sums numbers by microthreads of its own, which yield to each other.
#[cos::task]
pub async fn sum(numbers: Vec<u64>) -> u64 {
    let jobs = numbers.into_iter().map(double::job);
    let doubled = cos::dispatch(jobs).local().collect().await;
    cos::yield_now().await;
    doubled.map_or(0, |doubled| doubled.iter().sum::<u64>() / 2)
}

/// Bytes of which none can be taken for its neighbour.
pub fn pattern(count: usize) -> ByteBuf {
    let byte = |at: usize| (at.wrapping_mul(31) ^ (at >> 8)) as u8;
    ByteBuf::from((0..count).map(byte).collect::<Vec<_>>())
}
