//! Quoting values for the shell, by the place where they stand.
//!
//! What comes out is read back as the same bytes by sh, bash, dash, ksh, zsh, busybox and, outside of quotes, fish.

use super::BindError;

/// How a value has to be written where it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quoting {
    /// As it is: plain text, or input that is itself a command.
    Raw,
    /// Outside of quotes: as one word.
    Word {
        /// Whether quotes are needed even around a plain value: digits before `>` would number a descriptor.
        always: bool,
    },
    /// Within single quotes.
    SingleQuoted,
    /// Within double quotes.
    DoubleQuoted,
    /// Within the name of a file.
    FileName,
    /// Where no quoting helps: plain values only.
    PlainOnly {
        /// Where that is, such as "in a here-document".
        place: &'static str,
    },
}

/// Words that a shell would take for its own at the start of a command.
const RESERVED: [&[u8]; 17] = [
    b"case",
    b"coproc",
    b"do",
    b"done",
    b"elif",
    b"else",
    b"esac",
    b"fi",
    b"for",
    b"function",
    b"if",
    b"in",
    b"select",
    b"then",
    b"time",
    b"until",
    b"while",
];

/// A value as one word of a shell command.
#[must_use]
pub fn quoted(value: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(value.len() + 2);
    append_word(value, false, &mut out);
    out
}

impl Quoting {
    /// Appends `value` as it has to be written; `placeholder` is named in the error.
    pub(super) fn append(
        self,
        value: &[u8],
        placeholder: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), BindError> {
        match self {
            Self::Raw => out.extend_from_slice(value),
            Self::Word { always } => append_word(value, always, out),
            Self::SingleQuoted => append_single_quoted(value, out),
            Self::DoubleQuoted => {
                for &byte in value {
                    if matches!(byte, b'$' | b'`' | b'"' | b'\\') {
                        out.push(b'\\');
                    }
                    out.push(byte);
                }
            }
            Self::FileName => out.extend_from_slice(&super::file_name(value)),
            Self::PlainOnly { .. } if value.iter().all(|&byte| is_plain(byte)) => {
                out.extend_from_slice(value);
            }
            Self::PlainOnly { place } => {
                let (placeholder, value) = (placeholder.to_vec(), value.to_vec());
                return Err(BindError {
                    placeholder,
                    place,
                    value,
                });
            }
        }
        Ok(())
    }
}

fn append_word(value: &[u8], always: bool, out: &mut Vec<u8>) {
    let plain = !value.is_empty() && value.iter().all(|&byte| is_plain(byte));
    if plain && !always && !RESERVED.contains(&value) {
        out.extend_from_slice(value);
        return;
    }
    // A backslash is left outside of the quotes with a second one: fish reads it even within them.
    let mut pieces = value.split_inclusive(|byte| matches!(byte, b'\'' | b'\\'));
    let mut piece = pieces.next().unwrap_or_default();
    loop {
        let (text, special) = match piece.split_last() {
            Some((&last @ (b'\'' | b'\\'), text)) => (text, Some(last)),
            _ => (piece, None),
        };
        if !text.is_empty() || value.is_empty() {
            out.push(b'\'');
            out.extend_from_slice(text);
            out.push(b'\'');
        }
        if let Some(special) = special {
            out.extend_from_slice(&[b'\\', special]);
        }
        match pieces.next() {
            Some(next) => piece = next,
            None => return,
        }
    }
}

fn append_single_quoted(value: &[u8], out: &mut Vec<u8>) {
    for &byte in value {
        match byte {
            b'\'' => out.extend_from_slice(b"'\\''"),
            _ => out.push(byte),
        }
    }
}

/// Bytes that mean nothing to any shell, anywhere in a word.
fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"_@%+:./-".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn word(value: &str) -> String {
        String::from_utf8_lossy(&quoted(value.as_bytes())).into_owned()
    }

    #[test]
    fn plain_values_stay_as_they_are() {
        for value in ["a", "a/b.c.d", "-n", "10%", "user@host:path", "a+c"] {
            assert_eq!(word(value), value);
        }
    }

    #[test]
    fn others_are_quoted_as_little_as_possible() {
        assert_eq!(word(""), "''");
        assert_eq!(word("a b"), "'a b'");
        assert_eq!(word("it's"), r"'it'\''s'");
        assert_eq!(word("'"), r"\'");
        assert_eq!(word(r"a\b"), r"'a'\\'b'");
        assert_eq!(word("~x"), "'~x'");
        assert_eq!(word("a,b"), "'a,b'", "the command may say {{x,{{}}}}");
        assert_eq!(word("a=b"), "'a=b'");
        assert_eq!(word("if"), "'if'");
    }
}
