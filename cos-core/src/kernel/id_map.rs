//! Hash tables of ids that the kernel has given itself.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// A table by id. Ids rise by one and no peer chooses them, so one multiplication spreads them well enough; the
/// hasher has no random key, so that a run can be repeated exactly.
pub(super) type IdMap<K, V> = HashMap<K, V, BuildHasherDefault<IdHasher>>;

/// The hasher of an [`IdMap`].
#[derive(Clone, Copy, Default)]
pub(super) struct IdHasher(u64);

/// 2^64 over the golden ratio: neighbours land far apart, in the high bits and in the low.
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

impl Hasher for IdHasher {
    fn write_u64(&mut self, id: u64) {
        self.0 = (self.0 ^ id).wrapping_mul(SPREAD);
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
