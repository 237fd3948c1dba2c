//! Processes as `/proc` shows them.

use std::collections::HashMap;
use std::fs;

use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open, pidfd_send_signal};

/// One process at the moment of a look at it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(in crate::worker) struct Process {
    pub(in crate::worker) pid: i32,
    pub(in crate::worker) parent: i32,
    /// Ended, and not yet reaped.
    pub(in crate::worker) ended: bool,
    /// When it was started, in clock ticks since boot: tells it from a later process of the same number.
    pub(in crate::worker) start_time: u64,
}

impl Process {
    /// Looks at one process; `None` when there is none of this number.
    pub(in crate::worker) fn look(pid: i32) -> Option<Self> {
        Self::parse(&fs::read(format!("/proc/{pid}/stat")).ok()?)
    }

    /// Reads a line `pid (name) state parent ...`, whose name may hold spaces, parentheses and line ends.
    fn parse(stat: &[u8]) -> Option<Self> {
        let open = stat.iter().position(|byte| *byte == b'(')?;
        let close = stat.iter().rposition(|byte| *byte == b')')?;
        let pid = std::str::from_utf8(stat.get(..open)?).ok()?;
        let rest = std::str::from_utf8(stat.get(close + 1..)?).ok()?;
        // Behind the name, `proc_pid_stat(5)` counts from field 3, the state; 22 is the start time.
        let mut fields = rest.split_ascii_whitespace();
        let state = fields.next()?;
        let parent = fields.next()?;
        let start_time = fields.nth(22 - 5)?;
        Some(Self {
            pid: pid.trim().parse().ok()?,
            parent: parent.parse().ok()?,
            ended: matches!(state, "Z" | "X" | "x"),
            start_time: start_time.parse().ok()?,
        })
    }

    /// Whether this very process is still there and has not ended.
    pub(in crate::worker) fn lives(&self) -> bool {
        Self::look(self.pid).is_some_and(|now| now.start_time == self.start_time && !now.ended)
    }

    /// Sends a signal to this very process, and never to another one that has got its number.
    pub(in crate::worker) fn signal(&self, signal: Signal) -> rustix::io::Result<()> {
        let Some(pid) = Pid::from_raw(self.pid).filter(|pid| !pid.is_init()) else {
            return Err(rustix::io::Errno::PERM);
        };
        match pidfd_open(pid, PidfdFlags::empty()) {
            // What the descriptor holds stays what it is; so a look after opening tells whether it is the one.
            Ok(descriptor) if self.lives() => pidfd_send_signal(descriptor, signal),
            Ok(_) => Err(rustix::io::Errno::SRCH),
            // Kernels before 5.3 have no such descriptors.
            Err(rustix::io::Errno::NOSYS | rustix::io::Errno::PERM) if self.lives() => {
                kill_process(pid, signal)
            }
            Err(error) => Err(error),
        }
    }
}

/// All processes that can be seen.
pub(super) fn all() -> Vec<Process> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter_map(Process::look)
        .collect()
}

/// Everything below `root`, not `root` itself.
pub(super) fn descendants(root: i32, table: &[Process]) -> Vec<Process> {
    let mut children: HashMap<i32, Vec<Process>> = HashMap::new();
    for process in table {
        children.entry(process.parent).or_default().push(*process);
    }
    let mut found = Vec::new();
    let mut parents = vec![root];
    while let Some(parent) = parents.pop() {
        // Taken out, so that a table that was read while numbers were reused cannot make a ring.
        for child in children.remove(&parent).unwrap_or_default() {
            found.push(child);
            parents.push(child.pid);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const REST: &[u8] = b" S 41 7 7 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 987654 1 1";

    #[test]
    fn a_name_may_hold_anything() {
        for name in ["sh", "a b", ") R 1 (", "(()", "x)\n) Z 1"] {
            let mut line = format!("4711 ({name})").into_bytes();
            line.extend_from_slice(REST);
            let process = Process::parse(&line).unwrap();
            assert_eq!((process.pid, process.parent), (4711, 41), "{name:?}");
            assert_eq!(process.start_time, 987_654);
            assert!(!process.ended);
        }
    }

    #[test]
    fn a_cut_line_is_no_process() {
        let mut line = b"4711 (sh)".to_vec();
        line.extend_from_slice(REST);
        for end in 0..line.len() - b" 1 1".len() - b"987654".len() {
            assert_eq!(Process::parse(&line[..end]), None);
        }
    }

    #[test]
    fn this_process_is_below_its_parent() {
        let own = Process::look(std::process::id().cast_signed()).unwrap();
        assert!(own.lives());
        let below = descendants(own.parent, &all());
        assert!(below.iter().any(|process| process.pid == own.pid));
    }

    #[test]
    fn a_ring_of_parents_ends() {
        let process = |pid, parent| Process {
            pid,
            parent,
            ended: false,
            start_time: 1,
        };
        let table = [process(2, 3), process(3, 2), process(4, 3)];
        assert_eq!(descendants(2, &table).len(), 3);
    }

    #[test]
    fn the_first_process_and_a_reused_number_get_no_signal() {
        let init = Process::look(1).unwrap();
        assert!(init.signal(Signal::CONT).is_err());
        let mut own = Process::look(std::process::id().cast_signed()).unwrap();
        own.start_time += 1;
        assert_eq!(own.signal(Signal::KILL), Err(rustix::io::Errno::SRCH));
    }
}
