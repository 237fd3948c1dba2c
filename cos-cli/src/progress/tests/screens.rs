//! What is drawn on a terminal.

use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};

use cos_core::event::PauseCause;
use cos_core::vm::host::HostLoss;
use insta::assert_snapshot;
use rustix::pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt};

use super::*;
use crate::progress::screen::Keys;
use crate::progress::settings::Narrowing;

const LAB: [&str; 12] = [
    "big", "ws01", "ws02", "ws03", "ws04", "ws05", "ws06", "ws07", "ws08", "ws09", "ws10", "ws11",
];

/// A lab of twelve hosts in mid-run, with everything that happens there.
fn lab_in_mid_run(settings: Settings, rows: u16, columns: u16) -> (Play, InMemoryTerm) {
    let (mut play, terminal) = Play::on_terminal(settings, &LAB, rows, columns);
    play.pass(0.2);
    for host in 0..12 {
        match host {
            0 => play.up(0, 32),
            6 => play.unreachable(6, "ws06"),
            9 => play.stage(9, Stage::Uploading { bytes: 1_400_000 }),
            host => play.up(host, 4 + host % 3 * 4),
        }
    }
    play.pass(2.0);
    let mut next = 0;
    for host in (0..12).filter(|host| ![6, 9].contains(host)) {
        for _ in 0..if host == 0 { 32 } else { 4 + host % 3 * 4 } {
            play.start(host, next);
            next += 1;
            play.pass(0.1);
        }
    }
    for index in 32..56 {
        play.succeed(index);
        play.start(1, next);
        next += 1;
        play.pass(0.5);
    }
    play.retry(2);
    play.fail(3, 3);
    play.event(RunEvent::HostSilent {
        host: HostId(4),
        silent_for: Some(Duration::from_secs(12)),
        lost_in: Duration::from_secs(48),
    });
    play.event(RunEvent::HostPaused {
        host: HostId(8),
        cause: PauseCause::FailsFast { failures: 5 },
    });
    play.pass(19.0);
    (play, terminal)
}

#[test]
fn twelve_hosts() {
    let (_play, terminal) = lab_in_mid_run(SETTINGS, 24, 80);
    assert_snapshot!(terminal.contents());
}

#[test]
fn twelve_hosts_all_shown() {
    let settings = Settings {
        max_hosts_shown: 40,
        ..SETTINGS
    };
    let (_play, terminal) = lab_in_mid_run(settings, 24, 80);
    assert_snapshot!(terminal.contents());
}

#[test]
fn twelve_hosts_on_a_short_terminal() {
    let (_play, terminal) = lab_in_mid_run(SETTINGS, 6, 80);
    assert_snapshot!(terminal.contents());
}

#[test]
fn twelve_hosts_on_a_narrow_terminal() {
    let (_play, terminal) = lab_in_mid_run(SETTINGS, 60, 20);
    assert_snapshot!(terminal.contents());
}

#[test]
fn twelve_hosts_counted() {
    let settings = Settings {
        progress: ShowProgress::Counter,
        ..SETTINGS
    };
    let (_play, terminal) = lab_in_mid_run(settings, 24, 80);
    assert_snapshot!(terminal.contents());
}

#[test]
fn one_host() {
    let (mut play, terminal) = Play::on_terminal(SETTINGS, &["local"], 24, 80);
    play.up(0, 2);
    play.start(0, 0);
    play.start(0, 1);
    play.pass(0.2);
    for index in 0..40 {
        play.succeed(index);
        play.start(0, index + 2);
        play.pass(1.0);
    }
    assert_snapshot!(terminal.contents());
}

#[test]
fn forty_hosts() {
    let names: Vec<String> = (1..=40)
        .map(|host| format!("node{host:02}.lab.example.org"))
        .collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let (mut play, terminal) = Play::on_terminal(SETTINGS, &names, 24, 80);
    for host in 0..40 {
        play.up(host, 16);
        for slot in 0..16 {
            play.start(host, u64::from(host * 16 + slot));
        }
    }
    play.pass(1.0);
    play.event(RunEvent::HostLost {
        host: HostId(30),
        loss: HostLoss::AgentDied {
            cause: "SIGKILL".to_owned(),
        },
        requeued: 16,
        retry_in: Some(Duration::from_secs(5)),
    });
    play.pass(1.0);
    assert_snapshot!(terminal.contents());
}

#[test]
fn long_commands_and_wide_characters() {
    let (mut play, terminal) = Play::on_terminal(SETTINGS, &["ws01", "計算機", "ws03"], 24, 80);
    play.commands = |index| match index {
        0 => format!("simulate {} > out", "--parameter 1.5 ".repeat(40)),
        1 => "解析する 入力ファイル その一 その二 その三 その四 その五".to_owned(),
        2 => "printf '\u{1b}[2J\u{202e}\nrm -rf ~'".to_owned(),
        _ => String::new(),
    };
    for host in 0..3 {
        play.up(host, 2);
        play.start(host, u64::from(host));
    }
    play.pass(61.0);
    for index in 0..3 {
        play.fail(index, 1);
        play.start(0, index);
    }
    play.start(1, 3);
    play.pass(1.0);
    assert_snapshot!(terminal.contents());
}

#[test]
fn the_end_takes_the_picture_away() {
    let (mut play, terminal) = lab_in_mid_run(SETTINGS, 60, 80);
    play.event(RunEvent::HostLost {
        host: HostId(4),
        loss: HostLoss::Silent {
            silent_for: Duration::from_secs(60),
        },
        requeued: 8,
        retry_in: None,
    });
    let left: Vec<u64> = play.jobs.keys().copied().collect();
    for index in left {
        play.succeed(index);
    }
    play.pass(200.0);
    play.display
        .finish(play.now, Ending::Stopped { by: "Ctrl-C" });
    play.pass(1.0);
    assert_snapshot!(terminal.contents());
}

#[test]
fn output_of_jobs_stands_above_the_picture() {
    let (mut play, terminal) = Play::on_terminal(SETTINGS, &["local"], 24, 80);
    let mut out = TerminalWriter(terminal.clone());
    play.up(0, 2);
    play.start(0, 0);
    play.pass(1.0);
    play.display
        .write_output(&mut out, b"one\r\ntwo\r\n")
        .expect("to write");
    play.display
        .write_output(&mut out, b"half a ")
        .expect("to write");
    play.display
        .write_output(&mut out, b"line\r\nanother half")
        .expect("to write");
    play.pass(1.0);
    play.display
        .suspend(|| out.write_all(b"after\r\n"))
        .expect("to write");
    play.pass(1.0);
    assert_snapshot!(terminal.contents());
}

#[test]
fn what_others_wrote_while_this_was_stopped_is_left_alone() {
    let terminal = InMemoryTerm::new(24, 80);
    let target = Target::terminal(TerminalWriter(terminal.clone()), Palette::PLAIN, || {
        Some(TerminalSize::USUAL)
    });
    let parts = target.terminal.as_ref().expect("a terminal");
    let continued = Arc::clone(&parts.continued);
    let mut play = Play::new(SETTINGS, &["local"], target);
    play.up(0, 2);
    play.start(0, 0);
    play.pass(1.0);
    play.display.hide();
    assert!(!terminal.contents().contains("Running"));
    play.pass(1.0);
    let shell = "^Z\r\n[1]+  Stopped\r\n$ fg\r\n";
    terminal.write_str(shell).expect("to write");
    continued.store(true, Ordering::Relaxed);
    play.pass(1.0);
    assert_snapshot!(terminal.contents());
}

#[test]
fn in_the_background_lines_are_written_and_nothing_is_drawn() {
    let terminal = InMemoryTerm::new(24, 80);
    let ours = Arc::new(AtomicBool::new(true));
    let told = Arc::clone(&ours);
    let target = Target::terminal(
        TerminalWriter(terminal.clone()),
        Palette::PLAIN,
        move || told.load(Ordering::Relaxed).then_some(TerminalSize::USUAL),
    );
    let mut play = Play::new(SETTINGS, &["local"], target);
    play.up(0, 2);
    play.start(0, 0);
    play.start(0, 1);
    play.pass(1.0);
    let shell = "^Z\r\n[1]+  Stopped\r\n$ bg\r\n";
    terminal.write_str(shell).expect("to write");
    ours.store(false, Ordering::Relaxed);
    play.pass(1.0);
    play.fail(0, 1);
    play.pass(1.0);
    terminal.write_str("$ fg\r\n").expect("to write");
    ours.store(true, Ordering::Relaxed);
    play.pass(1.0);
    assert_snapshot!(terminal.contents());
}

#[test]
fn a_window_that_shrinks_is_drawn_anew() {
    let terminal = InMemoryTerm::new(24, 80);
    let size = Arc::new(Mutex::new(TerminalSize {
        rows: 24,
        columns: 80,
    }));
    let told = Arc::clone(&size);
    let mut target = Target::terminal(
        TerminalWriter(terminal.clone()),
        Palette::PLAIN,
        move || Some(*told.lock().expect("a lock")),
    );
    // The terminal in memory does not break lines anew.
    if let Some(terminal) = &mut target.terminal {
        terminal.narrowing = Narrowing::Cuts;
    }
    let mut play = Play::new(SETTINGS, &["big", "ws01", "ws02"], target);
    for host in 0..3 {
        play.up(host, 4);
        play.start(host, u64::from(host));
    }
    play.pass(1.0);
    let before = terminal.contents();
    *size.lock().expect("a lock") = TerminalSize {
        rows: 4,
        columns: 40,
    };
    play.pass(1.0);
    assert_snapshot!(terminal.contents());
    *size.lock().expect("a lock") = TerminalSize {
        rows: 24,
        columns: 80,
    };
    play.pass(1.0);
    assert_eq!(terminal.contents().lines().count(), before.lines().count());
}

#[test]
fn a_picture_whose_lines_were_broken_is_erased_whole() {
    let written = Written::default();
    let columns = Arc::new(AtomicU16::new(80));
    let told = Arc::clone(&columns);
    let target = Target::terminal(written.clone(), Palette::PLAIN, move || {
        let columns = told.load(Ordering::Relaxed);
        Some(TerminalSize { rows: 24, columns })
    });
    let mut play = Play::new(SETTINGS, &["big", "ws01"], target);
    for host in 0..2 {
        play.up(host, 4);
        play.start(host, u64::from(host));
    }
    play.pass(1.0);
    columns.store(30, Ordering::Relaxed);
    play.pass(1.0);
    // 46 columns of total and twice 40 of a host are six rows of 30.
    assert!(
        written.text().contains("\u{1b}[5A\r\u{1b}[JRunning"),
        "{:?}",
        written.text()
    );
}

#[test]
fn a_key_tells_of_every_running_job() {
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY;
    let user = openpt(flags).expect("a pseudo-terminal");
    grantpt(&user).expect("a pseudo-terminal");
    unlockpt(&user).expect("a pseudo-terminal");
    let ours = ioctl_tiocgptpeer(&user, flags).expect("a pseudo-terminal");
    let terminal = InMemoryTerm::new(24, 80);
    let size = TerminalSize {
        rows: 7,
        columns: 80,
    };
    let writer = TerminalWriter(terminal.clone());
    let mut target = Target::terminal(writer, Palette::PLAIN, move || Some(size));
    if let Some(terminal) = &mut target.terminal {
        terminal.keys = Some(Keys::new(ours));
    }
    let mut play = Play::new(SETTINGS, &["big", "ws01", "ws02", "ws03", "ws04"], target);
    for host in 0..5 {
        play.up(host, 4);
        play.start(host, u64::from(host));
        play.pass(1.0);
    }
    rustix::io::write(&user, b"t").expect("to write");
    play.pass(1.0);
    assert_snapshot!(terminal.contents());
}

#[test]
fn nothing_is_drawn_in_a_run_that_is_over_at_once() {
    let (mut play, terminal) = Play::on_terminal(SETTINGS, &["local"], 24, 80);
    play.up(0, 2);
    play.start(0, 0);
    play.pass(0.05);
    assert!(!terminal.contents().contains("Running"));
}

#[test]
fn a_terminal_that_went_away_is_no_error() {
    struct Gone;
    impl Write for Gone {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::Error::from_raw_os_error(5))
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let target = Target::terminal(Gone, Palette::PLAIN, || Some(TerminalSize::USUAL));
    let mut play = Play::new(SETTINGS, &["local"], target);
    play.up(0, 2);
    play.start(0, 0);
    play.pass(1.0);
    play.fail(0, 1);
    play.pass(1.0);
    play.display.finish(play.now, Ending::Complete);
    assert_eq!(play.display.view().counts().failed, 1);
}
