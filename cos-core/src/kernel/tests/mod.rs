//! Tests of the kernel: by hand-written events, one file per subject, and against simulated machines.

mod basics;
mod bench;
mod blame;
mod calls;
mod connection;
mod deadlines;
mod licences;
mod licences_ended;
mod nesting;
mod nonsense;
mod placement;
mod planted;
mod scale;
mod scenario;
mod simulation;
