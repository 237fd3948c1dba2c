//! Where captured output goes when there is much of it: one unnamed temporary file for the whole run.
//!
//! However many jobs have output waiting, they take one descriptor, and no more memory than [`MEMORY_LIMIT`] and the buffers of
//! the running jobs. What was shown gives its space in the file back.

use std::cell::{Cell, RefCell};
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::rc::Rc;

/// What all spools together may hold in memory. Most jobs write little and never touch the file.
const MEMORY_LIMIT: usize = 32 << 20;

/// What one spool holds in memory; the rest of a larger output is written in pieces of this size.
const SPOOL_MEMORY: usize = 256 << 10;

/// A hole in the file frees whole blocks only; for less it is not worth a system call.
const SMALLEST_HOLE: u64 = 16 << 10;

/// The temporary file that all spools of a run share. Cloning gives another handle to it.
#[derive(Debug, Clone, Default)]
pub struct SpillFile(Rc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    file: RefCell<Option<File>>,
    end: Cell<u64>,
    /// Bytes in the file that are still to be read.
    live: Cell<u64>,
    in_memory: Cell<usize>,
}

/// The bytes of one output stream of one job, in memory or in the file.
#[derive(Debug)]
pub struct Spool {
    spill: SpillFile,
    /// What comes first, in the file.
    extents: Vec<Extent>,
    /// What comes last.
    memory: Vec<u8>,
}

/// Bytes that lie in the file alone: what a job that waits for its turn is reduced to. Has to be given back by
/// [`SpillFile::forget`].
#[derive(Debug, Default)]
pub(super) struct Filed(Box<[Extent]>);

#[derive(Debug, Clone, Copy)]
struct Extent {
    offset: u64,
    length: u64,
}

impl SpillFile {
    /// A spill file, made on disk only when it is needed, in the directory for temporary files.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty spool.
    #[must_use]
    pub fn spool(&self) -> Spool {
        Spool {
            spill: self.clone(),
            extents: Vec::new(),
            memory: Vec::new(),
        }
    }

    fn append(&self, bytes: &[u8]) -> io::Result<Extent> {
        let mut file = self.0.file.borrow_mut();
        let file = match &mut *file {
            Some(file) => file,
            none => none.insert(tempfile::tempfile()?),
        };
        let offset = self.0.end.get();
        // Where this fails, the next piece overwrites what was written of this one.
        file.write_all_at(bytes, offset)?;
        let length = bytes.len() as u64;
        self.0.end.set(offset + length);
        self.0.live.set(self.0.live.get() + length);
        Ok(Extent { offset, length })
    }

    fn read(&self, extent: Extent, limit: u64, out: &mut dyn Write) -> io::Result<()> {
        let file = self.0.file.borrow();
        let file = file.as_ref().ok_or(io::ErrorKind::NotFound)?;
        let mut buffer = vec![0; 64 << 10];
        let mut offset = extent.offset;
        let mut left = extent.length.min(limit);
        while left > 0 {
            let size = usize::try_from(left)
                .unwrap_or(usize::MAX)
                .min(buffer.len());
            let buffer = &mut buffer[..size];
            file.read_exact_at(buffer, offset)?;
            out.write_all(buffer)?;
            offset += size as u64;
            left -= size as u64;
        }
        Ok(())
    }

    /// Gives an extent's space back, where the file system can do that; otherwise it is given back with the file.
    fn release(&self, extent: Extent) {
        use rustix::fs::{FallocateFlags, fallocate};
        self.0
            .live
            .set(self.0.live.get().saturating_sub(extent.length));
        let file = self.0.file.borrow();
        let Some(file) = file.as_ref() else { return };
        if self.0.live.get() == 0 {
            // Nothing is left in the file: begin anew.
            if file.set_len(0).is_ok() {
                self.0.end.set(0);
            }
        } else if extent.length >= SMALLEST_HOLE {
            let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
            let _ = fallocate(file, flags, extent.offset, extent.length);
        }
    }

    /// Writes the bytes of a filed spool to `out`.
    pub(super) fn copy(&self, filed: &Filed, out: &mut dyn Write) -> io::Result<()> {
        filed
            .0
            .iter()
            .try_for_each(|extent| self.read(*extent, extent.length, out))
    }

    /// Gives back what was filed.
    pub(super) fn forget(&self, filed: Filed) {
        filed.0.iter().for_each(|extent| self.release(*extent));
    }

    fn add_memory(&self, bytes: usize) {
        self.0.in_memory.set(self.0.in_memory.get() + bytes);
    }

    fn sub_memory(&self, bytes: usize) {
        self.0
            .in_memory
            .set(self.0.in_memory.get().saturating_sub(bytes));
    }
}

impl Spool {
    /// Appends bytes.
    ///
    /// # Errors
    ///
    /// When the temporary file cannot be written, such as for a full disk. The bytes are lost then.
    pub fn push(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.memory.extend_from_slice(bytes);
        self.spill.add_memory(bytes.len());
        if self.memory.len() > SPOOL_MEMORY || self.spill.0.in_memory.get() > MEMORY_LIMIT {
            self.spill_memory()?;
        }
        Ok(())
    }

    /// An empty spool of the same file.
    pub(super) fn fresh(&self) -> Self {
        self.spill.spool()
    }

    /// How many bytes there are.
    #[must_use]
    pub fn len(&self) -> u64 {
        let in_file: u64 = self.extents.iter().map(|extent| extent.length).sum();
        in_file + self.memory.len() as u64
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.extents.is_empty() && self.memory.is_empty()
    }

    /// Writes the bytes, at most `limit` of them, to `out`.
    ///
    /// # Errors
    ///
    /// When the temporary file cannot be read, or `out` cannot be written.
    pub fn copy_to(&self, limit: u64, out: &mut dyn Write) -> io::Result<()> {
        let mut left = limit;
        for extent in &self.extents {
            self.spill.read(*extent, left, out)?;
            left = left.saturating_sub(extent.length);
        }
        let length = usize::try_from(left)
            .unwrap_or(usize::MAX)
            .min(self.memory.len());
        out.write_all(&self.memory[..length])
    }

    /// Forgets all bytes.
    pub fn clear(&mut self) {
        for extent in self.extents.drain(..) {
            self.spill.release(extent);
        }
        self.spill.sub_memory(self.memory.len());
        self.memory = Vec::new();
    }

    /// Gives back memory that was reserved for more bytes.
    pub(super) fn shrink(&mut self) {
        self.memory.shrink_to_fit();
    }

    /// Puts everything into the file and keeps no more than its place there.
    pub(super) fn file(mut self) -> io::Result<Filed> {
        if !self.memory.is_empty() {
            self.spill_memory()?;
        }
        Ok(Filed(std::mem::take(&mut self.extents).into_boxed_slice()))
    }

    fn spill_memory(&mut self) -> io::Result<()> {
        let appended = self.spill.append(&self.memory);
        self.spill.sub_memory(self.memory.len());
        self.memory = Vec::new();
        let extent = appended?;
        match self.extents.last_mut() {
            Some(last) if last.offset + last.length == extent.offset => {
                last.length += extent.length
            }
            _ => self.extents.push(extent),
        }
        Ok(())
    }
}

impl Drop for Spool {
    fn drop(&mut self) {
        self.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(spool: &Spool) -> Vec<u8> {
        let mut out = Vec::new();
        spool.copy_to(u64::MAX, &mut out).expect("readable");
        out
    }

    #[test]
    fn little_stays_in_memory() {
        let spill = SpillFile::new();
        let mut spool = spill.spool();
        spool.push(b"hello ").expect("pushed");
        spool.push(b"world").expect("pushed");
        assert_eq!(content(&spool), b"hello world");
        assert_eq!(spool.len(), 11);
        assert!(spill.0.file.borrow().is_none(), "no file for so little");
        let mut start = Vec::new();
        spool.copy_to(4, &mut start).expect("readable");
        assert_eq!(start, b"hell");
    }

    #[test]
    fn much_goes_to_the_file_and_comes_back_in_order() {
        let spill = SpillFile::new();
        let mut spools = [spill.spool(), spill.spool(), spill.spool()];
        let mut expected = [vec![], vec![], vec![]];
        for round in 0..3000_usize {
            let index = round % 3;
            let piece = vec![u8::try_from(round % 251).expect("a byte"); 100 + round];
            spools[index].push(&piece).expect("pushed");
            expected[index].extend_from_slice(&piece);
        }
        for (spool, expected) in spools.iter().zip(&expected) {
            assert_eq!(spool.len(), expected.len() as u64);
            assert!(content(spool) == *expected);
            let mut start = Vec::new();
            spool.copy_to(700_000, &mut start).expect("readable");
            assert!(start == expected[..700_000]);
        }
        assert!(spill.0.in_memory.get() <= 3 * SPOOL_MEMORY);
    }

    #[test]
    fn memory_of_all_spools_is_bounded_however_many_there_are() {
        let spill = SpillFile::new();
        let piece = vec![7; SPOOL_MEMORY / 2];
        let mut spools = Vec::new();
        for _ in 0..1000 {
            let mut spool = spill.spool();
            spool.push(&piece).expect("pushed");
            spools.push(spool);
        }
        let held: usize = spools.iter().map(|spool| spool.memory.len()).sum();
        assert!(
            held <= MEMORY_LIMIT + SPOOL_MEMORY,
            "{held} bytes in memory"
        );
        assert_eq!(spill.0.in_memory.get(), held);
        assert!(spools.iter().all(|spool| content(spool) == piece));
        drop(spools);
        assert_eq!(spill.0.in_memory.get(), 0);
    }

    #[test]
    fn the_file_is_used_anew_when_nothing_waits() {
        let spill = SpillFile::new();
        for _ in 0..3 {
            let mut filed = Vec::new();
            for number in 0..100 {
                let mut spool = spill.spool();
                spool
                    .push(format!("output {number}").as_bytes())
                    .expect("pushed");
                filed.push(spool.file().expect("filed"));
            }
            assert_eq!((spill.0.in_memory.get(), spill.0.live.get()), (0, 890));
            let mut out = Vec::new();
            spill.copy(&filed[42], &mut out).expect("readable");
            assert_eq!(out, b"output 42");
            filed.into_iter().for_each(|filed| spill.forget(filed));
            assert_eq!((spill.0.end.get(), spill.0.live.get()), (0, 0));
        }
    }
}
