//! Removing token files whose writers were killed.

use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, fstat, openat, unlinkat};
use rustix::process::geteuid;

use super::{NAME_PREFIX, NOTE};
use crate::owner::{Life, Owner};

/// How many names of a directory are looked at: where there are more, a token file of a killed client stays, which
/// harms nobody, rather than that a directory of a million files holds up every start.
const MAX_NAMES: usize = 10_000;

/// More than any token file holds.
const MAX_TOKEN: u64 = 4096;

/// Removes the token files in `holder` that belong to this user and whose processes are dead. Those of other hosts
/// and of living clients stay, and so does what cannot be read or removed: this is tidiness and no duty.
pub(super) fn sweep(holder: &OwnedFd, here: &Owner) {
    let read = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let directory = openat(holder, ".", read, Mode::empty());
    let Ok(entries) = directory.and_then(Dir::new) else {
        return;
    };
    let stale = |name: &str| {
        name.starts_with(NAME_PREFIX)
            && owner_of(holder, name).is_some_and(|owner| owner.life(here) == Life::Dead)
    };
    let names: Vec<String> = entries
        .take(MAX_NAMES)
        .filter_map(|entry| Some(entry.ok()?.file_name().to_str().ok()?.to_owned()))
        .filter(|name| stale(name))
        .collect();
    for name in names {
        let _ = unlinkat(holder, name, AtFlags::empty());
    }
}

/// Whose token file it is; `None` for anything but a token file of this user.
fn owner_of(holder: &OwnedFd, name: &str) -> Option<Owner> {
    // Whatever lies there must neither be followed, nor block, nor become a terminal of ours.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = openat(holder, name, flags | OFlags::CLOEXEC, Mode::empty()).ok()?;
    let stat = fstat(&file).ok()?;
    let is_regular = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
    if !is_regular || stat.st_uid != geteuid().as_raw() {
        return None;
    }
    let mut text = String::new();
    File::from(file)
        .take(MAX_TOKEN)
        .read_to_string(&mut text)
        .ok()?;
    let (_secret, owner) = text.strip_prefix(NOTE)?.split_once('\n')?;
    Owner::from_text(owner)
}
