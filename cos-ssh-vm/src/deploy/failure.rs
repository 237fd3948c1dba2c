//! What keeps a worker from running on a host that was reached, in words for its user.

use cos_core::vm::host::{FailureKind, HostFailure, Stage};

use super::worker::Workers;

/// Why no worker runs on a host that ssh has reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum DeployFailure {
    /// None of the workers fits.
    NoWorker { system: String, machine: String },
    /// No worker for the target that the user has named.
    NoWorkerForTarget { target: String },
    /// Nothing there computes a SHA-256.
    NoVerifier,
    /// Every directory was tried: each with its reason.
    NoDirectory { tried: Vec<(String, String)> },
    /// The worker cannot be executed there.
    Refused {
        machine: String,
        target: String,
        status: String,
        cause: String,
    },
    /// Something ended the login before the worker answered.
    Ended { stage: Stage, words: String },
    /// Nothing came for so many seconds.
    Silent { stage: Stage, seconds: u64 },
    /// The login printed without end, or said what the bootstrap never says.
    Garbled { cause: String },
}

impl DeployFailure {
    /// The failure for the kernel and the display.
    pub(crate) fn host_failure(self, host: &str, workers: &Workers) -> HostFailure {
        let (stage, headline, cause, cure, kind) = match self {
            Self::NoWorker { system, machine } => {
                let cure = match system.as_str() {
                    "Linux" => format!(
                        "build cos-worker for {machine} and name it under [worker] in hosts.toml"
                    ),
                    _ => "the worker runs on Linux only; set `enabled = false`".to_owned(),
                };
                (
                    Stage::Probing,
                    format!("no worker for {host} ({machine} {system})"),
                    workers.inventory(),
                    Some(cure),
                    FailureKind::Permanent,
                )
            }
            Self::NoWorkerForTarget { target } => (
                Stage::Probing,
                format!("no worker for {host} (target {target})"),
                workers.inventory(),
                Some(format!(
                    "build cos-worker for {target} and name it under [worker] in hosts.toml"
                )),
                FailureKind::Permanent,
            ),
            Self::NoVerifier => (
                Stage::Probing,
                format!("{host} has no program to verify the worker with"),
                "looked for: sha256sum, shasum, openssl, sha256".to_owned(),
                Some(
                    "install one of them there; all Linux distributions have coreutils".to_owned(),
                ),
                FailureKind::Permanent,
            ),
            Self::NoDirectory { tried } => {
                let tried: Vec<String> = tried
                    .into_iter()
                    .map(|(directory, cause)| format!("{directory}: {cause}"))
                    .collect();
                (
                    Stage::Probing,
                    format!("{host} has no directory that a worker can run in"),
                    tried.join("\n"),
                    Some(format!(
                        "make room in one of them, or name a directory of {host} that allows execution as \
                         `local_storage` in hosts.toml"
                    )),
                    FailureKind::Permanent,
                )
            }
            Self::Refused {
                machine,
                target,
                status,
                cause,
            } => refused(host, &machine, &target, &status, cause),
            Self::Ended { stage, words } => {
                let cause = match words.is_empty() {
                    true => "the login ended without a word".to_owned(),
                    false => words,
                };
                let cure = format!("`ssh {host} true` must end without a message");
                (
                    stage.clone(),
                    format!("the login on {host} ended before the worker answered (stage {stage})"),
                    cause,
                    Some(cure),
                    FailureKind::Retry,
                )
            }
            Self::Silent { stage, seconds } => (
                stage.clone(),
                format!("{host} let us in and then said nothing for {seconds} s (stage {stage})"),
                String::new(),
                Some(format!(
                    "does a start-up file there wait for something? Try `ssh {host} true`"
                )),
                FailureKind::Retry,
            ),
            Self::Garbled { cause } => (
                Stage::Probing,
                format!("{host} does not answer as a login should"),
                cause,
                Some(format!(
                    "what do its start-up files print? Try `ssh {host} true`"
                )),
                FailureKind::Permanent,
            ),
        };
        HostFailure {
            stage,
            headline,
            cause,
            cure,
            kind,
        }
    }
}

type Words = (Stage, String, String, Option<String>, FailureKind);

fn refused(host: &str, machine: &str, target: &str, status: &str, cause: String) -> Words {
    let (headline, cure) = if is_of_another_architecture(&cause) {
        (
            format!("{host} is {machine}, the worker is for {target}"),
            format!("name a worker for {machine} under [worker] in hosts.toml"),
        )
    } else if is_about_libraries(status, &cause) {
        (
            format!("the worker lacks a library on {host}"),
            format!(
                "it is linked dynamically: link it statically (RUSTFLAGS=-Ctarget-feature=+crt-static and \
                 --target {target}), or install what it lacks there"
            ),
        )
    } else {
        (
            format!("the worker cannot run on {host}"),
            "build a worker on a machine like it, and name it under [worker] in hosts.toml"
                .to_owned(),
        )
    };
    let cause = match cause.is_empty() {
        true => format!("a trial ended with {}", shown_status(status)),
        false => format!("{cause} ({})", shown_status(status)),
    };
    (
        Stage::Probing,
        headline,
        cause,
        Some(cure),
        FailureKind::Permanent,
    )
}

fn is_of_another_architecture(cause: &str) -> bool {
    cause.contains("Exec format error") || cause.contains("cannot execute binary file")
}

/// The loader says so itself (127), or glibc that it is too old (1), or there is no loader at all, which a shell
/// calls "not found" although the file is there (127).
fn is_about_libraries(status: &str, cause: &str) -> bool {
    status == "127" || cause.contains("shared librar") || cause.contains("GLIBC_")
}

fn shown_status(status: &str) -> String {
    match status.parse::<i32>() {
        Ok(number @ 129..=192) => format!("signal {}", number - 128),
        _ => format!("exit status {status}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deploy::Worker;

    fn workers() -> Workers {
        let mut workers = Workers::new();
        workers.add(Worker::embedded("x86_64-unknown-linux-gnu", b"x"));
        workers
    }

    fn failure_of(status: &str, cause: &str) -> HostFailure {
        let failure = DeployFailure::Refused {
            machine: "x86_64".to_owned(),
            target: "x86_64-unknown-linux-gnu".to_owned(),
            status: status.to_owned(),
            cause: cause.to_owned(),
        };
        failure.host_failure("ws03", &workers())
    }

    #[test]
    fn a_wrong_architecture_is_told_as_the_manual_has_it() {
        let failure = DeployFailure::NoWorker {
            system: "Linux".to_owned(),
            machine: "aarch64".to_owned(),
        };
        let failure = failure.host_failure("pi4", &workers());
        assert_eq!(failure.headline, "no worker for pi4 (aarch64 Linux)");
        assert_eq!(failure.cause, "have: x86_64-unknown-linux-gnu");
        assert_eq!(
            failure.cure.as_deref(),
            Some("build cos-worker for aarch64 and name it under [worker] in hosts.toml")
        );
        assert_eq!(failure.kind, FailureKind::Permanent);
    }

    #[test]
    fn a_missing_library_is_recognised_whoever_tells_it() {
        for (status, cause) in [
            (
                "127",
                "worker: error while loading shared libraries: libfoo.so.1: cannot open",
            ),
            (
                "1",
                "worker: /lib/libc.so.6: version `GLIBC_2.38' not found",
            ),
            ("127", "sh: 1: /home/ana/.cache/cos-worker: not found"),
        ] {
            let failure = failure_of(status, cause);
            assert_eq!(failure.headline, "the worker lacks a library on ws03");
            assert!(failure.cause.starts_with(cause), "{}", failure.cause);
        }
    }

    #[test]
    fn other_refusals_say_how_the_trial_ended() {
        let failure = failure_of("132", "");
        assert_eq!(failure.headline, "the worker cannot run on ws03");
        assert_eq!(failure.cause, "a trial ended with signal 4");
        let failure = failure_of("126", "sh: cos-worker: Exec format error");
        assert!(failure.headline.starts_with("ws03 is x86_64, the worker"));
    }
}
