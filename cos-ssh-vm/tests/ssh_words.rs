//! What is made of ssh's words, which are here as OpenSSH wrote them.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fmt::Write;
use std::path::Path;
use std::time::Duration;

use cos_core::vm::host::{FailureKind, Stage};
use cos_ssh_vm::inventory::HostName;
use cos_ssh_vm::ssh::{
    AgentKeys, Circumstances, Diagnosis, Ending, LoginObstacle, SshFailure, diagnose,
};
use proptest::prelude::*;

fn words(text: &str) -> Diagnosis {
    diagnose(Ending::Exited(255), text.as_bytes())
}

fn host(name: &str) -> HostName {
    name.parse().unwrap()
}

fn circumstances(host: &HostName) -> Circumstances<'_> {
    Circumstances {
        host,
        ssh_config: None,
        connect_timeout: Duration::from_secs(10),
        keys: AgentKeys::Some,
    }
}

const CHANGED: &str = r#"@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@
@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @
@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@
IT IS POSSIBLE THAT SOMEONE IS DOING SOMETHING NASTY!
Someone could be eavesdropping on you right now (man-in-the-middle attack)!
It is also possible that a host key has just been changed.
The fingerprint for the ED25519 key sent by the remote host is
SHA256:C00VhEs9Q3LqJjIEhrunwYvjIao3Y4LyBvKOjy0JdUY.
Please contact your system administrator.
Add correct host key in /home/ana/.ssh/known_hosts to get rid of this message.
Offending ED25519 key in /home/ana/.ssh/known_hosts:12
  remove with:
  ssh-keygen -f "/home/ana/.ssh/known_hosts" -R "ws07"
Host key for ws07 has changed and you have requested strict checking.
Host key verification failed.
"#;

const OPEN_KEY: &str = "@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@
@         WARNING: UNPROTECTED PRIVATE KEY FILE!          @
@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@
Permissions 0644 for '/home/ana/.ssh/id_ed25519' are too open.
It is required that your private key files are NOT accessible by others.
This private key will be ignored.
Load key \"/home/ana/.ssh/id_ed25519\": bad permissions
ana@ws02: Permission denied (publickey).
";

/// ssh's words and the failure that they mean, at the host itself.
#[rustfmt::skip]
const AT_THE_HOST: &[(&str, SshFailure)] = &[
    ("ssh: Could not resolve hostname ws09: Name or service not known", SshFailure::Unresolvable),
    ("ssh: Could not resolve hostname ws09: Temporary failure in name resolution", SshFailure::Unresolvable),
    ("ssh: Could not resolve hostname ws09: nodename nor servname provided, or not known", SshFailure::Unresolvable),
    ("ssh: connect to host ws04 port 22: Connection refused", SshFailure::Refused),
    ("ssh: connect to host ws04 port 22: No route to host", SshFailure::NoRoute),
    ("ssh: connect to host ws04 port 22: Network is unreachable", SshFailure::NoRoute),
    ("ssh: connect to host ws04 port 22: Host is down", SshFailure::NoRoute),
    ("ssh: connect to host ws04 port 22: Permission denied", SshFailure::NoRoute),
    ("ssh: connect to host ws04 port 22: Connection timed out", SshFailure::Timeout),
    ("ssh: connect to host ws04 port 22: Operation timed out", SshFailure::Timeout),
    ("Connection timed out during banner exchange\nConnection to 10.0.0.4 port 22 timed out", SshFailure::Timeout),
    ("ssh_dispatch_run_fatal: Connection to 10.0.0.4 port 22: Connection timed out", SshFailure::Timeout),
    ("kex_exchange_identification: Connection closed by remote host\nConnection closed by 10.0.0.5 port 22", SshFailure::ClosedByRemote),
    ("kex_exchange_identification: read: Connection reset by peer\nConnection reset by 10.0.0.5 port 22", SshFailure::ClosedByRemote),
    ("ssh_exchange_identification: Connection closed by remote host", SshFailure::ClosedByRemote),
    ("ssh_exchange_identification: read: Connection reset by peer", SshFailure::ClosedByRemote),
    ("kex_exchange_identification: banner line 0: Exceeded MaxStartups", SshFailure::ClosedByRemote),
    ("Connection closed by 10.0.0.5 port 22", SshFailure::ClosedByRemote),
    ("Connection reset by 10.0.0.5 port 22", SshFailure::ClosedByRemote),
    ("ssh_dispatch_run_fatal: Connection to 10.0.0.5 port 22: Broken pipe", SshFailure::ClosedByRemote),
    ("Timeout, server ws01 not responding.", SshFailure::ConnectionLost),
    ("client_loop: send disconnect: Broken pipe", SshFailure::ConnectionLost),
    ("Connection to ws01 closed by remote host.", SshFailure::ConnectionLost),
    ("Read from remote host ws01: Connection reset by peer", SshFailure::ConnectionLost),
    ("mux_client_request_session: session request failed: Session open refused by peer", SshFailure::SessionRefused),
    ("channel 11: open failed: connect failed: open failed", SshFailure::NoRoute),
    ("channel 0: open failed: resource shortage: Channel open failed", SshFailure::SessionRefused),
    ("Host key verification failed.", SshFailure::HostKeyUnknown),
    ("No ED25519 host key is known for ws07 and you have requested strict checking.\r\nHost key verification failed.\r\n", SshFailure::HostKeyUnknown),
    ("Host key ED25519 SHA256:C00VhEs9Q3LqJjI revoked by file /etc/ssh/revoked\nHost key verification failed.", SshFailure::HostKeyRevoked),
    ("Unable to negotiate with 10.0.0.8 port 22: no matching host key type found. Their offer: ssh-rsa,ssh-dss", SshFailure::NoCommonAlgorithm),
    ("Unable to negotiate with 10.0.0.8 port 22: no matching key exchange method found. Their offer: diffie-hellman-group1-sha1", SshFailure::NoCommonAlgorithm),
    ("Protocol major versions differ: 2 vs. 1\nbanner exchange: Connection to 127.0.0.1 port 22952: could not read protocol version", SshFailure::NotSsh),
    ("kex_exchange_identification: No SSH version received in first 1024 lines from server\nbanner exchange: Connection to 127.0.0.1 port 22952: invalid format", SshFailure::NotSsh),
    ("command-line: line 0: Bad configuration option: nosuchoption", SshFailure::BadConfiguration),
    ("lab.ssh: line 2: Bad configuration option: usr\nlab.ssh: terminating, 1 bad configuration options", SshFailure::BadConfiguration),
    ("/home/ana/.ssh/config line 2: no argument after keyword \"port\"\n/home/ana/.ssh/config: terminating, 1 bad configuration options", SshFailure::BadConfiguration),
    ("c1 line 2: Bad port 'x'.\nc1: terminating, 1 bad configuration options", SshFailure::BadConfiguration),
    ("my config: terminating, 2 bad configuration options", SshFailure::BadConfiguration),
    ("Can't open user config file /lab/ssh_config: No such file or directory", SshFailure::BadConfiguration),
    ("Bad owner or permissions on /home/ana/.ssh/config", SshFailure::BadConfiguration),
    ("unix_listener: cannot bind to path /run/cos/s.PxIC6EBioF8FlFug: No such file or directory", SshFailure::Other),
    ("No user exists for uid 4242", SshFailure::Other),
    ("", SshFailure::Other),
];

const PROXY_ENDED: &str = "kex_exchange_identification: Connection closed by remote host\nConnection closed by UNKNOWN port 65535\n";

#[test]
fn words_about_the_host_itself() {
    for (text, failure) in AT_THE_HOST {
        let diagnosis = words(text);
        assert_eq!(
            (&diagnosis.failure, diagnosis.on_the_way),
            (failure, false),
            "{text}"
        );
    }
}

#[test]
fn a_refused_login_says_what_would_be_accepted() {
    let denied = |methods: &[&str], obstacle| SshFailure::PermissionDenied {
        methods: methods.iter().map(|method| (*method).to_owned()).collect(),
        obstacle,
    };
    for (text, failure) in [
        (
            "ana@ws02: Permission denied (publickey).",
            denied(&["publickey"], None),
        ),
        (
            "Permission denied (publickey,gssapi-keyex,password).",
            denied(&["publickey", "gssapi-keyex", "password"], None),
        ),
        (
            OPEN_KEY,
            denied(
                &["publickey"],
                Some(LoginObstacle::KeyReadableByOthers(
                    "/home/ana/.ssh/id_ed25519".into(),
                )),
            ),
        ),
        (
            "Received disconnect from 10.0.0.2 port 22:2: Too many authentication failures\nDisconnected from 10.0.0.2 port 22",
            denied(&[], Some(LoginObstacle::TooManyKeys)),
        ),
        (
            "sign_and_send_pubkey: signing failed for ED25519 \"/home/ana/.ssh/id\" from agent: agent refused operation\nana@ws02: Permission denied (publickey).",
            denied(&["publickey"], Some(LoginObstacle::AgentRefused)),
        ),
    ] {
        let diagnosis = words(text);
        assert_eq!(diagnosis.failure, failure, "{text}");
        assert_eq!(diagnosis.kind(), FailureKind::Permanent, "{text}");
    }
}

#[test]
fn a_changed_key_is_not_an_unknown_one() {
    let diagnosis = words(CHANGED);
    let known = Some(("/home/ana/.ssh/known_hosts".into(), 12));
    assert_eq!(diagnosis.failure, SshFailure::HostKeyChanged { known });
    assert_eq!(diagnosis.kind(), FailureKind::Permanent);
    assert!(
        diagnosis
            .cause
            .contains("SHA256:C00VhEs9Q3LqJjIEhrunwYvjIao3Y4LyBvKOjy0JdUY.")
    );
    let cure = diagnosis.cure(&circumstances(&host("ws07"))).unwrap();
    assert!(
        cure.contains("/home/ana/.ssh/known_hosts line 12"),
        "{cure}"
    );
    assert!(!cure.contains('`'), "no command to paste: {cure}");
}

#[test]
fn words_about_the_way_to_the_host() {
    let cases = [
        ("oops\n", SshFailure::ProxyFailed, true),
        ("", SshFailure::ProxyFailed, true),
        (
            "/bin/bash: line 1: /nonexistent: No such file or directory\n",
            SshFailure::ProxyFailed,
            true,
        ),
        (
            "ssh: connect to host gate port 22: Connection refused\n",
            SshFailure::Refused,
            true,
        ),
        (
            "ssh: Could not resolve hostname gate: Name or service not known\n",
            SshFailure::Unresolvable,
            true,
        ),
        (
            "channel 0: open failed: administratively prohibited: open failed\nstdio forwarding failed\n",
            SshFailure::ProxyFailed,
            true,
        ),
        (
            "channel 0: open failed: connect failed: Connection refused\nstdio forwarding failed\n",
            SshFailure::Refused,
            false,
        ),
        (
            "channel 0: open failed: connect failed: Name or service not known\nstdio forwarding failed\n",
            SshFailure::Unresolvable,
            false,
        ),
        (
            "channel 0: open failed: connect failed: No route to host\nstdio forwarding failed\n",
            SshFailure::NoRoute,
            false,
        ),
    ];
    for (text, failure, on_the_way) in cases {
        let diagnosis = words(&format!("{text}{PROXY_ENDED}"));
        assert_eq!(
            (diagnosis.failure, diagnosis.on_the_way),
            (failure, on_the_way),
            "{text}"
        );
    }
    let refused = words(&format!(
        "ana@gate: Permission denied (publickey).\n{PROXY_ENDED}"
    ));
    assert!(refused.on_the_way && refused.kind() == FailureKind::Permanent);
}

#[test]
fn what_is_tried_again_and_what_is_not() {
    let kind = |text: &str| words(text).kind();
    assert_eq!(
        kind("ssh: connect to host ws04 port 22: No route to host"),
        FailureKind::Retry
    );
    assert_eq!(
        kind("kex_exchange_identification: Connection closed by remote host"),
        FailureKind::Crowded
    );
    assert_eq!(
        kind("ana@ws02: Permission denied (publickey)."),
        FailureKind::Permanent
    );
    assert_eq!(
        kind("Host key verification failed."),
        FailureKind::Permanent
    );
    assert_eq!(
        kind("command-line: line 0: Bad configuration option: x"),
        FailureKind::Permanent
    );
}

#[test]
fn how_ssh_ended_counts_when_it_says_nothing() {
    let silent = |ending| {
        diagnose(
            ending,
            b"Warning: Permanently added 'ws01' (ED25519) to the list of known hosts.\r\n",
        )
    };
    assert_eq!(
        silent(Ending::TimedOut(Duration::from_secs(10))).failure,
        SshFailure::Timeout
    );
    assert_eq!(silent(Ending::NotFound).failure, SshFailure::NoSshClient);
    assert_eq!(
        silent(Ending::Exited(255)).cause,
        "ssh ended with exit status 255 and said nothing"
    );
    assert_eq!(silent(Ending::Killed(9)).cause, "ssh was ended by signal 9");
    let refused = b"ssh: connect to host a port 22: Connection refused";
    assert_eq!(
        diagnose(Ending::TimedOut(Duration::from_secs(10)), refused).failure,
        SshFailure::Refused
    );
}

#[test]
fn a_banner_before_the_login_is_not_the_reason() {
    let diagnosis = words(
        "*** Permission denied to strangers (really). ***\nLine 3: be nice\nana@ws02: Permission denied (publickey).",
    );
    assert_eq!(
        diagnosis.cause,
        "ssh: ana@ws02: Permission denied (publickey)."
    );
}

/// What is shown for one failure, in the look of the command line.
fn shown(text: &str, circumstances: &Circumstances<'_>) -> String {
    let failure = words(text).host_failure(Stage::Connecting, circumstances);
    let mut shown = format!("{:?}: {}\n", failure.kind, failure.headline);
    for line in failure.cause.lines() {
        writeln!(shown, "  {line}").unwrap();
    }
    if let Some(cure) = failure.cure {
        writeln!(shown, "  hint: {cure}").unwrap();
    }
    shown
}

#[test]
fn every_failure_names_host_cause_and_cure() {
    let host = host("ws02");
    let mut texts: Vec<String> = AT_THE_HOST
        .iter()
        .map(|(text, _)| (*text).to_owned())
        .collect();
    texts.extend(
        [
            CHANGED,
            OPEN_KEY,
            "ana@ws02: Permission denied (password,keyboard-interactive).",
        ]
        .map(str::to_owned),
    );
    texts.extend(
        [
            "oops\n",
            "ana@gate: Permission denied (publickey).\n",
            "Host key verification failed.\n",
        ]
        .map(|own| format!("{own}{PROXY_ENDED}")),
    );
    let shown: Vec<_> = texts
        .iter()
        .map(|text| shown(text, &circumstances(&host)))
        .collect();
    insta::assert_snapshot!(shown.join("\n"));
}

#[test]
fn the_agent_decides_which_step_is_missing() {
    let cure = |name: &str, keys, ssh_config| {
        let host = host(name);
        let circumstances = Circumstances {
            keys,
            ssh_config,
            ..circumstances(&host)
        };
        words("ana@ws02: Permission denied (publickey).")
            .cure(&circumstances)
            .unwrap()
    };
    assert_eq!(
        cure("ws02", AgentKeys::from_exit_code(Some(0)), None),
        "COS never asks for passwords. The agent's keys are not on the host: `ssh-copy-id ws02`"
    );
    assert_eq!(
        cure("ws02", AgentKeys::from_exit_code(Some(1)), None),
        "COS never asks for passwords. No key in the agent: `ssh-add`"
    );
    assert_eq!(
        cure(
            "ssh://ana@ws02:2222",
            AgentKeys::from_exit_code(Some(2)),
            Some(Path::new("/my lab/ssh_config"))
        ),
        "COS never asks for passwords. No agent is running: `eval $(ssh-agent); ssh-add`; key not on the host: \
         `ssh-copy-id -F '/my lab/ssh_config' -p 2222 ana@ws02`"
    );
}

proptest! {
    #[test]
    fn any_bytes_have_an_answer(bytes in proptest::collection::vec(any::<u8>(), 0..300), code in any::<i32>()) {
        let host = host("ws01");
        let failure = diagnose(Ending::Exited(code), &bytes).host_failure(Stage::Connecting, &circumstances(&host));
        prop_assert!(failure.headline.contains("ws01"));
    }

    #[test]
    fn mixed_words_have_an_answer(
        picks in proptest::collection::vec((0..AT_THE_HOST.len(), 0_usize..40), 0..6)
    ) {
        let text: String = picks.iter().map(|(pick, cut)| {
            let text = AT_THE_HOST[*pick].0;
            format!("{}\n", text.chars().skip(*cut).collect::<String>())
        }).collect();
        let host = host("ws01");
        let failure = words(&text).host_failure(Stage::Connecting, &circumstances(&host));
        prop_assert!(!failure.cause.is_empty());
    }
}

#[test]
fn what_a_host_says_cannot_steer_the_terminal_through_the_cure() {
    let host = host("ws01");
    for text in [
        "ana@ws02: Permission denied (pass\u{1b}[2Jword).".to_owned(),
        CHANGED.replace("/home/ana/.ssh", "/home/\u{1b}[2J\u{9b}"),
        OPEN_KEY.replace("/home/ana/.ssh", "/home/\u{1b}[2J"),
    ] {
        let failure = words(&text).host_failure(Stage::Connecting, &circumstances(&host));
        assert!(
            !failure
                .headline
                .chars()
                .chain(failure.cure.unwrap().chars())
                .any(char::is_control)
        );
    }
}

#[test]
fn a_flood_of_words_is_cut() {
    let flood = "ana@ws02: Permission denied (publickey).\n".repeat(100_000) + &"x".repeat(1 << 20);
    let diagnosis = words(&flood);
    assert_eq!(diagnosis.failure, SshFailure::Other);
    assert!(diagnosis.cause.len() < 1000);
}
