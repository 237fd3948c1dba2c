//! Colours by meaning, and whether there are any.

use std::borrow::Cow;
use std::ffi::OsString;

use console::Style;

use crate::arguments::ColorChoice;

/// What a piece of text means; its colour follows from that.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Tone {
    /// Nothing special.
    #[default]
    Plain,
    /// All is well: the word before a line of progress.
    Good,
    /// It may need a look: a warning, a retry, a slow job.
    Warning,
    /// It went wrong: an error, a failed job, a host that is down.
    Bad,
    /// A host's name, a hint's word.
    Name,
    /// Of less weight.
    Faint,
}

/// Paints text, or leaves it as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Palette {
    colored: bool,
}

impl Palette {
    /// No colours, no escape sequences.
    pub const PLAIN: Self = Self { colored: false };

    /// The palette for a stream. A choice of the user's decides; where it is left to us, `NO_COLOR` comes before
    /// `FORCE_COLOR`, and that before whether the stream is a terminal that has colours.
    pub fn new(
        choice: ColorChoice,
        is_terminal: bool,
        environment: impl Fn(&str) -> Option<OsString>,
    ) -> Self {
        let is_set = |name| environment(name).is_some_and(|value| !value.is_empty());
        let forced = || is_set("FORCE_COLOR") && environment("FORCE_COLOR") != Some("0".into());
        let dumb = || environment("TERM").is_none_or(|term| term.is_empty() || term == "dumb");
        let colored = match choice {
            ColorChoice::Always => true,
            ColorChoice::Never => false,
            ColorChoice::Auto if is_set("NO_COLOR") => false,
            ColorChoice::Auto => forced() || is_terminal && !dumb(),
        };
        Self { colored }
    }

    /// Whether text is painted at all.
    pub fn is_colored(self) -> bool {
        self.colored
    }

    /// The text in its colour.
    pub fn paint(self, tone: Tone, text: &str) -> Cow<'_, str> {
        let style = match tone {
            _ if !self.colored => return Cow::Borrowed(text),
            Tone::Plain => return Cow::Borrowed(text),
            Tone::Good => Style::new().green().bold(),
            Tone::Warning => Style::new().yellow().bold(),
            Tone::Bad => Style::new().red().bold(),
            Tone::Name => Style::new().cyan(),
            Tone::Faint => Style::new().dim(),
        };
        Cow::Owned(style.force_styling(true).apply_to(text).to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn colored(choice: ColorChoice, is_terminal: bool, variables: &[(&str, &str)]) -> bool {
        let environment = |name: &str| {
            let found = variables.iter().find(|(variable, _)| *variable == name);
            found.map(|(_, value)| OsString::from(value))
        };
        Palette::new(choice, is_terminal, environment).is_colored()
    }

    #[test]
    fn the_flag_then_no_color_then_force_color_then_the_terminal() {
        use ColorChoice::{Always, Auto, Never};
        let term = ("TERM", "xterm");
        assert!(colored(Always, false, &[("NO_COLOR", "1")]));
        assert!(!colored(Never, true, &[("FORCE_COLOR", "1"), term]));
        assert!(!colored(
            Auto,
            true,
            &[("NO_COLOR", "1"), ("FORCE_COLOR", "1"), term]
        ));
        assert!(colored(Auto, false, &[("FORCE_COLOR", "1")]));
        assert!(!colored(Auto, false, &[("FORCE_COLOR", "0")]));
        assert!(colored(Auto, true, &[("NO_COLOR", ""), term]));
        assert!(colored(Auto, true, &[term]));
        assert!(!colored(Auto, true, &[("TERM", "dumb")]));
        assert!(!colored(Auto, true, &[]));
        assert!(!colored(Auto, false, &[term]));
    }

    #[test]
    fn only_a_colored_palette_writes_escapes() {
        assert_eq!(Palette::PLAIN.paint(Tone::Bad, "FAIL"), "FAIL");
        let palette = Palette { colored: true };
        assert_eq!(
            palette.paint(Tone::Bad, "FAIL"),
            "\u{1b}[31m\u{1b}[1mFAIL\u{1b}[0m"
        );
        assert_eq!(palette.paint(Tone::Plain, "x"), "x");
    }
}
