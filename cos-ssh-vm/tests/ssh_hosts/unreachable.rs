//! Hosts that ssh does not reach: what is said of them, and what is done about them.

use std::time::Duration;

use crate::support::*;
use cos_core::vm::host::{FailureKind, HostFailure, Stage};
use cos_ssh_vm::inventory::{HostKeys, HostName};
use cos_ssh_vm::session::Reach;
use cos_testlab::{Breakage, Lab};

/// Launches on a host of the lab that is expected to fail.
fn failure(lab: &Lab, host: &str) -> HostFailure {
    failure_of(reach(lab, host))
}

fn failure_of(reach: Reach) -> HostFailure {
    let mut launcher = launcher_of(reach, &workers(ECHO_WORKER));
    let launched = run(launch(&mut launcher));
    assert_eq!(launched.stages, [Stage::Connecting]);
    let failure = launched.failure();
    assert_eq!(failure.stage, Stage::Connecting);
    failure
}

#[test]
fn a_host_that_never_answers() {
    let lab = Lab::new().unwrap();
    let _dark = lab.broken_host("dark", Breakage::Unreachable).unwrap();
    let _silent = lab.broken_host("silent", Breakage::Silent).unwrap();
    for host in ["dark", "silent"] {
        let mut reach = reach(&lab, host);
        reach.connect_timeout = Duration::from_secs(1);
        let failure = failure_of(reach);
        assert_eq!(failure.headline, format!("{host} gave no answer in 1 s"));
        assert!(failure.cause.contains("timed out"), "{failure:?}");
        assert_eq!(failure.kind, FailureKind::Retry);
        assert_eq!(clients(&lab), [""; 0]);
    }
}

#[test]
fn a_refused_login_is_tried_once() {
    let lab = Lab::new().unwrap();
    let host = lab.host("ws02").refuse_login().start().unwrap();
    let failure = failure(&lab, "ws02");
    assert_eq!(failure.headline, "ws02 refused the login");
    assert!(failure.cause.contains("Permission denied (publickey)"));
    let cure = failure.cure.expect("a cure");
    assert!(cure.contains("ssh-add"), "{cure}");
    assert_eq!(failure.kind, FailureKind::Permanent);
    assert_eq!((host.connections(), host.logins()), (1, 0));
}

#[test]
fn a_changed_host_key_is_never_accepted() {
    let lab = Lab::new().unwrap();
    let host = lab.host("ws07").changed_host_key().start().unwrap();
    for host_keys in [HostKeys::Known, HostKeys::AcceptNew] {
        let mut reach = reach(&lab, "ws07");
        reach.host_keys = host_keys;
        let mut launcher = launcher_of(reach, &workers(ECHO_WORKER));
        let failure = run(launch(&mut launcher)).failure();
        assert_eq!(failure.headline, "the host key of ws07 has changed");
        assert!(failure.cause.contains("known_hosts:"), "{}", failure.cause);
        assert_eq!(failure.kind, FailureKind::Permanent);
    }
    assert_eq!(host.logins(), 0);
}

#[test]
fn an_unknown_host_key_is_accepted_only_by_wish() {
    let lab = Lab::new().unwrap();
    let host = lab.host("ws07").unknown_host_key().start().unwrap();
    let failure = failure(&lab, "ws07");
    assert_eq!(failure.headline, "the host key of ws07 is unknown");
    let cure = failure.cure.expect("a cure");
    assert!(cure.contains("host_keys = \"accept-new\""), "{cure}");
    assert_eq!(failure.kind, FailureKind::Permanent);
    assert_eq!(host.logins(), 0);

    let mut reach = reach(&lab, "ws07");
    reach.host_keys = HostKeys::AcceptNew;
    let workers = workers(ECHO_WORKER);
    let mut accepting = launcher_of(reach, &workers);
    run(async { drop(launch(&mut accepting).await.channel()) });
    // Known from now on.
    let mut strict = launcher(&lab, "ws07", &workers);
    run(async { drop(launch(&mut strict).await.channel()) });
}

#[test]
fn a_name_without_address() {
    let lab = Lab::new().unwrap();
    let _ghost = lab.broken_host("ghost", Breakage::Unresolvable).unwrap();
    let failure = failure(&lab, "ghost");
    assert_eq!(failure.headline, "could not resolve ghost");
    assert!(failure.cause.contains("Could not resolve hostname"));
    assert_eq!(failure.kind, FailureKind::Retry);
}

#[test]
fn a_port_where_nobody_listens() {
    let lab = Lab::new().unwrap();
    let _refused = lab.broken_host("ws04", Breakage::Refused).unwrap();
    let failure = failure(&lab, "ws04");
    assert_eq!(failure.headline, "ws04 is unreachable");
    assert!(failure.cause.contains("Connection refused"));
    assert_eq!(failure.kind, FailureKind::Retry);
}

#[test]
fn a_crowded_sshd_is_asked_again_later() {
    let lab = Lab::new().unwrap();
    let host = lab.host("ws05").max_startups(2).start().unwrap();
    let occupants = host.occupy_startups(2).unwrap();
    let crowded = failure(&lab, "ws05");
    assert_eq!(crowded.kind, FailureKind::Crowded, "{crowded:?}");
    drop(occupants);
    host.wait_until("room for a login", DEADLINE, |_| {
        lab.ssh()
            .args(["ws05", "true"])
            .status()
            .is_ok_and(|status| status.success())
    })
    .unwrap();
    let mut launcher = launcher(&lab, "ws05", &workers(ECHO_WORKER));
    run(async { drop(launch(&mut launcher).await.channel()) });
}

#[test]
fn one_session_is_enough_and_none_is_told() {
    let lab = Lab::new().unwrap();
    let one = lab.host("one").max_sessions(1).start().unwrap();
    let _none = lab.host("none").max_sessions(0).start().unwrap();
    let workers = workers(ECHO_WORKER);
    run(async {
        let mut channel = launch(&mut launcher(&lab, "one", &workers)).await.channel();
        converse_with_echo(&mut channel).await;
        assert_eq!((one.connections(), one.sessions()), (1, 1));
    });
    let failure = run(launch(&mut launcher(&lab, "none", &workers))).failure();
    assert!(failure.headline.contains("none"), "{failure:?}");
    assert_eq!(failure.kind, FailureKind::Crowded, "{failure:?}");
}

#[test]
fn names_that_ssh_would_misread_never_reach_it() {
    for name in [
        "-oProxyCommand=touch x",
        "-oProxyCommand=id",
        "a;id",
        "a b",
        "$(id)",
    ] {
        assert!(HostName::parse(name).is_err(), "{name}");
    }
}

#[test]
fn a_launch_that_is_given_up_leaves_no_process() {
    let lab = Lab::new().unwrap();
    let _silent = lab.broken_host("silent", Breakage::Silent).unwrap();
    let mut launcher = launcher(&lab, "silent", &workers(ECHO_WORKER));
    run(async {
        let mut started = launch_stages(&mut launcher);
        tokio::select! {
            _ = &mut started => panic!("nobody answers"),
            () = until(|| !clients(&lab).is_empty()) => {}
        }
        drop(started);
        until(|| clients(&lab).is_empty()).await;
    });
}

/// A launch that can be dropped.
fn launch_stages(
    launcher: &mut cos_ssh_vm::launcher::SshLauncher,
) -> std::pin::Pin<Box<dyn Future<Output = Launched> + '_>> {
    Box::pin(launch(launcher))
}

/// Waits until something holds.
async fn until(mut holds: impl FnMut() -> bool) {
    let wait = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(DEADLINE, wait)
        .await
        .expect("it happens");
}
