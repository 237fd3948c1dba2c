//! Tests of the microthread tables: frozen traces, random programs against a reference model, waits that are dropped.

mod interpreter;
mod model;
mod programs;
mod shaken;
mod traces;
mod waits;
mod worlds;
