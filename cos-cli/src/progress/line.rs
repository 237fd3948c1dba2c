//! One line of the display: pieces of text and what they mean, measured before any colour is added.

use std::borrow::Cow;

use super::text;
use crate::message::Palette;

/// What a piece of text means; its colour follows from that.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Tone {
    /// Nothing special.
    #[default]
    Plain,
    /// All is well.
    Good,
    /// It may need a look.
    Warning,
    /// It went wrong.
    Bad,
    /// A host's name.
    Name,
}

/// One line of escaped text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Line {
    pieces: Vec<(Tone, String)>,
}

impl Line {
    pub(super) fn new() -> Self {
        Self::default()
    }

    /// The word before a line, right-aligned as cargo does it: `     Running `.
    pub(super) fn labelled(tone: Tone, label: &str) -> Self {
        Self::new()
            .with(tone, format!("{label:>LABEL_WIDTH$}"))
            .plain(" ")
    }

    /// Adds a piece.
    pub(super) fn with(mut self, tone: Tone, text: impl Into<String>) -> Self {
        self.push(tone, text);
        self
    }

    /// Adds a piece without meaning.
    pub(super) fn plain(self, text: impl Into<String>) -> Self {
        self.with(Tone::Plain, text)
    }

    /// Adds a piece.
    pub(super) fn push(&mut self, tone: Tone, text: impl Into<String>) {
        let text = text.into();
        if !text.is_empty() {
            self.pieces.push((tone, text));
        }
    }

    /// How many columns it takes.
    pub(super) fn width(&self) -> usize {
        self.pieces
            .iter()
            .map(|(_, piece)| text::width(piece))
            .sum()
    }

    /// The line, or as much of its beginning as fits into `columns` with `...` after it.
    pub(super) fn truncated(mut self, columns: usize) -> Self {
        if self.width() <= columns {
            return self;
        }
        let ellipsis = text::ellipsis(columns);
        let mut room = columns - ellipsis.len();
        let mut kept = Vec::new();
        for (tone, piece) in self.pieces {
            let width = text::width(&piece);
            if width > room {
                kept.push((tone, format!("{}{ellipsis}", text::prefix(&piece, room))));
                break;
            }
            room -= width;
            kept.push((tone, piece));
        }
        self.pieces = kept;
        self
    }

    /// The line with its colours, without a line feed.
    pub(super) fn render(&self, palette: Palette) -> String {
        let mut rendered = String::new();
        for (tone, piece) in &self.pieces {
            let style = match tone {
                Tone::Plain => {
                    rendered.push_str(piece);
                    continue;
                }
                Tone::Good => palette.note,
                Tone::Warning => palette.warning,
                Tone::Bad => palette.error,
                Tone::Name => palette.hint,
            };
            rendered.push_str(&format!("{style}{piece}{style:#}"));
        }
        rendered
    }
}

/// The columns of the word before a line.
pub(super) const LABEL_WIDTH: usize = 12;

/// A text filled up with blanks to `columns`, cut where it is longer.
pub(super) fn padded(text: &str, columns: usize) -> String {
    let text: Cow<'_, str> = text::truncate(text, columns);
    let fill = columns.saturating_sub(text::width(&text));
    format!("{text}{:fill$}", "")
}

/// As [`padded`], with the blanks before the text.
pub(super) fn right_aligned(text: &str, columns: usize) -> String {
    let text: Cow<'_, str> = text::truncate(text, columns);
    let fill = columns.saturating_sub(text::width(&text));
    format!("{:fill$}{text}", "")
}
