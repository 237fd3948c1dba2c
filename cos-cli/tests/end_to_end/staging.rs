//! Files that travel with jobs, between hosts that share nothing.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::io::{Seek, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use cos_testlab::{Mount, Place};

use crate::support::Fixture;

/// Hosts that share nothing with the client, and a directory of the client's with a folder `in` in it.
fn apart(hosts: usize) -> (Fixture, PathBuf) {
    prepared(Fixture::of(hosts))
}

pub(super) fn prepared(fixture: Fixture) -> (Fixture, PathBuf) {
    let fixture = fixture.default_line("mirrored_storage = []");
    let work = fixture.lab.shared_directory("work").unwrap();
    fs::create_dir(work.join("in")).unwrap();
    (fixture, work)
}

/// Bytes that differ from seed to seed and do not compress.
fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    std::iter::repeat_with(next).take(length).collect()
}

/// How often each file went to each host in the latest run.
pub(super) fn sent(fixture: &Fixture) -> BTreeMap<(String, String), usize> {
    let mut sent = BTreeMap::new();
    for event in fixture.latest_run().events() {
        let text = event["text"].as_str().unwrap_or_default();
        if let Some(rest) = text.strip_prefix("sent ") {
            let path = rest.rsplit_once(" (").unwrap().0;
            let name = Path::new(path).file_name().unwrap().to_str().unwrap();
            let host = event["host"].as_str().unwrap();
            *sent.entry((name.to_owned(), host.to_owned())).or_default() += 1;
        }
    }
    sent
}

pub(super) fn names_in(directory: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

#[test]
fn a_common_input_goes_to_each_host_once_and_results_are_identical() {
    let (fixture, work) = apart(5);
    let common = noise(0, 3_000_000);
    fs::write(work.join("common"), &common).unwrap();
    let inputs: Vec<String> = (1..=60).map(|number| format!("in/{number}")).collect();
    for (seed, input) in (1..).zip(&inputs) {
        fs::write(work.join(input), noise(seed, 20_000)).unwrap();
    }
    let run = || {
        let flags = ["--basefile", "common", "--transferfile", "{}"];
        let back = ["--return", "out/{/}", "--cleanup"];
        let command = ["mkdir -p out && cat common {} > out/{/}", ":::"];
        let cos = fixture.run_in(&work, &flags).args(&back).args(&command);
        cos.args(&inputs).end().exited(0)
    };
    run();
    for input in &inputs {
        let mut expected = common.clone();
        expected.extend(fs::read(work.join(input)).unwrap());
        let name = Path::new(input).file_name().unwrap();
        assert!(
            fs::read(work.join("out").join(name)).unwrap() == expected,
            "{input}"
        );
    }
    assert_eq!(names_in(&work), ["common", "in", "out"]);
    assert_eq!(names_in(&work.join("out")).len(), inputs.len());
    let first = sent(&fixture);
    assert!(first.values().all(|times| *times == 1), "{first:?}");
    let went_to = |name: &str| first.keys().filter(|(sent, _)| sent == name).count();
    assert!((1..=5).contains(&went_to("common")), "{first:?}");
    // A job that was given back to an idle host takes its own input there.
    assert!((1..=60).all(|number| went_to(&number.to_string()) >= 1));
    // Hosts that have it are not sent it again.
    run();
    let again = sent(&fixture);
    for key in again.keys().filter(|(name, _)| name == "common") {
        assert!(!first.contains_key(key), "{key:?} twice");
    }
}

#[test]
fn names_may_have_any_byte_and_lead_nowhere_else() {
    let (fixture, work) = apart(1);
    let names: [&[u8]; 5] = [
        b"a b",
        b"new\nline",
        b"\xff\xfe",
        b"-rf",
        b"$(touch owned);'\"",
    ];
    let mut input = Vec::new();
    for name in names {
        fs::write(work.join("in").join(OsStr::from_bytes(name)), name).unwrap();
        input.extend([b"in/", name, b"\0"].concat());
    }
    let flags = ["-0", "--trc", "{}.back", "cp -- {} {}.back"];
    let ran = fixture.run_in(&work, &flags).input(input).end();
    ran.exited(0);
    for name in names {
        let back = [name, b".back"].concat();
        let back = work.join("in").join(OsStr::from_bytes(&back));
        assert_eq!(fs::read(back).unwrap(), name);
    }
    assert_eq!(names_in(&work), ["in"]);

    let outside = fixture.lab.shared_directory("outside").unwrap();
    fs::write(outside.join("secret"), "secret").unwrap();
    let absolute = outside
        .join("secret")
        .into_os_string()
        .into_string()
        .unwrap();
    let flags = ["--transferfile", "{}", "cat {}", ":::", "../outside/secret"];
    let ran = fixture.run_in(&work, &flags).args(&[&absolute]).end();
    ran.exited(100)
        .said("contains `..`")
        .said("is not below the current directory")
        .said("what follows `/./` is the name there");
    // Said so, a file from elsewhere has a place.
    let marked = format!("{}/./secret", outside.display());
    let flags = ["--transferfile", "{}", "cat secret # {}", ":::", &marked];
    let ran = fixture.run_in(&work, &flags).end();
    ran.exited(0).printed("secret");
}

#[test]
fn what_is_returned_is_a_file_of_the_job_or_nothing() {
    let (fixture, work) = apart(1);
    let outside = fixture.lab.shared_directory("outside").unwrap();
    fs::write(outside.join("secret"), "secret").unwrap();
    let script = format!("ln -s {}/secret {{}}; echo done", outside.display());
    let flags = ["--return", "{}", &script, ":::", "link"];
    let ran = fixture.run_in(&work, &flags).end();
    ran.exited(100)
        .printed("done\n")
        .said("link is a symbolic link");
    // Nor through a link of this computer that leads out of the directory.
    std::os::unix::fs::symlink(&outside, work.join("out")).unwrap();
    let flags = [
        "--return",
        "out/{}",
        "mkdir out; echo 1 > out/{}",
        ":::",
        "x",
    ];
    let ran = fixture.run_in(&work, &flags).end();
    ran.exited(100).said("leads out of the directory");
    assert_eq!(names_in(&outside), ["secret"]);
    assert_eq!(names_in(&work), ["in", "out"]);
}

#[test]
fn a_returned_file_that_is_missing_fails_its_job_alone() {
    let (fixture, work) = apart(2);
    let script = "[ {} = 2 ] || echo {} > {}.out";
    let flags = ["--return", "{}.out", script, ":::", "1", "2", "3"];
    let ran = fixture.run_in(&work, &flags).end();
    let ran = ran.exited(100).said("2.out: the job left no such file");
    ran.said("3 jobs: 2 ok, 1 failed");
    assert_eq!(names_in(&work), ["1.out", "3.out", "in"]);
}

#[test]
fn directories_come_back_with_what_is_in_them() {
    let (fixture, work) = apart(1);
    let script = "mkdir -p out/{}/deep out/{}/empty; echo {} > out/{}/deep/file";
    let flags = [
        "--workdir",
        "...",
        "--return",
        "out/{}",
        script,
        ":::",
        "1",
        "2",
    ];
    fixture.run_in(&work, &flags).end().exited(0);
    for number in ["1", "2"] {
        let out = work.join("out").join(number);
        let text = fs::read_to_string(out.join("deep/file")).unwrap();
        assert_eq!(text, format!("{number}\n"));
        assert!(out.join("empty").is_dir());
    }
}

#[test]
fn each_job_has_its_own_copy_in_a_directory_of_its_own() {
    let (fixture, work) = apart(2);
    fs::write(work.join("base"), "base\n").unwrap();
    let inputs: Vec<String> = (1..=8).map(|number| format!("in/{number}")).collect();
    for input in &inputs {
        fs::write(work.join(input), input).unwrap();
    }
    // Every job scribbles on what all of them were given.
    let script = "ls | wc -l; ls in | wc -l; cat base; echo scribble >> base";
    let flags = [
        "--workdir",
        "...",
        "--basefile",
        "base",
        "--transferfile",
        "{}",
    ];
    let cos = fixture.run_in(&work, &flags).args(&[script, ":::"]);
    let ran = cos.args(&inputs).end().exited(0);
    ran.printed("2\n1\nbase\n".repeat(8));
    assert_eq!(fs::read(work.join("base")).unwrap(), b"base\n");
}

#[test]
fn a_file_that_changes_while_it_is_read_fails_its_job() {
    let (fixture, work) = apart(1);
    let path = work.join("in/changing");
    fs::write(&path, noise(1, 4_000_000)).unwrap();
    fs::write(work.join("in/quiet"), "quiet").unwrap();
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut file = fs::OpenOptions::new().write(true).open(&path).unwrap();
            while !over.load(Ordering::Relaxed) {
                file.rewind().unwrap();
                file.write_all(b"x").unwrap();
                std::thread::sleep(std::time::Duration::from_millis(1));
            }
        });
        let flags = [
            "--transferfile",
            "in/{}",
            "wc -c < in/{}",
            ":::",
            "changing",
            "quiet",
        ];
        let ran = fixture.run_in(&work, &flags).end();
        over.store(true, Ordering::Relaxed);
        ran.exited(100)
            .printed("5\n")
            .said("in/changing changed while it was read");
    });
}

#[test]
fn a_store_that_is_damaged_is_noticed_and_filled_again() {
    let (fixture, work) = apart(1);
    let content = noise(1, 200_000);
    fs::write(work.join("in/a"), &content).unwrap();
    let run = || {
        let flags = ["--transferfile", "{}", "cat {}", ":::", "in/a"];
        fixture
            .run_in(&work, &flags)
            .end()
            .exited(0)
            .printed(&content);
        sent(&fixture).len()
    };
    assert_eq!(run(), 1);
    assert_eq!(run(), 0);
    let host = fixture.host("ws01");
    let objects = host.scratch().join("store/objects");
    for entry in fs::read_dir(&objects).unwrap() {
        let path = entry.unwrap().path();
        let times = fs::metadata(&path).unwrap();
        let mut bytes = fs::read(&path).unwrap();
        bytes[100_000] ^= 1;
        fs::write(&path, bytes).unwrap();
        // As a disk that rots would: nothing but the content tells.
        let file = fs::File::options().write(true).open(&path).unwrap();
        file.set_modified(times.modified().unwrap()).unwrap();
    }
    assert_eq!(run(), 1);
    assert_eq!(run(), 0);
}

#[test]
fn a_disk_that_is_full_blames_the_host_and_leaves_nothing() {
    let fixture = Fixture::new(|lab| {
        let small = Mount::Small { bytes: 1 << 20 };
        let full = lab.host("ws01").mount(Place::Scratch, small);
        vec![full.start().unwrap()]
    });
    if !fixture.lab.can_mount() {
        return;
    }
    let (fixture, work) = prepared(fixture);
    fs::write(work.join("in/large"), noise(1, 2_000_000)).unwrap();
    fs::write(work.join("in/small"), "small").unwrap();
    let flags = [
        "--transferfile",
        "{}",
        "wc -c < {}",
        ":::",
        "in/large",
        "in/small",
    ];
    let ran = fixture.run_in(&work, &flags).end();
    let ran = ran.printed("5\n").said("1 job was not run");
    ran.said("an input of 2000000 bytes does not fit in the store");
}

#[test]
fn clean_empties_the_stores_and_says_so() {
    let (fixture, work) = apart(2);
    let inputs: Vec<String> = (1..=4).map(|number| format!("in/{number}")).collect();
    for (seed, input) in (1..).zip(&inputs) {
        fs::write(work.join(input), noise(seed, 1000)).unwrap();
    }
    let run = || {
        let cos = fixture.run_in(&work, &["--transfer", "wc -c < {}", ":::"]);
        cos.args(&inputs)
            .end()
            .exited(0)
            .printed("1000\n".repeat(4));
    };
    run();
    let stored = || -> usize {
        let hosts = fixture.hosts.iter();
        let objects = hosts.map(|host| host.scratch().join("store/objects"));
        objects
            .filter(|path| path.exists())
            .map(|path| names_in(&path).len())
            .sum()
    };
    assert!(stored() >= 4);
    let ran = fixture.cos(&["clean"]).end().exited(0);
    assert!(ran.text().contains("stored files, "), "{}", ran.story());
    assert_eq!(stored(), 0);
    let ran = fixture.cos(&["clean"]).end().exited(0);
    ran.printed("ws01: nothing to be removed\nws02: nothing to be removed\n");
    run();
}
