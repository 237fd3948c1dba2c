//! `cos doctor` against real hosts: what it says of each, its exit code, and that nothing of it stays.

use std::process::{Command, Output};
use std::time::Duration;

use cos_testlab::{Breakage, Lab};
use serde_json::Value;

/// Generous: what is waited for takes milliseconds on a machine that does nothing else.
const DEADLINE: Duration = Duration::from_secs(60);

fn doctor(lab: &Lab, hosts: &[&str], flags: &[&str]) -> Output {
    let file = lab.directory().join("hosts.toml");
    std::fs::write(&file, lab.hosts_toml(hosts).expect("their entries")).expect("written");
    lab.command(env!("CARGO_BIN_EXE_cos"))
        .arg("doctor")
        .arg("--hosts")
        .arg(&file)
        .args(flags)
        .output()
        .expect("cos runs")
}

/// The text of a host's finding with this status.
#[track_caller]
fn text<'a>(document: &'a Value, host: &str, check: &str, status: &str) -> &'a str {
    let hosts = document["hosts"].as_array().expect("an array");
    let host = hosts.iter().find(|entry| entry["name"] == host);
    let findings = host.and_then(|host| host["findings"].as_array());
    let finding = findings
        .into_iter()
        .flatten()
        .find(|finding| finding["check"] == check && finding["status"] == status);
    match finding {
        Some(finding) => finding["text"].as_str().expect("text"),
        None => panic!("no {check}, {status}, in {document:#}"),
    }
}

/// The ssh processes of this lab's client.
fn ssh_processes(lab: &Lab) -> Vec<String> {
    let config = lab.ssh_config().display().to_string();
    let output = Command::new("ps").args(["-eo", "args"]).output();
    let list = output.expect("ps runs").stdout;
    let list = String::from_utf8_lossy(&list);
    let lines = list.lines().filter(|line| line.contains(&config));
    lines.map(str::to_owned).collect()
}

#[test]
fn good_and_bad_hosts_are_told_apart_in_one_go() {
    let lab = Lab::new().expect("a lab");
    let fine = lab.host("fine").start().expect("a host");
    let noisy = lab.host("noisy").noisy().start().expect("a host");
    let _locked = lab.host("locked").refuse_login().start().expect("a host");
    let _gone = lab.broken_host("gone", Breakage::Refused).expect("a name");
    let hosts = ["fine", "noisy", "locked", "gone"];

    let output = doctor(&lab, &hosts, &["--format", "json"]);
    assert_eq!(output.status.code(), Some(5), "{output:?}");
    assert!(output.stderr.is_empty(), "{output:?}");
    let found: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert!(text(&found, "fine", "cores", "good").contains("2 slots"));
    assert!(text(&found, "fine", "worker", "good").contains("bytes sent"));
    assert_eq!(text(&found, "fine", "start-up files", "good"), "silent");
    assert_eq!(text(&found, "fine", "clock", "good"), "as here");
    for check in ["reach", "key", "architecture", "load", "containment"] {
        text(&found, "fine", check, "good");
    }
    assert!(text(&found, "noisy", "start-up files", "remark").contains("3 lines"));
    assert!(text(&found, "locked", "key", "problem").contains("Permission denied"));
    assert!(text(&found, "gone", "reach", "problem").contains("Connection refused"));
    for host in found["hosts"].as_array().expect("an array") {
        for finding in host["findings"].as_array().expect("an array") {
            if finding["status"] == "problem" {
                assert!(finding["cure"].is_string(), "{finding}");
            }
        }
    }

    for host in [&fine, &noisy] {
        host.wait_for_no_processes(DEADLINE)
            .expect("nothing stays there");
        assert!(host.files_under(host.scratch()).is_empty());
    }
    assert_eq!(ssh_processes(&lab), [] as [String; 0]);
    assert_eq!(fine.logins(), 1, "one connection does");
}

#[test]
fn the_exit_code_says_whether_a_run_has_a_chance() {
    let lab = Lab::new().expect("a lab");
    let fine = lab.host("fine").start().expect("a host");
    let _gone = lab.broken_host("gone", Breakage::Refused).expect("a name");

    let output = doctor(&lab, &["fine"], &["--quiet"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");

    let output = doctor(&lab, &["gone"], &["--color", "always"]);
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    let text = String::from_utf8(output.stdout).expect("text");
    let first = text.lines().next().expect("a line");
    assert_eq!(first, "gone: \x1b[1m\x1b[31munusable\x1b[0m");
    assert!(text.ends_with("\n1 host: 1 unusable (gone)\n"), "{text}");
    fine.wait_for_no_processes(DEADLINE)
        .expect("nothing stays there");
}

#[test]
fn this_computer_alone_needs_no_ssh() {
    let lab = Lab::new().expect("a lab");
    let output = lab
        .command(env!("CARGO_BIN_EXE_cos"))
        .args(["check", "-S", ":"])
        .current_dir(lab.directory())
        .env("PATH", "")
        .output()
        .expect("cos runs");
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let text = String::from_utf8(output.stdout).expect("text");
    assert!(text.starts_with("local: good\n"), "{text}");
    assert!(text.ends_with("\n1 host: 1 good\n"), "{text}");
}
