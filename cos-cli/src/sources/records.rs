//! Records: the arguments of `:::`, or the lines of a file.

use std::ffi::OsString;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::ffi::OsStringExt;
use std::path::Path;

use super::SourceError;

/// The longest record. Linux refuses arguments over 128 KiB, so this only bounds what a list without line ends costs.
pub(super) const LONGEST_RECORD: usize = 1 << 20;

/// The records of one source.
pub(super) enum Records {
    /// Arguments of the command line.
    Arguments(std::vec::IntoIter<OsString>),
    /// Lines, or NUL-terminated items.
    Lines(Lines),
}

/// Reads records of any length up to a limit.
pub(super) struct Lines {
    from: String,
    reader: BufReader<Box<dyn Read + Send>>,
    terminator: u8,
    number: u64,
}

impl Records {
    pub(super) fn file(path: &Path, null: bool) -> Result<Self, SourceError> {
        let open = |source| SourceError::Open {
            path: path.to_owned(),
            source,
        };
        let file = File::open(path).map_err(open)?;
        if file.metadata().map_err(open)?.is_dir() {
            return Err(open(std::io::ErrorKind::IsADirectory.into()));
        }
        let from = format!("`{}`", path.display());
        Ok(Self::reader(from, Box::new(file), null))
    }

    pub(super) fn reader(from: String, reader: Box<dyn Read + Send>, null: bool) -> Self {
        let reader = BufReader::with_capacity(64 * 1024, reader);
        let terminator = if null { 0 } else { b'\n' };
        Self::Lines(Lines {
            from,
            reader,
            terminator,
            number: 0,
        })
    }

    /// The next record; `None` at the end.
    pub(super) fn next(&mut self) -> Option<Result<Vec<u8>, SourceError>> {
        match self {
            Self::Arguments(words) => words.next().map(|word| Ok(word.into_vec())),
            Self::Lines(lines) => lines.next().transpose(),
        }
    }

    /// How many records are left, where that is known without reading.
    pub(super) fn left(&self) -> Option<u64> {
        match self {
            Self::Arguments(words) => Some(words.len() as u64),
            Self::Lines(_) => None,
        }
    }
}

impl Lines {
    fn next(&mut self) -> Result<Option<Vec<u8>>, SourceError> {
        let mut record = Vec::new();
        self.number += 1;
        let read = (&mut self.reader)
            .take(LONGEST_RECORD as u64 + 1)
            .read_until(self.terminator, &mut record)
            .map_err(|source| SourceError::Read {
                from: self.from.clone(),
                source,
            })?;
        if read == 0 {
            return Ok(None);
        }
        if record.last() == Some(&self.terminator) {
            record.pop();
        } else if record.len() > LONGEST_RECORD {
            let (from, number) = (self.from.clone(), self.number);
            return Err(SourceError::TooLong {
                from,
                number,
                limit: LONGEST_RECORD,
            });
        }
        if record.contains(&0) {
            let (from, number) = (self.from.clone(), self.number);
            return Err(SourceError::NulByte { from, number });
        }
        Ok(Some(record))
    }
}
