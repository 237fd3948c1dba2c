//! When a run gives up: tries, timeouts, `--halt`, needs that no host meets, and every exit code.

use std::fs;

use crate::support::{Fixture, sorted_lines, sorted_numbers};

/// The numbers up to this one, as words.
fn numbers(last: u32) -> Vec<String> {
    (1..=last).map(|number| number.to_string()).collect()
}

#[test]
fn exit_codes() {
    let fixture = Fixture::of(1);
    fixture.run(&["true", ":::", "a"]).end().exited(0);
    fixture.run(&["false", ":::", "a"]).end().exited(100);
    fixture
        .run(&["exit 1", ":::", "a", "b"])
        .args(&numbers(200))
        .end()
        .exited(100);
    fixture.run(&["echo"]).input("").end().exited(4).printed("");
    fixture
        .run(&["--no-such-flag", "echo", ":::", "a"])
        .end()
        .exited(2);
    fixture
        .run(&["--halt", "sometimes", "echo", ":::", "a"])
        .end()
        .exited(2);
    fixture
        .run(&["echo", "::::", "/nonexistent"])
        .end()
        .exited(2)
        .said("/nonexistent");
    fixture
        .run(&["--hosts", "/nonexistent", "echo", ":::", "a"])
        .end()
        .exited(2);
    fixture
        .run(&["--on", "gpu", "echo", ":::", "a"])
        .end()
        .exited(3)
        .printed("")
        .said("gpu");
    fixture.cos(&["rum"]).end().exited(2).said("did you mean");
    fixture
        .cos(&["--version"])
        .end()
        .exited(0)
        .printed(format!("cos {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn flags_of_gnu_parallel_are_answered_with_a_sentence() {
    let fixture = Fixture::of(1);
    let ran = fixture
        .run(&["--line-buffer", "echo", ":::", "a"])
        .end()
        .exited(2);
    ran.said("--line-buffer").said("--output line");
    assert_eq!(fixture.host("ws01").connections(), 0);
}

#[test]
fn needs_that_no_host_meets_are_an_error_before_anything_starts() {
    let fixture = Fixture::of(2);
    let ran = fixture
        .run(&["--cores", "3", "touch \"$HOME/ran\"", ":::", "a"])
        .end()
        .exited(3);
    ran.printed("").said("3").said("cores");
    for host in &fixture.hosts {
        assert!(!host.home().join("ran").exists(), "{}", host.name());
    }
}

#[test]
fn a_job_of_two_cores_takes_two_slots() {
    let fixture = Fixture::of(1);
    let command = "mkdir \"$HOME/alone\" && sleep 0.05 && rmdir \"$HOME/alone\" # {}";
    fixture
        .run(&["--cores", "2", command, ":::"])
        .args(&numbers(10))
        .end()
        .exited(0);
    let command =
        "mkdir \"$HOME/alone\" || exit 9; until [ -e \"$HOME/second\" ]; do sleep 0.01; done";
    let both = format!("case {{}} in 1) {command};; 2) touch \"$HOME/second\";; esac");
    // With one core each, both run at once: neither could end without the other.
    fixture.run(&[&both, ":::", "1", "2"]).end().exited(0);
}

#[test]
fn hosts_are_chosen_by_name_and_tag() {
    let fixture = Fixture::new(|lab| {
        let start = |name: &str, tags: &str| lab.host(name).hosts_toml_line(tags).start().unwrap();
        vec![
            start("ws01", "tags = [\"lab\"]"),
            start("ws02", "tags = [\"lab\", \"big\"]"),
            start("ws03", "enabled = false"),
        ]
    });
    let hosts = |on: &str| {
        let words = ["--on", on, "echo $COS_HOST # {}", ":::"];
        let ran = fixture.run(&words).args(&numbers(6)).end().exited(0);
        let mut hosts = sorted_lines(&ran.stdout);
        hosts.dedup();
        hosts
    };
    assert_eq!(hosts("big"), ["ws02"]);
    assert_eq!(hosts("ws01"), ["ws01"]);
    assert!(
        hosts("lab")
            .iter()
            .all(|host| host == "ws01" || host == "ws02")
    );
    assert_eq!(fixture.host("ws03").connections(), 0);
}

#[test]
fn a_job_is_tried_as_often_as_is_allowed() {
    let fixture = Fixture::of(2);
    let data = fixture.lab.shared_directory("data").unwrap();
    let tries = data.join("tries");
    let command = format!(
        "echo $COS_TRY >>'{}'; test $COS_TRY -ge {{}} && echo {{}}",
        tries.display()
    );
    let words = ["-k", "--retries", "3", &command, ":::", "1", "2", "3", "4"];
    let ran = fixture.run(&words).end().exited(100).printed("1\n2\n3\n");
    ran.said("try 3/3").said("exit 1");
    let made = fs::read_to_string(&tries).unwrap().lines().count();
    assert_eq!(made, 1 + 2 + 3 + 3);
    fs::remove_file(&tries).unwrap();
    // Tries in all, as GNU counts them: one means no second.
    fixture
        .run(&[&command, ":::", "2"])
        .end()
        .exited(100)
        .printed("");
    assert_eq!(fs::read_to_string(&tries).unwrap(), "1\n");
}

#[test]
fn other_exit_codes_may_mean_success() {
    let fixture = Fixture::of(1);
    fixture
        .run(&["--success-exit", "1,5", "exit {}", ":::", "0", "1", "5"])
        .end()
        .exited(0);
    fixture
        .run(&["--success-exit", "1,5", "exit {}", ":::", "0", "2"])
        .end()
        .exited(100);
}

#[test]
fn a_job_that_takes_too_long_is_ended_with_its_tree() {
    let fixture = Fixture::of(1);
    let command = "setsid sleep 1000 & sleep {}; echo {}";
    let words = ["-k", "--timeout", "3s", command, ":::", "0", "1000"];
    fixture.run(&words).end().exited(100).printed("0\n");
    let words = ["--timeout", "500ms", "sleep {}", ":::", "1000"];
    fixture
        .run(&words)
        .end()
        .exited(100)
        .said("TIMEOUT [>  0.5s]");
}

#[test]
fn a_run_halts_soon() {
    let fixture = Fixture::of(1);
    let command = "test {} != 3 && sleep 0.05 && echo {}";
    let words = ["-j1", "-k", "--halt", "soon,fail=1", command, ":::"];
    let ran = fixture.run(&words).args(&numbers(500)).end().exited(102);
    let text = ran.text();
    assert!(text.starts_with("1\n2\n"), "{text}");
    let started = fixture.latest_run().job_log().lines.len();
    assert!(started < 400, "{started} jobs");
}

#[test]
fn a_run_halts_now() {
    let fixture = Fixture::of(1);
    let command = "cd \"$HOME\"; test {} = 1 && touch up && exec sleep 1000; \
                   until [ -e up ]; do sleep 0.01; done; exit 1";
    let words = ["--halt", "now,fail=1", command, ":::", "1", "2", "3", "4"];
    fixture.run(&words).end().exited(102).printed("");
}

#[test]
fn a_run_halts_after_enough_successes() {
    let fixture = Fixture::of(1);
    let words = ["-j1", "-k", "--halt", "soon,success=2", "echo {}", ":::"];
    let ran = fixture.run(&words).args(&numbers(500)).end().exited(102);
    assert!(ran.text().starts_with("1\n2\n"), "{}", ran.story());
}

#[test]
fn a_dry_run_prints_commands_and_starts_nothing() {
    let fixture = Fixture::of(1);
    let words = [
        "--dry-run",
        "gzip -9 {} >{.}.gz",
        ":::",
        "a b.net",
        "it's",
        "c.net",
    ];
    let ran = fixture.run(&words).end().exited(0);
    ran.printed(
        "gzip -9 'a b.net' >'a b'.gz\ngzip -9 'it'\\''s' >'it'\\''s'.gz\ngzip -9 c.net >c.gz\n",
    );
    assert_eq!(fixture.host("ws01").connections(), 0);
}

#[test]
fn slots_are_as_many_as_asked_for() {
    let fixture = Fixture::with(1, |host| host.slots(3));
    let command = "echo $COS_SLOT; until [ $(ls \"$HOME/up\" | wc -l) -ge 3 ]; do touch \"$HOME/up/{}\"; sleep 0.01; done";
    fs::create_dir(fixture.host("ws01").home().join("up")).unwrap();
    // Each waits for the two others.
    let ran = fixture
        .run(&[command, ":::", "1", "2", "3"])
        .end()
        .exited(0);
    assert_eq!(sorted_lines(&ran.stdout), sorted_numbers(1, 3));
}

#[test]
fn flags_may_stand_in_the_environment() {
    let fixture = Fixture::of(1);
    let cos = fixture.run(&["sleep $((1 - {})); echo {}", ":::", "0", "1"]);
    cos.env("COS_KEEP_ORDER", "1")
        .env("COS_TAG", "1")
        .end()
        .exited(0)
        .printed("0\t0\n1\t1\n");
}
