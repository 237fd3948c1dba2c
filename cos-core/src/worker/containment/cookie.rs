//! The mark that every process of an agent carries in its environment.

use std::fs;

use super::process::Process;

/// The variable that holds it.
pub(in crate::worker) const COOKIE: &str = "COS_COOKIE";

/// Names one agent among all that ever ran on a host: `run:pid:start time:boot id`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::worker) struct Cookie {
    pub(in crate::worker) run: String,
    pub(in crate::worker) pid: i32,
    pub(in crate::worker) start_time: u64,
    pub(in crate::worker) boot: String,
}

impl Cookie {
    /// The cookie of this process, an agent of this run.
    pub(in crate::worker) fn of_this_process(run: &str) -> Self {
        let pid = std::process::id().cast_signed();
        Self {
            run: run.to_owned(),
            pid,
            start_time: Process::look(pid).map_or(0, |own| own.start_time),
            boot: boot_id(),
        }
    }

    /// Reads a value of the variable.
    pub(in crate::worker) fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split(':');
        let cookie = Self {
            run: parts.next()?.to_owned(),
            pid: parts.next()?.parse().ok()?,
            start_time: parts.next()?.parse().ok()?,
            boot: parts.next()?.to_owned(),
        };
        parts.next().is_none().then_some(cookie)
    }

    /// Whether its agent is still there.
    pub(in crate::worker) fn agent_lives(&self) -> bool {
        self.boot == boot_id()
            && Process::look(self.pid)
                .is_some_and(|found| found.start_time == self.start_time && !found.ended)
    }
}

impl std::fmt::Display for Cookie {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            run,
            pid,
            start_time,
            boot,
        } = self;
        write!(f, "{run}:{pid}:{start_time}:{boot}")
    }
}

/// Changes with every boot; empty where the kernel does not tell.
fn boot_id() -> String {
    let id = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    id.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_survives_its_text() {
        let cookie = Cookie::of_this_process("7kq2");
        assert_eq!(Cookie::parse(&cookie.to_string()), Some(cookie.clone()));
        assert!(cookie.agent_lives());
    }

    #[test]
    fn an_agent_of_another_start_or_boot_is_gone() {
        let cookie = Cookie::of_this_process("7kq2");
        let later = Cookie {
            start_time: cookie.start_time + 1,
            ..cookie.clone()
        };
        assert!(!later.agent_lives());
        let boot = "other".to_owned();
        assert!(!Cookie { boot, ..cookie }.agent_lives());
    }

    #[test]
    fn other_text_is_no_cookie() {
        for text in ["", "a:b:c:d", "a:1:2", "a:1:2:b:c", "a:-:2:b"] {
            assert_eq!(Cookie::parse(text), None, "{text}");
        }
    }
}
