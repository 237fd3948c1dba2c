//! What may stand on a terminal: text made safe, measured and cut, and its colours.

mod palette;
pub mod text;

pub use palette::{Palette, Tone};
