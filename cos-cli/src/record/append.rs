//! A file that grows by whole records.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::RecordError;

/// So many bytes wait for a flush at most, and the record that comes on top (64 KiB).
const MOST_WAITING: usize = 64 * 1024;

/// Appends records; one that cannot be written whole is taken back.
#[derive(Debug)]
pub(super) struct AppendFile {
    file: File,
    path: PathBuf,
    /// The end of the last whole record in the file.
    end: u64,
    /// Records that wait to be written, and where each of them ends.
    waiting: Vec<u8>,
    ends: Vec<usize>,
}

impl AppendFile {
    /// A new file, emptied if it exists, that only the user can read.
    pub(super) fn create(path: &Path) -> Result<Self, RecordError> {
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(path)
            .map_err(RecordError::at(path))?;
        Ok(Self {
            file,
            path: path.to_owned(),
            end: 0,
            waiting: Vec::new(),
            ends: Vec::new(),
        })
    }

    /// An existing file, or a new one that follows the user's umask, kept or emptied.
    pub(super) fn open(path: &Path, keep: bool) -> Result<Self, RecordError> {
        let file = OpenOptions::new()
            .append(keep)
            .write(true)
            .create(true)
            .truncate(!keep)
            .open(path)
            .map_err(RecordError::at(path))?;
        let end = file.metadata().map_err(RecordError::at(path))?.len();
        Ok(Self {
            file,
            path: path.to_owned(),
            end,
            waiting: Vec::new(),
            ends: Vec::new(),
        })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The length of the file.
    pub(super) fn end(&self) -> u64 {
        self.end
    }

    /// Takes one record, given in pieces, to be written by the next [`flush`](Self::flush), or at once where many wait.
    ///
    /// # Errors
    ///
    /// As `flush`.
    pub(super) fn push(&mut self, pieces: &[&[u8]]) -> Result<(), RecordError> {
        pieces
            .iter()
            .for_each(|piece| self.waiting.extend_from_slice(piece));
        self.ends.push(self.waiting.len());
        match self.waiting.len() {
            ..MOST_WAITING => Ok(()),
            _ => self.flush(),
        }
    }

    /// Writes what was pushed. What cannot be written whole goes on waiting.
    ///
    /// # Errors
    ///
    /// When not all of it could be written; the file ends with a whole record.
    pub(super) fn flush(&mut self) -> Result<(), RecordError> {
        if self.waiting.is_empty() {
            return Ok(());
        }
        let (written, result) = write_some(&mut self.file, &self.waiting);
        self.advance(written, result)
    }

    /// So many bytes of what waits are in the file.
    fn advance(&mut self, written: usize, result: io::Result<()>) -> Result<(), RecordError> {
        let whole = self.ends.partition_point(|end| *end <= written);
        let length = whole.checked_sub(1).map_or(0, |last| self.ends[last]);
        self.end += length as u64;
        self.waiting.drain(..length);
        self.ends.drain(..whole);
        self.ends.iter_mut().for_each(|end| *end -= length);
        result.map_err(|source| self.cut(source))
    }

    /// Appends one record that `write` produces, behind those that wait. On failure the file is as it was before.
    pub(super) fn write_record(
        &mut self,
        write: impl FnOnce(&mut File) -> io::Result<u64>,
    ) -> Result<(), RecordError> {
        self.flush()?;
        match write(&mut self.file) {
            Ok(length) => {
                self.end += length;
                Ok(())
            }
            Err(source) => Err(self.cut(source)),
        }
    }

    /// Takes back what stands behind the last whole record.
    fn cut(&mut self, source: io::Error) -> RecordError {
        // What is no regular file cannot be cut; nothing more can be done for it.
        let _ = self.file.set_len(self.end);
        let _ = io::Seek::seek(&mut self.file, io::SeekFrom::Start(self.end));
        RecordError {
            path: self.path.clone(),
            source,
        }
    }
}

impl Drop for AppendFile {
    fn drop(&mut self) {
        // Nobody is there to be told when this fails.
        let _ = self.flush();
    }
}

/// Writes as much as can be written, and says how much that was.
fn write_some(file: &mut File, bytes: &[u8]) -> (usize, io::Result<()>) {
    let mut written = 0;
    while written < bytes.len() {
        match file.write(&bytes[written..]) {
            Ok(0) => return (written, Err(io::ErrorKind::WriteZero.into())),
            Ok(count) => written += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return (written, Err(error)),
        }
    }
    (written, Ok(()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(path: &Path) -> String {
        std::fs::read_to_string(path).expect("readable")
    }

    #[test]
    fn records_are_appended_whole() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("log");
        let mut file = AppendFile::create(&path).expect("created");
        file.push(&[b"one ", b"", b"line\n"]).expect("pushed");
        assert_eq!(content(&path), "");
        file.push(&[]).expect("pushed");
        file.flush().expect("flushed");
        file.push(&[b"two\n"]).expect("pushed");
        assert_eq!(content(&path), "one line\n");
        file.flush().expect("flushed");
        file.flush().expect("nothing waits");
        assert_eq!(content(&path), "one line\ntwo\n");
        assert_eq!(file.end(), 13);
    }

    #[test]
    fn what_waits_is_bounded() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("log");
        let mut file = AppendFile::create(&path).expect("created");
        let mut pushed = 0;
        for _ in 0..1000 {
            file.push(&[&[b'x'; 1000]]).expect("pushed");
            pushed += 1000;
            let length = std::fs::metadata(&path).expect("there").len();
            assert!(pushed - length < MOST_WAITING as u64 + 1000);
        }
    }

    #[test]
    fn half_a_record_is_taken_back() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("log");
        let mut file = AppendFile::create(&path).expect("created");
        file.push(&[b"one\n"]).expect("pushed");
        let torn = file.write_record(|file| {
            file.write_all(b"half a rec")?;
            Err(io::ErrorKind::StorageFull.into())
        });
        let error = torn.expect_err("the disk is full");
        assert_eq!(error.path, path);
        assert!(error.hint().is_some_and(|hint| hint.contains("make room")));
        file.push(&[b"two\n"]).expect("pushed");
        file.flush().expect("there is room again");
        assert_eq!(content(&path), "one\ntwo\n");
    }

    #[test]
    fn a_full_disk_is_reported_each_time() {
        let mut file = AppendFile::open(Path::new("/dev/full"), false).expect("/dev/full");
        file.push(&[b"x\n"]).expect("pushed");
        for _ in 0..2 {
            let error = file.flush().expect_err("the disk is full");
            assert_eq!(error.to_string(), "cannot write `/dev/full`");
            assert_eq!(error.source.kind(), io::ErrorKind::StorageFull);
        }
    }

    #[test]
    fn whole_records_before_the_failure_stay() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("log");
        let mut file = AppendFile::create(&path).expect("created");
        for record in ["one\n", "two\n", "three\n"] {
            file.push(&[record.as_bytes()]).expect("pushed");
        }
        // As if no more than ten bytes could be written.
        let torn = file.advance(10, Err(io::ErrorKind::StorageFull.into()));
        torn.expect_err("the disk is full");
        assert_eq!(file.end(), 8);
        std::fs::write(&path, "one\ntwo\nth").expect("written");
        file.cut(io::ErrorKind::StorageFull.into());
        file.flush().expect("there is room again");
        assert_eq!(content(&path), "one\ntwo\nthree\n");
    }
}
