//! A group of linked sources, which advance together.

use super::columns::Columns;
use super::{SourceError, Value};

/// A source and those linked to it (`:::+`): the shortest ends the group.
pub(super) struct Group {
    sources: Vec<Columns>,
}

impl Group {
    pub(super) fn new(first: Columns) -> Self {
        Self {
            sources: vec![first],
        }
    }

    pub(super) fn link(&mut self, source: Columns) {
        self.sources.push(source);
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &Vec<u8>> {
        self.sources.iter().flat_map(Columns::names)
    }

    /// The columns of the next record of every source; `None` when one has ended.
    pub(super) fn next(&mut self) -> Option<Result<Vec<Value>, SourceError>> {
        let mut columns = Vec::new();
        for source in &mut self.sources {
            match source.next()? {
                Ok(more) => columns.extend(more),
                Err(error) => return Some(Err(error)),
            }
        }
        Some(Ok(columns))
    }

    /// How many rows are left, where that is known without reading.
    pub(super) fn left(&self) -> Option<u64> {
        self.sources
            .iter()
            .map(Columns::left)
            .try_fold(u64::MAX, |least, left| Some(least.min(left?)))
    }
}
