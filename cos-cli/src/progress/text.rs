//! Text on a line of a terminal: measured and cut. All of it was escaped before (`crate::escape`).

use std::borrow::Cow;

use unicode_width::UnicodeWidthChar as _;

/// Stands for what was cut away.
const ELLIPSIS: &str = "...";

/// How many columns an escaped text takes.
pub(super) fn width(text: &str) -> usize {
    if text.bytes().all(is_plain) {
        return text.len();
    }
    text.chars().map(character_width).sum()
}

/// An escaped text, or as much of its beginning as fits into `columns` with `...` after it.
pub(crate) fn truncate(text: &str, columns: usize) -> Cow<'_, str> {
    if text.len() <= columns && text.bytes().all(is_plain) || width(text) <= columns {
        return Cow::Borrowed(text);
    }
    let ellipsis = ellipsis(columns);
    let kept = prefix(text, columns - ellipsis.len());
    Cow::Owned(format!("{kept}{ellipsis}"))
}

/// What stands for text that was cut away, where there are `columns` in all.
pub(super) fn ellipsis(columns: usize) -> &'static str {
    &ELLIPSIS[..columns.min(ELLIPSIS.len())]
}

/// As much of the beginning of an escaped text as fits into `columns`.
pub(super) fn prefix(text: &str, columns: usize) -> &str {
    let mut used = 0;
    for (position, character) in text.char_indices() {
        used += character_width(character);
        if used > columns {
            return &text[..position];
        }
    }
    text
}

/// The columns that a terminal gives a character. Terminals differ where characters join (emoji with modifiers); the
/// sum over the characters is the most that any of them takes.
fn character_width(character: char) -> usize {
    match character {
        // Asks for the wide form of the character before it, which has counted one column.
        '\u{fe0f}' => 1,
        _ => character.width().unwrap_or(0),
    }
}

fn is_plain(byte: u8) -> bool {
    matches!(byte, b' '..=b'~')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::escape::escape_line;
    use proptest::prelude::*;

    #[test]
    fn wide_characters_are_cut_before_the_edge() {
        assert_eq!(width("計算"), 4);
        assert_eq!(truncate("計算機の中", 10), "計算機の中");
        assert_eq!(truncate("計算機の中", 9), "計算機...");
        assert_eq!(truncate("計算機の中", 8), "計算...");
        assert_eq!(truncate("abcdef", 5), "ab...");
        assert_eq!(truncate("abcdef", 2), "..");
        assert_eq!(truncate("abcdef", 0), "");
        assert_eq!(truncate("", 0), "");
    }

    proptest! {
        #[test]
        fn a_cut_text_fits(text in "\\PC*", columns in 0_usize..40) {
            let escaped = escape_line(text.as_bytes());
            let cut = truncate(&escaped, columns);
            prop_assert!(width(&cut) <= columns);
            prop_assert!(width(&escaped) > columns || cut == escaped.as_str());
        }

        #[test]
        fn no_terminal_takes_more_columns(text in "\\PC*") {
            let escaped = escape_line(text.as_bytes());
            prop_assert!(console::measure_text_width(&escaped) <= width(&escaped));
        }
    }
}
