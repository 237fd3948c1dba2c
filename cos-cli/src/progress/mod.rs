//! The progress display of `cos run`, and the lines that it reports on standard error.
//!
//! Events are folded into a [`RunView`], which is pure. From the view come the lines that stay (`lines`), written
//! wherever standard error goes, and the picture that moves (`screen`), drawn on a terminal alone. [`Display`] holds
//! the three together:
//!
//! ```no_run
//! # use cos_cli::{arguments::ColorChoice, progress::*};
//! # fn show(settings: Settings, facts: RunFacts, events: Vec<cos_core::event::Stamped>) {
//! let now = cos_core::clock::now();
//! let mut display = Display::new(settings, facts, Target::stderr(ColorChoice::Auto), now);
//! for event in events {
//!     display.event(&event, &|index: u64| Some(format!("sim.sh {index}").into_bytes()));
//!     display.tick(event.at);
//! }
//! display.finish(cos_core::clock::now(), Ending::Complete);
//! # }
//! ```

mod display;
mod facts;
mod format;
mod line;
mod lines;
mod model;
mod screen;
mod settings;
mod tally;
pub(crate) mod text;

pub use display::Display;
pub use facts::{HostFacts, JobLabels, RunFacts};
pub use lines::Ending;
pub use model::{Counts, HostState, HostView, MissingCommand, Oldest, Phase, RunView, RunningJob};
pub use settings::{Detail, Settings, Target, TerminalSize};

#[cfg(test)]
mod tests;
