//! A command with a job's values in it.

use cos_core::job::{LinePart, Program};

use super::{BindError, Quoting};

/// A job's command, complete but for what its start decides.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BoundCommand {
    parts: Vec<BoundPart>,
}

/// A piece of a job's command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BoundPart {
    /// Bytes as they are.
    Text(Vec<u8>),
    /// The number of the slot that runs the job.
    Slot,
    /// Paths of this machine, to be named as the host sees them.
    Mapped {
        /// The paths.
        paths: Vec<Vec<u8>>,
        /// How their names have to be written.
        quoting: Quoting,
        /// The replacement string, for messages.
        placeholder: Vec<u8>,
    },
}

/// Why a job's command cannot be completed for a host.
#[derive(Debug, thiserror::Error)]
pub enum CompleteError<E> {
    /// The host does not see the path.
    #[error(transparent)]
    Unmapped(E),
    /// The path stands where it cannot be quoted.
    #[error(transparent)]
    Unquotable(BindError),
}

impl BoundCommand {
    /// Its pieces in order.
    #[must_use]
    pub fn parts(&self) -> &[BoundPart] {
        &self.parts
    }

    /// The command for a host. `map` names a path of this machine as the host sees it.
    ///
    /// # Errors
    ///
    /// When the host does not see a path, or it stands where it cannot be quoted.
    pub fn program<E>(
        &self,
        mut map: impl FnMut(&[u8]) -> Result<Vec<u8>, E>,
    ) -> Result<Program, CompleteError<E>> {
        let mut line = Vec::with_capacity(self.parts.len());
        for part in &self.parts {
            line.push(match part {
                BoundPart::Text(text) => LinePart::Text(text.clone()),
                BoundPart::Slot => LinePart::Slot,
                BoundPart::Mapped {
                    paths,
                    quoting,
                    placeholder,
                } => {
                    let mut text = Vec::new();
                    for (index, path) in paths.iter().enumerate() {
                        if index > 0 {
                            text.push(b' ');
                        }
                        let path = map(path).map_err(CompleteError::Unmapped)?;
                        quoting
                            .append(&path, placeholder, &mut text)
                            .map_err(CompleteError::Unquotable)?;
                    }
                    LinePart::Text(text)
                }
            });
        }
        Ok(Program::Shell(line))
    }

    /// The command as people and logs see it: paths as they are here, the slot as `{%}` while it is not known.
    #[must_use]
    pub fn shown(&self, slot: Option<u32>) -> Vec<u8> {
        let mut line = Vec::new();
        for part in &self.parts {
            match part {
                BoundPart::Text(text) => line.extend_from_slice(text),
                BoundPart::Slot => match slot {
                    Some(slot) => line.extend_from_slice(slot.to_string().as_bytes()),
                    None => line.extend_from_slice(b"{%}"),
                },
                BoundPart::Mapped { paths, .. } => {
                    let words: Vec<_> = paths.iter().map(|path| super::quoted(path)).collect();
                    line.extend_from_slice(&words.join(&b' '));
                }
            }
        }
        line
    }

    /// Whether a path is yet to be mapped to a host.
    #[must_use]
    pub fn needs_mapping(&self) -> bool {
        self.parts
            .iter()
            .any(|part| matches!(part, BoundPart::Mapped { .. }))
    }

    pub(super) fn push_text(&mut self, text: &[u8]) {
        self.text_mut().extend_from_slice(text);
    }

    /// The text at the end, to append to.
    pub(super) fn text_mut(&mut self) -> &mut Vec<u8> {
        if !matches!(self.parts.last(), Some(BoundPart::Text(_))) {
            self.parts.push(BoundPart::Text(Vec::new()));
        }
        match self.parts.last_mut() {
            Some(BoundPart::Text(text)) => text,
            _ => unreachable!("a text was pushed above"),
        }
    }

    /// A slot's number is plain wherever it stands; before `>` it needs quotes all the same.
    pub(super) fn push_slot(&mut self, quoting: Quoting) {
        let quotes: &[u8] = if quoting == (Quoting::Word { always: true }) {
            b"'"
        } else {
            b""
        };
        self.push_text(quotes);
        self.parts.push(BoundPart::Slot);
        if !quotes.is_empty() {
            self.push_text(quotes);
        }
    }

    pub(super) fn push_mapped(
        &mut self,
        paths: Vec<Vec<u8>>,
        quoting: Quoting,
        placeholder: &[u8],
    ) {
        let placeholder = placeholder.to_vec();
        self.parts.push(BoundPart::Mapped {
            paths,
            quoting,
            placeholder,
        });
    }
}
