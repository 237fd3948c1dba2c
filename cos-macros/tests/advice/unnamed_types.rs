//! Types that have no name.

use cos_core as cos;

#[cos::task]
fn largest<T: Ord>(values: Vec<T>) -> Option<T> {
    values.into_iter().max()
}

#[cos::task]
fn sum(values: impl Iterator<Item = u64>) -> u64 {
    values.sum()
}

#[cos::task]
fn squares(n: u64) -> impl Iterator<Item = u64> {
    (0..n).map(|n| n * n)
}

fn main() {}
