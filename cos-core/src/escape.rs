//! Text that came from outside, made safe to show: what could move a cursor, change a title or reorder a line is written
//! as an escape sequence that a reader can see.

use std::fmt::Write as _;

/// One line: line feeds are escaped too.
#[must_use]
pub fn escape_line(text: &[u8]) -> String {
    escape(text, |_| false)
}

/// Several lines: line feeds stay, and so do tabs.
#[must_use]
pub fn escape_lines(text: &[u8]) -> String {
    escape(text, |c| matches!(c, '\n' | '\t'))
}

fn escape(text: &[u8], kept: impl Fn(char) -> bool) -> String {
    let mut out = String::with_capacity(text.len());
    for chunk in text.utf8_chunks() {
        for c in chunk.valid().chars() {
            if kept(c) || !is_active(c) {
                out.push(c);
                continue;
            }
            match c {
                '\n' => out.push_str("\\n"),
                '\r' => out.push_str("\\r"),
                '\t' => out.push_str("\\t"),
                c if u32::from(c) < 0x80 => {
                    let _ = write!(out, "\\x{:02x}", u32::from(c));
                }
                c => {
                    let _ = write!(out, "\\u{{{:x}}}", u32::from(c));
                }
            }
        }
        for byte in chunk.invalid() {
            let _ = write!(out, "\\x{byte:02x}");
        }
    }
    out
}

/// Whether a terminal would do something else with it than show it.
fn is_active(c: char) -> bool {
    // Controls; what Unicode calls format characters (marks that turn the direction of a line around, invisible
    // characters); line and paragraph separators.
    c.is_control()
        || matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{feff}')
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}')
        || matches!(c, '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_obey_is_shown() {
        assert_eq!(
            escape_line(b"\x1b]0;owned\x07\x1b[2J"),
            r"\x1b]0;owned\x07\x1b[2J"
        );
        assert_eq!(escape_line("a\u{9b}2Jb".as_bytes()), r"a\u{9b}2Jb");
        assert_eq!(escape_line("abc\u{202e}txt".as_bytes()), r"abc\u{202e}txt");
        assert_eq!(
            escape_line(b"one\ntwo\r\tthree\x7f"),
            r"one\ntwo\r\tthree\x7f"
        );
        assert_eq!(
            escape_line("a\u{200b}b\u{ad}".as_bytes()),
            r"a\u{200b}b\u{ad}"
        );
        assert_eq!(escape_line(b"\xff\xc3("), r"\xff\xc3(");
    }

    #[test]
    fn what_it_only_shows_stays() {
        assert_eq!(
            escape_line("Grüße, 日本 \\n 'x'".as_bytes()),
            "Grüße, 日本 \\n 'x'"
        );
        assert_eq!(escape_lines(b"one\n\ttwo\x1b\r\n"), "one\n\ttwo\\x1b\\r\n");
    }
}
