//! Removing what dead agents have left: processes that carry their cookie, and their private directories.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

use rustix::process::Signal;

use super::cookie::{COOKIE, Cookie};
use super::process::{Process, all, descendants};
use crate::wire::message::Swept;
use crate::worker::place::{Place, agents_directory};
use crate::worker::record::Record;

/// A private directory without a record is one whose agent is just starting, or died before it could write one. After
/// so long (a minute) it is the latter.
const UNRECORDED_AGE: Duration = Duration::from_secs(60);

/// How often processes are looked for again, since one may fork while another is killed.
const ROUNDS: u32 = 20;

/// What was found on this host of other agents of this user.
#[derive(Debug, Default)]
pub(in crate::worker) struct Sweep {
    /// What was removed.
    pub(in crate::worker) removed: Vec<Swept>,
    /// Agents that live.
    pub(in crate::worker) neighbours: Vec<Record>,
}

/// Kills and removes what dead agents have left. `own` is this agent's place.
pub(in crate::worker) fn sweep(own: &Place) -> Sweep {
    let mut sweep = Sweep::default();
    for (run, count) in kill_orphans() {
        let processes = if count == 1 { "process" } else { "processes" };
        sweep.removed.push(Swept {
            what: format!("{count} {processes} of run {run}"),
            run: Some(run),
        });
    }
    let entries = agents_directory().map(fs::read_dir);
    for entry in entries.into_iter().flatten().flatten().flatten() {
        let path = entry.path();
        if path != own.path() && entry.file_type().is_ok_and(|it| it.is_dir()) {
            visit(&path, &mut sweep);
        }
    }
    sweep
}

fn visit(path: &Path, sweep: &mut Sweep) {
    let place = Place::at(path);
    match Record::read(&place) {
        Some(record) if record.cookie.agent_lives() => sweep.neighbours.push(record),
        // Its guardian may be doing the same at this moment.
        Some(record) if place.remove().is_ok() => {
            let run = record.cookie.run;
            sweep.removed.push(Swept {
                what: format!("directory of run {run}: {}", path.display()),
                run: Some(run),
            });
        }
        None if is_old(path) => {
            let _ = place.remove();
        }
        Some(_) | None => {}
    }
}

fn is_old(path: &Path) -> bool {
    let changed = fs::symlink_metadata(path).and_then(|it| it.modified());
    changed.is_ok_and(|at| {
        let age = SystemTime::now().duration_since(at);
        age.is_ok_and(|age| age > UNRECORDED_AGE)
    })
}

/// Kills every process with the cookie of a dead agent, and counts them by run.
fn kill_orphans() -> BTreeMap<String, u32> {
    let mut killed = BTreeMap::new();
    let mut counted = HashSet::new();
    for _ in 0..ROUNDS {
        let orphans = orphans();
        // All are stopped before the first is killed: none forks while others die.
        for (process, _) in &orphans {
            let _ = process.signal(Signal::STOP);
        }
        for (process, _) in &orphans {
            let _ = process.signal(Signal::KILL);
        }
        let mut found_new = false;
        for (process, cookie) in orphans {
            if counted.insert((process.pid, process.start_time)) {
                found_new = true;
                *killed.entry(cookie.run).or_default() += 1;
            }
        }
        if !found_new {
            break;
        }
    }
    killed
}

/// Processes of this user in this process namespace with the cookie of an agent that is gone. Neither this process nor
/// what it descends from is among them: COS may have been started by a job of COS.
fn orphans() -> Vec<(Process, Cookie)> {
    let table = all();
    let own = std::process::id().cast_signed();
    let spared: HashSet<i32> = ancestors(own, &table)
        .into_iter()
        .chain(descendants(own, &table).iter().map(|it| it.pid))
        .collect();
    let uid = rustix::process::getuid().as_raw();
    let namespace = process_namespace("self");
    let is_ours = |process: &Process| {
        let owner = fs::metadata(format!("/proc/{}", process.pid));
        owner.is_ok_and(|it| it.uid() == uid)
            // A container's process numbers are its own: the cookie names none of ours.
            && process_namespace(&process.pid.to_string()) == namespace
    };
    table
        .into_iter()
        .filter(|process| process.pid > 1 && !process.ended && !spared.contains(&process.pid))
        .filter(is_ours)
        .filter_map(|process| {
            let cookie = cookie_of(process.pid)?;
            (!cookie.agent_lives()).then_some((process, cookie))
        })
        .collect()
}

/// `pid` and everything above it.
fn ancestors(pid: i32, table: &[Process]) -> HashSet<i32> {
    let mut above = HashSet::new();
    let mut next = Some(pid);
    while let Some(pid) = next.filter(|pid| above.insert(*pid)) {
        let process = table.iter().find(|process| process.pid == pid);
        next = process.map(|process| process.parent);
    }
    above
}

fn process_namespace(pid: &str) -> Option<std::path::PathBuf> {
    fs::read_link(format!("/proc/{pid}/ns/pid")).ok()
}

fn cookie_of(pid: i32) -> Option<Cookie> {
    let environment = fs::read(format!("/proc/{pid}/environ")).ok()?;
    let value = environment.split(|byte| *byte == 0).find_map(|pair| {
        let value = pair.strip_prefix(COOKIE.as_bytes())?;
        value.strip_prefix(b"=")
    })?;
    Cookie::parse(std::str::from_utf8(value).ok()?)
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    fn sleeper(cookie: &Cookie) -> std::process::Child {
        Command::new("sleep")
            .arg("1000")
            .env(COOKIE, cookie.to_string())
            .stdin(Stdio::null())
            .spawn()
            .unwrap()
    }

    #[test]
    fn own_children_are_spared_whatever_they_carry() {
        let mut dead = Cookie::of_this_process("sweep-test");
        dead.start_time += 1;
        let mut child = sleeper(&dead);
        let found = orphans();
        child.kill().unwrap();
        child.wait().unwrap();
        let pid = child.id().cast_signed();
        assert!(found.iter().all(|(process, _)| process.pid != pid));
    }

    #[test]
    fn a_cookie_is_read_from_a_process() {
        let cookie = Cookie::of_this_process("sweep-test");
        let mut child = sleeper(&cookie);
        // Between fork and exec the child still shows its parent's environment.
        let pid = child.id().cast_signed();
        let found = std::iter::repeat_with(|| cookie_of(pid)).find(Option::is_some);
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(found.flatten(), Some(cookie));
    }

    #[test]
    fn ancestors_end_at_the_first_process() {
        let own = std::process::id().cast_signed();
        let above = ancestors(own, &all());
        assert!(above.contains(&own) && above.contains(&1));
    }
}
