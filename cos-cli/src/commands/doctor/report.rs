//! What was found, written down: for people and as JSON.

use std::fmt::Write as _;
use std::os::fd::AsFd;

use console::measure_text_width;
use cos_ssh_vm::doctor::{Examination, Finding, Status};
use serde::Serialize;

use crate::escape::escape_line;
use crate::exit_code;
use crate::message::Palette;

/// The columns of a check's word, the longest being `start-up files`.
const CHECK_COLUMNS: usize = 14;
/// What stands before the text of a finding: a mark, the check's word, blanks.
const INDENT: usize = 2 + CHECK_COLUMNS + 2;
/// The least room for the text of a finding, however narrow the terminal is.
const LEAST_TEXT: usize = 20;

/// The findings about all hosts.
pub(super) struct Report<'a> {
    pub(super) examinations: &'a [Examination],
    /// Where the hosts are named.
    pub(super) source: String,
    /// Whether only what is not good is told.
    pub(super) brief: bool,
}

impl Report<'_> {
    /// 0 when jobs can run on every host, 3 when on none, 5 when on some.
    pub(super) fn exit_code(&self) -> u8 {
        match self.count(Status::Problem) {
            0 => exit_code::SUCCESS,
            unusable if unusable == self.examinations.len() => exit_code::NO_USABLE_HOST,
            _ => exit_code::SOME_HOSTS_UNUSABLE,
        }
    }

    fn count(&self, status: Status) -> usize {
        self.of(status).count()
    }

    fn of(&self, status: Status) -> impl Iterator<Item = &Examination> {
        self.examinations
            .iter()
            .filter(move |examination| examination.status() == status)
    }

    /// A block per host and a line about all of them. What is worst stands last, next to the prompt.
    pub(super) fn text(&self, palette: Palette, columns: Option<usize>) -> String {
        let mut out = String::new();
        for status in [Status::Good, Status::Remark, Status::Problem] {
            for examination in self.of(status) {
                if !(self.brief && status == Status::Good) {
                    self.block(&mut out, examination, palette, columns);
                }
            }
        }
        if !out.is_empty() {
            out.push('\n');
        }
        out.push_str(&self.summary());
        out
    }

    fn block(
        &self,
        out: &mut String,
        examination: &Examination,
        palette: Palette,
        columns: Option<usize>,
    ) {
        let host = escape_line(examination.host.as_bytes());
        let (style, word) = match examination.status() {
            Status::Good => (palette.note, "good"),
            Status::Remark => (palette.warning, "usable"),
            Status::Problem => (palette.error, "unusable"),
        };
        // Writing into a string cannot fail.
        let _ = writeln!(out, "{host}: {style}{word}{style:#}");
        for finding in &examination.findings {
            if self.brief && finding.status == Status::Good {
                continue;
            }
            lines(out, finding, palette, columns);
        }
    }

    /// `5 hosts: 3 good, 1 usable, 1 unusable (ws04)`
    fn summary(&self) -> String {
        let number = self.examinations.len();
        let mut parts = Vec::new();
        for (status, word) in [
            (Status::Good, "good"),
            (Status::Remark, "usable with remarks"),
            (Status::Problem, "unusable"),
        ] {
            match self.count(status) {
                0 => {}
                count => parts.push(format!("{count} {word}")),
            }
        }
        let unusable: Vec<_> = self
            .of(Status::Problem)
            .map(|examination| escape_line(examination.host.as_bytes()))
            .collect();
        let names = match unusable.is_empty() {
            true => String::new(),
            false => format!(" ({})", unusable.join(", ")),
        };
        let hosts = if number == 1 { "host" } else { "hosts" };
        format!("{number} {hosts}: {}{names}\n", parts.join(", "))
    }

    /// One JSON document with everything that was found.
    pub(super) fn json(&self) -> String {
        let hosts = self.examinations.iter().map(|examination| HostEntry {
            name: &examination.host,
            status: match examination.status() {
                Status::Good => "good",
                Status::Remark => "usable",
                Status::Problem => "unusable",
            },
            findings: examination
                .findings
                .iter()
                .filter(|finding| !self.brief || finding.status > Status::Good)
                .map(FindingEntry::from)
                .collect(),
        });
        let document = Document {
            v: 1,
            source: &self.source,
            hosts: hosts.collect(),
        };
        serde_json::to_string_pretty(&document).unwrap_or_default() + "\n"
    }
}

/// A finding, and its cure below it.
fn lines(out: &mut String, finding: &Finding, palette: Palette, columns: Option<usize>) {
    let (style, mark) = match finding.status {
        Status::Good => (palette.note, ' '),
        Status::Remark => (palette.warning, '!'),
        Status::Problem => (palette.error, 'x'),
    };
    let word = finding.check.word();
    let mut head = format!("{style}{mark} {word:<CHECK_COLUMNS$}{style:#}  ");
    let room = columns.map_or(usize::MAX, |columns| {
        columns.saturating_sub(INDENT).max(LEAST_TEXT)
    });
    for line in finding.text.lines() {
        for line in wrapped(&escape_line(line.trim_end().as_bytes()), room) {
            let _ = writeln!(out, "{head}{line}");
            head = " ".repeat(INDENT);
        }
    }
    if let Some(cure) = &finding.cure {
        let style = palette.hint;
        let mut head = format!("{:INDENT$}{style}hint:{style:#} ", "");
        let room = room.saturating_sub("hint: ".len()).max(LEAST_TEXT);
        for line in wrapped(&escape_line(cure.trim().as_bytes()), room) {
            let _ = writeln!(out, "{head}{line}");
            head = " ".repeat(INDENT + "hint: ".len());
        }
    }
}

/// Breaks an escaped line at its blanks. A word that is longer than the room stands on a line of its own.
fn wrapped(line: &str, room: usize) -> Vec<String> {
    if measure_text_width(line) <= room {
        return vec![line.to_owned()];
    }
    let mut lines: Vec<String> = Vec::new();
    for word in line.split(' ') {
        match lines.last_mut() {
            Some(last) if measure_text_width(last) + 1 + measure_text_width(word) <= room => {
                last.push(' ');
                last.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

/// The columns of a terminal; `None` for what is no terminal, where lines are not broken.
pub(super) fn terminal_columns(stream: &impl AsFd) -> Option<usize> {
    let size = rustix::termios::tcgetwinsize(stream).ok()?;
    (size.ws_col > 0).then(|| size.ws_col.into())
}

#[derive(Serialize)]
struct Document<'a> {
    v: u32,
    source: &'a str,
    hosts: Vec<HostEntry<'a>>,
}

#[derive(Serialize)]
struct HostEntry<'a> {
    name: &'a str,
    status: &'static str,
    findings: Vec<FindingEntry<'a>>,
}

#[derive(Serialize)]
struct FindingEntry<'a> {
    check: &'static str,
    status: &'static str,
    text: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    cure: Option<&'a str>,
}

impl<'a> From<&'a Finding> for FindingEntry<'a> {
    fn from(finding: &'a Finding) -> Self {
        Self {
            check: finding.check.word(),
            status: match finding.status {
                Status::Good => "good",
                Status::Remark => "remark",
                Status::Problem => "problem",
            },
            text: &finding.text,
            cure: finding.cure.as_deref(),
        }
    }
}

#[cfg(test)]
mod tests;
