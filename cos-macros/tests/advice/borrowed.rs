//! Arguments and values that borrow.

use cos_core as cos;
use std::path::Path;

#[cos::task]
fn count(text: &str, rows: &[f64], at: Vec<&Path>, limit: &mut u32) -> usize {
    text.len() + rows.len() + at.len() + *limit as usize
}

#[cos::task]
fn longest<'a>(words: Vec<&'a str>) -> &'a str {
    words[0]
}

fn main() {}
