//! What comes out: order, groups, tags, limits, and nothing but the jobs' output.

use std::io::{BufRead, BufReader};

use crate::support::{Fixture, sorted_lines, sorted_numbers};

#[test]
fn order_is_kept_where_it_is_asked_for() {
    let fixture = Fixture::of(2);
    let command = "sleep $(((5 - {}) / 2)).1; echo {}; echo e{} >&2";
    let ran = fixture
        .run(&["-k", command, ":::", "1", "2", "3", "4"])
        .end()
        .exited(0);
    let ran = ran.printed("1\n2\n3\n4\n");
    let errors: Vec<&str> = ran.stderr.lines().filter(|line| line.len() == 2).collect();
    assert_eq!(errors, ["e1", "e2", "e3", "e4"], "{}", ran.story());
}

#[test]
fn output_of_a_job_stays_together() {
    let fixture = Fixture::of(2);
    let command = "for i in 1 2 3 4 5; do echo {}; sleep 0.01; done";
    let ran = fixture
        .run(&[command, ":::", "a", "b", "c", "d"])
        .end()
        .exited(0);
    let text = ran.text();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 20, "{text}");
    assert!(
        lines
            .chunks(5)
            .all(|chunk| chunk.iter().all(|line| line == &chunk[0])),
        "{text}"
    );
}

#[test]
fn lines_come_at_once_where_that_is_asked_for() {
    let fixture = Fixture::of(1);
    let command = "echo first; until [ -e \"$HOME/go\" ]; do sleep 0.01; done; echo last # {}";
    let mut cos = fixture
        .run(&["--output", "line", command, ":::", "1"])
        .start();
    cos.wait_for_stdout("first\n");
    std::fs::write(fixture.host("ws01").home().join("go"), "").unwrap();
    cos.end().exited(0).printed("first\nlast\n");
}

#[test]
fn no_output_is_shown_where_none_is_wanted() {
    let fixture = Fixture::of(1);
    let ran = fixture
        .run(&[
            "--output",
            "none",
            "echo secret; echo secret >&2",
            ":::",
            "1",
        ])
        .end();
    ran.exited(0).printed("").never_said("secret");
}

#[test]
fn lines_carry_tags() {
    let fixture = Fixture::of(1);
    let ran = fixture
        .run(&["-k", "--tag", "echo 1; echo 2; : {}", ":::", "a", "b c"])
        .end()
        .exited(0);
    ran.printed("a\t1\na\t2\nb c\t1\nb c\t2\n");
    let tagged = ["-k", "--tagstring", "{#}-{/.}", "echo {}", ":::", "x/y.net"];
    fixture
        .run(&tagged)
        .end()
        .exited(0)
        .printed("1-y\tx/y.net\n");
}

#[test]
fn nothing_is_added_to_output() {
    let fixture = Fixture::of(1);
    let command = "printf 'no end of line'; head -c 100000 /dev/zero; printf '\\377\\n\\n' # {}";
    let mut expected = b"no end of line".to_vec();
    expected.extend(vec![0; 100_000]);
    expected.extend(b"\xff\n\n");
    fixture
        .run(&[command, ":::", "1"])
        .end()
        .exited(0)
        .printed(expected);
}

#[test]
fn no_escape_byte_where_there_is_no_terminal() {
    let fixture = Fixture::with(2, |host| host.noisy());
    let command = "printf '\\033[2J\\033]0;title\\007'; printf '\\033[31merror\\n' >&2; exit {}";
    for flags in [&[][..], &["--bar"], &["--color", "auto", "-v"]] {
        let words = [
            "--status-level",
            "all",
            "--output",
            "none",
            command,
            ":::",
            "0",
            "1",
        ];
        let ran = fixture.run(flags).args(&words).end().exited(100);
        assert!(!ran.stderr.contains('\u{1b}'), "{}", ran.story());
        assert!(
            !ran.stderr.contains('\u{7}') && !ran.stderr.contains('\r'),
            "{}",
            ran.story()
        );
        ran.said("exit 1");
    }
}

#[test]
fn a_failed_job_is_named_with_its_host_command_and_last_words() {
    let fixture = Fixture::of(1);
    let command = "echo no convergence >&2; exit {}";
    let ran = fixture.run(&[command, ":::", "0", "3"]).end().exited(100);
    ran.said("ws01")
        .said("#2")
        .said("exit 3")
        .said("no convergence");
}

#[test]
fn a_closed_standard_output_ends_the_run_quietly() {
    for fixture in [Fixture::of(1), Fixture::local()] {
        let mut cos = fixture
            .run(&["-j2", "echo {}"])
            .open_input()
            .unread_stdout()
            .start();
        let mut input = cos.take_input();
        // As `seq inf | cos run ... | head -1`.
        std::thread::spawn(move || {
            use std::io::Write;
            for number in 1u64.. {
                if writeln!(input, "{number}").is_err() {
                    break;
                }
            }
        });
        let mut stdout = BufReader::new(cos.take_stdout());
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        line.trim().parse::<u64>().unwrap();
        drop(stdout);
        let ran = cos.end().exited(0);
        let ran = ran.never_said("error").never_said("panicked");
        ran.never_said("Broken pipe");
    }
}

#[test]
fn endless_output_is_cut_at_its_limit_and_takes_no_memory() {
    let fixture = Fixture::of(1);
    let command = "head -c 300000000 /dev/zero; echo done >&2 # {}";
    let ran = fixture
        .run(&["--max-output", "5M", command, ":::", "1", "2"])
        .end()
        .exited(0);
    assert_eq!(ran.stdout.len(), 2 * 5_000_000);
    let peak = ran.peak_memory_kib;
    assert!(peak < 64 * 1024, "{peak} KiB");
    let ran = ran.said("300");
    assert_eq!(
        sorted_lines(ran.stderr.as_bytes())
            .iter()
            .filter(|line| *line == "done")
            .count(),
        2
    );
}

#[test]
fn much_output_is_delivered_without_being_held_in_memory() {
    let fixture = Fixture::of(1);
    let command = "head -c 100000000 /dev/zero # {}";
    let ran = fixture.run(&["-j1", command, ":::", "1"]).end().exited(0);
    assert_eq!(ran.stdout.len(), 100_000_000);
    let peak = ran.peak_memory_kib;
    assert!(peak < 64 * 1024, "{peak} KiB");
}

#[test]
fn events_are_one_document_on_each_line() {
    let fixture = Fixture::of(1);
    let words = [
        "--format",
        "jsonl",
        "--retries",
        "2",
        "echo out {}; exit {}",
        ":::",
        "0",
        "1",
    ];
    let ran = fixture.run(&words).end().exited(100);
    let events = crate::support::events(&ran.stdout);
    assert!(
        events
            .iter()
            .all(|event| event["v"] == 1 && event["event"].is_string()),
        "{events:#?}"
    );
    let ends: Vec<_> = events
        .iter()
        .filter(|event| event["event"] == "job-end")
        .collect();
    let of = |sequence: u64| {
        let mut found = ends.iter().filter(|event| event["seq"] == sequence);
        *found
            .next_back()
            .unwrap_or_else(|| panic!("no end of {sequence}: {events:#?}"))
    };
    assert_eq!(
        (&of(1)["exit"], &of(1)["host"]),
        (&0.into(), &"ws01".into())
    );
    assert_eq!((&of(2)["exit"], &of(2)["try"]), (&1.into(), &2.into()));
    // What jobs write is kept elsewhere.
    let kept = events.iter().filter(|event| event["event"] != "job-output");
    assert_eq!(
        fixture.latest_run().events(),
        kept.cloned().collect::<Vec<_>>()
    );
}

#[test]
fn input_is_read_as_slots_take_it() {
    let fixture = Fixture::of(1);
    let mut cos = fixture.run(&["-k", "echo {}"]).open_input().start();
    cos.write("1\n");
    // The input has not ended.
    cos.wait_for_stdout("1\n");
    cos.write("2\n3\n");
    cos.wait_for_stdout("2\n3\n");
    cos.end_input();
    cos.end().exited(0).printed("1\n2\n3\n");
}

#[test]
fn many_jobs_take_no_more_memory_than_few() {
    let fixture = Fixture::local();
    let numbers = |count: u32| {
        (1..=count)
            .map(|number| format!("{number}\n"))
            .collect::<String>()
    };
    let run = |count: u32| {
        let ran = fixture
            .run(&["-j2", "echo {}"])
            .input(numbers(count))
            .end()
            .exited(0);
        assert_eq!(sorted_lines(&ran.stdout), sorted_numbers(1, count));
        ran.peak_memory_kib
    };
    let (few, many) = (run(500), run(5_000));
    assert!(
        many < few + 4 * 1024,
        "{few} KiB with 500 jobs, {many} KiB with 5,000"
    );
}
