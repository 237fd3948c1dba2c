//! Columns: a record as one value, or split at `--colsep`; the header that names them.

use regex::bytes::Regex;

use super::records::Records;
use super::{SourceError, Value};

/// One source, giving the columns of each record.
pub(super) struct Columns {
    records: Records,
    separator: Option<Regex>,
    names: Vec<Vec<u8>>,
}

impl Columns {
    /// A source whose records are split at `separator`. With `header`, its first record is read and names the columns.
    pub(super) fn new(
        mut records: Records,
        separator: Option<Regex>,
        header: bool,
    ) -> Result<Self, SourceError> {
        let names = match header.then(|| records.next()).flatten().transpose()? {
            // As in GNU parallel, a header is split at tabs even where records are not split.
            Some(header) if separator.is_none() => header
                .split(|&byte| byte == b'\t')
                .map(<[u8]>::to_vec)
                .collect(),
            Some(header) => split(separator.as_ref(), header)
                .iter()
                .map(|name| name.to_vec())
                .collect(),
            None => Vec::new(),
        };
        Ok(Self {
            records,
            separator,
            names,
        })
    }

    /// The names of its columns, none without a header.
    pub(super) fn names(&self) -> &[Vec<u8>] {
        &self.names
    }

    /// The columns of the next record; `None` at the end.
    pub(super) fn next(&mut self) -> Option<Result<Vec<Value>, SourceError>> {
        let record = self.records.next()?;
        Some(record.map(|record| split(self.separator.as_ref(), record)))
    }

    /// How many records are left, where that is known without reading.
    pub(super) fn left(&self) -> Option<u64> {
        self.records.left()
    }
}

/// Columns lose the white space around them, whole records do not: GNU parallel's rule.
fn split(separator: Option<&Regex>, record: Vec<u8>) -> Vec<Value> {
    match separator {
        None => vec![record.into()],
        Some(separator) => separator
            .split(&record)
            .map(|column| column.trim_ascii().into())
            .collect(),
    }
}
