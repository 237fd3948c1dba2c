//! Hash tables of ids that the kernel has given itself.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// A table by id. Ids rise by one and no peer chooses them. So each has a bucket of its own nearly always, and
/// neighbours in age are neighbours in memory: a million of them are gone through in order, not at random. The hasher has
/// no random key, so that a run can be repeated exactly.
pub(crate) type IdMap<K, V> = HashMap<K, V, BuildHasherDefault<IdHasher>>;

/// The hasher of an [`IdMap`].
#[derive(Clone, Copy, Default)]
pub(crate) struct IdHasher(u64);

/// 2^64 over the golden ratio: products of neighbours differ in their high bits.
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;
/// The table takes a bucket from the low bits and tells the keys of a group apart by the seven highest.
const HIGH: u64 = 0x7f << 57;

impl Hasher for IdHasher {
    fn write_u64(&mut self, id: u64) {
        self.0 ^= id;
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.wrapping_mul(SPREAD) ^ u64::from(*byte);
        }
    }

    fn finish(&self) -> u64 {
        (self.0 & !HIGH) | (self.0.wrapping_mul(SPREAD) & HIGH)
    }
}
