//! What a removal tells: how much is gone, and what is left why.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use crate::shown::Shown;

/// How many entries that cannot be removed are told one by one.
const MAX_LISTED: usize = 16;

/// What became of a tree that was to be removed.
#[derive(Debug, Default)]
#[must_use = "a removal can be incomplete"]
pub struct Removal {
    removed: u64,
    leftovers: Vec<Leftover>,
    failures: u64,
}

/// Something that could not be removed.
#[derive(Debug)]
pub struct Leftover {
    /// Its path, from the tree's own name on.
    pub path: PathBuf,
    /// Why it is still there.
    pub cause: io::Error,
}

impl Removal {
    /// Whether nothing is left.
    pub fn is_complete(&self) -> bool {
        self.failures == 0
    }

    /// How many files, links and directories were removed.
    pub fn removed(&self) -> u64 {
        self.removed
    }

    /// What could not be removed: the first few; [`Removal::failures`] counts all.
    pub fn leftovers(&self) -> &[Leftover] {
        &self.leftovers
    }

    /// How many entries could not be removed, not counting the directories above them.
    pub fn failures(&self) -> u64 {
        self.failures
    }

    pub(crate) fn add(&mut self, other: Self) {
        self.removed += other.removed;
        self.failures += other.failures;
        let room = MAX_LISTED.saturating_sub(self.leftovers.len());
        self.leftovers
            .extend(other.leftovers.into_iter().take(room));
    }

    /// The same with `directory` in front of every path.
    pub(crate) fn under(mut self, directory: &str) -> Self {
        for leftover in &mut self.leftovers {
            leftover.path = Path::new(directory).join(&leftover.path);
        }
        self
    }

    pub(crate) fn count_removed(&mut self) {
        self.removed += 1;
    }

    pub(crate) fn fail(&mut self, path: PathBuf, cause: impl Into<io::Error>) {
        self.failures += 1;
        if self.leftovers.len() < MAX_LISTED {
            self.leftovers.push(Leftover {
                path,
                cause: cause.into(),
            });
        }
    }
}

/// `work/a: Operation not permitted (and 3 more)`; for a complete removal `nothing is left`.
impl fmt::Display for Removal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(first) = self.leftovers.first() else {
            return f.write_str("nothing is left");
        };
        write!(f, "{}: {}", Shown::path(&first.path), first.cause)?;
        if self.failures > 1 {
            write!(f, " (and {} more)", self.failures - 1)?;
        }
        Ok(())
    }
}
