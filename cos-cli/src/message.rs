//! What `cos` has to say on standard error: `error:`, `warning:` and `note:`, their causes, and a `hint:` with the cure.
//!
//! ```text
//! error: ws02 refused the login
//!   ssh: ana@ws02: Permission denied (publickey).
//!   hint: no key in the agent: `ssh-add`
//! ```

use std::error::Error;
use std::ffi::OsString;
use std::fmt::{self, Display, Write as _};
use std::io;

use anstyle::{AnsiColor, Style};
use cos_core::vm::host::HostFailure;

use crate::arguments::{ColorChoice, ParseFailure};
use crate::escape::{escape_line, escape_lines};

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// What was asked for cannot be done.
    Error,
    /// It is done, but not quite as asked.
    Warning,
    /// Worth knowing.
    Note,
}

/// One message. All of its text may come from hosts: it is escaped when it is rendered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    severity: Severity,
    headline: String,
    lines: Vec<Line>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Line {
    /// A cause, in somebody's own words; may be several lines.
    Cause(String),
    /// A picture of the source, drawn by us; shown as it is.
    Snippet(String),
    /// What to do.
    Hint(String),
}

impl Message {
    /// What was asked for cannot be done.
    pub fn error(headline: impl Display) -> Self {
        Self::new(Severity::Error, &headline)
    }

    /// It is done, but not quite as asked.
    pub fn warning(headline: impl Display) -> Self {
        Self::new(Severity::Warning, &headline)
    }

    /// Worth knowing.
    pub fn note(headline: impl Display) -> Self {
        Self::new(Severity::Note, &headline)
    }

    /// An error and all of its causes.
    #[must_use]
    pub fn of_error(error: &dyn Error) -> Self {
        let mut message = Self::error(error);
        let mut told = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            let text = cause.to_string();
            // Some errors tell their cause in the same line.
            if !told.ends_with(&text) {
                message = message.cause(&text);
            }
            told = text;
            source = cause.source();
        }
        message
    }

    /// A host that could not be made ready, as a warning: the run goes on without it.
    #[must_use]
    pub fn of_host(failure: &HostFailure) -> Self {
        let message = Self::warning(&failure.headline).cause(&failure.cause);
        match &failure.cure {
            Some(cure) => message.hint(cure),
            None => message,
        }
    }

    /// Adds a cause: text of one or several lines. Nothing is added for no text.
    #[must_use]
    pub fn cause(mut self, cause: impl Display) -> Self {
        let cause = cause.to_string();
        if !cause.trim().is_empty() {
            self.lines.push(Line::Cause(cause));
        }
        self
    }

    /// Adds a picture of a file's faulty line, drawn already and free of foreign control characters.
    #[must_use]
    pub fn snippet(mut self, snippet: impl Display) -> Self {
        self.lines.push(Line::Snippet(snippet.to_string()));
        self
    }

    /// Adds what the user can do.
    #[must_use]
    pub fn hint(mut self, hint: impl Display) -> Self {
        self.lines.push(Line::Hint(hint.to_string()));
        self
    }

    /// How bad it is.
    #[must_use]
    pub fn severity(&self) -> Severity {
        self.severity
    }

    /// The message as lines, each ended by a line feed.
    #[must_use]
    pub fn render(&self, palette: Palette) -> String {
        let mut out = String::new();
        let (style, label) = match self.severity {
            Severity::Error => (palette.error, "error:"),
            Severity::Warning => (palette.warning, "warning:"),
            Severity::Note => (palette.note, "note:"),
        };
        let mut headline = escape_lines(self.headline.as_bytes());
        headline.truncate(headline.trim_end().len());
        // Writing into a string cannot fail.
        let _ = writeln!(
            out,
            "{style}{label}{style:#} {}",
            headline.replace('\n', "\n  ")
        );
        for line in &self.lines {
            match line {
                Line::Cause(text) => {
                    for line in text.trim_end().lines() {
                        let _ = writeln!(out, "  {}", escape_line(line.as_bytes()));
                    }
                }
                Line::Snippet(text) => {
                    let _ = writeln!(out, "{}", text.trim_end());
                }
                Line::Hint(text) => {
                    let style = palette.hint;
                    let text = escape_line(text.trim().as_bytes());
                    let _ = writeln!(out, "  {style}hint:{style:#} {text}");
                }
            }
        }
        out
    }

    /// Writes the message to standard error. A closed standard error is nobody's business.
    pub fn print(&self, palette: Palette) {
        let _ = io::Write::write_all(&mut io::stderr().lock(), self.render(palette).as_bytes());
    }

    fn new(severity: Severity, headline: &dyn Display) -> Self {
        Self {
            severity,
            headline: headline.to_string(),
            lines: Vec::new(),
        }
    }
}

impl Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(Palette::PLAIN))
    }
}

impl From<&ParseFailure> for Message {
    fn from(failure: &ParseFailure) -> Self {
        let message = Self::error(failure);
        match failure.hint() {
            Some(hint) => message.hint(hint),
            None => message,
        }
    }
}

/// The styles of messages: colours, or none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Palette {
    /// `error:`
    pub error: Style,
    /// `warning:`
    pub warning: Style,
    /// `note:`
    pub note: Style,
    /// `hint:`
    pub hint: Style,
}

impl Palette {
    /// No escape byte at all.
    pub const PLAIN: Self = Self {
        error: Style::new(),
        warning: Style::new(),
        note: Style::new(),
        hint: Style::new(),
    };

    /// Colours as cargo has them.
    pub const COLORED: Self = Self {
        error: AnsiColor::Red.on_default().bold(),
        warning: AnsiColor::Yellow.on_default().bold(),
        note: AnsiColor::Green.on_default().bold(),
        hint: AnsiColor::Cyan.on_default().bold(),
    };

    /// The palette for a stream: `choice` decides, then NO_COLOR, then FORCE_COLOR, then whether it is a terminal.
    #[must_use]
    pub fn choose(choice: ColorChoice, is_terminal: bool) -> Self {
        if colors(choice, is_terminal, |name| std::env::var_os(name)) {
            Self::COLORED
        } else {
            Self::PLAIN
        }
    }
}

/// Whether to colour a stream. `variable` looks up the environment.
pub fn colors(
    choice: ColorChoice,
    is_terminal: bool,
    variable: impl Fn(&str) -> Option<OsString>,
) -> bool {
    let set = |name| variable(name).filter(|value| !value.is_empty());
    match choice {
        ColorChoice::Always => true,
        ColorChoice::Never => false,
        ColorChoice::Auto if set("NO_COLOR").is_some() => false,
        ColorChoice::Auto => match set("FORCE_COLOR") {
            Some(force) => force != "0",
            None => is_terminal && set("TERM").is_some_and(|term| term != "dumb"),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cos_core::vm::host::{FailureKind, Stage};

    #[test]
    fn a_message_has_a_headline_causes_and_a_cure() {
        let failure = HostFailure {
            stage: Stage::Connecting,
            headline: "ws04 is unreachable".into(),
            cause: "ssh: connect to host ws04 port 22:\r\n\x1b[31mNo route to host\n".into(),
            cure: Some("retried every 30 s".into()),
            kind: FailureKind::Retry,
        };
        assert_eq!(
            Message::of_host(&failure).to_string(),
            "warning: ws04 is unreachable\n  \
               ssh: connect to host ws04 port 22:\n  \
               \\x1b[31mNo route to host\n  \
               hint: retried every 30 s\n"
        );
    }

    #[test]
    fn an_error_tells_its_causes() {
        let cause = std::io::Error::from_raw_os_error(2);
        let error = crate::sources::SourceError::Open {
            path: "/x".into(),
            source: cause,
        };
        assert_eq!(
            Message::of_error(&error).to_string(),
            "error: cannot open `/x`\n  No such file or directory (os error 2)\n"
        );
    }

    #[test]
    fn colours_are_only_in_the_labels() {
        let message = Message::note("8 slots").hint("none");
        let colored = message.render(Palette::COLORED);
        assert_eq!(
            colored.escape_debug().to_string(),
            r"\u{1b}[1m\u{1b}[32mnote:\u{1b}[0m 8 slots\n  \u{1b}[1m\u{1b}[36mhint:\u{1b}[0m none\n"
        );
        assert!(!message.render(Palette::PLAIN).contains('\u{1b}'));
    }

    #[test]
    fn no_color_goes_over_force_color_and_the_flag_over_both() {
        let with = |choice, terminal, set: &[(&str, &str)]| {
            colors(choice, terminal, |name| {
                set.iter()
                    .find(|(key, _)| *key == name)
                    .map(|(_, value)| OsString::from(value))
            })
        };
        let xterm = ("TERM", "xterm");
        assert!(with(ColorChoice::Auto, true, &[xterm]));
        assert!(!with(ColorChoice::Auto, false, &[xterm]));
        assert!(!with(ColorChoice::Auto, true, &[("TERM", "dumb")]));
        assert!(!with(ColorChoice::Auto, true, &[xterm, ("NO_COLOR", "1")]));
        assert!(with(ColorChoice::Auto, true, &[xterm, ("NO_COLOR", "")]));
        assert!(with(ColorChoice::Auto, false, &[("FORCE_COLOR", "1")]));
        assert!(!with(
            ColorChoice::Auto,
            true,
            &[xterm, ("FORCE_COLOR", "0")]
        ));
        assert!(!with(
            ColorChoice::Auto,
            false,
            &[("FORCE_COLOR", "1"), ("NO_COLOR", "1")]
        ));
        assert!(with(ColorChoice::Always, false, &[("NO_COLOR", "1")]));
        assert!(!with(
            ColorChoice::Never,
            true,
            &[xterm, ("FORCE_COLOR", "1")]
        ));
    }
}
