//! What its user wants to see, and what there is to show it on.

use std::io::{self, IsTerminal as _, Write};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use rustix::process::getpgrp;
use rustix::termios::{tcgetpgrp, tcgetwinsize};
use signal_hook::consts::SIGCONT;

use super::screen::Keys;

use crate::arguments::{ColorChoice, ProgressArguments, ShowProgress, StatusLevel};
use crate::message::Palette;

/// What the user wants to see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// How progress is shown.
    pub progress: ShowProgress,
    /// How many hosts have a line of their own.
    pub max_hosts_shown: usize,
    /// Which jobs are worth a line.
    pub status_level: StatusLevel,
    /// How much is said.
    pub detail: Detail,
}

/// How much is said besides the lines about jobs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Detail {
    /// Errors and failed jobs.
    Quiet,
    /// What a user should know.
    #[default]
    Normal,
    /// How each host came up, too.
    Verbose,
}

impl Settings {
    /// The settings that the flags ask for.
    #[must_use]
    pub fn new(progress: &ProgressArguments, detail: Detail) -> Self {
        Self {
            progress: progress.shown(),
            max_hosts_shown: progress.max_hosts_shown.into(),
            status_level: progress.status_level,
            detail,
        }
    }
}

/// Where the display is shown.
pub struct Target {
    pub(super) writer: Box<dyn Write + Send>,
    pub(super) palette: Palette,
    pub(super) terminal: Option<TerminalTarget>,
}

/// What a terminal is beyond something to write to.
pub(super) struct TerminalTarget {
    pub(super) size: SizeSource,
    /// Set by others when this process goes on after it was stopped; the terminal is not what it was then.
    pub(super) continued: Arc<AtomicBool>,
    pub(super) keys: Option<Keys>,
    pub(super) narrowing: Narrowing,
}

/// What a terminal does with lines that no longer fit when its window is made narrower.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Narrowing {
    /// It breaks them into several, as most do.
    Rewraps,
    /// It cuts them.
    Cuts,
}

/// Tells the size of a terminal, asked anew for each picture; `None` while the terminal belongs to somebody else, such
/// as a shell that runs this process in the background.
pub(super) type SizeSource = Box<dyn Fn() -> Option<TerminalSize> + Send + Sync>;

/// The size of a terminal in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TerminalSize {
    /// Its lines.
    pub rows: u16,
    /// Its characters per line.
    pub columns: u16,
}

impl TerminalSize {
    /// What is taken for granted of a terminal that does not tell its size.
    pub const USUAL: Self = Self {
        rows: 24,
        columns: 80,
    };
}

impl Target {
    /// Standard error: drawn on where it is a terminal that can move its cursor, else written to line by line.
    #[must_use]
    pub fn stderr(color: ColorChoice) -> Self {
        let stderr = io::stderr();
        let is_terminal = stderr.is_terminal();
        let palette = Palette::choose(color, is_terminal);
        if !is_terminal || !can_move_cursor(std::env::var("TERM").ok().as_deref()) {
            return Self::plain(stderr, palette);
        }
        let continued = Arc::new(AtomicBool::new(false));
        // Where that fails, a picture may be drawn over a shell's words.
        let _ = signal_hook::flag::register(SIGCONT, Arc::clone(&continued));
        let stdin = io::stdin();
        let stdin = stdin
            .is_terminal()
            .then(|| stdin.as_fd().try_clone_to_owned());
        let keys = stdin.and_then(Result::ok).map(Keys::new);
        let size = || is_in_foreground(&io::stderr()).then(|| terminal_size(&io::stderr()));
        Self {
            writer: Box::new(stderr),
            palette,
            terminal: Some(TerminalTarget {
                size: Box::new(size),
                continued,
                keys,
                narrowing: narrowing(|name| std::env::var_os(name).is_some()),
            }),
        }
    }

    /// A file, a pipe, a terminal that can do no more than that.
    pub fn plain(writer: impl Write + Send + 'static, palette: Palette) -> Self {
        Self {
            writer: Box::new(writer),
            palette,
            terminal: None,
        }
    }

    /// A terminal; `size` is asked anew for each picture, and says `None` while nothing is to be drawn.
    pub fn terminal(
        writer: impl Write + Send + 'static,
        palette: Palette,
        size: impl Fn() -> Option<TerminalSize> + Send + Sync + 'static,
    ) -> Self {
        Self {
            writer: Box::new(writer),
            palette,
            terminal: Some(TerminalTarget {
                size: Box::new(size),
                continued: Arc::default(),
                keys: None,
                narrowing: Narrowing::Rewraps,
            }),
        }
    }
}

fn can_move_cursor(term: Option<&str>) -> bool {
    term.is_some_and(|term| !term.is_empty() && term != "dumb")
}

/// Known by what they set in the environment: xterm and GNU screen cut.
fn narrowing(is_set: impl Fn(&str) -> bool) -> Narrowing {
    match is_set("XTERM_VERSION") || is_set("STY") {
        true => Narrowing::Cuts,
        false => Narrowing::Rewraps,
    }
}

fn is_in_foreground(terminal: &impl AsFd) -> bool {
    // Where there is no job control, nobody else has the terminal.
    tcgetpgrp(terminal).map_or(true, |group| group == getpgrp())
}

fn terminal_size(stream: &impl AsFd) -> TerminalSize {
    // Some pseudo-terminals say 0 by 0.
    match tcgetwinsize(stream) {
        Ok(size) if size.ws_row > 0 && size.ws_col > 0 => TerminalSize {
            rows: size.ws_row,
            columns: size.ws_col,
        },
        _ => TerminalSize::USUAL,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dumb_terminal_is_not_drawn_on() {
        assert!(can_move_cursor(Some("xterm-256color")));
        assert!(!can_move_cursor(Some("dumb")));
        assert!(!can_move_cursor(Some("")));
        assert!(!can_move_cursor(None));
    }
}
