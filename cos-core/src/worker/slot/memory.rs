//! The out-of-memory killer's count in this process's memory group, where the kernel tells (cgroup v2).

use std::fs::{self, File};
use std::os::unix::fs::FileExt;

/// Reads the count again and again from one open file.
#[derive(Debug)]
pub(in crate::worker) struct OutOfMemoryKills {
    events: Option<File>,
}

impl OutOfMemoryKills {
    /// The counter of this process's group.
    pub(in crate::worker) fn of_this_group() -> Self {
        let events = fs::read_to_string("/proc/self/cgroup")
            .ok()
            .and_then(|groups| {
                let group = groups.lines().find_map(|line| line.strip_prefix("0::"))?;
                File::open(format!("/sys/fs/cgroup{group}/memory.events")).ok()
            });
        Self { events }
    }

    /// How often it has struck there so far; 0 where that cannot be known.
    pub(in crate::worker) fn count(&self) -> u32 {
        let mut text = [0; 512];
        let Some(events) = &self.events else {
            return 0;
        };
        match events.read_at(&mut text, 0) {
            Ok(length) => parse(&text[..length]),
            Err(_) => 0,
        }
    }
}

/// Tells how often the killer has struck since it was asked last.
#[derive(Debug)]
pub(in crate::worker) struct MemoryWatch {
    kills: OutOfMemoryKills,
    seen: u32,
}

impl MemoryWatch {
    /// Begins to count in this process's group.
    pub(in crate::worker) fn of_this_group() -> Self {
        let kills = OutOfMemoryKills::of_this_group();
        let seen = kills.count();
        Self { kills, seen }
    }

    /// The strikes since the last time.
    pub(in crate::worker) fn more_kills(&mut self) -> u32 {
        let now = self.kills.count();
        now.saturating_sub(std::mem::replace(&mut self.seen, now))
    }
}

fn parse(events: &[u8]) -> u32 {
    let events = String::from_utf8_lossy(events);
    let kills = events
        .lines()
        .find_map(|line| line.strip_prefix("oom_kill "));
    kills.and_then(|count| count.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kills_are_told_from_other_events() {
        let events = b"low 0\nhigh 12\nmax 3\noom 9\noom_kill 2\noom_group_kill 1\n";
        assert_eq!(parse(events), 2);
        assert_eq!(parse(b""), 0);
    }
}
