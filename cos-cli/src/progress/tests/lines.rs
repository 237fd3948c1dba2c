//! What is said of hosts and jobs in trouble.

use cos_core::event::PauseCause;
use cos_core::job::{Stream, TaskLabel};
use cos_core::vm::host::{HostLoss, HostNote};
use cos_core::wire::message::{AgentNote, Neighbour, Swept};
use insta::assert_snapshot;

use super::*;

const QUIET_PROGRESS: Settings = Settings {
    progress: ShowProgress::None,
    ..SETTINGS
};

/// What is said on hosts `ws01` to `ws05`, all up with two slots.
fn told(act: impl FnOnce(&mut Play)) -> String {
    let (mut play, written) =
        Play::into_file(QUIET_PROGRESS, &["ws01", "ws02", "ws03", "ws04", "ws05"]);
    for host in 0..5 {
        play.up(host, 2);
    }
    act(&mut play);
    let text = written.text();
    let (starting, rest) = text.split_once('\n').expect("a line");
    assert_eq!(
        starting,
        "    Starting 1000 jobs on 5 hosts, 10 slots (run 7kq2)"
    );
    rest.to_owned()
}

fn lost(host: u32, loss: HostLoss, retry_in: Option<u64>) -> RunEvent {
    RunEvent::HostLost {
        host: HostId(host),
        loss,
        requeued: 2,
        retry_in: retry_in.map(Duration::from_secs),
    }
}

fn failed(host: u32, headline: &str, cause: &str, cure: &str) -> RunEvent {
    let failure = HostFailure {
        stage: Stage::Connecting,
        headline: headline.to_owned(),
        cause: cause.to_owned(),
        cure: (!cure.is_empty()).then(|| cure.to_owned()),
        kind: FailureKind::Permanent,
    };
    RunEvent::HostFailed {
        host: HostId(host),
        failure: Arc::new(failure),
        retry_in: None,
    }
}

fn note(host: u32, note: HostNote) -> RunEvent {
    RunEvent::HostNote {
        host: HostId(host),
        note,
    }
}

#[test]
fn a_lost_host_is_told_once_and_its_return_too() {
    assert_snapshot!(told(|play| {
        for index in 0..2 {
            play.start(3, index);
        }
        let cause = "SIGKILL".to_owned();
        play.event(lost(3, HostLoss::AgentDied { cause }, Some(5)));
        for index in 0..2 {
            // The jobs of a lost host are part of its line.
            play.again(
                index,
                AgainCause::Crash {
                    crashes: 1,
                    limit: 3,
                    cause: "the agent died".to_owned(),
                },
            );
        }
        for _ in 0..3 {
            play.stage(3, Stage::Connecting);
            play.unreachable(3, "ws04");
        }
        play.up(3, 2);
        play.event(lost(3, HostLoss::Left { signal: 15 }, None));
    }));
}

#[test]
fn an_unreachable_host_is_told_once_for_each_reason() {
    let (mut play, written) = Play::into_file(QUIET_PROGRESS, &["ws01", "ws02", "ws03"]);
    play.up(0, 2);
    play.unreachable(1, "ws02");
    play.unreachable(1, "ws02");
    play.event(failed(
        2,
        "ws03 refused the login",
        "ssh: ana@ws03: Permission denied (publickey).",
        "no key in the agent: `ssh-add`",
    ));
    play.event(failed(
        1,
        "the host key of ws02 is unknown",
        "",
        "run `ssh ws02` once",
    ));
    play.up(1, 4);
    assert_snapshot!(written.text());
}

#[test]
fn a_host_that_does_not_answer() {
    assert_snapshot!(told(|play| {
        play.start(1, 0);
        let silent = |seconds: Option<u64>| RunEvent::HostSilent {
            host: HostId(1),
            silent_for: seconds.map(Duration::from_secs),
            lost_in: Duration::from_secs(48),
        };
        // A network's everyday.
        play.event(silent(Some(5)));
        play.event(silent(None));
        play.event(silent(Some(12)));
        play.event(silent(Some(22)));
        play.event(silent(None));
        play.event(silent(Some(12)));
        let silent_for = Duration::from_secs(60);
        play.event(lost(1, HostLoss::Silent { silent_for }, Some(30)));
    }));
}

#[test]
fn a_missing_tool_is_told_once_by_the_shell_s_own_words() {
    assert_snapshot!(told(|play| {
        for (host, first) in [(1, 0), (2, 10)] {
            for index in first..first + 2 {
                play.start(host, index);
                if host == 1 {
                    let attempt = play.jobs[&index].0;
                    play.event(RunEvent::TaskOutput {
                        attempt,
                        index,
                        stream: Stream::Stderr,
                        bytes: b"motd\n/bin/sh: 1: ngspice: \x1b[1mnot found\n"
                            .to_vec()
                            .into(),
                    });
                }
                let exit = Exit::NOT_FOUND;
                play.again(index, AgainCause::CommandMissing { exit });
                play.event(RunEvent::HostLeftOut {
                    host: HostId(host),
                    exit,
                    moved: u32::try_from(index - first).expect("a small number") + 1,
                });
            }
        }
        for index in [0, 1, 10, 11] {
            play.start(0, index);
            play.succeed(index);
        }
        play.display.finish(play.now, Ending::Complete);
    }));
}

#[test]
fn what_many_hosts_have_in_common_is_told_together() {
    let (mut play, written) =
        Play::into_file(QUIET_PROGRESS, &["ws01", "ws02", "ws03", "ws04", "ws05"]);
    for host in [4, 2, 3, 0, 1] {
        let mut info = host_info(2);
        if host != 3 {
            let first = "Welcome to the lab!".to_owned();
            play.event(note(host, HostNote::IgnoredLines { lines: 3, first }));
        }
        info.report.directory = DirectoryReport::Scratch {
            path: b"/var/tmp/cos-ana/7kq2".to_vec().into(),
            reason: (host < 4).then(|| "/home/ana/sim is not this computer's directory".to_owned()),
        };
        play.event(RunEvent::HostUp {
            host: HostId(host),
            info: Arc::new(info),
        });
    }
    assert_snapshot!(written.text());
}

#[test]
fn crashes_and_timeouts() {
    assert_snapshot!(told(|play| {
        for index in 0..6 {
            play.start(0, index);
        }
        play.pass(90.0);
        let crash = |crashes| AgainCause::Crash {
            crashes,
            limit: 3,
            cause: "SIGSEGV".to_owned(),
        };
        play.again(0, crash(1));
        let after = Duration::from_secs(90);
        play.again(
            1,
            AgainCause::TimedOut {
                after,
                try_number: 1,
                tries: 2,
            },
        );
        let host = String::new;
        play.end_with(
            2,
            2,
            Err(TaskError::TimedOut {
                task: TaskLabel::default(),
                host: host(),
                after,
                end: None,
                tries: 2,
            }),
        );
        let cause = "SIGSEGV".to_owned();
        play.end_with(
            3,
            1,
            Err(TaskError::Quarantined {
                task: TaskLabel::default(),
                host: host(),
                crashes: 3,
                cause,
            }),
        );
        let killed = CommandEnd {
            exit: Exit::Signal(9),
            out_of_memory_kills: 1,
            ..end(0)
        };
        play.end_with(
            4,
            1,
            Err(TaskError::CommandFailed {
                host: host(),
                end: killed,
                tries: 1,
            }),
        );
        play.end_with(
            5,
            1,
            Err(TaskError::Cancelled {
                task: TaskLabel::default(),
                end: Some(end(0)),
            }),
        );
        play.display
            .finish(play.now, Ending::Stopped { by: "--halt" });
    }));
}

#[test]
fn a_summary_names_a_few_failed_jobs() {
    assert_snapshot!(told(|play| {
        for index in 0..7 {
            play.start(0, index);
            play.fail(index, 1);
        }
        play.display.finish(play.now, Ending::Complete);
    }));
}

#[test]
fn what_jobs_leave_behind_is_told_once_and_summed_up() {
    assert_snapshot!(told(|play| {
        for index in 0..3 {
            play.start(0, index);
            let messy = CommandEnd {
                left_over: 2,
                stdout: StreamTotals {
                    seen: 10_000_000_000,
                    sent: 1 << 30,
                },
                ..end(0)
            };
            play.end_with(index, 1, Ok(messy));
        }
        play.display.finish(play.now, Ending::Complete);
    }));
}

#[test]
fn notes_of_hosts() {
    assert_snapshot!(told(|play| {
        for _ in 0..2 {
            let first = "Welcome to \u{1b}[1mws03\u{1b}[0m".to_owned();
            play.event(note(2, HostNote::IgnoredLines { lines: 3, first }));
        }
        let path = "/home/ana/.cache/cos/workers".to_owned();
        play.event(note(2, HostNote::Redeployed { path: path.clone() }));
        let cause = "Permission denied".to_owned();
        play.event(note(2, HostNote::DirectorySkipped { path, cause }));
        play.event(note(
            2,
            HostNote::Agent(AgentNote::Text("clock set back".to_owned())),
        ));
        let (slot, cause) = (SlotId(1), "SIGSEGV".to_owned());
        play.event(note(
            2,
            HostNote::Agent(AgentNote::SlotRestarted { slot, cause }),
        ));
        for cause in [
            PauseCause::FailsFast { failures: 5 },
            PauseCause::Load {
                others_per_core: 1.5,
                limit: 0.8,
            },
        ] {
            play.event(RunEvent::HostPaused {
                host: HostId(1),
                cause,
            });
            play.event(RunEvent::HostResumed { host: HostId(1) });
        }
        let mut info = host_info(2);
        info.report.neighbours = vec![Neighbour {
            run: "6abc".to_owned(),
            pid: 7,
            release: "0.1.0".to_owned(),
            slots: 8,
        }];
        info.report.swept = ["6abb", "7kq2", "7kq2"]
            .map(|run| Swept {
                run: Some(run.to_owned()),
                what: format!("/var/tmp/cos-ana/run-{run}"),
            })
            .into();
        let info = Arc::new(info);
        play.event(RunEvent::HostUp {
            host: HostId(4),
            info,
        });
        let left = vec!["process 4711 (\u{1b}]0;evil\u{7})".to_owned()];
        play.event(RunEvent::HostClosed {
            host: HostId(4),
            left,
        });
    }));
}

#[test]
fn slow_hosts_do_not_hold_up_the_first_line() {
    let (mut play, written) = Play::into_file(QUIET_PROGRESS, &["ws01", "ws02", "ws03"]);
    play.unreachable(1, "ws02");
    play.up(0, 2);
    play.pass(1.0);
    assert!(!written.text().contains("Starting"));
    play.pass(1.5);
    assert!(
        written.text().ends_with(
            "    Starting 1000 jobs on 1 host, 2 slots (run 7kq2, 1 down, 1 connecting)\n"
        )
    );
    play.up(2, 2);
    play.pass(60.0);
    assert_eq!(written.text().matches("Starting").count(), 1);
}
