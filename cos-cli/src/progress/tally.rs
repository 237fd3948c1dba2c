//! The counts of a run in a few words, for the bar and for the sign of life.

use super::model::RunView;

/// `55 run 1 fail 2 retry`
pub(super) fn tally(view: &RunView) -> String {
    let counts = view.counts();
    let mut text = format!("{} run", view.running());
    for (number, word) in [
        (counts.went_wrong(), "fail"),
        (counts.retries, "retry"),
        (counts.stopped, "stopped"),
    ] {
        if number > 0 {
            text.push_str(&format!(" {number} {word}"));
        }
    }
    text
}
