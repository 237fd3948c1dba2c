//! Hosts that cannot be reached, refuse or are misnamed: the run goes on without them and says why.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use cos_testlab::{Breakage, FaultPlan, HostBuilder, Shell};

use crate::support::{Cos, DEADLINE, Fixture, Ran};

/// A good host, `ws01`, and a bad one, `ws02`.
fn good_and(bad: impl Fn(HostBuilder) -> HostBuilder) -> Fixture {
    Fixture::new(|lab| {
        vec![
            lab.host("ws01").start().unwrap(),
            bad(lab.host("ws02")).start().unwrap(),
        ]
    })
}

/// A good host, `ws01`, and a broken one, `ws02`.
fn good_and_broken(breakage: Breakage) -> Fixture {
    Fixture::with_broken(|lab| {
        // The patience with the other host is not for this one.
        let good = lab
            .host("ws01")
            .hosts_toml_line("connect_timeout = \"30s\"");
        (
            vec![good.start().unwrap()],
            vec![lab.broken_host("ws02", breakage).unwrap()],
        )
    })
}

/// Runs jobs until the trouble with the other host has been told, and some more.
fn run_until_told(fixture: &Fixture, words: &str) -> Ran {
    let mut cos = fixture.run(&["echo {}"]).open_input().start();
    cos.write("1\n2\n");
    cos.wait_for_lines(2);
    cos.wait_for_stderr(words);
    cos.write("3\n4\n");
    cos.wait_for_lines(4);
    cos.end_input();
    let ran = cos.end().exited(0);
    let log = fixture.latest_run().job_log();
    log.has_each_once(1, 4);
    assert!(
        log.lines
            .iter()
            .all(|line| line.host == "ws01" && line.exit == 0),
        "{log:#?}"
    );
    ran
}

#[test]
fn a_host_that_never_answers_holds_nobody_up() {
    for breakage in [Breakage::Silent, Breakage::Unreachable] {
        let fixture = good_and_broken(breakage).default_line("connect_timeout = \"1s\"");
        run_until_told(&fixture, "ws02 gave no answer in 1 s").said("enabled = false");
    }
}

#[test]
fn a_name_without_an_address_is_told() {
    let fixture = good_and_broken(Breakage::Unresolvable);
    run_until_told(&fixture, "could not resolve ws02").said("Could not resolve hostname");
}

#[test]
fn a_closed_port_is_told() {
    let fixture = good_and_broken(Breakage::Refused);
    run_until_told(&fixture, "ws02 is unreachable").said("Connection refused");
}

#[test]
fn a_refused_login_is_not_tried_again() {
    let fixture = good_and(HostBuilder::refuse_login);
    run_until_told(&fixture, "ws02 refused the login")
        .said("Permission denied (publickey)")
        .said("COS never asks for passwords");
    let host = fixture.host("ws02");
    assert_eq!((host.connections(), host.logins()), (1, 0));
}

#[test]
fn a_changed_key_is_not_accepted() {
    let fixture = good_and(HostBuilder::changed_host_key);
    run_until_told(&fixture, "the host key of ws02 has changed")
        .said("Offending ED25519 key in")
        .said("known_hosts line 2");
    let host = fixture.host("ws02");
    assert_eq!((host.connections(), host.logins()), (1, 0));
}

#[test]
fn an_unknown_key_is_accepted_only_where_hosts_toml_says_so() {
    let fixture = good_and(HostBuilder::unknown_host_key);
    run_until_told(&fixture, "the host key of ws02 is unknown").said("accept-new");
    assert_eq!(fixture.host("ws02").logins(), 0);
    let fixture =
        Fixture::with(1, HostBuilder::unknown_host_key).default_line("host_keys = \"accept-new\"");
    fixture
        .run(&["echo", ":::", "a"])
        .end()
        .exited(0)
        .printed("a\n");
}

#[test]
fn a_crowded_sshd_is_tried_again() {
    let fixture = Fixture::with(1, |host| host.max_startups(1));
    let host = fixture.host("ws01");
    let occupied = host.occupy_startups(1).unwrap();
    let cos = fixture.run(&["-k", "echo", ":::", "a", "b"]).start();
    host.wait_until("a dropped connection", DEADLINE, |host| {
        host.dropped_connections() > 0
    })
    .unwrap();
    drop(occupied);
    cos.end().exited(0).printed("a\nb\n");
    assert_eq!((host.logins(), host.sessions()), (1, 1));
}

#[test]
fn a_connection_that_is_closed_before_the_login_is_tried_again() {
    let fixture = Fixture::of(1);
    let proxy = fixture
        .host("ws01")
        .through(FaultPlan::new().close_first(2))
        .unwrap();
    fixture
        .run(&["-k", "echo", ":::", "a", "b"])
        .end()
        .exited(0)
        .printed("a\nb\n");
    assert_eq!(proxy.connections(), 3);
}

#[test]
fn one_channel_is_enough() {
    let fixture = Fixture::with(2, |host| host.max_sessions(1));
    let ran = fixture
        .run(&["-k", "-v", "echo {}", ":::", "1", "2", "3", "4", "5"])
        .end()
        .exited(0);
    ran.printed("1\n2\n3\n4\n5\n");
    for host in &fixture.hosts {
        assert!(
            host.sessions() <= 1 && host.connections() <= 1,
            "{}",
            host.sshd_log()
        );
        assert!(
            !host.sshd_log().contains("no more sessions"),
            "{}",
            host.sshd_log()
        );
    }
}

#[test]
fn what_rc_files_print_is_counted_and_ignored() {
    for shell in [Shell::Bash, Shell::Sh] {
        let fixture = Fixture::with(1, |host| host.shell(shell).noisy().noise_on_stderr("oh\n"));
        let ran = fixture
            .run(&["-v", "echo", ":::", "a"])
            .end()
            .exited(0)
            .printed("a\n");
        ran.said("ignored 3 lines").never_said("\u{1b}");
    }
}

#[test]
fn no_host_left_is_an_error_of_its_own() {
    let fixture = Fixture::with(2, HostBuilder::refuse_login);
    let ran = fixture
        .run(&["echo", ":::", "a", "b"])
        .end()
        .exited(3)
        .printed("");
    ran.said("ws01 refused the login")
        .said("ws02 refused the login");
    for host in &fixture.hosts {
        assert_eq!(host.connections(), 1, "{}", host.name());
    }
}

#[test]
fn all_hosts_may_be_required() {
    let fixture = good_and(HostBuilder::refuse_login);
    let ran = fixture
        .run(&["--require-all-hosts", "echo", ":::", "a"])
        .end();
    ran.exited(3).printed("").said("ws02 refused the login");
}

/// Puts an `ssh` first in the path that tells of every call, and says where it does.
fn watch_ssh<'a>(fixture: &'a Fixture, cos: Cos<'a>) -> (Cos<'a>, PathBuf) {
    let directory = fixture.lab.shared_directory("bin").unwrap();
    let calls = directory.join("calls");
    let ssh = directory.join("ssh");
    fs::write(
        &ssh,
        format!("#!/bin/sh\necho \"$@\" >>'{}'\nexit 255\n", calls.display()),
    )
    .unwrap();
    fs::set_permissions(&ssh, fs::Permissions::from_mode(0o755)).unwrap();
    let path = std::env::var("PATH").unwrap();
    (
        cos.env("PATH", format!("{}:{path}", directory.display())),
        calls,
    )
}

#[test]
fn the_watch_over_ssh_sees_calls() {
    let fixture = Fixture::of(1);
    let (cos, calls) = watch_ssh(&fixture, fixture.run(&["echo", ":::", "a"]));
    cos.end().exited(3);
    assert!(calls.exists());
}

#[test]
fn bad_host_names_never_reach_ssh() {
    let fixture = Fixture::of(1);
    for name in [
        "-oProxyCommand=touch x",
        "a;id",
        "$(id)",
        "a b",
        "",
        "a\\nb",
        "`id`",
        "-F/dev/null",
    ] {
        let (cos, calls) = watch_ssh(&fixture, fixture.run(&["-S"]));
        let cos = cos.args(&[name, "echo", ":::", "a"]);
        cos.end().exited(2).printed("").said("error");
        assert!(!calls.exists(), "-S {name:?}");

        fs::write(
            fixture.hosts_file(),
            format!("[[host]]\nname = \"{name}\"\n"),
        )
        .unwrap();
        let (cos, calls) = watch_ssh(&fixture, fixture.run(&["echo", ":::", "a"]));
        cos.end().exited(2).printed("").said("hosts.toml:2:8");
        assert!(!calls.exists(), "hosts.toml {name:?}");
    }
}

#[test]
fn all_mistakes_of_hosts_toml_are_told_before_any_ssh() {
    let fixture = Fixture::of(1);
    let text = "[defaults]\nslotz = 4\n\n[[host]]\nname = \"ws01\"\nslots = -1\n\n[[host]]\nname = \"ws01\"\n\
                connect_timeout = \"soon\"\n";
    fs::write(fixture.hosts_file(), text).unwrap();
    let (cos, calls) = watch_ssh(&fixture, fixture.run(&["echo", ":::", "a"]));
    let ran = cos.end().exited(2).printed("");
    ran.said("hosts.toml:2:1")
        .said("did you mean `slots`?")
        .said("hosts.toml:6:9")
        .said("hosts.toml:9:8")
        .said("hosts.toml:10:19")
        .never_said("\u{1b}");
    assert!(!calls.exists());

    fs::write(fixture.hosts_file(), "[[host]\nname = ").unwrap();
    let (cos, calls) = watch_ssh(&fixture, fixture.run(&["echo", ":::", "a"]));
    cos.end().exited(2).said("hosts.toml:1:");
    assert!(!calls.exists());
}

#[test]
fn a_discovered_hosts_toml_of_others_is_not_read() {
    let fixture = Fixture::of(1);
    let path = fixture.hosts_file();
    let refuses = |words: &str| {
        let (cos, calls) = watch_ssh(&fixture, fixture.run(&["echo", ":::", "a"]));
        let ran = cos.end().exited(2).printed("");
        ran.said("not read").said(words);
        assert!(!calls.exists(), "ssh was started");
    };
    fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
    refuses("chmod go-w");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    if rustix::process::geteuid().is_root() {
        std::os::unix::fs::chown(&path, Some(65534), None).unwrap();
        refuses("not to you");
        refuses("--hosts");
    } else {
        fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
    }
    // Named on the command line, it is trusted.
    let named = ["--hosts", path.to_str().unwrap(), "echo", ":::", "a"];
    fixture.run(&named).end().exited(0).printed("a\n");
}

#[test]
fn a_login_that_is_closed_is_told_in_its_own_words() {
    let fixture = good_and(|host| {
        host.sshd_option("ForceCommand", "echo this account is closed >&2; exit 1")
    });
    run_until_told(&fixture, "ws02").said("this account is closed");
}

#[test]
fn a_setup_that_fails_leaves_its_host_out() {
    let fixture = good_and(|host| host.hosts_toml_line("setup = \"echo loading; exit 7\""));
    run_until_told(&fixture, "the setup of ws02 failed: exit 7").said("loading");
}

#[test]
fn a_machine_without_ssh_says_so() {
    let fixture = Fixture::of(2);
    let cos = fixture
        .run(&["echo", ":::", "a"])
        .env("PATH", "/nonexistent");
    let ran = cos
        .end()
        .exited(3)
        .printed("")
        .said("apt install openssh-client");
    // Every reason is told.
    assert!(!ran.stderr.contains("ws01: ;"), "{}", ran.story());
}
