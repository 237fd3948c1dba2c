//! Text from elsewhere, made fit for a line of a terminal: escaped, measured, cut.
//!
//! Whatever a host, a job or a file name brings goes through [`escape`] before it is shown: escape sequences would
//! move the cursor, bidirectional marks would change what is read, a newline would end the line.

use std::borrow::Cow;
use std::fmt::Write as _;

use unicode_width::UnicodeWidthChar as _;

/// Stands for what was cut away.
const ELLIPSIS: &str = "...";

/// The text on one line, without anything that acts on a terminal: control characters, bidirectional marks and
/// other invisible characters are written as Rust writes them (`\n`, `\u{1b}`).
///
/// Quotes and backslashes stay as they are, and so do combining marks.
pub fn escape(text: &str) -> Cow<'_, str> {
    if text.bytes().all(is_plain) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        push_escaped(&mut escaped, character);
    }
    Cow::Owned(escaped)
}

/// As [`escape`], for bytes that need not be UTF-8: those that are not are written as `\xff`.
pub fn escape_bytes(bytes: &[u8]) -> Cow<'_, str> {
    if let Ok(text) = std::str::from_utf8(bytes) {
        return escape(text);
    }
    let mut escaped = String::with_capacity(bytes.len() + 16);
    for chunk in bytes.utf8_chunks() {
        escaped.push_str(&escape(chunk.valid()));
        for byte in chunk.invalid() {
            // Writing to a string cannot fail.
            let _ = write!(escaped, "\\x{byte:02x}");
        }
    }
    Cow::Owned(escaped)
}

/// How many columns an escaped text takes.
pub fn width(text: &str) -> usize {
    if text.bytes().all(is_plain) {
        return text.len();
    }
    text.chars().map(character_width).sum()
}

/// An escaped text, or as much of its beginning as fits into `columns` with `...` after it.
pub fn truncate(text: &str, columns: usize) -> Cow<'_, str> {
    if text.len() <= columns && text.bytes().all(is_plain) || width(text) <= columns {
        return Cow::Borrowed(text);
    }
    let Some(room) = columns.checked_sub(ELLIPSIS.len()) else {
        return Cow::Borrowed(&ELLIPSIS[..columns]);
    };
    let mut used = 0;
    let mut kept = String::new();
    for character in text.chars() {
        used += character_width(character);
        if used > room {
            break;
        }
        kept.push(character);
    }
    kept.push_str(ELLIPSIS);
    Cow::Owned(kept)
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

fn push_escaped(escaped: &mut String, character: char) {
    if let ' '..='~' = character {
        escaped.push(character);
        return;
    }
    // `str::escape_debug` knows what is printable; after another character it lets combining marks stand.
    let mut pair = [b'a'; 5];
    let length = character.encode_utf8(&mut pair[1..]).len();
    let pair = std::str::from_utf8(&pair[..=length]).unwrap_or_default();
    escaped.extend(pair.escape_debug().skip(1));
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ordinary_text_stays_as_it_is() {
        for text in [
            "sim.sh 'c 1.net' \"x\" \\n | gzip > ~/out",
            "größe.net",
            "e\u{301}.net",
            "計算.net",
        ] {
            assert_eq!(escape(text), text);
        }
    }

    #[test]
    fn what_acts_on_a_terminal_is_written_out() {
        assert_eq!(escape("a\u{1b}[2Jb"), "a\\u{1b}[2Jb");
        assert_eq!(escape("a\nb\tc\rd\0"), "a\\nb\\tc\\rd\\0");
        assert_eq!(escape("\u{9b}2J\u{85}"), "\\u{9b}2J\\u{85}");
        assert_eq!(
            escape("x\u{202e}y\u{2066}\u{200f}"),
            "x\\u{202e}y\\u{2066}\\u{200f}"
        );
        assert_eq!(
            escape("\u{200b}\u{200d}\u{feff}\u{2028}\u{e0041}"),
            "\\u{200b}\\u{200d}\\u{feff}\\u{2028}\\u{e0041}"
        );
        assert_eq!(escape_bytes(b"ok \xff\xfe\x1b"), "ok \\xff\\xfe\\u{1b}");
    }

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
        fn no_bytes_act_on_a_terminal(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let escaped = escape_bytes(&bytes);
            prop_assert!(!escaped.chars().any(char::is_control));
        }

        #[test]
        fn a_cut_text_fits(text in "\\PC*", columns in 0_usize..40) {
            let escaped = escape(&text);
            let cut = truncate(&escaped, columns);
            prop_assert!(width(&cut) <= columns);
            prop_assert!(width(&escaped) > columns || cut == escaped);
        }

        #[test]
        fn no_terminal_takes_more_columns(text in "\\PC*") {
            let escaped = escape(&text);
            prop_assert!(console::measure_text_width(&escaped) <= width(&escaped));
        }
    }
}
