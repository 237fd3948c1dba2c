//! One thing that is said, and how it is written on a terminal or into a file.

use super::job::{Columns, JobLine};
use crate::message::{Message, Palette};
use crate::progress::line::{LABEL_WIDTH, Line, Tone};
use crate::progress::text;

/// The columns of most labels, so that what follows a count begins in one column.
const COUNTED_LABEL_WIDTH: usize = 5;

/// One thing that is said above the progress display.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::progress) enum Statement {
    /// Something about one job.
    Job(JobLine),
    /// Something about the run: a label and what follows it.
    Run {
        /// `Starting`, `Summary`.
        label: &'static str,
        /// How bad it is.
        tone: Tone,
        /// What follows.
        body: Line,
    },
    /// The same, where it matters not how far the run is.
    Heading {
        /// `Starting`.
        label: &'static str,
        /// What follows.
        body: Line,
    },
    /// An error, a warning or a note.
    Message(Message),
    /// Nothing but a line feed.
    Blank,
}

/// How statements are written.
#[derive(Debug, Clone)]
pub(in crate::progress) struct Form {
    /// The colours.
    pub(in crate::progress) palette: Palette,
    /// The columns.
    pub(in crate::progress) columns: Columns,
    /// What stands before the label.
    pub(in crate::progress) margin: Margin,
}

/// What stands before a label.
#[derive(Debug, Clone)]
pub(in crate::progress) enum Margin {
    /// Blanks, so that labels end in one column.
    Aligned,
    /// So much of the run is done: `(412/1000) `.
    Counted(String),
}

impl Statement {
    /// The statement as whole lines.
    pub(in crate::progress) fn render(&self, form: &Form) -> String {
        let (label, tone) = match self {
            Self::Job(job) => (job.label, job.tone),
            Self::Run { label, tone, .. } => (*label, *tone),
            Self::Heading { label, body } => {
                let head = Line::labelled(Tone::Good, label);
                return head.render(form.palette) + &body.render(form.palette) + "\n";
            }
            Self::Message(message) => return message.render(form.palette),
            Self::Blank => return "\n".to_owned(),
        };
        let head = match &form.margin {
            Margin::Aligned => Line::labelled(tone, label),
            Margin::Counted(count) => {
                let fill = " ".repeat(1 + COUNTED_LABEL_WIDTH.saturating_sub(label.len()));
                Line::new().plain(count).with(tone, label).plain(fill)
            }
        };
        let body = match self {
            Self::Job(job) => job.body(form.columns, head.width()),
            Self::Run { body, .. } => body.clone(),
            Self::Heading { .. } | Self::Message(_) | Self::Blank => Line::new(),
        };
        let mut text = head.render(form.palette);
        text.push_str(&body.render(form.palette));
        text.truncate(text.trim_end_matches(' ').len());
        text.push('\n');
        text
    }
}

impl Margin {
    /// So many of so many jobs are done.
    pub(in crate::progress) fn counted(done: u64, total: Option<u64>) -> Self {
        Self::Counted(match total {
            Some(total) => {
                let total = total.to_string();
                format!("({done:>width$}/{total}) ", width = total.len())
            }
            None => format!("({done}) "),
        })
    }
}

/// Breaks a list into lines of at most `columns`, all but the first indented as the text after a label.
pub(super) fn wrapped(items: &[String], separator: &str, columns: usize) -> Vec<String> {
    let room = columns.saturating_sub(LABEL_WIDTH + 1).max(20);
    let mut lines: Vec<String> = Vec::new();
    for (position, item) in items.iter().enumerate() {
        let more = position + 1 < items.len();
        let item = format!("{item}{}", if more { separator } else { "" });
        match lines.last_mut() {
            Some(line) if text::width(line) + text::width(item.trim_end()) <= room => {
                line.push_str(&item);
            }
            _ => lines.push(item),
        }
    }
    lines
}
