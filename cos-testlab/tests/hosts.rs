//! Hosts start, run commands in their own shells and environments, and leave nothing.

use std::process::Output;
use std::time::{Duration, Instant};

use cos_testlab::{Lab, LabError, NOISE, Shell};

/// Generous: nothing here should take a second.
const DEADLINE: Duration = Duration::from_secs(30);

fn ssh(lab: &Lab, host: &str, command: &str) -> Output {
    lab.ssh().args([host, command]).output().expect("ssh runs")
}

fn stdout(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout.clone()).expect("UTF-8")
}

#[test]
fn every_installed_shell_runs_a_command_in_its_own_environment() {
    let lab = Lab::new().unwrap();
    let shells = Shell::installed();
    assert!(shells.contains(&Shell::Sh));
    for shell in shells {
        let start = Instant::now();
        let host = lab
            .host(shell.name())
            .shell(shell)
            .env("GREETING", "it's \"me\" $HOME")
            .start()
            .unwrap();
        eprintln!("{shell}: up in {:?}", start.elapsed());
        let start = Instant::now();
        let printed = stdout(&ssh(
            &lab,
            shell.name(),
            "pwd; env printenv HOME SHELL TMPDIR GREETING",
        ));
        eprintln!("{shell}: ssh {:?}", start.elapsed());
        let expected = format!(
            "{home}\n{home}\n{}\n{}\nit's \"me\" $HOME\n",
            shell.path().unwrap().display(),
            host.temporary().display(),
            home = host.home().display(),
        );
        assert_eq!(printed, expected, "{shell}");
        assert_eq!(
            (host.connections(), host.logins(), host.sessions()),
            (1, 1, 1),
            "{shell}"
        );
        host.wait_for_no_processes(DEADLINE).unwrap();
    }
}

#[test]
fn noise_comes_before_the_output_in_every_shell() {
    let lab = Lab::new().unwrap();
    for shell in Shell::installed() {
        let _host = lab
            .host(shell.name())
            .shell(shell)
            .noisy()
            .noise_on_stderr("oh\n")
            .start()
            .unwrap();
        let output = ssh(&lab, shell.name(), "echo done");
        assert_eq!(stdout(&output), format!("{NOISE}done\n"), "{shell}");
        assert_eq!(String::from_utf8_lossy(&output.stderr), "oh\n", "{shell}");
    }
}

#[test]
fn a_killed_host_leaves_no_process_and_refuses_connections() {
    let lab = Lab::new().unwrap();
    let host = lab.host("ws01").start().unwrap();
    // A daemon that has left its session and forgotten its environment, and one that has a parent.
    let script = "setsid sh -c 'sleep 1000 & env -i sleep 1001 & env -i setsid sleep 1002 & wait' \
                  </dev/null >/dev/null 2>&1 & sleep 1003";
    let mut client = lab.ssh().args(["ws01", script]).spawn().unwrap();
    let sleepers = |processes: &[cos_testlab::HostProcess]| {
        processes
            .iter()
            .filter(|process| process.name == "sleep")
            .count()
    };
    host.wait_until("four sleepers", DEADLINE, |host| {
        sleepers(&host.processes()) == 4
    })
    .unwrap();
    let before = host.processes();
    host.kill().unwrap();
    assert!(!client.wait().unwrap().success());
    assert_eq!(host.processes(), []);
    assert_eq!(host.sshd_processes(), []);
    for process in before {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", process.pid));
        assert!(stat.is_err() || stat.unwrap().contains(") Z "), "{process}");
    }
    let refused = ssh(&lab, "ws01", "true");
    assert!(
        String::from_utf8_lossy(&refused.stderr).contains("Connection refused"),
        "{refused:?}"
    );
}

#[test]
fn a_dropped_lab_removes_its_directory() {
    let lab = Lab::new().unwrap();
    let directory = lab.directory().to_owned();
    let host = lab.host("ws01").start().unwrap();
    assert!(host.pid().is_some());
    drop(lab);
    assert!(directory.join("ws01").is_dir(), "a host outlives the lab");
    drop(host);
    assert!(!directory.exists());
}

#[test]
fn names_are_checked() {
    let lab = Lab::new().unwrap();
    let _host = lab.host("ws01").start().unwrap();
    for name in ["ws01", "", "-oProxyCommand=x", "a b", "client", "../x", "ä"] {
        let error = lab.host(name).start().unwrap_err();
        assert!(matches!(error, LabError::Invalid { .. }), "{name}: {error}");
    }
}
