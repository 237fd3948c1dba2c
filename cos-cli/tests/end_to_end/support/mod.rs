//! What the tests share: a lab with a client, the command `cos` as a child, and what is left when it has ended.

mod cos;
mod fixture;
mod gated;
mod leftovers;
mod records;

use std::time::Duration;

pub(crate) use cos::{Cos, Ran, Running};
pub(crate) use fixture::Fixture;
pub(crate) use gated::{Gated, all_done};
pub(crate) use records::{JobLine, JobLog, RunDirectory, events};

/// Within this time everything happens that is waited for. Generous: it is for a machine that does many other things.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

/// Between two looks at what is waited for.
pub(crate) const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// The lines of a job's output, sorted.
pub(crate) fn sorted_lines(output: &[u8]) -> Vec<String> {
    let mut lines: Vec<String> = String::from_utf8_lossy(output)
        .lines()
        .map(str::to_owned)
        .collect();
    lines.sort();
    lines
}

/// The numbers from `first` to `last`, as lines, sorted as texts.
pub(crate) fn sorted_numbers(first: u32, last: u32) -> Vec<String> {
    let mut lines: Vec<String> = (first..=last).map(|number| number.to_string()).collect();
    lines.sort();
    lines
}
