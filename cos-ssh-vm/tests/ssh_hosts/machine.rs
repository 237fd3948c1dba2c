//! The virtual machine of a hosts.toml, with the real worker on its hosts.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Duration;

use cos_core::ids::{AttemptId, Epoch, HostId, TaskId};
use cos_core::job::AttemptResult;
use cos_core::vm::host::{HostLoss, HostNote};
use cos_core::vm::local::LocalLauncher;
use cos_core::vm::{VirtualMachine, VmCommand, VmEvent};
use cos_core::wire::message::DirectoryReport;
use cos_ssh_vm::deploy::Worker;
use cos_ssh_vm::inventory::Inventory;
use cos_ssh_vm::{SshVmError, StartDirectory};
use cos_testlab::{Lab, Shell, TestHost, worker_executable};

use crate::driving::*;
use crate::support::*;

#[test]
fn commands_run_on_hosts_with_every_login_shell() {
    let lab = Lab::new().unwrap();
    let hosts: Vec<TestHost> = Shell::installed()
        .into_iter()
        .map(|shell| lab.host(shell.name()).shell(shell).noisy().start().unwrap())
        .collect();
    let inventory = inventory(&lab, &hosts);
    let bytes = real_worker().bytes().len() as u64;
    for expected_upload in [bytes, 0] {
        run(async {
            let mut machine = builder(&inventory)
                .environment("GREETING", "it's $HOME")
                .start()
                .unwrap();
            for (host, id) in hosts.iter().zip((0..).map(HostId)) {
                let (notes, result) = connect(&mut machine, id).await;
                let info = result.unwrap();
                assert_eq!(info.uploaded, expected_upload, "{}", host.name());
                assert!(
                    matches!(notes[..], [HostNote::IgnoredLines { lines: 3, .. }]),
                    "{notes:?}"
                );
                assert_eq!(info.report.slots, 2);
                let printed =
                    run_line(&mut machine, id, "echo \"$COS_HOST $GREETING\"; umask").await;
                assert_eq!(printed, format!("{} it's $HOME\n0022\n", host.name()));
                disconnect(&mut machine, id).await;
            }
        });
    }
    for host in &hosts {
        assert_eq!((host.connections(), host.sessions()), (2, 2));
        host.wait_for_no_processes(DEADLINE).unwrap();
        assert_eq!(host.files_under(host.scratch()).len(), 0);
        assert_eq!(host.files_under(host.runtime()).len(), 0);
    }
}

#[test]
fn no_byte_of_the_environment_is_seen_by_a_shell() {
    let lab = Lab::new().unwrap();
    let every_byte: Vec<u8> = (1..=255).collect();
    let expected: String = every_byte
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let hosts: Vec<TestHost> = Shell::installed()
        .into_iter()
        .map(|shell| lab.host(shell.name()).shell(shell).start().unwrap())
        .collect();
    let inventory = inventory(&lab, &hosts);
    run(async {
        let value = OsStr::from_bytes(&every_byte);
        let mut machine = builder(&inventory)
            .environment("EVERY_BYTE", value)
            .start()
            .unwrap();
        for (host, id) in hosts.iter().zip((0..).map(HostId)) {
            connect(&mut machine, id).await.1.unwrap();
            let line = "printf %s \"$EVERY_BYTE\" | od -An -v -tx1 | tr -d ' \\n'";
            assert_eq!(
                run_line(&mut machine, id, line).await,
                expected,
                "{}",
                host.name()
            );
        }
    });
}

#[test]
fn this_machine_works_beside_ssh_hosts() {
    let lab = Lab::new().unwrap();
    let _host = lab.host("ws01").start().unwrap();
    let directory = lab.client_home();
    let scratch = lab.shared_directory("scratch").unwrap();
    let text = format!(
        "{}\n[[host]]\nname = \"local\"\nslots = 3\nlocal_storage = {scratch:?}\n",
        lab.hosts_toml(&["ws01"]).unwrap()
    );
    let inventory = Inventory::from_text(&text, Path::new("hosts.toml")).unwrap();
    run(async {
        let mut machine = builder(&inventory)
            .local(LocalLauncher::executable(worker_executable().unwrap()))
            .directory(StartDirectory::Shared(directory.clone()))
            .start()
            .unwrap();
        let there = connect(&mut machine, FIRST).await.1.unwrap();
        let here = connect(&mut machine, HostId(1)).await.1.unwrap();
        // On this machine nothing has to be proved: the very same directory.
        assert!(matches!(
            there.report.directory,
            DirectoryReport::Shared { .. }
        ));
        assert_eq!((here.report.slots, here.uploaded), (3, 0));
        let printed = run_line(&mut machine, HostId(1), "echo $COS_HOST; pwd").await;
        assert_eq!(printed, format!("local\n{}\n", directory.display()));
        disconnect(&mut machine, HostId(1)).await;
        disconnect(&mut machine, FIRST).await;
    });
}

#[test]
fn a_killed_client_leaves_nothing_behind() {
    const CONFIGURATION: &str = "COS_TEST_HOSTS_TOML";
    const NAME: &str = "machine::a_killed_client_leaves_nothing_behind";
    if let Some(path) = std::env::var_os(CONFIGURATION) {
        // The client: this test itself, started by the one below.
        let text = std::fs::read_to_string(path).unwrap();
        let inventory = Inventory::from_text(&text, Path::new("hosts.toml")).unwrap();
        run(async {
            let mut machine = builder(&inventory).start().unwrap();
            connect(&mut machine, FIRST).await.1.unwrap();
            start_line(&mut machine, FIRST, "setsid sleep 1000 & sleep 1000");
            std::future::pending::<()>().await;
        });
    }
    let lab = Lab::new().unwrap();
    let host = lab.host("ws01").start().unwrap();
    let file = lab.client_home().join("hosts.toml");
    lab.write_hosts_toml(&file).unwrap();
    let mut client = lab
        .command(std::env::current_exe().unwrap())
        .args(["--exact", NAME])
        .env(CONFIGURATION, &file)
        .env("COS_WORKER", worker_executable().unwrap())
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let sleepers = |host: &TestHost| {
        let processes = host.processes();
        processes
            .iter()
            .filter(|process| process.name == "sleep")
            .count()
    };
    host.wait_until("two sleepers", DEADLINE, |host| sleepers(host) == 2)
        .unwrap();
    let control = lab.client_home().join("../run");
    assert_eq!(std::fs::read_dir(&control).unwrap().count(), 1);
    client.kill().unwrap();
    client.wait().unwrap();
    host.wait_for_no_processes(DEADLINE).unwrap();
    host.wait_until("no connection", DEADLINE, |host| {
        host.sshd_processes().len() == 1
    })
    .unwrap();
    assert_eq!(clients(&lab), [""; 0]);
}

#[test]
fn a_host_that_dies_is_lost_in_the_words_of_ssh() {
    let lab = Lab::new().unwrap();
    let host = lab.host("ws01").start().unwrap();
    let inventory = inventory(&lab, &[&host]);
    run(async {
        let mut machine = builder(&inventory).start().unwrap();
        connect(&mut machine, FIRST).await.1.unwrap();
        start_line(&mut machine, FIRST, "sleep 1000");
        assert!(matches!(next(&mut machine).await, VmEvent::Started { .. }));
        host.kill().unwrap();
        match next(&mut machine).await {
            VmEvent::Lost {
                loss: HostLoss::Disconnected { cause },
                ..
            } => {
                assert!(cause.to_lowercase().contains("connection"), "{cause}");
            }
            other => panic!("{other:?}"),
        }
        // It comes back, and is as good as new.
        host.start_sshd().unwrap();
        let info = connect(&mut machine, FIRST).await.1.unwrap();
        assert_eq!(info.uploaded, 0);
        assert_eq!(run_line(&mut machine, FIRST, "echo again").await, "again\n");
        disconnect(&mut machine, FIRST).await;
    });
    host.wait_for_no_processes(DEADLINE).unwrap();
}

#[test]
fn another_release_on_the_same_host_is_named_and_left_alone() {
    let lab = Lab::new().unwrap();
    let host = lab.host("ws01").start().unwrap();
    let inventory = inventory(&lab, &[&host]);
    // Another file, as another release would be: what follows an executable does not change what it does.
    let mut other = real_worker().bytes().to_vec();
    other.extend_from_slice(b"another release");
    let other = Worker::embedded(&this_target(), Box::leak(other.into_boxed_slice()));
    run(async {
        let mut older = builder(&inventory)
            .run("older-1")
            .own_worker(other)
            .start()
            .unwrap();
        connect(&mut older, FIRST).await.1.unwrap();
        start_line(&mut older, FIRST, "sleep 1000");
        assert!(matches!(next(&mut older).await, VmEvent::Started { .. }));
        let mut newer = builder(&inventory).start().unwrap();
        let info = connect(&mut newer, FIRST).await.1.unwrap();
        assert!(info.uploaded > 0);
        let [neighbour] = &info.report.neighbours[..] else {
            panic!("{:?}", info.report.neighbours);
        };
        assert_eq!((neighbour.run.as_str(), neighbour.slots), ("older-1", 2));
        assert!(
            neighbour.release.contains(env!("CARGO_PKG_VERSION")),
            "{neighbour:?}"
        );
        assert_eq!(run_line(&mut newer, FIRST, "echo new").await, "new\n");
        disconnect(&mut newer, FIRST).await;
        // The older one has noticed nothing.
        let attempt = AttemptId {
            task: TaskId(1),
            epoch: Epoch(1),
        };
        older.submit(VmCommand::Stop {
            host: FIRST,
            attempt,
            grace: Duration::ZERO,
        });
        assert!(matches!(
            next(&mut older).await,
            VmEvent::Ended {
                result: AttemptResult::Stopped(_),
                ..
            }
        ));
        disconnect(&mut older, FIRST).await;
    });
    host.wait_for_no_processes(DEADLINE).unwrap();
}

#[test]
fn a_dropped_machine_leaves_nothing_behind() {
    let lab = Lab::new().unwrap();
    let host = lab.host("ws01").start().unwrap();
    let inventory = inventory(&lab, &[&host]);
    run(async {
        let mut machine = builder(&inventory).start().unwrap();
        connect(&mut machine, FIRST).await.1.unwrap();
        start_line(&mut machine, FIRST, "setsid sleep 1000 & sleep 1000");
        assert!(matches!(next(&mut machine).await, VmEvent::Started { .. }));
        host.wait_until("two sleepers", DEADLINE, |host| {
            host.processes()
                .iter()
                .filter(|process| process.name == "sleep")
                .count()
                == 2
        })
        .unwrap();
    });
    host.wait_for_no_processes(DEADLINE).unwrap();
    host.wait_until("no scratch", DEADLINE, |host| {
        host.files_under(host.scratch()).is_empty()
    })
    .unwrap();
}

#[test]
fn mistakes_are_told_before_any_ssh() {
    let lab = Lab::new().unwrap();
    let host = lab.host("ws01").start().unwrap();
    let inventory = inventory(&lab, &[&host]);
    for run_id in [
        "",
        "a b",
        "../x",
        "-x",
        "0123456789012345678901234567890123",
    ] {
        let result = builder(&inventory).run(run_id).start();
        assert!(
            matches!(result, Err(SshVmError::RunId { .. })),
            "{run_id:?}"
        );
    }
    let missing = StartDirectory::Shared("/nowhere/at/all".into());
    let result = builder(&inventory).directory(missing).start();
    assert!(matches!(result, Err(SshVmError::Directory { .. })));
    let mut none = inventory.clone();
    none.hosts[0].enabled = false;
    let result = builder(&none).start();
    assert!(matches!(result, Err(SshVmError::NoHosts)));
    assert_eq!(host.connections(), 0);
}
