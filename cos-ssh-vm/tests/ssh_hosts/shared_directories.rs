//! Where jobs start: in the client's directory where a host proves to have it, under whatever path, and else in scratch.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use cos_core::ids::HostId;
use cos_core::wire::message::DirectoryReport;
use cos_ssh_vm::inventory::Inventory;
use cos_ssh_vm::{SshVm, StartDirectory};
use cos_testlab::{HostBuilder, Lab, Mount, Place};

use crate::driving::*;
use crate::support::*;

/// The directory `project` of a lab, with a file in it.
fn project(lab: &Lab) -> PathBuf {
    let project = lab.shared_directory("data").unwrap().join("project");
    fs::create_dir(&project).unwrap();
    fs::write(project.join("input"), "1\n").unwrap();
    project
}

fn mirrored(builder: HostBuilder, entry: &Path) -> HostBuilder {
    builder.hosts_toml_line(&format!("mirrored_storage = [{entry:?}]"))
}

fn start(inventory: &Inventory, directory: &Path) -> SshVm {
    let directory = StartDirectory::Shared(directory.to_owned());
    builder(inventory).directory(directory).start().unwrap()
}

/// Where a host says that jobs start, and that they do. The reason is given where it is no shared directory.
async fn found(machine: &mut SshVm, host: HostId) -> (PathBuf, Option<Option<String>>) {
    let info = connect(machine, host).await.1.unwrap();
    let (path, reason) = match info.report.directory.clone() {
        DirectoryReport::Shared { path } => (path, None),
        DirectoryReport::Scratch { path, reason } => (path, Some(reason)),
    };
    let path = PathBuf::from(OsStr::from_bytes(&path));
    let printed = run_line(machine, host, "pwd").await;
    assert_eq!(Path::new(printed.trim_end()), path);
    (path, reason)
}

fn tokens(directory: &Path) -> usize {
    let entries = fs::read_dir(directory).unwrap().flatten();
    entries
        .filter(|entry| entry.file_name().as_bytes().starts_with(b".cos-token-"))
        .count()
}

#[test]
fn a_directory_is_used_under_the_paths_that_hosts_have_for_it() {
    let lab = Lab::new().unwrap();
    let project = project(&lab);
    let data = project.parent().unwrap();
    let net = lab.directory().join("net");
    symlink(data, &net).unwrap();
    let _same = mirrored(lab.host("same"), data).start().unwrap();
    let _elsewhere = mirrored(lab.host("elsewhere"), &net).start().unwrap();
    let mut inventory = inventory(&lab, &["same", "elsewhere"]);
    inventory.spawner_mirrored_storage = Some(vec![data.to_owned()]);
    run(async {
        let mut machine = start(&inventory, &project);
        assert_eq!(tokens(&project), 1);
        for (host, path) in [(FIRST, project.clone()), (HostId(1), net.join("project"))] {
            assert_eq!(found(&mut machine, host).await, (path, None));
            // The token is there while a host looks, and no job sees it.
            assert_eq!(tokens(&project), 0);
            let read = run_line(&mut machine, host, "cat input; echo $COS_HOST >>seen").await;
            assert_eq!(read, "1\n");
        }
        // A host that comes back proves it again.
        disconnect(&mut machine, FIRST).await;
        assert_eq!(found(&mut machine, FIRST).await, (project.clone(), None));
    });
    let seen = fs::read_to_string(project.join("seen")).unwrap();
    assert_eq!(seen, "same\nelsewhere\n");
    assert_eq!(tokens(&project), 0);
}

#[test]
fn a_home_that_lies_elsewhere_is_found_by_its_tilde() {
    let lab = Lab::new().unwrap();
    let project = project(&lab);
    let data = project.parent().unwrap();
    let home = lab.directory().join("home-of-ana");
    symlink(data, &home).unwrap();
    let _host = lab.host("ws01").home(&home).start().unwrap();
    let mut inventory = inventory(&lab, &["ws01"]);
    inventory.spawner_mirrored_storage = Some(vec![data.to_owned()]);
    inventory.hosts[0].mirrored_storage = Some(vec!["~".into()]);
    run(async {
        let mut machine = start(&inventory, &project);
        let expected = (home.join("project"), None);
        assert_eq!(found(&mut machine, FIRST).await, expected);
    });
}

#[test]
fn what_nobody_wrote_down_is_used_where_it_has_the_same_path() {
    let lab = Lab::new().unwrap();
    let _host = lab.host("ws01").start().unwrap();
    let project = project(&lab);
    let inventory = inventory(&lab, &["ws01"]);
    run(async {
        let mut machine = start(&inventory, &project);
        assert_eq!(found(&mut machine, FIRST).await, (project.clone(), None));
    });
}

#[test]
fn another_directory_of_that_name_is_never_used() {
    let lab = Lab::new().unwrap();
    let project = project(&lab);
    let data = project.parent().unwrap();
    // A copy, with the same file in it.
    let copy = lab.shared_directory("copy").unwrap();
    fs::create_dir(copy.join("project")).unwrap();
    fs::write(copy.join("project/input"), "1\n").unwrap();
    let mut hosts = vec![mirrored(lab.host("copied"), &copy).start().unwrap()];
    if lab.can_mount() {
        let mount = Mount::Other(copy.clone());
        let builder = lab
            .host("mounted")
            .mount(Place::Path(data.to_owned()), mount);
        hosts.push(builder.start().unwrap());
    }
    let mut inventory = inventory(&lab, &hosts);
    inventory.spawner_mirrored_storage = Some(vec![data.to_owned()]);
    run(async {
        let mut machine = start(&inventory, &project);
        for (host, id) in hosts.iter().zip((0..).map(HostId)) {
            let (path, reason) = found(&mut machine, id).await;
            assert!(path.starts_with(host.scratch()), "{path:?}");
            let reason = reason.unwrap().unwrap();
            assert!(reason.ends_with("/project is not there"), "{reason}");
            assert_eq!(run_line(&mut machine, id, "ls -A").await, "");
        }
    });
}

#[test]
fn an_empty_list_keeps_everybody_out() {
    let lab = Lab::new().unwrap();
    let host = lab.host("ws01").start().unwrap();
    let project = project(&lab);
    let mut inventory = inventory(&lab, &["ws01"]);
    inventory.spawner_mirrored_storage = Some(Vec::new());
    run(async {
        let mut machine = start(&inventory, &project);
        assert_eq!(tokens(&project), 0);
        let (path, reason) = found(&mut machine, FIRST).await;
        assert!(path.starts_with(host.scratch()), "{path:?}");
        // It is what the user said: nothing to warn of.
        assert_eq!(reason, Some(None));
    });
}

#[test]
fn a_directory_that_cannot_be_proved_is_told() {
    let lab = Lab::new().unwrap();
    let _host = lab.host("ws01").start().unwrap();
    let inventory = inventory(&lab, &["ws01"]);
    run(async {
        // Nobody can write there, root included.
        let mut machine = start(&inventory, Path::new("/proc/sys"));
        let (_, reason) = found(&mut machine, FIRST).await;
        let reason = reason.unwrap().unwrap();
        assert!(
            reason.starts_with("/proc/sys cannot be proven to be shared"),
            "{reason}"
        );
    });
}
