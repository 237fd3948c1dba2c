//! The examination of good and bad hosts, all at once.

use cos_ssh_vm::StartDirectory;
use cos_ssh_vm::doctor::{Check, Examination, Status, examine};
use cos_testlab::{Breakage, Lab};

use crate::driving::{builder, inventory};
use crate::support::*;

fn text(examination: &Examination, check: Check, status: Status) -> &str {
    let found = examination
        .findings
        .iter()
        .find(|finding| (finding.check, finding.status) == (check, status));
    match found {
        Some(finding) => &finding.text,
        None => panic!("no {check:?} {status:?} among {examination:#?}"),
    }
}

#[test]
fn every_host_is_examined_and_every_problem_has_its_cure() {
    let lab = Lab::new().unwrap();
    let elsewhere = lab.shared_directory("elsewhere").unwrap();
    let mirrors = format!(
        "mirrored_storage = [{:?}, {elsewhere:?}]",
        lab.shared_directory("pdk").unwrap()
    );
    let good = lab
        .host("good")
        .noisy()
        .hosts_toml_line(&mirrors)
        .start()
        .unwrap();
    let _locked = lab.host("locked").refuse_login().start().unwrap();
    let _gone = lab.broken_host("gone", Breakage::Refused).unwrap();
    let _strange = lab
        .host("strange")
        .hosts_toml_line("target = \"sparc64-unknown-linux-gnu\"")
        .start()
        .unwrap();
    let _broken = lab
        .host("broken")
        .hosts_toml_line("setup = \"echo no such module >&2; exit 3\"")
        .start()
        .unwrap();
    let mut inventory = inventory(&lab, &["good", "locked", "gone", "strange", "broken"]);
    let (shared, own) = (lab.shared_directory("pdk").unwrap(), lab.client_home());
    inventory.spawner_mirrored_storage = Some(vec![shared.clone(), own]);
    let examinations = run(async {
        let mut machine = builder(&inventory)
            .prove_mirrors()
            .directory(StartDirectory::Shared(lab.client_home()))
            .start()
            .unwrap();
        tokio::time::timeout(DEADLINE, examine(&mut machine))
            .await
            .expect("every host has its own deadlines")
    });
    let [good_one, locked, gone, strange, broken] = &examinations[..] else {
        panic!("{examinations:#?}");
    };
    assert_eq!(
        (good_one.host.as_str(), good_one.status()),
        ("good", Status::Remark)
    );
    assert!(text(good_one, Check::Cores, Status::Good).contains("2 slots"));
    assert!(text(good_one, Check::StartUpFiles, Status::Remark).contains("3 lines"));
    assert!(text(good_one, Check::Worker, Status::Good).contains("bytes sent"));
    assert_eq!(text(good_one, Check::Clock, Status::Good), "as here");
    text(good_one, Check::Directory, Status::Remark);
    let is_shared = format!("{} is shared", shared.display());
    assert_eq!(text(good_one, Check::Mirrors, Status::Good), is_shared);
    let other = format!("{} is not this computer's directory: ", elsewhere.display());
    assert!(text(good_one, Check::Mirrors, Status::Remark).starts_with(&other));
    text(locked, Check::Reach, Status::Good);
    assert!(text(locked, Check::Key, Status::Problem).contains("Permission denied"));
    assert!(text(gone, Check::Reach, Status::Problem).contains("Connection refused"));
    assert!(text(strange, Check::Worker, Status::Problem).starts_with("no worker for strange"));
    assert!(text(broken, Check::Preparation, Status::Problem).contains("no such module"));
    for examination in &examinations {
        for finding in &examination.findings {
            if finding.status == Status::Problem {
                assert!(finding.cure.is_some(), "{finding:?}");
            }
        }
    }
    good.wait_for_no_processes(DEADLINE).unwrap();
}
