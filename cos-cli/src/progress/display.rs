//! The display as `cos run` uses it: events and ticks go in, lines and pictures come out.

use std::io::{self, Write};

use cos_core::event::Stamped;
use cos_core::time::Time;

use super::facts::{JobLabels, RunFacts};
use super::lines::{
    Columns, Ending, Form, Heartbeat, Margin, Reporter, Statement, running_jobs, sign_of_life,
};
use super::model::{Phase, RunView};
use super::screen::{HostLines, Key, Screen};
use super::settings::{Detail, Settings, Target};
use super::text;
use crate::arguments::ShowProgress;
use crate::message::{Message, Palette};

/// The columns of a line that goes into a file: commands are cut to fit.
const FILE_COLUMNS: usize = 200;
/// The columns of lists that go into a file.
const FILE_LIST_COLUMNS: usize = 100;
/// The most columns of a host's name in the lines about jobs.
const MAX_NAME: usize = 20;
/// So much of what is to be said is held back until the next tick, at most.
const MAX_PENDING: usize = 64 * 1024;

/// Shows a run on a terminal, or tells it line by line.
///
/// Feed it every [`RunEvent`](cos_core::event::RunEvent) and call [`tick`](Self::tick) ten times a second. It reads no
/// clock. Its memory is bounded by the hosts and the running jobs. Writing to a terminal or file that has gone away is
/// no error.
pub struct Display {
    settings: Settings,
    palette: Palette,
    view: RunView,
    reporter: Reporter,
    outlet: Outlet,
    now: Time,
}

/// Where the display goes.
enum Outlet {
    /// Drawn on a terminal; what is said waits for the next tick.
    Screen {
        screen: Box<Screen>,
        pending: String,
    },
    /// Written line by line, as it is said.
    Lines {
        writer: Box<dyn Write + Send>,
        counts: LineCounts,
    },
}

/// Whether lines say how far the run is.
enum LineCounts {
    Shown(Heartbeat),
    Hidden,
}

impl Display {
    /// The display of a run that begins at `now`.
    #[must_use]
    pub fn new(settings: Settings, facts: RunFacts, target: Target, now: Time) -> Self {
        let palette = target.palette;
        let hidden = settings.progress == ShowProgress::None || settings.detail == Detail::Quiet;
        let hosts = match settings.progress {
            ShowProgress::Counter => HostLines::None,
            ShowProgress::Auto | ShowProgress::Bar | ShowProgress::None => {
                HostLines::Most(settings.max_hosts_shown)
            }
        };
        let outlet = match target.terminal {
            Some(terminal) if !hidden => Outlet::Screen {
                screen: Box::new(Screen::new(target.writer, terminal, palette, hosts, now)),
                pending: String::new(),
            },
            _ => Outlet::Lines {
                writer: target.writer,
                counts: match hidden {
                    true => LineCounts::Hidden,
                    false => LineCounts::Shown(Heartbeat::new(now)),
                },
            },
        };
        Self {
            settings,
            palette,
            view: RunView::new(facts, now),
            reporter: Reporter::new(settings),
            outlet,
            now,
        }
    }

    /// The state of the run as the display knows it.
    #[must_use]
    pub fn view(&self) -> &RunView {
        &self.view
    }

    /// Something has happened. True when that was worth a word.
    pub fn event(&mut self, stamped: &Stamped, labels: &dyn JobLabels) -> bool {
        self.now = self.now.max(stamped.at);
        let mut statements = self.reporter.report(stamped, &self.view, labels);
        self.view.note(stamped, labels);
        statements.extend(self.reporter.catch_up(&self.view, self.now));
        self.say(&statements);
        !statements.is_empty()
    }

    /// Time has passed. Ten times a second is enough and not too much.
    pub fn tick(&mut self, now: Time) {
        self.now = self.now.max(now);
        let statements = self.reporter.catch_up(&self.view, self.now);
        self.say(&statements);
        if let Outlet::Screen { screen, .. } = &mut self.outlet
            && screen.pressed() == Some(Key::Tell)
        {
            let told = running_jobs(&self.view, self.now);
            self.say(&told);
        }
        match &mut self.outlet {
            Outlet::Screen { screen, pending } if pending.is_empty() => {
                screen.refresh(&self.view, self.now);
            }
            Outlet::Screen { .. } => self.flush(),
            Outlet::Lines {
                counts: LineCounts::Shown(heartbeat),
                ..
            } => {
                if heartbeat.is_due(self.now) && self.view.running() > 0 {
                    let sign = sign_of_life(&self.view, self.now);
                    self.write_lines(&[sign]);
                }
            }
            Outlet::Lines { .. } => {}
        }
    }

    /// The input has been read to its end: there are so many jobs in all.
    pub fn set_total(&mut self, total: u64) {
        self.view.set_total(total);
    }

    /// No job starts before every host is up: nothing is said of going on without one.
    pub fn require_all_hosts(&mut self) {
        self.view.require_all_hosts();
    }

    /// The run ends before its time, or sooner than that: the word before the bar changes.
    pub fn set_phase(&mut self, phase: Phase) {
        self.view.set_phase(phase);
    }

    /// Says something that is no event; with [`Detail::Quiet`], nothing but errors.
    pub fn message(&mut self, message: Message) {
        let statement = Statement::Message(message);
        if self.reporter.is_wanted(&statement) {
            self.say(&[statement]);
        }
    }

    /// Takes the picture off the terminal while `write` writes there, whole lines only. Does no more than call it
    /// where there is no picture.
    pub fn suspend<R>(&mut self, write: impl FnOnce() -> R) -> R {
        self.flush();
        match &mut self.outlet {
            Outlet::Screen { screen, .. } => screen.suspend(&self.view, self.now, write, |_| true),
            Outlet::Lines { .. } => write(),
        }
    }

    /// Writes what a job wrote to the terminal that the display is drawn on. Unlike with [`suspend`](Self::suspend),
    /// it may end in the middle of a line; the picture then waits until the line is complete, or the next tick.
    ///
    /// # Errors
    ///
    /// Those of `out`.
    pub fn write_output(&mut self, out: &mut dyn Write, bytes: &[u8]) -> io::Result<()> {
        self.flush();
        let mut write = || {
            out.write_all(bytes)?;
            out.flush()
        };
        match &mut self.outlet {
            Outlet::Screen { screen, .. } => {
                let ends_line = bytes.last().is_none_or(|byte| *byte == b'\n');
                screen.suspend(&self.view, self.now, write, |_| ends_line)
            }
            Outlet::Lines { .. } => write(),
        }
    }

    /// Takes the picture off the terminal until the next tick, and makes the terminal what it was: this process is
    /// about to end or to be stopped.
    pub fn hide(&mut self) {
        self.flush();
        if let Outlet::Screen { screen, .. } = &mut self.outlet {
            screen.hide();
        }
    }

    /// Tells of the first jobs that failed in full; the summary then names only the others.
    pub fn describe_failures(&mut self, described: Vec<Message>) {
        if described.is_empty() {
            return;
        }
        self.reporter.leave_out_failures(described.len());
        let mut statements = vec![Statement::Blank];
        statements.extend(described.into_iter().map(Statement::Message));
        statements.retain(|statement| self.reporter.is_wanted(statement));
        self.say(&statements);
    }

    /// Tells what came of the run. Nothing is drawn any more.
    pub fn finish(&mut self, now: Time, ending: Ending<'_>) {
        self.now = self.now.max(now);
        self.flush();
        let columns = match &mut self.outlet {
            Outlet::Screen { screen, .. } => {
                screen.finish();
                usize::from(screen.size().columns)
            }
            Outlet::Lines { .. } => FILE_LIST_COLUMNS,
        };
        let summary = self.reporter.summary(&self.view, self.now, ending, columns);
        if let Outlet::Lines { counts, .. } = &mut self.outlet {
            // The block stands by itself.
            *counts = LineCounts::Hidden;
        }
        self.say(&summary);
        self.flush();
    }

    fn say(&mut self, statements: &[Statement]) {
        if statements.is_empty() {
            return;
        }
        if let Outlet::Lines {
            counts: LineCounts::Shown(heartbeat),
            ..
        } = &mut self.outlet
        {
            heartbeat.note_line(self.now);
        }
        self.write_lines(statements);
    }

    fn write_lines(&mut self, statements: &[Statement]) {
        let form = self.form();
        let text: String = statements
            .iter()
            .map(|statement| statement.render(&form))
            .collect();
        match &mut self.outlet {
            Outlet::Screen { pending, .. } => {
                pending.push_str(&text);
                if pending.len() > MAX_PENDING {
                    self.flush();
                }
            }
            Outlet::Lines { writer, .. } => {
                // Nobody reads any more, and the run goes on.
                let _ = writer
                    .write_all(text.as_bytes())
                    .and_then(|()| writer.flush());
            }
        }
    }

    /// Brings out what waits for a tick.
    fn flush(&mut self) {
        if let Outlet::Screen { screen, pending } = &mut self.outlet
            && !pending.is_empty()
        {
            screen.print(pending, &self.view, self.now);
            pending.clear();
        }
    }

    fn form(&self) -> Form {
        let total = self.view.total();
        let names = self.view.hosts().iter();
        let (margin, line) = match &self.outlet {
            Outlet::Screen { screen, .. } => (Margin::Aligned, usize::from(screen.size().columns)),
            Outlet::Lines {
                counts: LineCounts::Shown(_),
                ..
            } => {
                let settled = self.view.counts().settled();
                (Margin::counted(settled, total), FILE_COLUMNS)
            }
            Outlet::Lines { .. } => (Margin::Aligned, FILE_COLUMNS),
        };
        Form {
            palette: self.palette,
            margin,
            columns: Columns {
                host: names
                    .map(|host| text::width(&host.name))
                    .max()
                    .unwrap_or(0)
                    .min(MAX_NAME),
                number: 1 + total.unwrap_or(1000).to_string().len(),
                line,
            },
        }
    }
}

impl std::fmt::Debug for Display {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Display")
            .field("settings", &self.settings)
            .field("view", &self.view)
            .finish_non_exhaustive()
    }
}
