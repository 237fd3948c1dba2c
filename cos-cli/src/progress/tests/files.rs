//! What is written where there is no terminal.

use insta::assert_snapshot;

use super::*;
use crate::message::Message;

#[test]
fn lines_say_how_far_the_run_is() {
    let (mut play, written) = Play::into_file(SETTINGS, &["big", "ws01"]);
    play.up(0, 32);
    play.up(1, 8);
    for index in 0..40 {
        play.start((index % 2) as u32, index);
    }
    play.pass(12.4);
    for index in 0..9 {
        play.succeed(index);
    }
    play.retry(9);
    play.fail(10, 3);
    let attempt = play.jobs[&11].0;
    play.event(RunEvent::TaskSlow {
        attempt,
        index: 11,
        host: HostId(1),
        threshold: Duration::from_secs(120),
    });
    play.end_with(11, 2, Ok(end(0)));
    play.display.finish(play.now, Ending::Complete);
    assert_snapshot!(written.text());
}

#[test]
fn a_silent_run_says_that_it_lives() {
    let (mut play, written) = Play::into_file(SETTINGS, &["local"]);
    play.up(0, 2);
    play.start(0, 0);
    for _ in 0..130 {
        play.pass(60.0);
    }
    assert_snapshot!(written.text());
}

#[test]
fn without_progress_there_are_no_counts() {
    let settings = Settings {
        progress: ShowProgress::None,
        ..SETTINGS
    };
    let (mut play, written) = Play::into_file(settings, &["local"]);
    play.up(0, 2);
    play.start(0, 0);
    play.fail(0, 1);
    play.pass(600.0);
    play.display.finish(play.now, Ending::Complete);
    assert_snapshot!(written.text());
}

#[test]
fn quiet_leaves_errors_and_failed_jobs() {
    let settings = Settings {
        status_level: StatusLevel::Fail,
        detail: Detail::Quiet,
        ..SETTINGS
    };
    let (mut play, written) = Play::into_file(settings, &["ws01", "ws02"]);
    play.up(0, 2);
    play.unreachable(1, "ws02");
    play.start(0, 0);
    play.fail(0, 1);
    play.display.message(Message::note("not this"));
    play.display.message(Message::error("this"));
    play.pass(600.0);
    play.display.finish(play.now, Ending::Complete);
    assert_snapshot!(written.text());
}

#[test]
fn each_status_level_includes_those_before_it() {
    let levels = [
        StatusLevel::None,
        StatusLevel::Fail,
        StatusLevel::Retry,
        StatusLevel::Slow,
        StatusLevel::Pass,
        StatusLevel::All,
    ];
    let told: Vec<String> = levels
        .into_iter()
        .map(|status_level| {
            let settings = Settings {
                status_level,
                progress: ShowProgress::None,
                ..SETTINGS
            };
            let (mut play, written) = Play::into_file(settings, &["local"]);
            play.up(0, 4);
            for index in 0..4 {
                play.start(0, index);
            }
            play.succeed(0);
            let attempt = play.jobs[&1].0;
            play.event(RunEvent::TaskSlow {
                attempt,
                index: 1,
                host: HostId(0),
                threshold: Duration::from_secs(120),
            });
            play.retry(2);
            play.fail(3, 1);
            let text = written.text();
            let labels = text
                .lines()
                .filter_map(|line| line.split_whitespace().next());
            let jobs: Vec<&str> = labels.filter(|label| *label != "Starting").collect();
            jobs.join(" ")
        })
        .collect();
    assert_eq!(
        told,
        [
            "",
            "FAIL",
            "RETRY FAIL",
            "SLOW RETRY FAIL",
            "PASS SLOW RETRY FAIL",
            "START START START START PASS SLOW RETRY FAIL",
        ]
    );
}

#[test]
fn colours_come_only_when_they_are_forced() {
    let written = Written::default();
    let target = Target::plain(written.clone(), Palette::COLORED);
    let mut play = Play::new(SETTINGS, &["local"], target);
    play.up(0, 2);
    play.start(0, 0);
    play.fail(0, 1);
    let text = written.text();
    assert!(
        text.contains("\u{1b}[1m\u{1b}[31mFAIL\u{1b}[0m"),
        "{text:?}"
    );
    assert!(!text.contains("\u{1b}[2K"), "{text:?}");
}
