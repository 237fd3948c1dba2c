//! The client's side: writing the token file and taking it away again.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Mode, OFlags, openat, unlinkat};
use rustix::io::Errno;

use super::Token;
use super::sweep::sweep;
use crate::error::PlantError;
use crate::expand::home_directory;
use crate::mount::MountId;
use crate::owner::Owner;
use crate::shown::Shown;
use crate::suffix::Suffix;

/// A token file that exists; it is removed by [`PlantedToken::remove`] or when this is dropped.
///
/// One serves any number of hosts, as long as it lives. A client that is killed, or that leaves by
/// `std::process::exit` without dropping this, leaves a file of some hundred bytes behind,
/// `.cos-token-` and a number. It means nothing to a later run, and the next one that plants a token
/// in the same directory removes it.
///
/// ```
/// use cos_storage::PlantedToken;
///
/// let shared = tempfile::tempdir()?;
/// let planted = PlantedToken::plant(shared.path(), shared.path())?;
/// // `planted.token()` goes to the host, which calls:
/// assert!(planted.token().check(shared.path()).is_proven());
/// planted.remove()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct PlantedToken {
    token: Token,
    place: PathBuf,
    /// The directory that holds the file.
    holder: OwnedFd,
    /// This process, where it knows itself: a later run asks whether it still lives.
    owner: Option<Owner>,
}

impl PlantedToken {
    /// Writes a token file that proves `directory`, which lies in the mirrored storage entry `root`.
    ///
    /// It is written in the directory itself or, where that is not possible, elsewhere in the same
    /// mount and below `root`: see [`proof`](crate::proof) for why this proves as much.
    ///
    /// # Errors
    ///
    /// [`PlantError`]; the directory cannot be proven then and is to be treated as not shared.
    pub fn plant(directory: impl AsRef<Path>, root: impl AsRef<Path>) -> Result<Self, PlantError> {
        let owner = Owner::current().ok();
        let (directory, root) = (canonical(directory.as_ref())?, canonical(root.as_ref())?);
        if !directory.starts_with(&root) {
            return Err(PlantError::OutsideRoot {
                directory: shown(&directory),
                root: shown(&root),
            });
        }
        let mut tried = Vec::new();
        for place in places(&directory, &root) {
            match plant_in(&place, &directory, owner.clone()) {
                Ok(planted) => {
                    if let Some(owner) = &owner {
                        sweep(&planted.holder, owner);
                    }
                    return Ok(planted);
                }
                Err(problem) => tried.push((shown(&place), problem.to_string())),
            }
        }
        Err(PlantError::NotWritable {
            directory: shown(&directory),
            tried: summary(&tried),
        })
    }

    /// What the hosts are to look for.
    pub fn token(&self) -> &Token {
        &self.token
    }

    /// The token file's path on this host.
    pub fn path(&self) -> PathBuf {
        self.place.join(self.token.file_name())
    }

    /// Removes the token file.
    ///
    /// # Errors
    ///
    /// What the system said; the file then stays. That it is gone already is no error.
    pub fn remove(self) -> io::Result<()> {
        self.take_away()
    }

    /// Removes the token file for the time being: nothing can be proven until [`PlantedToken::put_back`].
    ///
    /// # Errors
    ///
    /// As [`PlantedToken::remove`].
    pub fn take_away(&self) -> io::Result<()> {
        match unlinkat(&self.holder, self.token.file_name(), AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Writes the token file again after [`PlantedToken::take_away`], the very same. That it is there already is no
    /// error.
    ///
    /// # Errors
    ///
    /// What the system said; nothing can be proven then.
    pub fn put_back(&self) -> io::Result<()> {
        match self.write() {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            Err(error) => {
                // Half a token would be taken for a forged one.
                let _ = self.take_away();
                Err(error)
            }
            Ok(()) => Ok(()),
        }
    }
}

impl Drop for PlantedToken {
    fn drop(&mut self) {
        // Whoever wants to know of a failure calls `remove`.
        let _ = self.take_away();
    }
}

/// Where a token may go, the best place first.
fn places(directory: &Path, root: &Path) -> Vec<PathBuf> {
    let below_root = directory
        .ancestors()
        .take_while(|place| place.starts_with(root));
    let mut places: Vec<PathBuf> = below_root.map(Path::to_owned).collect();
    let home = home_directory()
        .ok()
        .and_then(|home| fs::canonicalize(home).ok());
    places.extend(home.filter(|home| home.starts_with(root) && !places.contains(home)));
    places
}

/// `/data/a: Permission denied, as above it`, or each place with its problem.
fn summary(tried: &[(String, String)]) -> String {
    match tried {
        [(place, problem), above @ ..]
            if !above.is_empty() && above.iter().all(|(_, other)| other == problem) =>
        {
            format!("{place}: {problem}, as above it")
        }
        _ => {
            let all: Vec<String> = tried
                .iter()
                .map(|(at, why)| format!("{at}: {why}"))
                .collect();
            all.join("; ")
        }
    }
}

/// Writes a token in `place` that proves `directory`; both are canonical.
pub(super) fn plant_in(
    place: &Path,
    directory: &Path,
    owner: Option<Owner>,
) -> io::Result<PlantedToken> {
    let common = common_ancestor(place, directory);
    let token = Token::random(suffix(directory, common)?, suffix(place, common)?)?;
    let holder = open_directory(place)?;
    if !token.is_direct() {
        let mount = MountId::of(&holder);
        let same = |path: &Path| io::Result::Ok(MountId::of(open_directory(path)?) == mount);
        if mount.is_none() || !same(common)? || !same(directory)? {
            return Err(io::Error::other("not in the same mount"));
        }
    }
    let planted = PlantedToken {
        token,
        place: place.to_owned(),
        holder,
        owner,
    };
    planted.write()?; // on failure the drop removes what there is
    Ok(planted)
}

impl PlantedToken {
    /// Returns when the content has reached the file's server.
    fn write(&self) -> io::Result<()> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW;
        // For the own user only: with the secret, others could forge the proof.
        let mode = Mode::RUSR | Mode::WUSR;
        let file = openat(
            &self.holder,
            self.token.file_name(),
            flags | OFlags::CLOEXEC,
            mode,
        )?;
        let mut file = File::from(file);
        let owner = self.owner.as_ref().map(Owner::to_text).unwrap_or_default();
        file.write_all((self.token.content() + &owner).as_bytes())?;
        file.sync_all()
    }
}

fn common_ancestor<'a>(place: &'a Path, directory: &Path) -> &'a Path {
    // Both are absolute, so the walk ends at `/` at the latest.
    place
        .ancestors()
        .find(|ancestor| directory.starts_with(ancestor))
        .unwrap_or(place)
}

fn suffix(path: &Path, below: &Path) -> io::Result<Suffix> {
    let suffix = path.strip_prefix(below).map_err(io::Error::other)?;
    Suffix::new(suffix.as_os_str().as_bytes()).map_err(io::Error::other)
}

fn open_directory(path: &Path) -> Result<OwnedFd, Errno> {
    // The path is canonical: a link in the last place was put there since.
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, Mode::empty())
}

fn canonical(path: &Path) -> Result<PathBuf, PlantError> {
    fs::canonicalize(path).map_err(|source| PlantError::Directory {
        directory: shown(path),
        source,
    })
}

fn shown(path: &Path) -> String {
    Shown::path(path).to_string()
}
