//! ARCHITECTURE.md against the code: every source file is listed with its own first sentence, every dependency has a
//! reason, and no file outgrows its role.
//!
//! After a file was added, moved or renamed, `COS_UPDATE=1 cargo test -p cos-cli --test documentation` writes the list anew.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

const BEGIN: &str = "<!-- begin: written by cos-cli/tests/documentation.rs from the first sentence of every file -->\n";
const END: &str = "<!-- end -->\n";

/// From here on a file has more than one role. Unit tests at its end do not count.
const LONGEST: usize = 450;

/// Files that are longer, each with its reason.
const LONG: &[(&str, &str)] = &[
    (
        "cos-core/src/kernel/microthread/mod.rs",
        "the whole interface of the tables, each call a few lines over the files beside it",
    ),
    (
        "cos-core/tests/agent_vm.rs",
        "an agent that is played, and each way in which it can go wrong",
    ),
    (
        "cos-worker-bin/tests/host/mod.rs",
        "a whole client of the protocol, for tests of the worker alone",
    ),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The folders of the workspace's crates.
fn crates() -> Vec<String> {
    let entries = fs::read_dir(root()).unwrap();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.path().join("Cargo.toml").is_file())
        .map(|entry| entry.file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert!(names.len() >= 7, "{names:?}");
    names
}

/// The source files below a folder of the project, by path.
fn sources(folder: &str, found: &mut Vec<String>) {
    for entry in fs::read_dir(root().join(folder)).unwrap() {
        let entry = entry.unwrap();
        let path = format!("{folder}/{}", entry.file_name().into_string().unwrap());
        let is_source = path.ends_with(".rs") || path.ends_with(".sh");
        match entry.file_type().unwrap() {
            kind if kind.is_dir() && !path.ends_with("/target") => sources(&path, found),
            kind if kind.is_file() && is_source => found.push(path),
            _ => {}
        }
    }
}

fn all_sources() -> Vec<String> {
    let mut found = Vec::new();
    for name in crates() {
        sources(&name, &mut found);
    }
    found.sort();
    found
}

/// The first sentence of what a file says of itself, on one line.
fn first_sentence(path: &str) -> Option<String> {
    let text = read(path);
    let (mark, lines) = match text.strip_prefix("#!/bin/sh\n") {
        Some(script) => ("#", script.lines()),
        None => ("//!", text.lines()),
    };
    let mut paragraph = String::new();
    for line in lines {
        match line.strip_prefix(mark).map(str::trim) {
            Some("") | None => break,
            Some(words) => {
                paragraph.push_str(if paragraph.is_empty() { "" } else { " " });
                paragraph.push_str(words);
            }
        }
    }
    let end = paragraph
        .find(". ")
        .map_or(paragraph.len(), |period| period + 1);
    paragraph.truncate(end);
    (!paragraph.is_empty()).then_some(paragraph)
}

#[test]
fn every_source_file_is_listed_by_what_it_says_of_itself() {
    let mut folders: BTreeMap<String, Vec<(String, String)>> = BTreeMap::new();
    let mut silent = Vec::new();
    for path in all_sources() {
        let (folder, name) = path.rsplit_once('/').unwrap();
        match first_sentence(&path) {
            Some(sentence) => {
                let files = folders.entry(folder.to_owned()).or_default();
                files.push((name.to_owned(), sentence));
            }
            None => silent.push(path),
        }
    }
    assert!(
        silent.is_empty(),
        "files that do not say what they are for, by a line `//!` at their beginning: {silent:#?}"
    );
    let mut list = String::new();
    for (folder, files) in folders {
        write!(list, "\n**{folder}/**\n\n").unwrap();
        for (name, sentence) in files {
            // Links of rustdoc lead nowhere here.
            let sentence = sentence.replace("[`", "`").replace("`]", "`");
            writeln!(list, "* `{name}`: {sentence}").unwrap();
        }
    }
    list.push('\n');

    let document = read("ARCHITECTURE.md");
    let (before, rest) = document
        .split_once(BEGIN)
        .expect("the beginning of the list");
    let (listed, after) = rest.split_once(END).expect("the end of the list");
    if std::env::var_os("COS_UPDATE").is_some() {
        let new = format!("{before}{BEGIN}{list}{END}{after}");
        fs::write(root().join("ARCHITECTURE.md"), new).unwrap();
        return;
    }
    let differs = |one: &str, other: &str| -> Vec<String> {
        let lines = one
            .lines()
            .filter(|line| !other.lines().any(|it| it == *line));
        lines.map(str::to_owned).collect()
    };
    let (missing, stale) = (differs(&list, listed), differs(listed, &list));
    assert!(
        listed == list,
        "the list of source files in ARCHITECTURE.md is not that of the code\nmissing: {missing:#?}\nstale: \
         {stale:#?}\n`COS_UPDATE=1 cargo test -p cos-cli --test documentation` writes it anew"
    );
}

#[test]
fn no_file_outgrows_its_role() {
    let mut long = Vec::new();
    for path in all_sources() {
        let text = read(&path);
        let code = text.split("\n#[cfg(test)]\nmod tests {").next().unwrap();
        let lines = code.lines().count();
        let has_reason = LONG.iter().any(|(known, _)| *known == path);
        if lines > LONGEST && !has_reason {
            long.push(format!("{path}: {lines} lines"));
        }
    }
    assert!(
        long.is_empty(),
        "more than {LONGEST} lines; part them by role, or give a reason in `LONG`: {long:#?}"
    );
    for (path, _) in LONG {
        assert!(root().join(path).is_file(), "{path} is no file any more");
        let lines = read(path).lines().count();
        assert!(
            lines > LONGEST,
            "{path} has {lines} lines and needs no reason"
        );
    }
}

#[test]
fn every_dependency_is_used_and_has_a_reason() {
    let manifest = read("Cargo.toml");
    let (_, dependencies) = manifest.split_once("[workspace.dependencies]\n").unwrap();
    let dependencies = dependencies.split("\n[").next().unwrap();
    let architecture = read("ARCHITECTURE.md");
    let manifests: Vec<String> = crates()
        .iter()
        .map(|name| read(&format!("{name}/Cargo.toml")))
        .collect();
    let names = dependencies
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_once(" = "))
        .map(|(name, _)| name);
    let mut count = 0;
    for name in names {
        count += 1;
        let uses = |line: &str| {
            let rest = line.strip_prefix(name);
            rest.is_some_and(|rest| rest.starts_with(".workspace") || rest.starts_with(" = {"))
        };
        let is_used = manifests.iter().any(|text| text.lines().any(uses));
        assert!(
            is_used,
            "no crate uses `{name}`, which the root Cargo.toml names"
        );
        if !name.starts_with("cos-") {
            let row = format!("| `{name}`");
            assert!(
                architecture.contains(&row),
                "ARCHITECTURE.md has no reason for `{name}`"
            );
        }
    }
    assert!(count > 30, "{count} dependencies were found");
}
