//! What becomes of typed tasks in slots: of this machine, and of a host behind a private sshd.

mod bulk;
mod endings;
mod foreign_libc;
mod host;
mod nested;
mod output;
mod stopping;
mod traces;
