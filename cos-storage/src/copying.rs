//! Copying the content of one open file into another: shared blocks where the file system can, else
//! inside the kernel, else by hand.

use std::fs::File;
use std::io::{self, Write};

use rustix::fs::{copy_file_range, ioctl_ficlone};
use rustix::io::Errno;

use crate::hash::AtOffset;

/// The most that one call of copy_file_range(2) is asked for.
const AT_ONCE: usize = 1 << 30;

/// Appends the first `size` bytes of `from` to `to`, which is empty and positioned at its start.
///
/// The two never share what a writer could change: where blocks are shared (reflink), the file
/// system copies them on the first write. A hard link would not: a program that opens its input for
/// writing would change the original, for itself and for everybody after it, whatever the mode says,
/// since it runs as the file's owner.
pub(crate) fn copy_content(from: &File, to: &File, size: u64) -> io::Result<()> {
    if ioctl_ficlone(to, from).is_ok() {
        return Ok(());
    }
    let mut offset = 0;
    while offset < size {
        let wanted = usize::try_from(size - offset).map_or(AT_ONCE, |left| left.min(AT_ONCE));
        match copy_file_range(from, Some(&mut offset), to, None, wanted) {
            // The source is shorter than it should be, or a file system that says 0 for "cannot".
            Ok(0) => return copy_by_hand(from, to, offset, size),
            Ok(_) | Err(Errno::INTR) => {}
            // Not between these two file systems, or not on this kernel.
            Err(_) => return copy_by_hand(from, to, offset, size),
        }
    }
    Ok(())
}

/// The plain way, which also has the plain errors.
fn copy_by_hand(from: &File, mut to: &File, offset: u64, size: u64) -> io::Result<()> {
    let mut reader = AtOffset { file: from, offset };
    let copied = io::copy(&mut io::Read::take(&mut reader, size - offset), &mut to)?;
    to.flush()?;
    if copied == size - offset {
        Ok(())
    } else {
        Err(io::ErrorKind::UnexpectedEof.into())
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Seek};

    use super::*;

    #[test]
    fn contents_arrive_whole_by_either_way() {
        let content: Vec<u8> = (0..300_000_u32).flat_map(u32::to_le_bytes).collect();
        let mut from = tempfile::tempfile().unwrap();
        from.write_all(&content).unwrap();
        type Copy = fn(&File, &File, u64) -> io::Result<()>;
        let copies: [Copy; 2] = [copy_content, |from, to, size| {
            copy_by_hand(from, to, 0, size)
        }];
        for copy in copies {
            let mut to = tempfile::tempfile().unwrap();
            copy(&from, &to, content.len() as u64).unwrap();
            to.rewind().unwrap();
            let mut arrived = Vec::new();
            to.read_to_end(&mut arrived).unwrap();
            assert!(arrived == content);
        }
    }

    #[test]
    fn a_source_that_is_too_short_is_an_error() {
        let from = tempfile::tempfile().unwrap();
        let to = tempfile::tempfile().unwrap();
        let error = copy_by_hand(&from, &to, 0, 1).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn what_is_written_to_the_copy_stays_there() {
        let mut from = tempfile::tempfile().unwrap();
        from.write_all(b"original").unwrap();
        let mut to = tempfile::tempfile().unwrap();
        copy_content(&from, &to, 8).unwrap();
        to.rewind().unwrap();
        to.write_all(b"XX").unwrap();
        from.rewind().unwrap();
        let mut kept = String::new();
        from.read_to_string(&mut kept).unwrap();
        assert_eq!(kept, "original");
    }
}
