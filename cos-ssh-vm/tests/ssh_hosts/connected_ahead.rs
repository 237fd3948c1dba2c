//! Machines whose hosts are connected before an OS has them.

use cos_core::job::{CommandJob, Job};
use cos_core::vm::VirtualMachine;
use cos_core::{Os, dispatch};
use cos_ssh_vm::SshVmError;
use cos_testlab::{Breakage, Lab};

use crate::driving::*;
use crate::support::*;

#[test]
fn work_begins_on_the_first_host_that_is_ready_and_no_host_is_connected_twice() {
    let lab = Lab::new().unwrap();
    let _gone = lab.broken_host("gone", Breakage::Refused).unwrap();
    let good = lab.host("good").start().unwrap();
    let other = lab.host("other").start().unwrap();
    let inventory = inventory(&lab, &["gone", "good", "other"]);
    let outputs = run(async {
        let machine = builder(&inventory).connect().await.unwrap();
        let names: Vec<_> = machine.hosts().iter().map(|host| &host.name).collect();
        assert_eq!(names, ["gone", "good", "other"]);
        let jobs = (1..=40).map(|number| {
            let line = format!("sleep 0.02; expr {number} '*' {number}");
            Job::captured(CommandJob::shell(number, line))
        });
        let os = Os::new().vm(machine);
        os.run(dispatch(jobs).collect()).await.unwrap()
    });
    let printed: String = outputs
        .unwrap()
        .into_iter()
        .map(|output| String::from_utf8(output.stdout).unwrap())
        .collect();
    let expected: String = (1..=40u64)
        .map(|number| format!("{}\n", number * number))
        .collect();
    assert_eq!(printed, expected);
    assert_eq!((good.connections(), other.connections()), (1, 1));
    for host in [&good, &other] {
        host.wait_for_no_processes(DEADLINE).unwrap();
    }
}

#[test]
fn where_no_host_is_ready_every_reason_is_told() {
    let lab = Lab::new().unwrap();
    let locked = lab.host("locked").refuse_login().start().unwrap();
    let _gone = lab.broken_host("gone", Breakage::Refused).unwrap();
    let inventory = inventory(&lab, &["locked", "gone"]);
    let Err(error) = run(builder(&inventory).connect()) else {
        panic!("no host can be reached");
    };
    assert!(matches!(&error, SshVmError::NoHostReady { failures } if failures.len() == 2));
    let text = error.to_string();
    for words in [
        "no host is ready\n",
        "locked refused the login",
        "Permission denied",
        "hint: ",
        "gone",
    ] {
        assert!(text.contains(words), "{words}: {text}");
    }
    locked.wait_for_no_processes(DEADLINE).unwrap();
}

#[test]
fn a_machine_that_is_dropped_before_any_os_has_it_leaves_nothing_behind() {
    let lab = Lab::new().unwrap();
    let host = lab.host("ws01").start().unwrap();
    let inventory = inventory(&lab, &[&host]);
    run(async {
        let machine = builder(&inventory).connect().await.unwrap();
        drop(machine);
    });
    host.wait_for_no_processes(DEADLINE).unwrap();
    host.wait_until("no scratch", DEADLINE, |host| {
        host.files_under(host.scratch()).is_empty()
    })
    .unwrap();
}
