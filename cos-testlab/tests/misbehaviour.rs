//! Misbehaving hosts make ssh say what a broken host in a lab makes it say.

use std::io::{BufRead, BufReader};
use std::process::{Output, Stdio};

use cos_testlab::{Breakage, Lab};

fn ssh(lab: &Lab, options: &[&str], host: &str) -> Output {
    lab.ssh()
        .args(options)
        .args([host, "echo reached"])
        .output()
        .expect("ssh runs")
}

fn assert_says(output: &Output, text: &str) {
    assert_eq!(output.status.code(), Some(255), "{output:?}");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains(text), "expected {text:?} in {said:?}");
    assert_eq!(output.stdout, b"");
}

#[test]
fn login_refused() {
    let lab = Lab::new().unwrap();
    let host = lab.host("ws01").refuse_login().start().unwrap();
    assert_says(&ssh(&lab, &[], "ws01"), "Permission denied (publickey)");
    assert_eq!(
        (host.connections(), host.logins(), host.sessions()),
        (1, 0, 0)
    );
}

#[test]
fn host_key_changed_or_unknown() {
    let lab = Lab::new().unwrap();
    let changed = lab.host("ws01").changed_host_key().start().unwrap();
    let unknown = lab.host("ws02").unknown_host_key().start().unwrap();
    assert_says(
        &ssh(&lab, &[], "ws01"),
        "REMOTE HOST IDENTIFICATION HAS CHANGED",
    );
    assert_says(&ssh(&lab, &[], "ws02"), "Host key verification failed");
    assert_eq!((changed.logins(), unknown.logins()), (0, 0));
    let accepted = ssh(&lab, &["-o", "StrictHostKeyChecking=accept-new"], "ws02");
    assert_eq!(accepted.stdout, b"reached\n");
}

#[test]
fn hosts_without_sshd() {
    let lab = Lab::new().unwrap();
    let short = ["-o", "ConnectTimeout=1"];
    let _ghost = lab.broken_host("ghost", Breakage::Unresolvable).unwrap();
    assert_says(&ssh(&lab, &[], "ghost"), "Could not resolve hostname");
    let _refused = lab.broken_host("refused", Breakage::Refused).unwrap();
    assert_says(&ssh(&lab, &[], "refused"), "Connection refused");
    let _dark = lab.broken_host("dark", Breakage::Unreachable).unwrap();
    assert_says(&ssh(&lab, &short, "dark"), "Connection timed out");
    let _silent = lab.broken_host("silent", Breakage::Silent).unwrap();
    assert_says(
        &ssh(&lab, &short, "silent"),
        "timed out during banner exchange",
    );
    let text = lab.hosts_toml(&["ghost", "silent"]).unwrap();
    assert!(text.contains("[[host]]\nname = \"silent\"\n"), "{text}");
}

#[test]
fn max_sessions() {
    let lab = Lab::new().unwrap();
    let host = lab.host("ws01").max_sessions(1).start().unwrap();
    let control = lab.client_home().join("c");
    let control = control.to_str().unwrap();
    let command = "echo up; exec sleep 1000";
    let mut first = lab
        .ssh()
        .args(["-M", "-S", control, "ws01", command])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(first.stdout.as_mut().unwrap())
        .read_line(&mut line)
        .unwrap();
    assert_eq!(line, "up\n", "{}", host.sshd_log());
    let second = lab
        .ssh()
        .args(["-S", control, "ws01", "echo reached"])
        .output()
        .unwrap();
    // ssh then makes a connection of its own.
    assert_eq!(second.stdout, b"reached\n");
    let said = String::from_utf8_lossy(&second.stderr);
    assert!(said.contains("Session open refused by peer"), "{said}");
    assert_eq!((host.connections(), host.sessions()), (2, 2));
    assert!(
        host.sshd_log().contains("no more sessions"),
        "{}",
        host.sshd_log()
    );
    host.kill().unwrap();
    first.wait().unwrap();
}

#[test]
fn max_startups() {
    let lab = Lab::new().unwrap();
    let host = lab.host("ws01").max_startups(1).start().unwrap();
    let occupied = host.occupy_startups(1).unwrap();
    assert_says(&ssh(&lab, &[], "ws01"), "kex_exchange_identification: ");
    assert_eq!((host.dropped_connections(), host.logins()), (1, 0));
    drop(occupied);
    // sshd takes note of the free place in its own time.
    let deadline = std::time::Duration::from_secs(30);
    host.wait_until("a login", deadline, |_| {
        ssh(&lab, &[], "ws01").status.success()
    })
    .unwrap();
}
