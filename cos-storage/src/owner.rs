//! Which process something on a disk belongs to, and whether that process still lives.

use std::fs;
use std::io;

use rustix::process::{Pid, getpid};

/// The first line of what names an owner; another one is of another release and says nothing to us.
const FORMAT: &str = "cos-owner 1";

/// A process, named so that no other can be taken for it: a process number alone is used again
/// after a while, on every host and in every container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Owner {
    /// The host's node name.
    node: String,
    /// The host's machine id; empty where there is none.
    machine: String,
    /// The boot of the host.
    boot: String,
    /// The process number namespace.
    namespace: String,
    process: i32,
    /// When the process was started, in clock ticks since the boot.
    started: u64,
}

/// What is known of an owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Life {
    Alive,
    Dead,
    /// It cannot be seen from here: it belongs to another host or container.
    Elsewhere,
}

impl Owner {
    /// This process.
    pub(crate) fn current() -> io::Result<Self> {
        let process = getpid();
        let (_, started) = process_state(process)?
            .ok_or_else(|| io::Error::other("/proc does not show this process"))?;
        Ok(Self {
            node: rustix::system::uname()
                .nodename()
                .to_string_lossy()
                .replace('\n', " "),
            machine: first_line("/etc/machine-id").unwrap_or_default(),
            boot: first_line("/proc/sys/kernel/random/boot_id")?,
            namespace: fs::read_link("/proc/self/ns/pid")?
                .to_string_lossy()
                .into_owned(),
            process: process.as_raw_pid(),
            started,
        })
    }

    pub(crate) fn to_text(&self) -> String {
        let Self {
            node,
            machine,
            boot,
            namespace,
            process,
            started,
        } = self;
        format!(
            "{FORMAT}\nnode {node}\nmachine {machine}\nboot {boot}\nnamespace {namespace}\n\
             process {process}\nstarted {started}\n"
        )
    }

    /// Reads what [`Owner::to_text`] wrote; `None` for anything else, a torn file included.
    pub(crate) fn from_text(text: &str) -> Option<Self> {
        let body = text
            .strip_prefix(FORMAT)?
            .strip_prefix('\n')?
            .strip_suffix('\n')?;
        let mut lines = body.split('\n');
        let mut value = |key: &str| lines.next()?.strip_prefix(key)?.strip_prefix(' ');
        let owner = Self {
            node: value("node")?.to_owned(),
            machine: value("machine")?.to_owned(),
            boot: value("boot")?.to_owned(),
            namespace: value("namespace")?.to_owned(),
            process: value("process")?
                .parse()
                .ok()
                .filter(|process| *process > 0)?,
            started: value("started")?.parse().ok()?,
        };
        lines.next().is_none().then_some(owner)
    }

    /// Whether the owner lives, as far as `here`, a process of this host, can know.
    pub(crate) fn life(&self, here: &Self) -> Life {
        if (&self.node, &self.machine) != (&here.node, &here.machine) {
            return Life::Elsewhere;
        }
        if self.boot != here.boot {
            return Life::Dead;
        }
        if self.namespace != here.namespace {
            return Life::Elsewhere;
        }
        match Pid::from_raw(self.process).map(process_state) {
            Some(Ok(Some((state, started)))) if started == self.started => match state {
                // It runs no more; only its parent has not asked for its status yet.
                b'Z' | b'X' => Life::Dead,
                _ => Life::Alive,
            },
            Some(Ok(_)) => Life::Dead,
            Some(Err(_)) | None => Life::Elsewhere,
        }
    }

    /// For a message: `process 4711 on ws03`.
    pub(crate) fn describe(&self) -> String {
        format!("process {} on {}", self.process, self.node.escape_default())
    }
}

fn first_line(path: &str) -> io::Result<String> {
    Ok(fs::read_to_string(path)?
        .lines()
        .next()
        .unwrap_or_default()
        .to_owned())
}

/// State letter and start time of a process; `None` if there is none of that number.
fn process_state(process: Pid) -> io::Result<Option<(u8, u64)>> {
    let path = format!("/proc/{}/stat", process.as_raw_pid());
    let text = match fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        // The process ended between open and read.
        Err(error) if error.raw_os_error() == Some(rustix::io::Errno::SRCH.raw_os_error()) => {
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    let unreadable = || io::Error::other("/proc/*/stat is not as proc(5) has it");
    parse_stat(&text).ok_or_else(unreadable).map(Some)
}

/// Reads fields 3 (state) and 22 (start time) of proc(5)'s `stat`. The second field, the command's
/// name in parentheses, may hold anything, parentheses and blanks included.
fn parse_stat(text: &[u8]) -> Option<(u8, u64)> {
    let behind_name = text.iter().rposition(|byte| *byte == b')')? + 1;
    let text = std::str::from_utf8(&text[behind_name..]).ok()?;
    let mut fields = text.split_ascii_whitespace();
    let state = *fields.next()?.as_bytes().first()?;
    Some((state, fields.nth(18)?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn this_process_lives() {
        let me = Owner::current().unwrap();
        assert_eq!(me.life(&me), Life::Alive);
        assert_eq!(Owner::from_text(&me.to_text()), Some(me));
    }

    #[test]
    fn the_dead_are_known_by_number_start_and_boot() {
        let me = Owner::current().unwrap();
        let mut child = Command::new("true").spawn().unwrap();
        let process = i32::try_from(child.id()).unwrap();
        let (_, started) = process_state(Pid::from_raw(process).unwrap())
            .unwrap()
            .unwrap();
        let child_owner = Owner {
            process,
            started,
            ..me.clone()
        };
        child.wait().unwrap();
        assert_eq!(child_owner.life(&me), Life::Dead);
        assert_eq!(
            Owner {
                started: me.started + 1,
                ..me.clone()
            }
            .life(&me),
            Life::Dead
        );
        assert_eq!(
            Owner {
                boot: "earlier".into(),
                ..me.clone()
            }
            .life(&me),
            Life::Dead
        );
    }

    #[test]
    fn a_zombie_is_dead() {
        let me = Owner::current().unwrap();
        let mut child = Command::new("cat")
            .stdin(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let process = i32::try_from(child.id()).unwrap();
        let pid = Pid::from_raw(process).unwrap();
        let (_, started) = process_state(pid).unwrap().unwrap();
        let owner = Owner {
            process,
            started,
            ..me.clone()
        };
        assert_eq!(owner.life(&me), Life::Alive);
        child.kill().unwrap();
        // Waits for the end without reaping, so that the zombie stays.
        let wait = rustix::process::WaitIdOptions::EXITED | rustix::process::WaitIdOptions::NOWAIT;
        rustix::process::waitid(rustix::process::WaitId::Pid(pid), wait).unwrap();
        assert_eq!(owner.life(&me), Life::Dead);
        child.wait().unwrap();
    }

    #[test]
    fn who_is_elsewhere_is_not_declared_dead() {
        let me = Owner::current().unwrap();
        let dead = Owner {
            started: me.started + 1,
            boot: "earlier".into(),
            ..me.clone()
        };
        assert_eq!(
            Owner {
                node: "other".into(),
                ..dead.clone()
            }
            .life(&me),
            Life::Elsewhere
        );
        assert_eq!(
            Owner {
                machine: "other".into(),
                ..dead.clone()
            }
            .life(&me),
            Life::Elsewhere
        );
        let container = Owner {
            namespace: "pid:[1]".into(),
            started: 0,
            ..me.clone()
        };
        assert_eq!(container.life(&me), Life::Elsewhere);
    }

    #[test]
    fn torn_and_foreign_owner_files_say_nothing() {
        let text = Owner::current().unwrap().to_text();
        for length in 0..text.len() {
            assert_eq!(Owner::from_text(&text[..length]), None, "{length}");
        }
        assert_eq!(Owner::from_text(&format!("{text}more\n")), None);
        assert_eq!(Owner::from_text(&text.replace("owner 1", "owner 2")), None);
        let negative = text.replace("process ", "process -");
        assert_eq!(Owner::from_text(&negative), None);
    }

    #[test]
    fn names_of_commands_do_not_confuse() {
        let tail = "S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 4242 20";
        let stat = format!("7 (a) R 1 (b\n) {tail}");
        assert_eq!(parse_stat(stat.as_bytes()), Some((b'S', 4242)));
        assert_eq!(parse_stat(b"7 (a) S 1"), None);
        assert_eq!(parse_stat(b""), None);
    }
}
