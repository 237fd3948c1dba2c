//! Typed tasks that behave as badly as tasks can, and some good ones to have beside them.

pub mod endings;
pub mod good;
pub mod nested;
pub mod output;
pub mod traces;
