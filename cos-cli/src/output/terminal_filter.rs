//! Keeps jobs from playing with the user's terminal: text and colours pass, everything else is shown as an escape.

use std::io::{self, Write};

/// The longest colour sequence that passes: `ESC [`, parameters, `m`.
const LONGEST_COLOR: usize = 40;

/// Passes text on to a terminal. Control characters other than line feed, tab and carriage return, and escape sequences other
/// than colours, are written in the form `\x1b`.
#[derive(Debug)]
pub(super) struct TerminalFilter<W> {
    out: W,
    /// The start of what may be a colour sequence, or a C1 control, whose end is still to come.
    pending: Vec<u8>,
}

impl<W: Write> TerminalFilter<W> {
    pub(super) fn new(out: W) -> Self {
        Self {
            out,
            pending: Vec::new(),
        }
    }

    fn take(&mut self, byte: u8, shown: &mut Vec<u8>) {
        match self.pending.as_slice() {
            [] => match byte {
                0x1b | 0xc2 => self.pending.push(byte),
                _ => show(byte, shown),
            },
            // U+0080 to U+009F are controls too, in two bytes.
            [0xc2] => {
                self.pending.clear();
                if (0x80..0xa0).contains(&byte) {
                    escape(0xc2, shown);
                    escape(byte, shown);
                } else {
                    shown.push(0xc2);
                    self.take(byte, shown);
                }
            }
            [0x1b] if byte == b'[' => self.pending.push(byte),
            [0x1b, b'[', ..] if byte == b'm' => {
                shown.append(&mut self.pending);
                shown.push(byte);
            }
            [0x1b, b'[', ..]
                if matches!(byte, b'0'..=b'9' | b';' | b':')
                    && self.pending.len() < LONGEST_COLOR =>
            {
                self.pending.push(byte);
            }
            _ => {
                self.release(shown);
                self.take(byte, shown);
            }
        }
    }

    /// What looked like a colour sequence was none.
    fn release(&mut self, shown: &mut Vec<u8>) {
        match std::mem::take(&mut self.pending).as_slice() {
            [0xc2] => shown.push(0xc2),
            pending => pending.iter().for_each(|&byte| show(byte, shown)),
        }
    }
}

fn show(byte: u8, shown: &mut Vec<u8>) {
    match byte {
        b'\n' | b'\t' | b'\r' => shown.push(byte),
        0..0x20 | 0x7f => escape(byte, shown),
        _ => shown.push(byte),
    }
}

fn escape(byte: u8, shown: &mut Vec<u8>) {
    // Writing into a vector cannot fail.
    let _ = write!(shown, "\\x{byte:02x}");
}

impl<W: Write> Write for TerminalFilter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut shown = Vec::with_capacity(bytes.len());
        for &byte in bytes {
            self.take(byte, &mut shown);
        }
        self.out.write_all(&shown)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(pieces: &[&[u8]]) -> String {
        let mut filter = TerminalFilter::new(Vec::new());
        for piece in pieces {
            filter.write_all(piece).expect("written");
        }
        filter.out.escape_ascii().to_string()
    }

    #[test]
    fn text_and_colours_pass() {
        assert_eq!(shown(&[b"a\tb\r\n"]), r"a\tb\r\n");
        assert_eq!(shown(&[b"\x1b[1;31mred\x1b[m"]), r"\x1b[1;31mred\x1b[m");
        assert_eq!(shown(&[b"\x1b", b"[3", b"1m"]), r"\x1b[31m");
        assert_eq!(
            shown(&["Grüße 日本".as_bytes()]),
            "Grüße 日本".as_bytes().escape_ascii().to_string()
        );
    }

    #[test]
    fn everything_else_is_shown() {
        // A backslash of the filter is one byte, so `escape_ascii` doubles it.
        assert_eq!(shown(&[b"\x1b]0;title\x07"]), r"\\x1b]0;title\\x07");
        assert_eq!(shown(&[b"\x1b[2J\x1b[1;1H"]), r"\\x1b[2J\\x1b[1;1H");
        assert_eq!(shown(&[b"\x1b[31", b"\x1bc"]), r"\\x1b[31\\x1bc");
        assert_eq!(shown(&[b"\x1b[31"]), "", "it may become a colour yet");
        assert_eq!(shown(&["\u{9b}2J".as_bytes()]), r"\\xc2\\x9b2J");
        assert_eq!(shown(&[b"\x08\x7f\0"]), r"\\x08\\x7f\\x00");
        let long = [b"\x1b[".as_slice(), &[b'1'; 100], b"m"].concat();
        assert!(shown(&[&long]).starts_with(r"\\x1b[111"));
    }
}
