//! Tests of the microthread tables: frozen traces, a reference model, waits that are dropped.

mod interpreter;
mod model;
mod traces;
mod waits;
