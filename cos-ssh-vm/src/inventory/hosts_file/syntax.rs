//! The TOML of the file: its tree with places, and every fault of its syntax.

use std::ops::Range;

use toml::Spanned;
use toml::de::DeTable;

use super::super::report::Problem;
use super::MAX_PROBLEMS;

/// Reads `text` as far as it can be read.
pub(super) fn parse(text: &str) -> (Spanned<DeTable<'_>>, Faults) {
    let (document, errors) = DeTable::parse_recoverable(text);
    let mut faults = Faults {
        problems: Vec::new(),
        unclear: Vec::new(),
    };
    let mut errors: Vec<_> = errors
        .into_iter()
        .map(|error| (error.span().unwrap_or(0..0), error.message().to_owned()))
        .collect();
    errors.sort_by_key(|(span, _)| span.start);
    for (span, message) in errors {
        // One fault per line: what follows on the same line is mostly its consequence.
        if faults.is_unclear(span.start) {
            continue;
        }
        if faults.problems.len() == MAX_PROBLEMS {
            break;
        }
        faults.unclear.push(unclear_lines(text, span.start));
        faults.problems.push(problem(span, &message));
    }
    (document, faults)
}

/// The faults of a text's syntax.
pub(super) struct Faults {
    problems: Vec<Problem>,
    /// The lines of which the tree may hold something that nobody wrote, in order.
    unclear: Vec<Range<usize>>,
}

impl Faults {
    /// Whether the text is TOML.
    pub(super) fn is_empty(&self) -> bool {
        self.problems.is_empty()
    }

    /// These faults and those problems of the tree that are not their consequence.
    pub(super) fn merge(mut self, tree: Vec<Problem>) -> Vec<Problem> {
        let is_clear = |problem: &Problem| !self.is_unclear(problem.offset());
        let clear: Vec<_> = tree.into_iter().filter(is_clear).collect();
        self.problems.extend(clear);
        self.problems
    }

    fn is_unclear(&self, offset: usize) -> bool {
        let next = self.unclear.partition_point(|lines| lines.start <= offset);
        next.checked_sub(1)
            .is_some_and(|last| self.unclear[last].contains(&offset))
    }
}

/// The line of `offset`; for the header of a table also what follows, up to the next header, since it is
/// not known to which table it belongs.
fn unclear_lines(text: &str, offset: usize) -> Range<usize> {
    let offset = offset.min(text.len());
    let bytes = text.as_bytes();
    let start = bytes[..offset]
        .iter()
        .rposition(|byte| *byte == b'\n')
        .map_or(0, |newline| newline + 1);
    let line_end = |from: usize| {
        bytes[from..]
            .iter()
            .position(|byte| *byte == b'\n')
            .map_or(text.len() + 1, |newline| from + newline + 1)
    };
    let is_header = |line: usize| bytes[line..].trim_ascii_start().starts_with(b"[");
    let mut end = line_end(start.max(offset));
    if is_header(start) {
        while end < text.len() && !is_header(end) {
            end = line_end(end);
        }
    }
    start..end
}

fn problem(span: Range<usize>, message: &str) -> Problem {
    if message.starts_with("string values must be quoted") {
        if span.is_empty() {
            return Problem::new(span, "a key without a value", "expected a value");
        }
        return Problem::new(span, "a text without quotes", "write it as \"...\"");
    }
    if message.contains("duplicate key") {
        return Problem::new(
            span,
            "a key that is here twice",
            "already set above in the same table",
        );
    }
    let (title, expected) = match message.split_once(", expected ") {
        Some((title, expected)) => (title, format!("expected {expected}")),
        None => (message, "not valid TOML".to_owned()),
    };
    Problem::new(
        span,
        title.trim().replace('\n', "; "),
        expected.replace('\n', " "),
    )
}
