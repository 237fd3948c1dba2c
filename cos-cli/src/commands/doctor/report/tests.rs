//! Golden texts of the report.

use cos_ssh_vm::doctor::Check;

use super::*;

fn finding(check: Check, status: Status, text: &str, cure: Option<&str>) -> Finding {
    Finding {
        check,
        status,
        text: text.to_owned(),
        cure: cure.map(str::to_owned),
    }
}

fn examinations() -> Vec<Examination> {
    let good = |check, text| finding(check, Status::Good, text, None);
    vec![
        Examination {
            host: "ws01".to_owned(),
            findings: vec![
                good(Check::Reach, "it answers"),
                finding(
                    Check::Key,
                    Status::Problem,
                    "ws01 refused the login\nssh: ana@ws01: \x1b[2JPermission denied (publickey).\r\n",
                    Some("no key in the agent: `ssh-add`; key not on the host: `ssh-copy-id ws01`"),
                ),
            ],
        },
        Examination {
            host: "big".to_owned(),
            findings: vec![
                good(Check::Reach, "ready after 0.3 s, round trip 1.1 ms"),
                finding(
                    Check::StartUpFiles,
                    Status::Remark,
                    "they print 3 lines, which are ignored: Welcome to big, the machine with many cores!",
                    Some("let start-up files print only if the shell is interactive"),
                ),
                good(Check::Cores, "32 cores, 32 slots, 252.0 GiB of memory"),
            ],
        },
        Examination {
            host: "ws02".to_owned(),
            findings: vec![good(Check::Reach, "ready after 0.2 s, round trip 0.9 ms")],
        },
    ]
}

fn report(examinations: &[Examination], brief: bool) -> Report<'_> {
    Report {
        examinations,
        source: "/lab/hosts.toml".to_owned(),
        brief,
    }
}

#[test]
fn the_worst_stands_last_and_every_problem_has_its_cure_below_it() {
    let examinations = examinations();
    insta::assert_snapshot!(report(&examinations, false).text(Palette::PLAIN, Some(72)), @r"
    ws02: good
      reach           ready after 0.2 s, round trip 0.9 ms
    big: usable
      reach           ready after 0.3 s, round trip 1.1 ms
    ! start-up files  they print 3 lines, which are ignored: Welcome to big,
                      the machine with many cores!
                      hint: let start-up files print only if the shell is
                            interactive
      cores           32 cores, 32 slots, 252.0 GiB of memory
    ws01: unusable
      reach           it answers
    x key             ws01 refused the login
                      ssh: ana@ws01: \x1b[2JPermission denied (publickey).
                      hint: no key in the agent: `ssh-add`; key not on the
                            host: `ssh-copy-id ws01`

    3 hosts: 1 good, 1 usable with remarks, 1 unusable (ws01)
    ");
}

#[test]
fn a_brief_report_leaves_out_what_is_good() {
    let examinations = examinations();
    insta::assert_snapshot!(report(&examinations, true).text(Palette::PLAIN, None), @r"
    big: usable
    ! start-up files  they print 3 lines, which are ignored: Welcome to big, the machine with many cores!
                      hint: let start-up files print only if the shell is interactive
    ws01: unusable
    x key             ws01 refused the login
                      ssh: ana@ws01: \x1b[2JPermission denied (publickey).
                      hint: no key in the agent: `ssh-add`; key not on the host: `ssh-copy-id ws01`

    3 hosts: 1 good, 1 usable with remarks, 1 unusable (ws01)
    ");
}

#[test]
fn colours_come_from_cos_alone() {
    let examinations = examinations();
    let text = report(&examinations, false).text(Palette::COLORED, None);
    assert!(
        text.contains("ws02: \x1b[1m\x1b[32mgood\x1b[0m\n"),
        "{text}"
    );
    assert!(text.contains("\\x1b[2JPermission"), "{text}");
}

#[test]
fn json_tells_the_same() {
    let examinations = examinations();
    let json = report(&examinations, false).json();
    let value: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(value["v"], 1);
    assert_eq!(value["hosts"][0]["status"], "unusable");
    assert_eq!(value["hosts"][0]["findings"][1]["check"], "key");
    assert_eq!(value["hosts"][1]["findings"][1]["status"], "remark");
    assert!(value["hosts"][2]["findings"][0].get("cure").is_none());
}

#[test]
fn the_exit_code_says_how_many_hosts_are_usable() {
    let examinations = examinations();
    let code = |range: std::ops::Range<usize>| report(&examinations[range], false).exit_code();
    assert_eq!(code(0..3), exit_code::SOME_HOSTS_UNUSABLE);
    assert_eq!(code(1..3), exit_code::SUCCESS);
    assert_eq!(code(0..1), exit_code::NO_USABLE_HOST);
}
