//! All combinations of the groups of sources, in GNU parallel's order: the last group varies fastest.

use super::columns::Columns;
use super::group::Group;
use super::records::Records;
use super::{InputOptions, Row, SourceError, StandardInput, Value};
use crate::arguments::{CommandLine, SourceMarker};

/// The jobs' inputs, one row at a time. Reading may block; [`InputReader`](super::InputReader) does it on a thread.
///
/// After an error there is nothing more.
pub struct JobInputs {
    names: Vec<Vec<u8>>,
    total: Option<u64>,
    state: State,
}

enum State {
    /// Nothing was read yet.
    Unread { first: Group, others: Vec<Group> },
    /// The current row of the first group meets the stored rows of the others, whose positions are counted like digits.
    Reading {
        first: Group,
        current: Vec<Value>,
        others: Vec<Vec<Vec<Value>>>,
        digits: Vec<usize>,
    },
    /// There is nothing more.
    Ended,
}

impl JobInputs {
    /// The names of the columns by position; empty without `--header`.
    #[must_use]
    pub fn column_names(&self) -> &[Vec<u8>] {
        &self.names
    }

    /// How many rows there are in all, where that is known without reading.
    #[must_use]
    pub fn total_hint(&self) -> Option<u64> {
        self.total
    }

    fn advance(&mut self) -> Result<Option<Row>, SourceError> {
        match std::mem::replace(&mut self.state, State::Ended) {
            State::Ended => Ok(None),
            State::Unread { mut first, others } => {
                let others = others
                    .into_iter()
                    .map(store)
                    .collect::<Result<Vec<_>, _>>()?;
                if others.iter().any(Vec::is_empty) {
                    return Ok(None);
                }
                let Some(current) = first.next().transpose()? else {
                    return Ok(None);
                };
                let digits = vec![0; others.len()];
                Ok(Some(self.read(first, current, others, digits)))
            }
            State::Reading {
                mut first,
                mut current,
                others,
                mut digits,
            } => {
                if !count_up(&mut digits, &others) {
                    match first.next().transpose()? {
                        Some(next) => current = next,
                        None => return Ok(None),
                    }
                }
                Ok(Some(self.read(first, current, others, digits)))
            }
        }
    }

    fn read(
        &mut self,
        first: Group,
        current: Vec<Value>,
        others: Vec<Vec<Vec<Value>>>,
        digits: Vec<usize>,
    ) -> Row {
        let mut row = current.clone();
        for (rows, &digit) in others.iter().zip(&digits) {
            row.extend(rows[digit].iter().cloned());
        }
        self.state = State::Reading {
            first,
            current,
            others,
            digits,
        };
        Row(row)
    }
}

impl Iterator for JobInputs {
    type Item = Result<Row, SourceError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.advance().transpose()
    }
}

impl std::fmt::Debug for JobInputs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("JobInputs")
            .field("names", &self.names.len())
            .field("total", &self.total)
            .finish_non_exhaustive()
    }
}

fn store(mut group: Group) -> Result<Vec<Vec<Value>>, SourceError> {
    std::iter::from_fn(|| group.next()).collect()
}

/// Counts one up, the last digit first; false when all are back at the start.
fn count_up(digits: &mut [usize], others: &[Vec<Vec<Value>>]) -> bool {
    for (digit, rows) in digits.iter_mut().zip(others).rev() {
        *digit += 1;
        if *digit < rows.len() {
            return true;
        }
        *digit = 0;
    }
    false
}

pub(super) fn open(
    line: &CommandLine,
    options: &InputOptions,
    stdin: StandardInput,
) -> Result<JobInputs, SourceError> {
    if line.sources.is_empty() && stdin.is_terminal {
        return Err(SourceError::Terminal);
    }
    let columns = |records| Columns::new(records, options.separator.clone(), options.header);
    let mut stdin = Some(stdin.reader);
    let mut standard_input = || {
        let empty = || -> Box<dyn std::io::Read + Send> { Box::new(std::io::empty()) };
        let reader = stdin.take().unwrap_or_else(empty);
        Records::reader("standard input".to_owned(), reader, options.null)
    };
    let mut groups: Vec<Group> = Vec::new();
    for source in &line.sources {
        let records = match &source.marker {
            SourceMarker::Arguments(words) => Records::Arguments(words.clone().into_iter()),
            SourceMarker::File(path) => Records::file(path, options.null)?,
            SourceMarker::StandardInput => standard_input(),
        };
        match groups.last_mut() {
            Some(group) if source.linked => group.link(columns(records)?),
            _ => groups.push(Group::new(columns(records)?)),
        }
    }
    let mut groups = groups.into_iter();
    let first = match groups.next() {
        Some(first) => first,
        None => Group::new(columns(standard_input())?),
    };
    let others: Vec<Group> = groups.collect();
    let all = || std::iter::once(&first).chain(&others);
    let names = all().flat_map(Group::names).cloned().collect();
    let total = all()
        .map(Group::left)
        .try_fold(1, |all: u64, left| all.checked_mul(left?));
    Ok(JobInputs {
        names,
        total,
        state: State::Unread { first, others },
    })
}
