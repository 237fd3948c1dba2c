//! A command job: a shell line or an argument vector, to be run by a slot of a host.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::Staging;

/// Which output stream of a command.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// A piece of a shell line.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum LinePart {
    /// Bytes as they are; whatever needed quoting has been quoted.
    Text(#[serde(with = "serde_bytes")] Vec<u8>),
    /// The number of the slot that runs the job, known only when it starts (`{%}`).
    Slot,
}

/// What a slot executes.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum Program {
    /// One line for the run's shell, `SHELL -c LINE`.
    Shell(Vec<LinePart>),
    /// A program and its arguments, found by the host's `PATH`; no shell sees them.
    Argv(Vec<serde_bytes::ByteBuf>),
}

/// The directory that a command job starts in.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
pub enum JobDirectory {
    /// The run's directory on the host: the client's own where that is proven shared, else the run's scratch.
    #[default]
    Run,
    /// An empty scratch directory of its own, removed when the job has ended.
    Private,
}

/// A command as it travels to a host. Its standard input is `/dev/null`.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct CommandJob {
    /// The job's number in its run, counted from 1 (`COS_SEQ`, `PARALLEL_SEQ`).
    pub sequence: u64,
    /// What to execute.
    pub program: Program,
    /// Where.
    pub directory: JobDirectory,
    /// Variables beyond the host's and the run's.
    pub environment: Vec<(serde_bytes::ByteBuf, serde_bytes::ByteBuf)>,
    /// How many bytes of each output stream are sent back. What a job writes beyond is read, counted and
    /// dropped, so that the job neither stops nor fills anything.
    pub output_limit: u64,
    /// Files that travel with it. The client's alone: what a host is told of them are digests and names.
    #[serde(skip)]
    pub staging: Option<Arc<Staging>>,
}

impl CommandJob {
    /// The default of [`output_limit`](Self::output_limit): 1 GiB.
    pub const OUTPUT_LIMIT: u64 = 1 << 30;

    /// A shell line without holes, in the run's directory.
    pub fn shell(sequence: u64, line: impl Into<Vec<u8>>) -> Self {
        Self::new(sequence, Program::Shell(vec![LinePart::Text(line.into())]))
    }

    /// A program with its arguments, in the run's directory.
    pub fn argv<A: Into<Vec<u8>>>(sequence: u64, argv: impl IntoIterator<Item = A>) -> Self {
        let argv = argv
            .into_iter()
            .map(|word| serde_bytes::ByteBuf::from(word.into()))
            .collect();
        Self::new(sequence, Program::Argv(argv))
    }

    /// Any program, in the run's directory, with nothing added to its environment.
    pub fn new(sequence: u64, program: Program) -> Self {
        Self {
            sequence,
            program,
            directory: JobDirectory::Run,
            environment: Vec::new(),
            output_limit: Self::OUTPUT_LIMIT,
            staging: None,
        }
    }
}
