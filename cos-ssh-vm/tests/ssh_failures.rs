//! The words of this machine's ssh, for hosts that fail in each way.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use cos_ssh_vm::inventory::{Environment, Inventory, Request, SlotCount};
use cos_ssh_vm::ssh::{Diagnosis, Ending, SshFailure, diagnose};
use cos_testlab::{Breakage, Lab};

/// What is made of a try to reach a host.
fn reach(lab: &Lab, options: &[&str], host: &str) -> Diagnosis {
    let output = lab
        .ssh()
        .args(["-o", "ConnectTimeout=1"])
        .args(options)
        .args(["--", host, "true"])
        .output()
        .unwrap();
    diagnose(
        Ending::Exited(output.status.code().unwrap()),
        &output.stderr,
    )
}

#[test]
fn hosts_that_are_not_there() {
    let lab = Lab::new().unwrap();
    for (name, breakage, failure) in [
        ("ghost", Breakage::Unresolvable, SshFailure::Unresolvable),
        ("refused", Breakage::Refused, SshFailure::Refused),
        ("dark", Breakage::Unreachable, SshFailure::Timeout),
        ("silent", Breakage::Silent, SshFailure::Timeout),
    ] {
        let _host = lab.broken_host(name, breakage).unwrap();
        let diagnosis = reach(&lab, &[], name);
        assert_eq!(
            (&diagnosis.failure, diagnosis.on_the_way),
            (&failure, false),
            "{diagnosis:?}"
        );
    }
}

#[test]
fn a_login_that_is_refused() {
    let lab = Lab::new().unwrap();
    let _host = lab.host("ws01").refuse_login().start().unwrap();
    let diagnosis = reach(&lab, &[], "ws01");
    let methods = vec!["publickey".to_owned()];
    assert_eq!(
        diagnosis.failure,
        SshFailure::PermissionDenied {
            methods,
            obstacle: None
        },
        "{diagnosis:?}"
    );
    assert!(
        diagnosis.cause.ends_with("Permission denied (publickey)."),
        "{diagnosis:?}"
    );
}

#[test]
fn keys_of_hosts() {
    let lab = Lab::new().unwrap();
    let _changed = lab.host("ws01").changed_host_key().start().unwrap();
    let _unknown = lab.host("ws02").unknown_host_key().start().unwrap();
    let changed = reach(&lab, &[], "ws01");
    assert!(
        matches!(
            changed.failure,
            SshFailure::HostKeyChanged {
                known: Some((_, 1..))
            }
        ),
        "{changed:?}"
    );
    assert_eq!(reach(&lab, &[], "ws02").failure, SshFailure::HostKeyUnknown);
}

#[test]
fn an_sshd_that_is_busy() {
    let lab = Lab::new().unwrap();
    let host = lab.host("ws01").max_startups(2).start().unwrap();
    let _occupied = host.occupy_startups(2).unwrap();
    assert_eq!(reach(&lab, &[], "ws01").failure, SshFailure::ClosedByRemote);
}

#[test]
fn a_jump_host_in_between() {
    let lab = Lab::new().unwrap();
    let _gate = lab.host("gate").start().unwrap();
    let _ghost = lab.broken_host("ghost", Breakage::Unresolvable).unwrap();
    let _refused = lab.broken_host("refused", Breakage::Refused).unwrap();

    let behind = reach(&lab, &["-J", "gate"], "refused");
    assert_eq!(
        (&behind.failure, behind.on_the_way),
        (&SshFailure::Refused, false),
        "{behind:?}"
    );
    let before = reach(&lab, &["-J", "ghost"], "gate");
    assert_eq!(
        (&before.failure, before.on_the_way),
        (&SshFailure::Unresolvable, true),
        "{before:?}"
    );
    let broken = reach(&lab, &["-o", "ProxyCommand=/nonexistent"], "gate");
    assert_eq!(
        (&broken.failure, broken.on_the_way),
        (&SshFailure::ProxyFailed, true),
        "{broken:?}"
    );
    assert!(broken.cause.contains("/nonexistent"), "{broken:?}");
}

#[test]
fn a_configuration_that_ssh_refuses() {
    let lab = Lab::new().unwrap();
    let _host = lab.host("ws01").start().unwrap();
    for (name, text) in [
        ("word", "Usr ana\n"),
        ("value", "Port x\n"),
        ("quotes", "User \"ana\n"),
    ] {
        let path = lab.directory().join(name);
        std::fs::write(&path, text).unwrap();
        let diagnosis = reach(&lab, &["-F", path.to_str().unwrap()], "ws01");
        assert_eq!(
            diagnosis.failure,
            SshFailure::BadConfiguration,
            "{diagnosis:?}"
        );
    }
    let missing = reach(&lab, &["-F", "/nonexistent/ssh_config"], "ws01");
    assert_eq!(missing.failure, SshFailure::BadConfiguration, "{missing:?}");
    assert_eq!(
        reach(&lab, &["-o", "HostKeyAlgorithms=ssh-rsa"], "ws01").failure,
        SshFailure::NoCommonAlgorithm
    );
}

#[test]
fn the_file_of_a_lab_names_its_hosts() {
    let lab = Lab::new().unwrap();
    let _hosts = (
        lab.host("ws01").slots(3).start().unwrap(),
        lab.host("ws02").start().unwrap(),
    );
    let path = lab.directory().join("hosts.toml");
    lab.write_hosts_toml(&path).unwrap();
    let request = Request {
        hosts: Some(path),
        ..Request::default()
    };
    let inventory = Inventory::find(&request, &Environment::of_process().unwrap()).unwrap();
    let names: Vec<_> = inventory
        .hosts
        .iter()
        .map(|host| host.name.as_str())
        .collect();
    assert_eq!(names, ["ws01", "ws02"]);
    assert_eq!(inventory.hosts[0].slots, SlotCount::Number(3));
    assert_eq!(inventory.hosts[0].ssh_config, Some(lab.ssh_config()));
}
