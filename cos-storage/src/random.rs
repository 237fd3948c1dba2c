//! Numbers for names that nobody else should hit by chance.

use rustix::rand::{GetRandomFlags, getrandom};

/// A random number. That a name is free is decided by creating it exclusively; without randomness
/// names are only easier to guess.
pub(crate) fn number() -> u64 {
    let mut bytes = [0; 8];
    match getrandom(&mut bytes, GetRandomFlags::empty()) {
        Ok(8) => u64::from_ne_bytes(bytes),
        _ => u64::from(std::process::id()).wrapping_mul(0x9e37_79b9_7f4a_7c15),
    }
}
