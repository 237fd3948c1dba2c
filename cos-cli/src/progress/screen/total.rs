//! The line about the whole run.

use cos_core::time::Time;

use crate::progress::format::Coarse;
use crate::progress::line::{LABEL_WIDTH, Line, Tone};
use crate::progress::model::{Phase, RunView};
use crate::progress::tally::tally;
use crate::progress::text;

/// From these columns on labels are aligned.
pub(super) const ALIGNED: usize = 50;
/// The widths that the bar may have: few, so that it does not change with every digit.
const BAR_WIDTHS: [usize; 3] = [20, 14, 8];

/// `     Running [========>           ] 412/1000 55 run 1 fail 2 retry  eta 1m12s`
pub(super) fn total_line(view: &RunView, now: Time, columns: usize) -> Line {
    let (tone, label) = match view.phase() {
        Phase::Running => (Tone::Good, "Running"),
        Phase::Finishing => (Tone::Warning, "Finishing"),
        Phase::Stopping => (Tone::Warning, "Stopping"),
    };
    let mut line = match columns >= ALIGNED {
        true => Line::labelled(tone, label),
        false => Line::new().with(tone, label).plain(" "),
    };
    let settled = view.counts().settled();
    let mut numbers = match view.total() {
        Some(total) => format!("{settled}/{total}"),
        None => format!("{settled} done"),
    };
    numbers.push_str(&format!(" {}", tally(view)));
    if let Some(left) = view.time_left(now) {
        numbers.push_str(&format!("  eta {}", Coarse(left)));
    }
    match view.total() {
        Some(total) => {
            // Room for an estimate is kept even before there is one.
            let taken = LABEL_WIDTH + 4 + text::width(&numbers).max(42);
            let room = columns.saturating_sub(taken);
            if let Some(width) = BAR_WIDTHS.into_iter().find(|width| *width <= room) {
                line.push(Tone::Plain, format!("[{}] ", bar(settled, total, width)));
            }
        }
        None => line.push(
            Tone::Plain,
            format!("[{:>7}] ", Coarse(view.elapsed(now)).to_string()),
        ),
    }
    line.plain(numbers).truncated(columns)
}

/// `========>           `
fn bar(done: u64, total: u64, width: usize) -> String {
    if done >= total {
        return "=".repeat(width);
    }
    let width_wide = width as u128;
    // Less than the width, for there is less done than in all.
    let filled = (u128::from(done) * width_wide / u128::from(total)) as usize;
    format!("{}>{}", "=".repeat(filled), " ".repeat(width - filled - 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bar_is_full_only_at_the_end() {
        assert_eq!(bar(0, 10, 5), ">    ");
        assert_eq!(bar(5, 10, 5), "==>  ");
        assert_eq!(bar(9, 10, 5), "====>");
        assert_eq!(bar(10, 10, 5), "=====");
        assert_eq!(bar(0, 0, 5), "=====");
        assert_eq!(bar(u64::MAX - 1, u64::MAX, 5), "====>");
    }
}
