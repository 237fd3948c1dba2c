//! Tests of the kernel by hand-written events: one file per subject, with a bench that plays the virtual machine.

mod basics;
mod bench;
mod connection;
mod planted;
mod scenario;
mod simulation;
