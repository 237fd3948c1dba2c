//! The directories of a run on its host, and what former runs have left there.
//!
//! File systems may block for as long as they like, so all this happens on a thread of its own.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use cos_storage::proof::RETRY_DELAYS;
use cos_storage::scratch::{Kept, run_of};
use cos_storage::{Scratch, Token, Verdict};
use serde_bytes::ByteBuf;

use crate::wire::PROTOCOL_VERSION;
use crate::wire::message::{
    ClearedStore, DirectoryReport, Mirror, MirrorReport, Neighbour, Preparation, PrepareError,
    RunDirectory, Swept,
};
use crate::worker::containment::{self, Cookie};
use crate::worker::place::Place;
use crate::worker::record::Record;

/// What was found and made.
#[derive(Debug)]
pub(super) struct Directories {
    /// Where jobs start.
    pub(super) report: DirectoryReport,
    /// The run's scratch, if jobs start there.
    pub(super) scratch: Option<Scratch>,
    /// The parent of scratch directories, if it could be determined.
    pub(super) local_storage: PathBuf,
    /// What dead agents had left and is gone now.
    pub(super) swept: Vec<Swept>,
    /// Other agents of the same user.
    pub(super) neighbours: Vec<Neighbour>,
    /// Which trees are the client's.
    pub(super) mirrors: Vec<MirrorReport>,
    /// What is gone from the store, if it was to be emptied.
    pub(super) cleared: Option<Result<ClearedStore, String>>,
}

impl Directories {
    /// Sweeps, proves the client's directory or makes a scratch directory.
    ///
    /// # Errors
    /// [`PrepareError`] when jobs have no directory to start in.
    pub(super) fn prepare(
        preparation: &Preparation,
        slots: u32,
        place: &Place,
    ) -> Result<Self, PrepareError> {
        let swept = containment::sweep(place);
        let mut removed = swept.removed;
        let local_storage = cos_storage::local_storage_path(&preparation.local_storage)
            .map_err(|error| scratch_error(&error))?;
        match cos_storage::sweep(&local_storage) {
            Ok(scratch) => {
                let paths = scratch.removed.iter();
                removed.extend(paths.map(|path| swept_scratch(path, path.display().to_string())));
                removed.extend(scratch.kept.iter().filter_map(resisting));
            }
            // It is trusted no more when a scratch directory is to be made there, which tells why.
            Err(error) => tracing::debug!(target: "cos::agent", %error, "not swept"),
        }
        let record = Record {
            cookie: Cookie::of_this_process(&preparation.run),
            release: format!(
                "{} (protocol {PROTOCOL_VERSION})",
                env!("CARGO_PKG_VERSION")
            ),
            slots,
            local_storage: local_storage.clone(),
        };
        // Before anything is made that the guardian would have to remove.
        record.write(place).map_err(|error| PrepareError::Other {
            cause: format!("{}: {error}", place.path().display()),
        })?;
        let (report, scratch) = run_directory(preparation, &local_storage)?;
        Ok(Self {
            report,
            scratch,
            swept: removed,
            neighbours: swept.neighbours.into_iter().map(neighbour).collect(),
            mirrors: preparation.mirrors.iter().map(mirror_report).collect(),
            cleared: preparation.clear_store.then(|| cleared(&local_storage)),
            local_storage,
        })
    }
}

fn cleared(local_storage: &Path) -> Result<ClearedStore, String> {
    let cleared = cos_storage::clear_store(local_storage).map_err(|error| error.to_string())?;
    Ok(ClearedStore {
        files: cleared.removed,
        bytes: cleared.bytes,
        in_use: cleared.in_use,
    })
}

fn neighbour(record: Record) -> Neighbour {
    Neighbour {
        run: record.cookie.run,
        pid: record.cookie.pid.cast_unsigned(),
        release: record.release,
        slots: record.slots,
    }
}

/// What resists is worth a line; what other hosts or releases own is theirs.
fn resisting(kept: &Kept) -> Option<Swept> {
    match kept {
        Kept::Resisting { path, removal } => {
            let what = format!("{}, all but {removal}", path.display());
            Some(swept_scratch(path, what))
        }
        _ => None,
    }
}

fn swept_scratch(path: &Path, what: String) -> Swept {
    let run = run_of(path).map(str::to_owned);
    Swept { run, what }
}

fn scratch_error(error: &dyn std::fmt::Display) -> PrepareError {
    PrepareError::Scratch {
        cause: error.to_string(),
    }
}

fn run_directory(
    preparation: &Preparation,
    local_storage: &Path,
) -> Result<(DirectoryReport, Option<Scratch>), PrepareError> {
    let reason = match &preparation.directory {
        RunDirectory::Here { path } => {
            usable(as_path(path)).map_err(|cause| PrepareError::Other { cause })?;
            return Ok((DirectoryReport::Shared { path: path.clone() }, None));
        }
        RunDirectory::Proven { paths, token } => match prove(token, paths) {
            Ok(path) => {
                let path = ByteBuf::from(path.into_os_string().into_vec());
                return Ok((DirectoryReport::Shared { path }, None));
            }
            Err(reason) => Some(reason),
        },
        RunDirectory::Scratch { reason } => reason.clone(),
    };
    let scratch =
        Scratch::create(local_storage, &preparation.run).map_err(|error| scratch_error(&error))?;
    let path = ByteBuf::from(scratch.work_path().as_os_str().as_bytes());
    Ok((DirectoryReport::Scratch { path, reason }, Some(scratch)))
}

fn as_path(bytes: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(bytes))
}

fn usable(path: &Path) -> Result<(), String> {
    match fs::metadata(path) {
        Ok(found) if found.is_dir() => Ok(()),
        Ok(_) => Err(format!("{}: not a directory", path.display())),
        Err(error) => Err(format!("{}: {error}", path.display())),
    }
}

fn mirror_report(mirror: &Mirror) -> MirrorReport {
    let proved = match &mirror.token {
        Ok(token) => prove(token, &mirror.paths),
        Err(reason) => Err(reason.clone()),
    };
    match proved {
        Ok(path) => MirrorReport {
            path: ByteBuf::from(path.into_os_string().into_vec()),
            problem: None,
        },
        Err(problem) => MirrorReport {
            path: mirror.paths.first().cloned().unwrap_or_default(),
            problem: Some(problem),
        },
    }
}

/// The first of the directories that holds the token; looks again after a while where a network file system may not
/// show it yet. The reason for none is that of the likeliest directory.
fn prove(token: &Token, paths: &[ByteBuf]) -> Result<PathBuf, String> {
    let expanded = |path: &ByteBuf| {
        cos_storage::expand_home(OsStr::from_bytes(path)).map_err(|error| error.to_string())
    };
    let paths: Vec<Result<PathBuf, String>> = paths.iter().map(expanded).collect();
    let mut delays = RETRY_DELAYS.iter();
    loop {
        let mut reasons = Vec::new();
        let mut may_appear = false;
        for path in &paths {
            match path.as_ref().map(|path| (path, token.check(path))) {
                Ok((path, Verdict::Proven)) => return usable(path).map(|()| path.clone()),
                Ok((_, Verdict::Missing { reason })) => {
                    may_appear = true;
                    reasons.push(reason);
                }
                Ok((_, Verdict::NotShared { reason })) => reasons.push(reason),
                Err(reason) => reasons.push(reason.clone()),
            }
        }
        match delays.next() {
            Some(delay) if may_appear => std::thread::sleep(*delay),
            _ => return Err(reasons.into_iter().next().unwrap_or_default()),
        }
    }
}
