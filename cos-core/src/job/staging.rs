//! Files that travel with a command where its host does not share the client's directory.

use std::path::PathBuf;
use std::sync::Arc;

use cos_storage::Suffix;

/// The files that a command finds in its directory, and those that come back from there.
///
/// Paths are the client's; contents are read when the command is about to go to a host, and go there once,
/// however many commands need them. On a host whose directory is the client's own nothing travels.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Staging {
    /// The client's directory, absolute: what is returned lands below it, under the name it was asked for.
    pub root: Arc<PathBuf>,
    /// Commands start in `root` on the hosts that share it: nothing has to travel there.
    pub in_place: bool,
    /// What the command is to find.
    pub inputs: Vec<StagedInput>,
    /// What is to come back, below the command's directory: files, or directories with all that is in them.
    pub returns: Vec<Suffix>,
    /// Remove inputs and returned files from the host's directory after the command.
    pub clean_up: bool,
}

impl Staging {
    /// Nothing to stage, for commands of a client in this directory.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self {
            root: Arc::new(root.into()),
            in_place: true,
            inputs: Vec::new(),
            returns: Vec::new(),
            clean_up: false,
        }
    }
}

/// One file that a command is to find.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct StagedInput {
    /// The file on the client, absolute.
    pub source: PathBuf,
    /// Where the command finds it, below its directory.
    pub path: Suffix,
    /// For whom it is.
    pub scope: InputScope,
}

/// Who uses an input.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum InputScope {
    /// One command: it is put in place for that command, and removed with it.
    Command,
    /// All commands of the run: it is put once into the run's directory of a host, and stays.
    Run,
}
