//! Where jobs come from: arguments, files and standard input, combined and read lazily.
//!
//! ```text
//!   records  -> columns -> linked group -> product -> Row
//!   one line    --colsep   :::+ ::::+      ::: ::::
//! ```
//!
//! Only the first group of sources is streamed: its rows are read as jobs are asked for, so a million lines take no more
//! memory than ten. Later groups vary faster and are met again for each row of the first, so they are stored.

mod columns;
mod group;
mod product;
mod reader;
mod records;

use std::io::{self, IsTerminal, Read};
use std::path::PathBuf;
use std::sync::Arc;

pub use product::JobInputs;
pub use reader::InputReader;

use crate::arguments::{CommandLine, InputArguments};

/// One value of a job's input; any bytes but NUL.
pub type Value = Arc<[u8]>;

/// The values of one job, in the order of `{1}`, `{2}` ...
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Row(Vec<Value>);

impl Row {
    /// The values.
    #[must_use]
    pub fn values(&self) -> &[Value] {
        &self.0
    }
}

/// How input is read.
#[derive(Debug, Clone, Default)]
pub struct InputOptions {
    /// Records end with NUL instead of a line feed.
    pub null: bool,
    /// What separates columns within a record.
    pub separator: Option<regex::bytes::Regex>,
    /// The first record of every source names its columns.
    pub header: bool,
}

impl From<&InputArguments> for InputOptions {
    fn from(arguments: &InputArguments) -> Self {
        Self {
            null: arguments.null,
            separator: arguments
                .colsep
                .as_ref()
                .map(|separator| separator.0.clone()),
            header: arguments.header.is_some(),
        }
    }
}

/// Standard input, or what stands for it.
pub struct StandardInput {
    reader: Box<dyn Read + Send>,
    is_terminal: bool,
}

impl StandardInput {
    /// That of this process.
    #[must_use]
    pub fn of_process() -> Self {
        let stdin = io::stdin();
        let is_terminal = stdin.is_terminal();
        Self {
            reader: Box::new(stdin),
            is_terminal,
        }
    }

    /// Anything that can be read.
    pub fn of_reader(reader: impl Read + Send + 'static) -> Self {
        Self {
            reader: Box::new(reader),
            is_terminal: false,
        }
    }
}

/// Why input cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// There is no source, and standard input is a terminal: waiting for it would look like work.
    #[error("no input: standard input is a terminal")]
    Terminal,
    /// A file cannot be opened.
    #[error("cannot open `{}`", .path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// The system's word for it.
        source: io::Error,
    },
    /// Reading failed on the way.
    #[error("cannot read {from}")]
    Read {
        /// What was read.
        from: String,
        /// The system's word for it.
        source: io::Error,
    },
    /// A record is longer than any command line can be.
    #[error("line {number} of {from} is longer than {limit} bytes")]
    TooLong {
        /// What was read.
        from: String,
        /// The record, counted from 1.
        number: u64,
        /// The limit.
        limit: usize,
    },
    /// A record holds a NUL byte, which no argument can.
    #[error("line {number} of {from} holds a NUL byte")]
    NulByte {
        /// What was read.
        from: String,
        /// The record, counted from 1.
        number: u64,
    },
}

impl SourceError {
    /// What the user can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Terminal => Some(
                "give arguments behind `:::`, a file by `-a FILE`, or pipe lines in; `-a -` reads the terminal",
            ),
            Self::NulByte { .. } => Some("is it a list for -0?"),
            Self::TooLong { .. } => Some("a list that ends its items with NUL bytes needs -0"),
            Self::Open { .. } | Self::Read { .. } => None,
        }
    }
}

impl JobInputs {
    /// Opens all sources of a command line, and reads their headers where there are any.
    ///
    /// # Errors
    ///
    /// When a file cannot be opened, a header cannot be read, or there is no source but a terminal.
    pub fn open(
        line: &CommandLine,
        options: InputOptions,
        stdin: StandardInput,
    ) -> Result<Self, SourceError> {
        product::open(line, &options, stdin)
    }
}

#[cfg(test)]
mod tests;
