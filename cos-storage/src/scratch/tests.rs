//! A scratch directory's life, and what a later sweep makes of the remains of a killed run.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

use super::*;

fn names(path: &Path) -> Vec<String> {
    let entries = fs::read_dir(path)
        .unwrap()
        .map(|entry| entry.unwrap().file_name());
    let mut names: Vec<String> = entries.map(|name| name.into_string().unwrap()).collect();
    names.sort();
    names
}

/// Changes the owner file of a scratch directory as if another process had made it.
fn disown(path: &Path, key: &str, value: &str) {
    let file = path.join(OWNER_FILE);
    let text = fs::read_to_string(&file).unwrap();
    let changed = text.lines().map(|line| match line.split_once(' ') {
        Some((name, _)) if name == key => format!("{key} {value}\n"),
        _ => format!("{line}\n"),
    });
    fs::write(&file, changed.collect::<String>()).unwrap();
}

#[test]
fn a_run_gets_a_private_directory_of_its_own() {
    let top = tempfile::tempdir().unwrap();
    let base = top.path().join("cos-ana");
    let one = Scratch::create(&base, "7kq2").unwrap();
    let other = Scratch::create(&base, "7kq2").unwrap();
    assert_ne!(one.path(), other.path());
    for directory in [&base, one.path(), &one.work_path(), &one.path().join(JOBS)] {
        let metadata = fs::symlink_metadata(directory).unwrap();
        assert!(
            metadata.is_dir() && metadata.mode() & 0o7777 == 0o700,
            "{directory:?}"
        );
    }
    assert_eq!(names(&one.work_path()), [""; 0]);
    assert!(one.remove().is_complete());
    drop(other);
    assert_eq!(names(&base), [""; 0]);
}

#[test]
fn every_job_has_its_own_directory() {
    let top = tempfile::tempdir().unwrap();
    let scratch = Scratch::create(top.path(), "r").unwrap();
    let one = scratch.create_job_directory("217").unwrap();
    let other = scratch.create_job_directory("218").unwrap();
    let error = scratch.create_job_directory("217").unwrap_err().to_string();
    assert!(error.contains("jobs/217: File exists"), "{error}");

    fs::create_dir(one.path().join("locked")).unwrap();
    fs::write(one.path().join("locked/file"), "").unwrap();
    fs::set_permissions(one.path().join("locked"), fs::Permissions::from_mode(0o500)).unwrap();
    let removal = one.remove();
    assert!(removal.is_complete(), "{removal}");
    drop(other);
    assert_eq!(names(&scratch.path().join(JOBS)), [""; 0]);
    scratch.create_job_directory("217").unwrap();
}

#[test]
fn another_process_of_the_run_makes_directories_by_the_path() {
    let top = tempfile::tempdir().unwrap();
    let scratch = Scratch::create(top.path(), "r").unwrap();
    let job = JobDirectory::create_in(scratch.jobs_path(), "1").unwrap();
    assert_eq!(job.path(), scratch.jobs_path().join("1"));
    let error = scratch.create_job_directory("1").unwrap_err();
    assert!(matches!(error, ScratchError::Create { .. }), "{error}");
    drop(job);
    assert_eq!(names(&scratch.jobs_path()), [""; 0]);

    JobDirectory::create_in(top.path().join("absent"), "1").unwrap_err();
    symlink(scratch.jobs_path(), top.path().join("link")).unwrap();
    let error = JobDirectory::create_in(top.path().join("link"), "1").unwrap_err();
    assert!(
        matches!(error, ScratchError::NotADirectory { .. }),
        "{error}"
    );
}

#[test]
fn what_lies_in_the_place_of_a_job_directory_is_not_used() {
    let top = tempfile::tempdir().unwrap();
    let scratch = Scratch::create(top.path(), "r").unwrap();
    symlink("/", scratch.path().join(JOBS).join("1")).unwrap();
    fs::write(scratch.path().join(JOBS).join("2"), "").unwrap();
    for job in ["1", "2"] {
        let error = scratch.create_job_directory(job).unwrap_err();
        assert!(matches!(error, ScratchError::Create { .. }), "{error}");
    }
    assert!(scratch.remove().is_complete());
}

#[test]
fn names_cannot_lead_elsewhere() {
    let top = tempfile::tempdir().unwrap();
    let scratch = Scratch::create(top.path(), "r").unwrap();
    let long = "x".repeat(MAX_NAME + 1);
    for name in [
        "", ".", "..", "a/b", "-rf", ".hidden", "a b", "a\n", "\u{e9}", &long,
    ] {
        let error = scratch.create_job_directory(name).unwrap_err();
        assert!(
            matches!(error, ScratchError::Name { .. }),
            "{name:?}: {error}"
        );
        Scratch::create(top.path(), name).unwrap_err();
    }
    scratch.create_job_directory(&long[1..]).unwrap();
}

#[test]
fn open_directories_are_usable_whatever_their_name() {
    let top = tempfile::tempdir().unwrap();
    let scratch = Scratch::create(top.path(), "r").unwrap();
    let job = scratch.create_job_directory("1").unwrap();
    for (open, path) in [
        (scratch.work(), scratch.work_path()),
        (job.as_fd(), job.path().into()),
    ] {
        let stat = rustix::fs::fstat(open).unwrap();
        assert_eq!(stat.st_ino, fs::metadata(path).unwrap().ino());
    }
}

#[test]
fn a_sweep_removes_the_dead_and_spares_the_living() {
    let top = tempfile::tempdir().unwrap();
    let create = |run| Scratch::create(top.path(), run).unwrap();
    let (living, killed, rebooted, moved) = (
        create("living"),
        create("killed"),
        create("rebooted"),
        create("moved"),
    );
    fs::create_dir_all(killed.work_path().join("a/b")).unwrap();
    fs::set_permissions(
        killed.work_path().join("a"),
        fs::Permissions::from_mode(0o500),
    )
    .unwrap();
    disown(killed.path(), "started", "1");
    disown(rebooted.path(), "boot", "earlier");
    disown(moved.path(), "node", "ws\x1b09");
    fs::create_dir(top.path().join("not-a-run")).unwrap();
    fs::write(top.path().join("run-file"), "").unwrap();
    symlink(living.path(), top.path().join("run-link")).unwrap();

    let sweep = sweep(top.path()).unwrap();
    let mut removed = sweep.removed;
    removed.sort();
    assert_eq!(removed, [killed.path(), rebooted.path()]);
    let [Kept::Elsewhere { path, owner }] = &sweep.kept[..] else {
        panic!("{:?}", sweep.kept)
    };
    assert_eq!(path, moved.path());
    assert!(owner.ends_with("on ws\\u{1b}09"), "{owner}");
    assert!(living.work_path().is_dir() && moved.work_path().is_dir());
    assert!(!killed.path().exists() && !rebooted.path().exists());
    assert!(top.path().join("not-a-run").exists() && top.path().join("run-file").exists());
}

#[test]
fn a_sweep_leaves_alone_what_says_nothing() {
    let top = tempfile::tempdir().unwrap();
    // Just made, by a run that has not come to write its owner file.
    fs::create_dir(top.path().join("run-new-00000000")).unwrap();
    let future = top.path().join("run-future-00000000");
    fs::create_dir(&future).unwrap();
    fs::write(future.join(OWNER_FILE), "cos-owner 2\n").unwrap();
    let sweep = sweep(top.path()).unwrap();
    assert!(sweep.removed.is_empty());
    assert!(matches!(&sweep.kept[..], [Kept::Unmarked { path }] if *path == future));
    assert_eq!(
        names(top.path()),
        ["run-future-00000000", "run-new-00000000"]
    );
}

#[test]
fn sweeping_nothing_and_what_cannot_be_trusted() {
    let top = tempfile::tempdir().unwrap();
    let absent = sweep(top.path().join("absent")).unwrap();
    assert!(absent.removed.is_empty() && absent.kept.is_empty());
    let open = top.path().join("open");
    fs::create_dir(&open).unwrap();
    fs::set_permissions(&open, fs::Permissions::from_mode(0o777)).unwrap();
    assert!(matches!(sweep(&open), Err(ScratchError::Untrusted { .. })));
}

#[test]
fn sweeps_and_runs_at_the_same_time() {
    let top = tempfile::tempdir().unwrap();
    let dead: Vec<PathBuf> = (0..20)
        .map(|_| {
            let mut scratch = Scratch::create(top.path(), "dead").unwrap();
            fs::write(scratch.work_path().join("file"), "").unwrap();
            disown(scratch.path(), "started", "1");
            scratch.live = false;
            scratch.path().to_owned()
        })
        .collect();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..10 {
                    let scratch = Scratch::create(top.path(), "living").unwrap();
                    for kept in sweep(top.path()).unwrap().kept {
                        // Another sweep was faster half-way; nothing else may resist.
                        assert!(matches!(kept, Kept::Unmarked { .. }), "{kept:?}");
                    }
                    assert!(scratch.work_path().is_dir());
                    assert!(scratch.remove().is_complete());
                }
            });
        }
    });
    sweep(top.path()).unwrap();
    assert!(dead.iter().all(|path| !path.exists()));
}

#[test]
fn a_scratch_directory_names_its_run() {
    let local_storage = tempfile::tempdir().unwrap();
    let scratch = Scratch::create(local_storage.path(), "older-1").unwrap();
    assert_eq!(super::run_of(scratch.path()), Some("older-1"));
    assert_eq!(super::run_of(Path::new("/var/tmp/cos-ana/jobs")), None);
}
