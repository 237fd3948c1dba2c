//! What a host tells of itself.

use std::fs;
use std::time::{SystemTime, UNIX_EPOCH};

use super::preparation::Prepared;
use crate::wire::message::{Containment, HostReport};

/// Looks at the host.
pub(super) fn host_report(prepared: &Prepared) -> HostReport {
    let directories = &prepared.directories;
    let names = rustix::system::uname();
    let text = |name: &std::ffi::CStr| name.to_string_lossy().into_owned();
    let memory = rustix::system::sysinfo();
    let memory_bytes = u64::from(memory.mem_unit) * memory.totalram;
    let clock = SystemTime::now().duration_since(UNIX_EPOCH);
    HostReport {
        node: text(names.nodename()),
        system: format!("{} {}", text(names.machine()), text(names.sysname())),
        kernel: text(names.release()),
        cores: prepared.cores(),
        slots: prepared.amounts().cores,
        memory_kib: memory_bytes / 1024,
        load_hundredths: load_hundredths(),
        clock: clock.map_or(0, |since| since.as_secs()),
        containment: Containment::Subreaper,
        directory: directories.report.clone(),
        kills_user_processes: logind_kills_user_processes(),
        neighbours: directories.neighbours.clone(),
        swept: directories.swept.clone(),
        mirrors: directories.mirrors.clone(),
        cleared: directories.cleared.clone(),
    }
}

/// The one-minute load average, in hundredths.
pub(super) fn load_hundredths() -> u32 {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    parse_load(&text).unwrap_or(0)
}

fn parse_load(text: &str) -> Option<u32> {
    let load: f64 = text.split_ascii_whitespace().next()?.parse().ok()?;
    // A cast saturates.
    Some((load * 100.0).round() as u32)
}

/// Where systemd's files are looked for, the strongest last.
const LOGIND: [&str; 3] = ["/usr/lib/systemd", "/run/systemd", "/etc/systemd"];

/// Whether logind ends every process of a session with the session.
fn logind_kills_user_processes() -> bool {
    let mut files = Vec::new();
    for directory in LOGIND {
        files.push(format!("{directory}/logind.conf").into());
        let Ok(entries) = fs::read_dir(format!("{directory}/logind.conf.d")) else {
            continue;
        };
        let mut parts: Vec<_> = entries.filter_map(|it| Some(it.ok()?.path())).collect();
        parts.sort();
        files.extend(parts);
    }
    let texts = files.iter().filter_map(|file: &std::path::PathBuf| {
        let is_configuration = file.extension().is_some_and(|it| it == "conf");
        is_configuration.then(|| fs::read_to_string(file).ok())?
    });
    texts
        .filter_map(|text| parse_kills(&text))
        .next_back()
        .unwrap_or(false)
}

fn parse_kills(text: &str) -> Option<bool> {
    let value = text.lines().rev().find_map(|line| {
        let (key, value) = line.split_once('=')?;
        (key.trim() == "KillUserProcesses").then_some(value.trim())
    })?;
    Some(matches!(value, "yes" | "true" | "on" | "1"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_load_is_read_in_hundredths() {
        assert_eq!(parse_load("1.27 0.84 0.55 2/313 4711\n"), Some(127));
        assert_eq!(parse_load(""), None);
    }

    #[test]
    fn a_comment_sets_nothing() {
        assert_eq!(parse_kills("[Login]\n#KillUserProcesses=yes\n"), None);
        assert_eq!(parse_kills("KillUserProcesses = yes\n"), Some(true));
        let twice = "KillUserProcesses=yes\nKillUserProcesses=no\n";
        assert_eq!(parse_kills(twice), Some(false));
    }
}
