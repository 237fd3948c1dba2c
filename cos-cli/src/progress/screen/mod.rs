//! The part of the display that moves: a bar for the run and a line for each host, drawn anew in place.
//!
//! indicatif keeps count of the lines and takes them away again; what stands in them is composed here, all lines at
//! once, so that a picture never shows two moments. On anything but a terminal there is no screen at all.

mod host_row;
mod keys;
mod picture;
mod selection;
mod terminal;
mod total;

#[cfg(test)]
pub(super) use self::{picture::compose, selection::Selection as HostSelection};

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use cos_core::time::Time;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

pub(super) use self::keys::{Key, Keys};
use self::selection::Selection;
use self::terminal::Terminal;
use super::line::Line;
use super::model::RunView;
use super::settings::{Narrowing, TerminalSize, TerminalTarget};
use crate::message::Palette;

/// The least time between two pictures, but for those that follow something that was said.
const FRAME: Duration = Duration::from_millis(90);
/// The least time between two pictures when jobs write all the time: what is hidden for their sake comes back then.
const REDRAW: Duration = Duration::from_millis(30);
/// What keys are there for.
const KEYS_TIP: &str = "; press t for every running job";
/// Ends all colours.
const PLAIN_COLORS: &str = "\u{1b}[0m";
/// A run that ends sooner shows no picture.
const FIRST_PICTURE: Duration = Duration::from_millis(150);

/// Draws on a terminal.
pub(super) struct Screen {
    terminal: Terminal,
    picture: ProgressBar,
    palette: Palette,
    hosts: HostLines,
    continued: Arc<AtomicBool>,
    keys: Option<Keys>,
    selection: Selection,
    narrowing: Narrowing,
    /// The columns of each line of the picture, and of the terminal when it was drawn.
    widths: (Vec<usize>, u16),
    state: State,
    drawn_at: Option<Time>,
    not_before: Time,
}

/// Which hosts have a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum HostLines {
    /// At most so many.
    Most(usize),
    /// None: there is nothing but the counter.
    None,
}

/// What the terminal shows below the lines that stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// The picture.
    Drawn,
    /// Nothing: the cursor stands at the start of a line.
    Clear,
    /// The start of a line of a job's; it is not to be drawn over.
    MidLine,
    /// Nothing any more.
    Finished,
}

/// Whose a terminal is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Owner {
    This,
    /// A shell that runs this process in the background.
    Other,
}

impl Screen {
    pub(super) fn new(
        writer: Box<dyn Write + Send>,
        target: TerminalTarget,
        palette: Palette,
        hosts: HostLines,
        now: Time,
    ) -> Self {
        let terminal = Terminal::new(writer, target.size);
        let drawn_on = ProgressDrawTarget::term_like(Box::new(terminal.clone()));
        let picture = ProgressBar::with_draw_target(None, drawn_on);
        if let Ok(style) = ProgressStyle::with_template("{msg}") {
            picture.set_style(style);
        }
        Self {
            terminal,
            picture,
            palette,
            hosts,
            continued: target.continued,
            keys: target.keys,
            selection: Selection::default(),
            narrowing: target.narrowing,
            widths: (Vec::new(), 0),
            state: State::Clear,
            drawn_at: None,
            not_before: now + FIRST_PICTURE,
        }
    }

    /// The terminal's size.
    pub(super) fn size(&self) -> TerminalSize {
        self.terminal.size()
    }

    /// The last key with a meaning that was pressed since the last call.
    pub(super) fn pressed(&mut self) -> Option<Key> {
        self.keys.as_mut().and_then(Keys::pressed)
    }

    /// Draws the run as it is now, unless it was drawn a moment ago.
    pub(super) fn refresh(&mut self, view: &RunView, now: Time) {
        let fresh = self
            .drawn_at
            .is_some_and(|drawn_at| now.since(drawn_at) < FRAME && self.state == State::Drawn);
        if now < self.not_before || fresh {
            return;
        }
        self.attend();
        self.draw(view, now);
        self.terminal.commit();
    }

    /// Writes whole lines above the picture.
    pub(super) fn print(&mut self, lines: &str, view: &RunView, now: Time) {
        self.attend();
        self.clear();
        self.terminal.push(lines);
        if now >= self.not_before {
            self.draw(view, now);
        }
        self.terminal.commit();
    }

    /// Takes the picture away, and puts it back when `write` is done. What `write` gives back says whether it has
    /// ended the line that it wrote.
    pub(super) fn suspend<R>(
        &mut self,
        view: &RunView,
        now: Time,
        write: impl FnOnce() -> R,
        ends_line: impl FnOnce(&R) -> bool,
    ) -> R {
        self.attend();
        if self.state == State::Drawn {
            self.clear();
            self.terminal.commit();
        }
        let result = write();
        // Whoever wrote may have left its colours on.
        self.terminal.push(PLAIN_COLORS);
        if self.state == State::Finished {
            return result;
        }
        self.state = match ends_line(&result) {
            true => State::Clear,
            false => State::MidLine,
        };
        // A terminal that draws all day shows no output: while jobs write more often, the picture waits.
        let rested = self
            .drawn_at
            .is_some_and(|drawn_at| now.since(drawn_at) >= REDRAW);
        if rested && self.state == State::Clear && now >= self.not_before {
            self.draw(view, now);
            self.terminal.commit();
        }
        result
    }

    /// Takes the picture away for good.
    pub(super) fn finish(&mut self) {
        self.hide();
        self.state = State::Finished;
    }

    /// Takes the picture away until it is drawn again, and makes the terminal what it was.
    pub(super) fn hide(&mut self) {
        let is_ours = self.attend() == Owner::This;
        self.clear();
        self.terminal.commit();
        match &mut self.keys {
            Some(keys) if is_ours => keys.release(),
            Some(keys) => keys.forget(),
            None => {}
        }
    }

    /// Looks whose the terminal is. What is on it is forgotten when others had it meanwhile: the next picture begins
    /// where the cursor is.
    fn attend(&mut self) -> Owner {
        let owner = match self.terminal.measure() {
            Some(_) => Owner::This,
            None => Owner::Other,
        };
        let continued = self.continued.swap(false, Ordering::Relaxed);
        if continued || owner == Owner::Other {
            if self.state == State::Drawn {
                self.picture.set_message("");
                self.terminal.discard();
                self.state = State::Clear;
            }
            if let Some(keys) = &mut self.keys {
                keys.forget();
            }
        }
        owner
    }

    fn draw(&mut self, view: &RunView, now: Time) {
        let Some(size) = self.terminal.measure() else {
            return;
        };
        match self.state {
            State::Finished => return,
            State::MidLine => self.clear(),
            State::Drawn if size.columns < self.widths.1 => self.clear(),
            State::Drawn | State::Clear => {}
        }
        let tip = match &mut self.keys {
            Some(keys) => {
                keys.hold();
                if keys.are_held() { KEYS_TIP } else { "" }
            }
            None => "",
        };
        let lines = picture::compose(view, now, size, self.hosts, tip, &mut self.selection);
        self.widths = (lines.iter().map(Line::width).collect(), size.columns);
        let lines: Vec<String> = lines.iter().map(|line| line.render(self.palette)).collect();
        let lines: Vec<&str> = lines
            .iter()
            .map(|line| line.trim_end_matches(' '))
            .collect();
        self.picture.set_message(lines.join("\n"));
        self.state = State::Drawn;
        self.drawn_at = Some(now);
    }

    /// Clears a picture that was drawn when the terminal was wider: indicatif does not know that its lines may have
    /// been broken since.
    fn clear_narrowed(&mut self) {
        let columns = usize::from(self.terminal.size().columns.max(1));
        let rows: usize = match self.narrowing {
            Narrowing::Rewraps => {
                let widths = self.widths.0.iter();
                widths.map(|width| width.div_ceil(columns).max(1)).sum()
            }
            Narrowing::Cuts => self.widths.0.len(),
        };
        self.picture.set_message("");
        self.terminal.discard();
        self.terminal.erase_upwards(rows);
    }

    /// After this, the cursor stands at the start of a line and there is no picture.
    fn clear(&mut self) {
        match self.state {
            State::Drawn if self.terminal.size().columns < self.widths.1 => self.clear_narrowed(),
            State::Drawn => self.picture.set_message(""),
            State::MidLine => self.terminal.push("\n"),
            State::Clear | State::Finished => return,
        }
        self.state = State::Clear;
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // Where a panic passes, nothing is drawn, and what it says stands below the last picture; but the terminal is
        // made what it was.
        self.finish();
    }
}
