//! Deploying to hosts with every login shell, with noise, and with caches in every state.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::Duration;

use crate::support::*;
use cos_core::vm::host::{FailureKind, HostNote, Stage};
use cos_ssh_vm::deploy::Workers;
use cos_testlab::{Lab, Shell, TestHost};

/// Where the only worker lies on a host.
fn cached(host: &TestHost, workers: &Workers) -> PathBuf {
    let worker = workers.iter().next().expect("a worker");
    let user = rustix::process::geteuid().as_raw();
    host.cache().join(format!(
        "cos/workers/{user}/{}/{}/cos-worker",
        worker.target(),
        worker.sha256()
    ))
}

#[test]
fn every_login_shell_with_noise() {
    let lab = Lab::new().unwrap();
    let workers = workers(ECHO_WORKER);
    for shell in Shell::installed() {
        let host = lab
            .host(shell.name())
            .shell(shell)
            .noisy()
            .noise_on_stderr("oh\n")
            .start()
            .unwrap();
        run(async {
            let mut launcher = launcher(&lab, shell.name(), &workers);
            let cold = launch(&mut launcher).await;
            let bytes = ECHO_WORKER.len() as u64;
            let stages = [
                Stage::Connecting,
                Stage::Probing,
                Stage::Uploading { bytes },
                Stage::Starting,
            ];
            assert_eq!(cold.stages, stages, "{shell}: {:?}", cold.result.err());
            let mut channel = cold.channel();
            assert_eq!(channel.uploaded, bytes);
            let said = converse_with_echo(&mut channel).await;
            let home = host.home().display();
            assert_eq!(said, format!("run=7kq2 host=ws01 umask=0022 pwd={home}"));
            let first = "Welcome to the lab!".to_owned();
            assert_eq!(channel.notes, [HostNote::IgnoredLines { lines: 3, first }]);
            drop(channel);

            let warm = launch(&mut launcher).await;
            assert_eq!(
                warm.stages,
                [Stage::Connecting, Stage::Probing, Stage::Starting]
            );
            let mut channel = warm.channel();
            assert_eq!(channel.uploaded, 0);
            converse_with_echo(&mut channel).await;
        });
        assert_eq!((host.connections(), host.sessions()), (2, 2), "{shell}");
        host.wait_for_no_processes(DEADLINE).unwrap();
        let files = host.files_under(host.cache().join("cos"));
        assert_eq!(files, [cached(&host, &workers)], "{shell}");
        let mode = fs::metadata(&files[0]).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o700);
        let mode = fs::metadata(host.cache().join("cos"))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o7777, 0o700);
    }
}

#[test]
fn a_corrupt_worker_is_replaced_before_it_runs() {
    let lab = Lab::new().unwrap();
    let workers = workers(ECHO_WORKER);
    let host = lab.host("ws01").start().unwrap();
    let mut launcher = launcher(&lab, "ws01", &workers);
    run(async {
        drop(launch(&mut launcher).await.channel());
        let file = cached(&host, &workers);
        let trace = host.root().join("it-ran");
        let bad = format!("#!/bin/sh\ntouch {}\n{ECHO_WORKER}", trace.display());
        fs::write(&file, bad).unwrap();
        let mut channel = launch(&mut launcher).await.channel();
        converse_with_echo(&mut channel).await;
        assert_eq!(channel.uploaded, ECHO_WORKER.len() as u64);
        let path = file.display().to_string();
        assert_eq!(channel.notes, [HostNote::Redeployed { path }]);
        assert!(!trace.exists());
        assert_eq!(fs::read_to_string(&file).unwrap(), ECHO_WORKER);
    });
}

#[test]
fn a_directory_in_the_place_of_the_worker_is_replaced() {
    let lab = Lab::new().unwrap();
    let workers = workers(ECHO_WORKER);
    let host = lab.host("ws01").start().unwrap();
    let file = cached(&host, &workers);
    fs::create_dir_all(file.join("x")).unwrap();
    let mut launcher = launcher(&lab, "ws01", &workers);
    run(async {
        let mut channel = launch(&mut launcher).await.channel();
        converse_with_echo(&mut channel).await;
        assert_eq!(channel.notes, []);
    });
    assert!(file.is_file());
}

#[test]
fn twenty_hosts_of_one_home_deploy_at_once() {
    const HOSTS: usize = 20;
    let lab = Lab::new().unwrap();
    let home = lab.shared_directory("home").unwrap();
    let workers = workers(ECHO_WORKER);
    let hosts: Vec<TestHost> = (0..HOSTS)
        .map(|n| lab.host(&format!("ws{n:02}")).home(&home).start().unwrap())
        .collect();
    run(async {
        let mut launches = tokio::task::JoinSet::new();
        let local = tokio::task::LocalSet::new();
        for host in &hosts {
            let mut launcher = launcher(&lab, host.name(), &workers);
            launches.spawn_local_on(
                async move {
                    let mut channel = launch(&mut launcher).await.channel();
                    converse_with_echo(&mut channel).await;
                    assert_eq!(channel.notes, []);
                },
                &local,
            );
        }
        local
            .run_until(async {
                while let Some(ended) = launches.join_next().await {
                    ended.unwrap();
                }
            })
            .await;
    });
    let files = hosts[0].files_under(home.join(".cache/cos"));
    assert_eq!(files, [cached(&hosts[0], &workers)]);
    assert_eq!(fs::read_to_string(&files[0]).unwrap(), ECHO_WORKER);
}

#[test]
fn a_busy_file_is_waited_for() {
    let lab = Lab::new().unwrap();
    let workers = workers(ECHO_WORKER);
    let host = lab.host("ws01").start().unwrap();
    let mut launcher = launcher(&lab, "ws01", &workers);
    run(async {
        drop(launch(&mut launcher).await.channel());
        let writer = fs::OpenOptions::new()
            .append(true)
            .open(cached(&host, &workers))
            .unwrap();
        let release = tokio::time::sleep(Duration::from_millis(1500));
        let launched = launch(&mut launcher);
        tokio::pin!(launched);
        tokio::select! {
            _ = &mut launched => panic!("a busy file was run"),
            () = release => drop(writer),
        }
        let mut channel = launched.await.channel();
        converse_with_echo(&mut channel).await;
        assert_eq!((channel.uploaded, &channel.notes[..]), (0, &[][..]));
    });
}

#[test]
fn an_account_without_a_shell() {
    let lab = Lab::new().unwrap();
    let words = "This account is currently not available.";
    let _host = lab
        .host("ws01")
        .sshd_option("ForceCommand", &format!("echo '{words}'; exit 1"))
        .start()
        .unwrap();
    let mut launcher = launcher(&lab, "ws01", &workers(ECHO_WORKER));
    let failure = run(launch(&mut launcher)).failure();
    assert_eq!(failure.cause, words);
    assert!(
        failure
            .headline
            .contains("ended before the worker answered")
    );
    assert_eq!(failure.kind, FailureKind::Retry);
}

#[test]
fn a_login_that_never_stops_printing() {
    let lab = Lab::new().unwrap();
    let host = lab
        .host("ws01")
        .sshd_option("ForceCommand", "exec yes")
        .start()
        .unwrap();
    let mut launcher = launcher(&lab, "ws01", &workers(ECHO_WORKER));
    let failure = run(launch(&mut launcher)).failure();
    assert!(
        failure.cause.contains("printed more than 65536 bytes"),
        "{failure:?}"
    );
    assert_eq!(failure.kind, FailureKind::Permanent);
    host.wait_for_no_processes(DEADLINE).unwrap();
}
