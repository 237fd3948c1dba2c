//! Replacement strings: a command with holes, and how the values of a job fill them.
//!
//! A [`Template`] is parsed once per run. [`Template::bind`] puts a job's values in, quoted for the place where each
//! stands, and leaves two kinds of holes: `{%}`, the slot, known when the job starts, and `{m}`, a path as its host
//! sees it, known when the host is. A value is data wherever it stands: where no quoting could make sure of that, in
//! `$((..))` or a here-document, only values without any special character are let in.

mod bound;
mod edit;
mod file_name;
mod placeholder;
mod quote;
mod shell_context;

use placeholder::{Edit, Placeholder, Which};

pub use bound::{BoundCommand, BoundPart, CompleteError};
pub use file_name::file_name;
pub use quote::{Quoting, quoted};

use shell_context::ShellContext;

/// Text with replacement strings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    pieces: Vec<Piece>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Literal(Vec<u8>),
    Hole {
        placeholder: Placeholder,
        quoting: Quoting,
        written: Vec<u8>,
    },
}

/// Why a job's values do not fit into its command.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{}` stands {place}, where the value `{}` could be read as code",
    .placeholder.escape_ascii(),
    .value.escape_ascii()
)]
pub struct BindError {
    /// The replacement string.
    pub placeholder: Vec<u8>,
    /// Where it stands, such as "in a here-document".
    pub place: &'static str,
    /// The value that has characters which mean something there.
    pub value: Vec<u8>,
}

impl BindError {
    /// What the user can do about it.
    #[must_use]
    pub fn hint(&self) -> String {
        let placeholder = self.placeholder.escape_ascii();
        format!("assign it first and use the variable there: 'x={placeholder}; ... $x ...'")
    }
}

impl Template {
    /// A command: its words are joined by spaces and are shell text; ` {}` is added when it has no replacement
    /// string. Without any word, the job's input itself is the command.
    ///
    /// `names` are the columns of `--header`, by position.
    #[must_use]
    pub fn command<W: AsRef<[u8]>>(words: &[W], names: &[Vec<u8>]) -> Self {
        if words.is_empty() {
            let placeholder = Placeholder::Input {
                which: Which::All,
                edit: Edit::Whole,
                mapped: false,
            };
            let written = b"{}".to_vec();
            return Self {
                pieces: vec![Piece::Hole {
                    placeholder,
                    quoting: Quoting::Raw,
                    written,
                }],
            };
        }
        let mut text = join(words.iter().map(AsRef::as_ref));
        let mut template = Self::parse(&text, names, &mut Place::Shell(ShellContext::new()));
        if !template.has_holes() {
            text.extend_from_slice(b" {}");
            template = Self::parse(&text, names, &mut Place::Shell(ShellContext::new()));
        }
        template
    }

    /// Plain text, such as the start of output lines: nothing is quoted.
    #[must_use]
    pub fn text(text: &[u8], names: &[Vec<u8>]) -> Self {
        Self::parse(text, names, &mut Place::Plain(Quoting::Raw))
    }

    /// The name of a file or directory: values become safe components of it.
    #[must_use]
    pub fn path(text: &[u8], names: &[Vec<u8>]) -> Self {
        Self::parse(text, names, &mut Place::Plain(Quoting::FileName))
    }

    /// The text as it was written, replacement strings and all.
    #[must_use]
    pub fn written(&self) -> Vec<u8> {
        let text = self.pieces.iter().flat_map(|piece| match piece {
            Piece::Literal(text) => text,
            Piece::Hole { written, .. } => written,
        });
        text.copied().collect()
    }

    /// Whether there is any replacement string.
    #[must_use]
    pub fn has_holes(&self) -> bool {
        self.pieces
            .iter()
            .any(|piece| matches!(piece, Piece::Hole { .. }))
    }

    /// Whether any value is to be mapped to its host (`{m}`).
    #[must_use]
    pub fn needs_mapping(&self) -> bool {
        self.pieces.iter().any(|piece| {
            matches!(
                piece,
                Piece::Hole {
                    placeholder: Placeholder::Input { mapped: true, .. },
                    ..
                }
            )
        })
    }

    /// Fills in the values of job number `sequence`, counted from 1.
    ///
    /// # Errors
    ///
    /// When a value stands where it cannot be quoted.
    pub fn bind<V: AsRef<[u8]>>(
        &self,
        values: &[V],
        sequence: u64,
    ) -> Result<BoundCommand, BindError> {
        let mut bound = BoundCommand::default();
        for piece in &self.pieces {
            match piece {
                Piece::Literal(text) => bound.push_text(text),
                Piece::Hole {
                    placeholder: Placeholder::Sequence,
                    quoting,
                    written,
                } => {
                    let number = sequence.to_string();
                    quoting.append(number.as_bytes(), written, bound.text_mut())?;
                }
                Piece::Hole {
                    placeholder: Placeholder::Slot,
                    quoting,
                    ..
                } => {
                    bound.push_slot(*quoting);
                }
                Piece::Hole {
                    placeholder:
                        Placeholder::Input {
                            which,
                            edit,
                            mapped,
                        },
                    quoting,
                    written,
                } => {
                    let chosen = which
                        .choose(values)
                        .iter()
                        .map(|value| edit.apply(value.as_ref()));
                    if *mapped {
                        let paths = chosen.map(<[u8]>::to_vec).collect();
                        bound.push_mapped(paths, *quoting, written);
                        continue;
                    }
                    for (index, value) in chosen.enumerate() {
                        if index > 0 {
                            bound.push_text(b" ");
                        }
                        quoting.append(value, written, bound.text_mut())?;
                    }
                }
            }
        }
        Ok(bound)
    }

    fn parse(text: &[u8], names: &[Vec<u8>], place: &mut Place) -> Self {
        let mut pieces = Vec::new();
        let mut literal = 0;
        let mut position = 0;
        while let Some(offset) = text[position..].iter().position(|&byte| byte == b'{') {
            let start = position + offset;
            let Some((placeholder, length)) = Placeholder::parse(&text[start..], names) else {
                position = start + 1;
                continue;
            };
            let end = start + length;
            let before = &text[literal..start];
            if !before.is_empty() {
                pieces.push(Piece::Literal(before.to_vec()));
            }
            let quoting = match place {
                Place::Shell(shell) => {
                    shell.read(before);
                    shell.value(text.get(end).copied())
                }
                Place::Plain(quoting) => *quoting,
            };
            let written = text[start..end].to_vec();
            pieces.push(Piece::Hole {
                placeholder,
                quoting,
                written,
            });
            literal = end;
            position = end;
        }
        if literal < text.len() {
            pieces.push(Piece::Literal(text[literal..].to_vec()));
        }
        Self { pieces }
    }
}

/// What kind of text a template is.
enum Place {
    Shell(ShellContext),
    Plain(Quoting),
}

fn join<'a>(words: impl Iterator<Item = &'a [u8]>) -> Vec<u8> {
    words.collect::<Vec<_>>().join(&b' ')
}

#[cfg(test)]
mod tests;
