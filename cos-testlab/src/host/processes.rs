//! Which processes of this machine belong to a host, and how they are ended.
//!
//! A lab host has no process tree of its own: what it runs stands in the machine's `/proc` beside
//! everything else, and a daemon's parent is init. A process belongs to a host by any of four marks:
//!
//! * the variable [`HOST_VARIABLE`] in its environment, which the host's sshd gives to every session
//!   and which children inherit, `setsid` or not;
//! * an ancestor that belongs to the host (a child that cleared its environment);
//! * an executable below the host's directory (a deployed worker that cleared its environment);
//! * the host's mount namespace, where it has one (root).
//!
//! sshd's own processes overwrite their environment with a title; they are found from the listener
//! down, and kept apart, since an open connection is nothing that a test left behind.

use std::collections::{HashMap, HashSet};
use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

/// The environment variable that marks a host's processes: lab and host, `x7Kp2q/ws01`.
pub const HOST_VARIABLE: &str = "COS_TESTLAB_HOST";

/// Between two looks at `/proc`, each of which takes some milliseconds of a busy machine.
pub(crate) const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// A live process of a host.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct HostProcess {
    /// Its process id.
    pub pid: i32,
    /// Its parent's process id; 1, or a subreaper's, for a daemon.
    pub parent: i32,
    /// When it started, in clock ticks since boot: with `pid`, this names a process for good.
    pub start_time: u64,
    /// The kernel's state letter: `R`, `S`, `D`, `T`, ...
    pub state: char,
    /// Its short name, as `ps -o comm` has it.
    pub name: String,
    /// Its arguments, separated by spaces, unprintable characters escaped.
    pub command_line: String,
}

impl fmt::Display for HostProcess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            pid,
            parent,
            state,
            name,
            command_line,
            ..
        } = self;
        write!(f, "{pid} (parent {parent}, {state}) {name}: {command_line}")
    }
}

/// The live processes of one host at one moment.
#[derive(Debug, Default)]
pub(crate) struct Owned {
    /// sshd's listener, its sessions and their helpers.
    pub(crate) sshd: Vec<HostProcess>,
    /// Everything else.
    pub(crate) processes: Vec<HostProcess>,
}

impl Owned {
    fn is_empty(&self) -> bool {
        self.sshd.is_empty() && self.processes.is_empty()
    }

    pub(crate) fn into_all(self) -> Vec<HostProcess> {
        let mut all = self.sshd;
        all.extend(self.processes);
        all
    }
}

/// How a host's processes are told from all others.
#[derive(Debug)]
pub(crate) struct Marks {
    /// `COS_TESTLAB_HOST=lab/host`.
    variable: Vec<u8>,
    /// The host's own directory.
    root: PathBuf,
    /// The mount namespace of the host's sshd, when it is not the lab's.
    mount_namespace: Option<MountNamespace>,
    /// sshd processes that were seen, by process id and start time: once the listener is gone, only
    /// this tells a session's sshd.
    known_sshd: HashSet<(i32, u64)>,
}

/// A mount namespace by its name, `mnt:[4026532201]`, which the kernel gives to another one once the
/// last process has left: so it is held open.
#[derive(Debug)]
struct MountNamespace {
    name: OsString,
    _hold: fs::File,
}

impl Marks {
    pub(crate) fn new(id: &str, root: &Path) -> Self {
        Self {
            variable: format!("{HOST_VARIABLE}={id}").into_bytes(),
            root: root.to_owned(),
            mount_namespace: None,
            known_sshd: HashSet::new(),
        }
    }

    /// Takes note of the host's listener.
    pub(crate) fn set_listener(&mut self, pid: i32) {
        if let Some(process) = read_process(pid) {
            self.known_sshd.insert((pid, process.start_time));
        }
        let own = mount_namespace("self");
        let its = mount_namespace(pid).filter(|its| Some(its) != own.as_ref());
        self.mount_namespace = its.and_then(|name| {
            let hold = fs::File::open(format!("/proc/{pid}/ns/mnt")).ok()?;
            Some(MountNamespace { name, _hold: hold })
        });
    }

    /// Walks `/proc` once. A process that is forked during the walk may be missed.
    pub(crate) fn walk(&mut self) -> Owned {
        let all = read_all();
        let marked: HashSet<i32> = all
            .values()
            .filter(|process| self.is_marked(process))
            .map(|p| p.pid)
            .collect();

        let mut sshd: HashSet<i32> = all
            .values()
            .filter(|p| !marked.contains(&p.pid) && is_sshd(p))
            .filter(|p| {
                self.known_sshd.contains(&(p.pid, p.start_time)) || self.shares_namespace(p.pid)
            })
            .map(|p| p.pid)
            .collect();
        // The parent of a marked process is the sshd of its session, when it is an sshd at all.
        sshd.extend(
            marked
                .iter()
                .filter_map(|pid| all.get(pid))
                .filter_map(|process| {
                    let parent = all.get(&process.parent)?;
                    (is_sshd(parent) && !marked.contains(&parent.pid)).then_some(parent.pid)
                }),
        );
        add_children(&all, &mut sshd, |child| {
            is_sshd(child) && !marked.contains(&child.pid)
        });
        self.known_sshd.extend(
            sshd.iter()
                .filter_map(|pid| all.get(pid))
                .map(|p| (p.pid, p.start_time)),
        );

        let mut owned = marked;
        owned.extend(&sshd);
        add_children(&all, &mut owned, |_| true);

        let mut found = Owned::default();
        for (pid, process) in all {
            if sshd.contains(&pid) {
                found.sshd.push(process);
            } else if owned.contains(&pid) {
                found.processes.push(process);
            }
        }
        found.sshd.sort_by_key(|process| process.pid);
        found.processes.sort_by_key(|process| process.pid);
        found
    }

    /// Kills everything that belongs to the host: stops, walks again until nothing new is seen, so
    /// that nothing can fork away, then kills; until nothing is left. Returns what could not be
    /// killed before the deadline.
    pub(crate) fn kill_all(&mut self, deadline: Duration) -> Result<(), Vec<HostProcess>> {
        let end = Instant::now() + deadline;
        loop {
            let mut stopped = HashSet::new();
            let targets = loop {
                let found = self.walk();
                let fresh = found.sshd.iter().chain(&found.processes);
                let fresh: Vec<_> = fresh
                    .filter(|p| stopped.insert((p.pid, p.start_time)))
                    .collect();
                if fresh.is_empty() {
                    break found;
                }
                fresh
                    .iter()
                    .for_each(|process| signal(process, Signal::STOP));
            };
            if targets.is_empty() {
                return Ok(());
            }
            let targets = targets.into_all();
            targets
                .iter()
                .for_each(|process| signal(process, Signal::KILL));
            if Instant::now() >= end {
                return Err(targets);
            }
            thread::sleep(LOOK_AGAIN);
        }
    }

    fn is_marked(&self, process: &HostProcess) -> bool {
        let directory = process_directory(process.pid);
        let environment = fs::read(directory.join("environ")).unwrap_or_default();
        environment
            .split(|&byte| byte == 0)
            .any(|variable| variable == self.variable)
            || fs::read_link(directory.join("exe")).is_ok_and(|exe| exe.starts_with(&self.root))
            || (!is_sshd(process) && self.shares_namespace(process.pid))
    }

    fn shares_namespace(&self, pid: i32) -> bool {
        let its = self
            .mount_namespace
            .as_ref()
            .map(|namespace| &namespace.name);
        its.is_some() && mount_namespace(pid).as_ref() == its
    }
}

/// Signals exactly this process: never another one that was given its number meanwhile.
pub(crate) fn signal(process: &HostProcess, signal: Signal) {
    // Below 2 there is init, and nobody who could be meant.
    let Some(pid) = Pid::from_raw(process.pid).filter(|_| process.pid > 1) else {
        return;
    };
    let Ok(descriptor) = pidfd_open(pid, PidfdFlags::empty()) else {
        return;
    };
    if read_process(process.pid).is_some_and(|now| now.start_time == process.start_time) {
        // It may end at any moment: then there is nobody to signal.
        let _ = pidfd_send_signal(descriptor, signal);
    }
}

fn add_children(
    all: &HashMap<i32, HostProcess>,
    found: &mut HashSet<i32>,
    accept: impl Fn(&HostProcess) -> bool,
) {
    loop {
        let before = found.len();
        let children: Vec<i32> = all
            .values()
            .filter(|process| found.contains(&process.parent) && accept(process))
            .map(|process| process.pid)
            .collect();
        found.extend(children);
        if found.len() == before {
            return;
        }
    }
}

/// sshd, and what it is split into since OpenSSH 9.8: sshd-session, sshd-auth.
fn is_sshd(process: &HostProcess) -> bool {
    process.name.starts_with("sshd")
}

fn process_directory(pid: i32) -> PathBuf {
    PathBuf::from(format!("/proc/{pid}"))
}

fn mount_namespace(pid: impl fmt::Display) -> Option<OsString> {
    fs::read_link(format!("/proc/{pid}/ns/mnt"))
        .ok()
        .map(PathBuf::into_os_string)
}

fn read_all() -> HashMap<i32, HostProcess> {
    fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter_map(read_process)
        .map(|process| (process.pid, process))
        .collect()
}

/// Reads one process; `None` when it has ended, reaped or not.
fn read_process(pid: i32) -> Option<HostProcess> {
    let directory = process_directory(pid);
    let stat = fs::read(directory.join("stat")).ok()?;
    // The name stands in parentheses and may itself contain any byte, so the fields start after the
    // last one.
    let open = stat.iter().position(|&byte| byte == b'(')?;
    let close = stat.iter().rposition(|&byte| byte == b')')?;
    let name = String::from_utf8_lossy(stat.get(open + 1..close)?).into_owned();
    let fields = String::from_utf8_lossy(stat.get(close + 1..)?).into_owned();
    let fields: Vec<&str> = fields.split_whitespace().collect();
    let state = fields.first()?.chars().next()?;
    let threads: u64 = fields.get(17)?.parse().ok()?;
    // A zombie only waits for its parent; with other threads left it is a main thread that returned.
    if matches!(state, 'X' | 'x') || (state == 'Z' && threads <= 1) {
        return None;
    }
    let command_line = fs::read(directory.join("cmdline")).unwrap_or_default();
    Some(HostProcess {
        pid,
        parent: fields.get(1)?.parse().ok()?,
        start_time: fields.get(19)?.parse().ok()?,
        state,
        name,
        command_line: readable(&command_line),
    })
}

fn readable(command_line: &[u8]) -> String {
    let arguments = command_line
        .split(|&byte| byte == 0)
        .filter(|argument| !argument.is_empty());
    let words: Vec<String> = arguments
        .map(|argument| {
            String::from_utf8_lossy(argument)
                .chars()
                .flat_map(escape)
                .collect()
        })
        .collect();
    words.join(" ")
}

fn escape(c: char) -> Box<dyn Iterator<Item = char>> {
    if c.is_control() {
        Box::new(c.escape_default())
    } else {
        Box::new(std::iter::once(c))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_itself() {
        let pid = i32::try_from(std::process::id()).unwrap();
        let own = read_process(pid).unwrap();
        assert_eq!(own.pid, pid);
        assert!(own.start_time > 0);
        assert!(!own.command_line.is_empty());
        assert!(read_all().contains_key(&pid));
    }

    #[test]
    fn init_and_others_do_not_belong_to_a_host() {
        let mut marks = Marks::new("nobody/none", Path::new("/nonexistent"));
        assert!(marks.walk().is_empty());
        assert!(marks.kill_all(Duration::from_secs(1)).is_ok());
    }
}
