//! The program `mirrored_storage`: tasks that name files by paths which mean the same on every host.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use cos_testlab::{Lab, TestHost};

fn count(home: &Path, files: &[PathBuf]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_07_mirrored_storage"));
    command
        .current_dir(home)
        .env("HOME", home)
        .env_remove("COS_HOSTS")
        .env_remove("XDG_CONFIG_HOME")
        .env_remove("PARALLEL_MIRRORED_STORAGE")
        .args(files)
        .output()
        .unwrap()
}

fn text(output: &Output) -> String {
    let stderr = String::from_utf8_lossy(&output.stderr);
    format!("{}{stderr}", String::from_utf8_lossy(&output.stdout))
}

/// A lab with its host, and a directory with its hosts.toml.
struct Place {
    lab: Lab,
    _host: TestHost,
    home: tempfile::TempDir,
}

/// Two directories with files, which the hosts know under other names, and a hosts.toml that says so.
fn lab_with(hosts_toml: impl Fn(&Path) -> String) -> (Place, Vec<PathBuf>) {
    let lab = Lab::new().unwrap();
    let home = tempfile::tempdir().unwrap();
    let top = lab.shared_directory("trees").unwrap();
    let mut files = Vec::new();
    for (name, other) in [("foo", "d1"), ("bar", "d2")] {
        fs::create_dir(top.join(name)).unwrap();
        symlink(top.join(name), top.join(other)).unwrap();
        for lines in 1..=4 {
            let file = top.join(name).join(format!("{lines} lines"));
            fs::write(&file, "line\n".repeat(lines)).unwrap();
            files.push(file);
        }
    }
    let host = lab
        .host("ws01")
        .hosts_toml_line(&hosts_toml(&top))
        .start()
        .unwrap();
    let mine = format!(
        "[defaults]\nmirrored_storage = ['{0}/foo', '{0}/bar']\n",
        top.display()
    );
    let text = lab
        .hosts_toml(&[&host])
        .unwrap()
        .replacen("[defaults]\n", &mine, 1);
    fs::write(home.path().join("hosts.toml"), text).unwrap();
    let lab = Place {
        lab,
        _host: host,
        home,
    };
    (lab, files)
}

#[test]
fn every_host_reads_the_files_under_its_own_paths() {
    let (place, files) =
        lab_with(|top| format!("mirrored_storage = ['{0}/d1', '{0}/d2']", top.display()));
    let output = count(place.home.path(), &files);
    let said = text(&output);
    assert!(output.status.success(), "{said}");
    let mut told: Vec<&str> = said.lines().collect();
    told.sort_unstable();
    let mut expected: Vec<String> = files
        .iter()
        .map(|file| {
            let lines = file.file_name().unwrap().to_str().unwrap();
            format!("{}: {}", file.display(), lines.trim_end_matches(" lines"))
        })
        .collect();
    expected.sort();
    assert_eq!(told, expected);
}

#[test]
fn a_directory_that_is_not_the_same_is_an_error_that_names_it() {
    let (place, files) = lab_with(|top| {
        let other = top.with_file_name("other");
        format!(
            "mirrored_storage = ['{}/d1', '{}']",
            top.display(),
            other.display()
        )
    });
    // The host's second entry has a file of that name, which is not the client's.
    let other = place.lab.shared_directory("other").unwrap();
    fs::write(other.join("1 lines"), "").unwrap();
    let output = count(place.home.path(), &files);
    let said = text(&output);
    assert!(!output.status.success(), "{said}");
    assert!(said.contains("4 files could not be read"), "{said}");
    assert!(said.contains("ws01") && said.contains("/other"), "{said}");
    assert!(said.contains("foo/4 lines: 4\n"), "{said}");
}
