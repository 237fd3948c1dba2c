//! A file that grows by whole records.

use std::fs::{File, OpenOptions};
use std::io::{self, IoSlice, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::RecordError;

/// Appends records; one that cannot be written whole is taken back.
#[derive(Debug)]
pub(super) struct AppendFile {
    file: File,
    path: PathBuf,
    /// The end of the last whole record.
    end: u64,
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
        })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The length of the file.
    pub(super) fn end(&self) -> u64 {
        self.end
    }

    /// Appends one record, given in pieces. On failure the file is as it was before.
    pub(super) fn append(&mut self, pieces: &[&[u8]]) -> Result<(), RecordError> {
        let record = |file: &mut File| {
            let mut slices: Vec<_> = pieces.iter().map(|piece| IoSlice::new(piece)).collect();
            write_all_vectored(file, &mut slices)
        };
        self.write_record(record)
    }

    /// Appends one record that `write` produces. On failure the file is as it was before.
    pub(super) fn write_record(
        &mut self,
        write: impl FnOnce(&mut File) -> io::Result<u64>,
    ) -> Result<(), RecordError> {
        match write(&mut self.file) {
            Ok(length) => {
                self.end += length;
                Ok(())
            }
            Err(source) => {
                // What is no regular file cannot be cut; nothing more can be done for it.
                let _ = self.file.set_len(self.end);
                let _ = io::Seek::seek(&mut self.file, io::SeekFrom::Start(self.end));
                Err(RecordError {
                    path: self.path.clone(),
                    source,
                })
            }
        }
    }
}

fn write_all_vectored(file: &mut File, mut slices: &mut [IoSlice<'_>]) -> io::Result<u64> {
    let mut total = 0;
    IoSlice::advance_slices(&mut slices, 0);
    while !slices.is_empty() {
        match file.write_vectored(slices) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => {
                total += written as u64;
                IoSlice::advance_slices(&mut slices, written);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_appended_whole() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("log");
        let mut file = AppendFile::create(&path).expect("created");
        file.append(&[b"one ", b"", b"line\n"]).expect("appended");
        file.append(&[]).expect("appended");
        file.append(&[b"two\n"]).expect("appended");
        assert_eq!(std::fs::read(&path).expect("readable"), b"one line\ntwo\n");
        assert_eq!(file.end(), 13);
    }

    #[test]
    fn half_a_record_is_taken_back() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("log");
        let mut file = AppendFile::create(&path).expect("created");
        file.append(&[b"one\n"]).expect("appended");
        let torn = file.write_record(|file| {
            file.write_all(b"half a rec")?;
            Err(io::ErrorKind::StorageFull.into())
        });
        let error = torn.expect_err("the disk is full");
        assert_eq!(error.path, path);
        assert!(error.hint().is_some_and(|hint| hint.contains("make room")));
        file.append(&[b"two\n"]).expect("there is room again");
        assert_eq!(std::fs::read(&path).expect("readable"), b"one\ntwo\n");
    }

    #[test]
    fn a_full_disk_is_reported_each_time() {
        let mut file = AppendFile::open(Path::new("/dev/full"), false).expect("/dev/full");
        for _ in 0..2 {
            let error = file.append(&[b"x\n"]).expect_err("the disk is full");
            assert_eq!(error.to_string(), "cannot write `/dev/full`");
            assert_eq!(error.source.kind(), io::ErrorKind::StorageFull);
        }
    }
}
