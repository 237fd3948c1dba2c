//! What an agent writes down about itself in its private directory, for its guardian, its neighbours and later runs.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

use super::containment::Cookie;
use super::place::Place;

/// The file's name.
const FILE: &str = "agent";

/// Far more than any record needs.
const SIZE_LIMIT: u64 = 64 * 1024;

/// One agent. Written as text, since releases differ and must still understand each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) cookie: Cookie,
    pub(super) release: String,
    pub(super) slots: u32,
    /// Where its run's scratch directory lies, if it has one.
    pub(super) local_storage: PathBuf,
}

impl Record {
    /// Writes it, at once and as a whole.
    ///
    /// # Errors
    /// As the file system's.
    pub(super) fn write(&self, place: &Place) -> io::Result<()> {
        let new = place.path().join(format!("{FILE}.new"));
        fs::write(&new, self.to_bytes())?;
        fs::rename(new, place.path().join(FILE))
    }

    /// Reads the one of a place; `None` when there is none, or none that is understood.
    pub(super) fn read(place: &Place) -> Option<Self> {
        let path = place.path().join(FILE);
        let found = fs::symlink_metadata(&path).ok()?;
        if !found.is_file() || found.len() > SIZE_LIMIT {
            return None;
        }
        Self::parse(&fs::read(path).ok()?)
    }

    fn to_bytes(&self) -> Vec<u8> {
        let Self {
            cookie,
            release,
            slots,
            local_storage,
        } = self;
        let mut bytes = format!("{cookie}\n{release}\n{slots}\n").into_bytes();
        bytes.extend_from_slice(local_storage.as_os_str().as_bytes());
        bytes
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        // The path is the rest: it may hold any byte.
        let mut lines = bytes.splitn(4, |byte| *byte == b'\n');
        let mut text = || std::str::from_utf8(lines.next()?).ok();
        let (cookie, release, slots) = (text()?, text()?, text()?);
        let local_storage = OsString::from_vec(lines.next()?.to_vec()).into();
        Some(Self {
            cookie: Cookie::parse(cookie)?,
            release: release.to_owned(),
            slots: slots.parse().ok()?,
            local_storage,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_survives_the_file() {
        let directory = tempfile::tempdir().unwrap();
        let place = Place::at(directory.path());
        assert_eq!(Record::read(&place), None);
        let record = Record {
            cookie: Cookie::of_this_process("7kq2"),
            release: "0.1.0 (protocol 1)".to_owned(),
            slots: 12,
            local_storage: OsString::from_vec(b"/var/tmp/a\nb\xff".to_vec()).into(),
        };
        record.write(&place).unwrap();
        assert_eq!(Record::read(&place), Some(record));
    }

    #[test]
    fn a_torn_record_is_none() {
        let whole = b"7kq2:1:2:b\n0.1.0\n12\n/tmp";
        assert!(Record::parse(whole).is_some());
        for end in 0..whole.len() - b"/tmp".len() {
            assert_eq!(Record::parse(&whole[..end]), None);
        }
    }
}
