//! The virtual machine that drives agents over byte streams; local and ssh hosts differ only in their launcher.

pub mod launcher;
