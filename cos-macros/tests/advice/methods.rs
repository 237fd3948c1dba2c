//! What is no free and safe function, or has arguments for the attribute.

use cos_core as cos;

struct Search;

impl Search {
    #[cos::task]
    fn run(&self, seed: u64) -> u64 {
        seed
    }
}

#[cos::task]
struct Other;

#[cos::task(remote)]
fn remote() {}

#[cos::task]
unsafe fn raw() {}

fn main() {}
