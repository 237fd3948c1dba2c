//! Whatever comes, in whatever order: nothing panics, and no picture is larger than its terminal.

use cos_core::event::PauseCause;
use cos_core::job::{Stream, TaskEnd, TaskLabel};
use cos_core::vm::host::{HostLoss, HostNote};
use proptest::prelude::*;

use super::*;
use crate::progress::screen::{HostLines, HostSelection, compose};

fn attempt() -> impl Strategy<Value = AttemptId> {
    (0_u64..6, 0_u32..3).prop_map(|(task, epoch)| AttemptId {
        task: TaskId(task),
        epoch: Epoch(epoch),
    })
}

fn host() -> impl Strategy<Value = HostId> {
    // One of them does not exist.
    (0_u32..5).prop_map(HostId)
}

fn command_end() -> impl Strategy<Value = CommandEnd> {
    let totals = (any::<u64>(), any::<u64>()).prop_map(|(seen, sent)| StreamTotals { seen, sent });
    let exit = prop_oneof![
        any::<i32>().prop_map(Exit::Code),
        any::<i32>().prop_map(Exit::Signal)
    ];
    (
        exit,
        any::<u64>(),
        totals.clone(),
        totals,
        any::<u32>(),
        any::<u32>(),
    )
        .prop_map(
            |(exit, elapsed, stdout, stderr, left_over, out_of_memory_kills)| CommandEnd {
                exit,
                usage: Usage::default(),
                elapsed: Duration::from_millis(elapsed),
                stdout,
                stderr,
                left_over,
                out_of_memory_kills,
            },
        )
}

fn task_error() -> impl Strategy<Value = TaskError> {
    prop_oneof![
        (command_end(), any::<u32>()).prop_map(|(end, tries)| TaskError::CommandFailed {
            host: String::new(),
            end,
            tries
        }),
        any::<u64>().prop_map(|after| TaskError::TimedOut {
            task: TaskLabel::default(),
            host: String::new(),
            after: Duration::from_millis(after),
            end: None,
            tries: 1
        }),
        (any::<u32>(), ".{0,30}").prop_map(|(crashes, cause)| TaskError::Quarantined {
            task: TaskLabel::default(),
            host: String::new(),
            crashes,
            cause
        }),
        ".{0,30}".prop_map(|cause| TaskError::NoHostLeft {
            task: TaskLabel::default(),
            cause
        }),
        Just(TaskError::CommandMissing {
            exit: Exit::NOT_FOUND
        }),
        proptest::option::of(command_end()).prop_map(|end| TaskError::Cancelled {
            task: TaskLabel::default(),
            end
        }),
    ]
}

fn again_cause() -> impl Strategy<Value = AgainCause> {
    prop_oneof![
        (command_end(), any::<u32>(), any::<u32>()).prop_map(|(end, try_number, tries)| {
            AgainCause::Retry {
                end,
                try_number,
                tries,
            }
        }),
        (any::<u32>(), ".{0,30}").prop_map(|(crashes, cause)| AgainCause::Crash {
            crashes,
            limit: 3,
            cause
        }),
        ".{0,30}".prop_map(|cause| AgainCause::NotStarted { cause }),
        Just(AgainCause::CommandMissing {
            exit: Exit::NOT_FOUND
        }),
    ]
}

fn host_event() -> impl Strategy<Value = RunEvent> {
    let pause =
        proptest::option::of(any::<u32>().prop_map(|seconds| Duration::from_secs(seconds.into())));
    prop_oneof![
        host().prop_map(|host| RunEvent::HostStage {
            host,
            stage: Stage::Probing
        }),
        (host(), any::<u32>()).prop_map(|(host, slots)| RunEvent::HostUp {
            host,
            info: Arc::new(host_info(slots))
        }),
        (host(), ".{0,30}", ".{0,30}", pause.clone()).prop_map(
            |(host, headline, cause, retry_in)| {
                let failure = HostFailure {
                    stage: Stage::Connecting,
                    headline,
                    cause,
                    cure: None,
                    kind: FailureKind::Retry,
                };
                RunEvent::HostFailed {
                    host,
                    failure: Arc::new(failure),
                    retry_in,
                }
            }
        ),
        (host(), ".{0,30}", any::<u32>(), pause.clone()).prop_map(
            |(host, cause, requeued, retry_in)| {
                RunEvent::HostLost {
                    host,
                    loss: HostLoss::Disconnected { cause },
                    requeued,
                    retry_in,
                }
            }
        ),
        (host(), pause, any::<u32>()).prop_map(|(host, silent_for, lost_in)| {
            RunEvent::HostSilent {
                host,
                silent_for,
                lost_in: Duration::from_secs(lost_in.into()),
            }
        }),
        (host(), any::<u32>()).prop_map(|(host, moved)| RunEvent::HostLeftOut {
            host,
            exit: Exit::NOT_FOUND,
            moved
        }),
        (host(), any::<f64>(), any::<f64>()).prop_map(|(host, others_per_core, limit)| {
            RunEvent::HostPaused {
                host,
                cause: PauseCause::Load {
                    others_per_core,
                    limit,
                },
            }
        }),
        host().prop_map(|host| RunEvent::HostResumed { host }),
        (host(), ".{0,30}").prop_map(|(host, first)| RunEvent::HostNote {
            host,
            note: HostNote::IgnoredLines { lines: 1, first }
        }),
        (host(), proptest::collection::vec(".{0,30}", 0..3))
            .prop_map(|(host, left)| RunEvent::HostClosed { host, left }),
    ]
}

fn task_event() -> impl Strategy<Value = RunEvent> {
    let index = prop_oneof![0_u64..20, Just(u64::MAX)];
    prop_oneof![
        4 => (attempt(), index.clone(), host()).prop_map(|(attempt, index, host)| {
            RunEvent::TaskStarted { attempt, index, host, slot: SlotId(1), try_number: 1, work: std::sync::Arc::new(cos_core::job::CommandJob::shell(1, "true").into()) }
        }),
        1 => (attempt(), index.clone(), host()).prop_map(|(attempt, index, host)| {
            RunEvent::TaskSlow { attempt, index, host, threshold: Duration::from_secs(60) }
        }),
        1 => (attempt(), index.clone(), proptest::collection::vec(any::<u8>(), 0..300)).prop_map(
            |(attempt, index, bytes)| RunEvent::TaskOutput {
                attempt,
                index,
                stream: Stream::Stderr,
                bytes: bytes.into()
            }
        ),
        2 => (attempt(), index.clone(), host(), again_cause()).prop_map(
            |(attempt, index, host, cause)| RunEvent::TaskAgain { attempt, index, host, cause }
        ),
        2 => (
            proptest::option::of(attempt()),
            index,
            proptest::option::of(host()),
            any::<u32>(),
            prop_oneof![command_end().prop_map(|end| Ok(TaskEnd::Command(end))), task_error().prop_map(Err)]
        )
            .prop_map(|(attempt, index, host, tries, outcome)| RunEvent::TaskEnded {
                attempt,
                task: TaskId(1),
                index,
                host,
                tries,
                outcome
            }),
    ]
}

/// An event and the milliseconds before it.
fn history() -> impl Strategy<Value = Vec<(u32, RunEvent)>> {
    let event = prop_oneof![host_event(), task_event()];
    let pause = prop_oneof![9 => 0_u32..2000, 1 => any::<u32>()];
    proptest::collection::vec((pause, event), 0..40)
}

fn labels() -> impl JobLabels {
    |index: u64| match index % 3 {
        0 => None,
        1 => Some(b"\xff\x1b[31m \xe8\xa8\x88".repeat(20)),
        _ => Some(format!("sim.sh {index}").into_bytes()),
    }
}

proptest! {
    #[test]
    fn no_history_breaks_the_screen(
        history in history(),
        rows in 1_u16..40,
        columns in 1_u16..120,
        most in 0_usize..10,
    ) {
        let settings = Settings {
            max_hosts_shown: most,
            status_level: StatusLevel::All,
            detail: Detail::Verbose,
            ..SETTINGS
        };
        let hosts = ["big", "ws\u{1b}1", "計算機", "ws03"];
        let size = TerminalSize { rows, columns };
        // No emulator: that one breaks where a wide character meets a single column.
        let target = Target::terminal(Written::default(), Palette::PLAIN, move || Some(size));
        let mut play = Play::new(settings, &hosts, target);
        let mut selection = HostSelection::default();
        for (pause, event) in history {
            play.now = play.now + Duration::from_millis(pause.into());
            play.display.event(&Stamped { at: play.now, event }, &labels());
            play.display.tick(play.now);
            let hosts = HostLines::Most(most);
            let picture = compose(play.display.view(), play.now, size, hosts, "", &mut selection);
            prop_assert!(picture.len() <= rows.into());
            for line in picture {
                let line = line.render(Palette::PLAIN);
                prop_assert!(console::measure_text_width(&line) <= columns.into(), "{line:?}");
                prop_assert!(!line.trim().is_empty());
            }
        }
        play.display.finish(play.now, Ending::Complete);
    }

    #[test]
    fn no_history_writes_an_escape_into_a_file(history in history()) {
        let settings = Settings {
            status_level: StatusLevel::All,
            detail: Detail::Verbose,
            ..SETTINGS
        };
        let (mut play, written) = Play::into_file(settings, &["big", "ws\u{1b}1", "計算機", "ws03"]);
        for (pause, event) in history {
            play.now = play.now + Duration::from_millis(pause.into());
            play.display.event(&Stamped { at: play.now, event }, &labels());
            play.display.tick(play.now);
        }
        play.display.finish(play.now, Ending::Complete);
        let text = written.text();
        let acts = |c: char| c.is_control() && !matches!(c, '\n' | '\t');
        prop_assert!(!text.contains(acts), "{text:?}");
    }

    #[test]
    fn jobs_that_run_are_counted_by_host(history in history()) {
        let (mut play, _) = Play::into_file(SETTINGS, &["big", "ws01", "ws02", "ws03", "ws04"]);
        for (pause, event) in history {
            play.now = play.now + Duration::from_millis(pause.into());
            play.display.event(&Stamped { at: play.now, event }, &labels());
            let view = play.display.view();
            let by_host: u32 = view.hosts().iter().map(|host| host.running).sum();
            prop_assert_eq!(by_host as usize, view.running());
        }
    }
}
