//! Tasks that do what they should.

use serde_bytes::ByteBuf;

task! {
    /// Twice a number.
    double(x: u64) -> u64 { 2 * x }
}

task! {
    /// So many bytes, each as it should be by its place.
    bytes(count: usize) -> ByteBuf { pattern(count) }
}

task! {
    /// How many bytes it was given, if each is as it should be.
    fallible count(bytes: ByteBuf) -> usize {
        match bytes == pattern(bytes.len()) {
            true => Ok(bytes.len()),
            false => Err(std::io::Error::other("the bytes are not as they were sent")),
        }
    }
}

task! {
    /// The process that runs it.
    process() -> u32 { std::process::id() }
}

task! {
    /// Takes its time, in milliseconds.
    sleep(milliseconds: u64) -> u64 {
        std::thread::sleep(std::time::Duration::from_millis(milliseconds));
        milliseconds
    }
}

/// Bytes of which none can be taken for its neighbour.
pub fn pattern(count: usize) -> ByteBuf {
    let byte = |at: usize| (at.wrapping_mul(31) ^ (at >> 8)) as u8;
    ByteBuf::from((0..count).map(byte).collect::<Vec<_>>())
}
