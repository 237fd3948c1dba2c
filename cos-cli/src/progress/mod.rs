//! The progress display of `cos run`, and the lines that it reports on standard error.
