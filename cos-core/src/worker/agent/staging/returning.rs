//! What an attempt gives back, one piece after the other.

use std::collections::VecDeque;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use cos_storage::Suffix;
use cos_storage::collect::{CollectLimits, Collected, CollectedFile, collect};

use crate::wire::frame::CHUNK;

/// The next of what an attempt gives back.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Returned {
    /// A directory.
    Directory(Suffix),
    /// A file begins.
    File { path: Suffix, mode: u32 },
    /// The next bytes of the file.
    Piece(Vec<u8>),
    /// The file is whole.
    FileEnd,
    /// One that cannot be given back. What has arrived of a file that had begun is none.
    Problem(String),
    /// That was all.
    End,
}

/// What is still to be given back.
pub(super) struct Returning {
    directory: Result<File, String>,
    /// What was asked for, and files of directories that were.
    asked: VecDeque<Suffix>,
    directories: VecDeque<Suffix>,
    current: Option<(CollectedFile, u64)>,
}

impl Returning {
    /// From this directory these.
    pub(super) fn new(directory: &Path, asked: Vec<Suffix>) -> Self {
        let opened = File::open(directory);
        Self {
            directory: opened.map_err(|error| format!("{}: {error}", directory.display())),
            asked: asked.into(),
            directories: VecDeque::new(),
            current: None,
        }
    }

    /// Reads the next piece.
    pub(super) fn next(&mut self) -> Returned {
        if let Some((file, offset)) = &mut self.current {
            let step = read(file, offset);
            if !matches!(step, Returned::Piece(_)) {
                self.current = None;
            }
            return step;
        }
        if let Some(directory) = self.directories.pop_front() {
            return Returned::Directory(directory);
        }
        let Some(path) = self.asked.pop_front() else {
            return Returned::End;
        };
        let directory = match &self.directory {
            Ok(directory) => directory,
            Err(words) => {
                let words = words.clone();
                self.asked.clear();
                return Returned::Problem(words);
            }
        };
        match collect(directory, &path, CollectLimits::default()) {
            Ok(Collected::File(file)) => {
                let step = Returned::File {
                    path: file.path.clone(),
                    mode: file.mode,
                };
                self.current = Some((file, 0));
                step
            }
            Ok(Collected::Directory(found)) => {
                for file in found.files.into_iter().rev() {
                    self.asked.push_front(file);
                }
                self.directories = found.directories.into();
                match found.left.first() {
                    None => self.next(),
                    Some(left) => Returned::Problem(format!(
                        "{left} is a symbolic link or no file; it was not sent back"
                    )),
                }
            }
            Err(error) => Returned::Problem(error.to_string()),
        }
    }
}

fn read(file: &CollectedFile, offset: &mut u64) -> Returned {
    let left = file.size - *offset;
    if left == 0 {
        return Returned::FileEnd;
    }
    let mut piece = vec![0; usize::try_from(left).map_or(CHUNK, |left| left.min(CHUNK))];
    match file.file.read_exact_at(&mut piece, *offset) {
        Ok(()) => {
            *offset += piece.len() as u64;
            Returned::Piece(piece)
        }
        Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => Returned::Problem(
            format!("{} became shorter while it was sent back", file.path),
        ),
        Err(error) => Returned::Problem(format!("{}: {error}", file.path)),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn all(returning: &mut Returning) -> Vec<Returned> {
        let mut steps = Vec::new();
        loop {
            match returning.next() {
                Returned::End => return steps,
                step => steps.push(step),
            }
        }
    }

    fn asked(names: &[&str]) -> Vec<Suffix> {
        names.iter().map(|name| Suffix::of(name).unwrap()).collect()
    }

    #[test]
    fn files_come_in_pieces_and_directories_with_what_is_in_them() {
        let job = tempfile::tempdir().unwrap();
        fs::write(job.path().join("big"), vec![7; CHUNK + 1]).unwrap();
        fs::create_dir_all(job.path().join("out/empty")).unwrap();
        fs::write(job.path().join("out/a"), "").unwrap();
        let mut returning = Returning::new(job.path(), asked(&["big", "out"]));
        let mut steps = all(&mut returning);
        let rest = steps.split_off(4);
        assert!(matches!(&steps[0], Returned::File { path, .. } if path.to_string() == "big"));
        assert_eq!(steps[1], Returned::Piece(vec![7; CHUNK]));
        assert_eq!(steps[2], Returned::Piece(vec![7]));
        assert_eq!(steps[3], Returned::FileEnd);
        let [out, empty] = asked(&["out", "out/empty"]).try_into().unwrap();
        assert_eq!(
            rest[..2],
            [Returned::Directory(out), Returned::Directory(empty)]
        );
        assert!(matches!(&rest[2], Returned::File { path, .. } if path.to_string() == "out/a"));
        assert_eq!(rest[3], Returned::FileEnd);
    }

    #[test]
    fn what_cannot_come_is_said_and_the_rest_comes() {
        let job = tempfile::tempdir().unwrap();
        fs::write(job.path().join("here"), "1").unwrap();
        std::os::unix::fs::symlink("/etc/passwd", job.path().join("link")).unwrap();
        let mut returning = Returning::new(job.path(), asked(&["none", "link", "here"]));
        let steps = all(&mut returning);
        let problem = |step: &Returned| matches!(step, Returned::Problem(_));
        assert!(problem(&steps[0]) && problem(&steps[1]), "{steps:?}");
        assert_eq!(steps[3], Returned::Piece(b"1".to_vec()));
    }

    #[test]
    fn a_file_that_shrinks_is_no_whole_file() {
        let job = tempfile::tempdir().unwrap();
        fs::write(job.path().join("file"), "12345").unwrap();
        let mut returning = Returning::new(job.path(), asked(&["file"]));
        assert!(matches!(returning.next(), Returned::File { .. }));
        fs::write(job.path().join("file"), "1").unwrap();
        let words = "file became shorter while it was sent back".to_owned();
        assert_eq!(all(&mut returning), [Returned::Problem(words)]);
        let mut gone = Returning::new(&job.path().join("none"), asked(&["a", "b"]));
        assert_eq!(all(&mut gone).len(), 1);
    }
}
