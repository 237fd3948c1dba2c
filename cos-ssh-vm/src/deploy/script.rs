//! The login command and the script that it reads: the only texts that a shell of a host ever sees.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::os::unix::ffi::OsStrExt;

use super::worker::{Worker, Workers, machines};

const BOOTSTRAP: &str = include_str!("bootstrap.sh");

/// A login command and what is to be written to its standard input first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Script {
    /// What ssh is given as the remote command. It is constant but for a number, and means the same to sh, bash,
    /// dash, ksh, zsh, busybox, tcsh and fish.
    pub login_command: String,
    /// The first bytes of standard input.
    pub text: String,
}

/// What a script is made of.
#[derive(Clone, Debug)]
pub struct ScriptParts<'a> {
    /// The word at the beginning of every line that the script says.
    pub nonce: &'a str,
    /// The run's id.
    pub run: &'a str,
    /// The host's name.
    pub host: &'a str,
    /// The target that the user has named for the host.
    pub target: Option<&'a str>,
    /// A directory that the user has named for the host, with `{user}` for the login name.
    pub storage: Option<&'a str>,
    /// The workers to choose from.
    pub workers: &'a Workers,
}

impl Script {
    /// Puts the script together.
    ///
    /// No byte of any part is left to a shell's interpretation: words of letters, digits and a few signs stand
    /// between single quotes, everything else is written as octal numbers for `printf`.
    pub fn new(parts: &ScriptParts<'_>) -> Self {
        let mut text = String::new();
        for (name, value) in [
            ("cos_nonce", value(parts.nonce)),
            ("cos_run", value(parts.run)),
            ("cos_host", value(parts.host)),
            ("cos_storage", storage(parts.storage.unwrap_or_default())),
            ("cos_workers", value(&worker_words(parts))),
        ] {
            let _ = writeln!(text, "{name}={value}");
        }
        for line in BOOTSTRAP.lines().map(str::trim_start) {
            if !line.is_empty() && !line.starts_with('#') {
                let _ = writeln!(text, "{line}");
            }
        }
        // `dd` with blocks of one byte never reads past its count, which `head` of busybox does.
        let login_command = format!(
            "exec /bin/sh -c 'eval \"$(dd bs=1 count={} 2>/dev/null)\"'",
            text.len()
        );
        Self {
            login_command,
            text,
        }
    }
}

/// Four words for each worker and machine: machine, target, digest, size.
fn worker_words(parts: &ScriptParts<'_>) -> String {
    let words = |machine: &str, worker: &Worker| {
        let (target, sha256) = (worker.target(), worker.sha256());
        format!("{machine} {target} {sha256} {} ", worker.bytes().len())
    };
    match parts.target {
        Some(target) => {
            let worker = parts.workers.for_target(target);
            worker.map_or_else(String::new, |worker| words("any", worker))
        }
        None => {
            let workers = parts.workers.iter();
            let machines = workers.flat_map(|worker| {
                let machines = machines(worker.target()).iter();
                machines.map(move |machine| words(machine, worker))
            });
            machines.collect()
        }
    }
}

/// A text as the value of a shell assignment.
fn value(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b" ._-+@:%/[]".contains(&byte);
    if text.bytes().all(plain) {
        return format!("'{text}'");
    }
    // A command substitution drops line ends at its end; a full stop keeps them.
    let mut value = String::from("$(printf '");
    for byte in OsStr::new(text).as_bytes() {
        let _ = write!(value, "\\{byte:03o}");
    }
    value.push_str("')");
    value
}

/// A directory with the login name, which the host's `id` tells, in the place of `{user}`.
fn storage(text: &str) -> String {
    let pieces: Vec<String> = text.split("{user}").map(value).collect();
    pieces.join("\"$(id -un)\"")
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use proptest::prelude::*;

    use super::*;

    fn script(workers: &Workers) -> Script {
        Script::new(&ScriptParts {
            nonce: "0123456789abcdef",
            run: "7kq2",
            host: "ana@ws01",
            target: None,
            storage: Some("/scratch/{user}/it's"),
            workers,
        })
    }

    #[test]
    fn the_login_command_has_nothing_that_shells_read_differently() {
        let script = script(&Workers::new());
        let text = &script.login_command;
        assert!(!text.contains(['\n', '!', '\\', '`', '~', '*', '?', '[', '{', '^', '%']));
        assert_eq!(text.matches('\'').count(), 2);
        assert!(text.contains(&format!("count={} ", script.text.len())));
    }

    #[test]
    fn a_script_costs_little_to_send() {
        let length = script(&Workers::new()).text.len();
        assert!(length < 8 * 1024, "{length} bytes");
    }

    #[test]
    fn workers_are_named_for_each_machine() {
        let mut workers = Workers::new();
        workers.add(Worker::embedded("armv7-unknown-linux-musleabihf", b"abc"));
        workers.add(Worker::embedded("aarch64-apple-darwin", b"abc"));
        let text = script(&workers).text;
        let line = text.lines().find(|line| line.starts_with("cos_workers="));
        let sha256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        let target = "armv7-unknown-linux-musleabihf";
        let expected =
            format!("cos_workers='armv7l {target} {sha256} 3 armv8l {target} {sha256} 3 '");
        assert_eq!(line, Some(expected.as_str()));
    }

    #[test]
    fn shellcheck_is_content() {
        let Ok(output) = Command::new("shellcheck")
            .args([
                "-s",
                "sh",
                concat!(env!("CARGO_MANIFEST_DIR"), "/src/deploy/bootstrap.sh"),
            ])
            .output()
        else {
            eprintln!("shellcheck is not installed; nothing was checked");
            return;
        };
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stdout)
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn no_text_is_interpreted_by_a_shell(text in "[^\0]{0,40}[^\0\n]") {
            let command = format!("x={}; printf %s \"$x\"", value(&text));
            let output = Command::new("/bin/sh").args(["-c", &command]).output().unwrap();
            prop_assert_eq!(String::from_utf8_lossy(&output.stdout), text);
        }
    }
}
