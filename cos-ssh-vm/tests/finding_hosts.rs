//! Which hosts.toml is used, and which is refused.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use cos_ssh_vm::inventory::{Environment, FoundBy, Inventory, InventoryError, Request, Source};

/// Directories as a user has them, all below a temporary one.
struct Machine {
    root: tempfile::TempDir,
}

impl Machine {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        for directory in ["home/lab/deep", "home/.config/cos", "etc/cos"] {
            fs::create_dir_all(root.path().join(directory)).unwrap();
        }
        fs::write(
            root.path().join("etc/passwd"),
            "ana:x:7:7::/:/bin/sh\nmallory:x:8:8::/:/bin/sh\n",
        )
        .unwrap();
        fs::write(root.path().join("etc/group"), "").unwrap();
        Self { root }
    }

    fn path(&self, relative: &str) -> PathBuf {
        self.root.path().join(relative)
    }

    /// Writes a file with one host and returns its path.
    fn file(&self, relative: &str, host: &str) -> PathBuf {
        let path = self.path(relative);
        fs::write(&path, format!("[[host]]\nname = \"{host}\"\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        path
    }

    fn environment(&self) -> Environment {
        Environment {
            hosts_variable: None,
            current_directory: self.path("home/lab/deep"),
            home: Some(self.path("home")),
            user_configuration: Some(self.path("home/.config/cos")),
            system_configuration: self.path("etc/cos"),
            uid: rustix::process::geteuid().as_raw(),
            accounts: self.path("etc"),
        }
    }

    fn find(&self) -> Result<Inventory, InventoryError> {
        Inventory::find(&Request::default(), &self.environment())
    }

    /// The report, with the temporary directory's name replaced.
    fn report(&self, result: Result<Inventory, InventoryError>) -> String {
        let top = self.root.path().to_str().unwrap();
        result.unwrap_err().to_string().replace(top, "TOP")
    }
}

fn first_host(result: Result<Inventory, InventoryError>) -> String {
    result.unwrap_or_else(|error| panic!("{error}")).hosts[0]
        .name
        .to_string()
}

#[test]
fn nearer_places_win() {
    let machine = Machine::new();
    assert_eq!(first_host(machine.find()), "local");
    for (file, host) in [
        ("etc/cos/hosts.toml", "system"),
        ("home/.config/cos/hosts.toml", "user"),
        ("hosts.toml", "top"),
        ("home/hosts.toml", "home"),
        ("home/lab/deep/hosts.toml", "here"),
    ] {
        let path = machine.file(file, host);
        let inventory = machine.find().unwrap();
        assert_eq!(
            inventory.source,
            Source::File {
                path,
                found: FoundBy::Search
            }
        );
        assert_eq!(inventory.hosts[0].name.as_str(), host);
    }

    let mut environment = machine.environment();
    environment.hosts_variable = Some(machine.file("variable.toml", "variable").into());
    assert_eq!(
        first_host(Inventory::find(&Request::default(), &environment)),
        "variable"
    );

    machine.file("home/lab/deep/option.toml", "option");
    let request = Request {
        hosts: Some("option.toml".into()),
        ..Request::default()
    };
    assert_eq!(
        first_host(Inventory::find(&request, &environment)),
        "option"
    );

    let request = Request {
        sshlogin: vec!["4/login".into()],
        ..request
    };
    assert_eq!(first_host(Inventory::find(&request, &environment)), "login");
}

#[test]
fn an_empty_variable_is_none() {
    let machine = Machine::new();
    let environment = Environment {
        hosts_variable: Some("".into()),
        ..machine.environment()
    };
    assert_eq!(
        first_host(Inventory::find(&Request::default(), &environment)),
        "local"
    );
}

#[test]
fn without_a_file_the_places_are_named() {
    let machine = Machine::new();
    let Source::ThisMachine { looked_in } = machine.find().unwrap().source else {
        panic!("a file was found")
    };
    assert_eq!(
        looked_in.directories().next(),
        Some(machine.path("home/lab/deep").as_path())
    );

    let request = Request {
        file_required: true,
        ..Request::default()
    };
    assert_eq!(
        machine.report(Inventory::find(&request, &machine.environment())),
        "error: no hosts.toml found\n  looked in: ./ ... /, ~/.config/cos, TOP/etc/cos\n  \
         hint: `cos init` writes one; `cos run -S ws01,ws02 ...` needs none"
    );
}

#[test]
fn a_file_that_is_named_must_be_there() {
    let machine = Machine::new();
    let request = Request {
        hosts: Some("none.toml".into()),
        ..Request::default()
    };
    assert_eq!(
        machine.report(Inventory::find(&request, &machine.environment())),
        "error: cannot read none.toml\n  No such file or directory (os error 2)"
    );
    let environment = Environment {
        hosts_variable: Some(machine.path("home").into()),
        ..machine.environment()
    };
    assert!(matches!(
        Inventory::find(&Request::default(), &environment),
        Err(InventoryError::Unreadable { .. })
    ));
}

/// A user whose files these are not.
fn stranger(machine: &Machine) -> Environment {
    Environment {
        uid: 4242,
        ..machine.environment()
    }
}

/// Whether the tests run as root, whose files everybody trusts.
fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Gives a file to somebody else, where that is possible; otherwise the reader is somebody else.
fn give_away(machine: &Machine, path: &Path) -> Environment {
    if is_root() {
        std::os::unix::fs::chown(path, Some(8), Some(8)).unwrap();
        Environment {
            uid: 7,
            ..machine.environment()
        }
    } else {
        let uid = rustix::process::geteuid().as_raw();
        fs::write(
            machine.path("etc/passwd"),
            format!("mallory:x:{uid}:{uid}::/:/bin/sh\n"),
        )
        .unwrap();
        stranger(machine)
    }
}

#[test]
fn a_found_file_of_somebody_else_is_not_read() {
    let machine = Machine::new();
    let path = machine.file("home/hosts.toml", "evil");
    machine.file("etc/cos/hosts.toml", "system");
    let environment = give_away(&machine, &path);
    assert_eq!(
        machine.report(Inventory::find(&Request::default(), &environment)),
        "error: TOP/home/hosts.toml belongs to mallory, not to you; not read\n  \
         hint: if you trust it, --hosts TOP/home/hosts.toml"
    );
    let request = Request {
        hosts: Some(path),
        ..Request::default()
    };
    assert_eq!(first_host(Inventory::find(&request, &environment)), "evil");
}

#[test]
fn a_link_is_as_good_as_what_it_leads_to() {
    let machine = Machine::new();
    let target = machine.file("evil.toml", "evil");
    symlink(&target, machine.path("home/lab/deep/hosts.toml")).unwrap();
    assert_eq!(first_host(machine.find()), "evil");
    let environment = give_away(&machine, &target);
    assert_eq!(
        machine.report(Inventory::find(&Request::default(), &environment)),
        "error: hosts.toml belongs to mallory, not to you; not read\n  hint: if you trust it, --hosts hosts.toml"
    );
}

#[test]
fn a_found_file_that_others_may_write_is_not_read() {
    let machine = Machine::new();
    let path = machine.file("home/lab/deep/hosts.toml", "ws01");
    for (mode, by) in [(0o666, "everybody"), (0o664, "its group")] {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        assert_eq!(
            machine.report(machine.find()),
            format!(
                "error: hosts.toml may be written by {by}; not read\n  hint: `chmod go-w hosts.toml`"
            )
        );
    }
}

#[test]
fn a_found_pipe_does_not_stop_the_search_for_ever() {
    let machine = Machine::new();
    let path = machine.path("home/lab/deep/hosts.toml");
    rustix::fs::mkfifoat(
        rustix::fs::CWD,
        &path,
        rustix::fs::Mode::from_raw_mode(0o644),
    )
    .unwrap();
    assert!(
        machine
            .report(machine.find())
            .starts_with("error: hosts.toml is not a regular file; not read")
    );
}

#[test]
fn the_ssh_config_of_a_found_file_follows_the_same_rule() {
    let machine = Machine::new();
    let path = machine.file("home/lab/hosts.toml", "ws01");
    let text = "[[host]]\nname = \"ws01\"\nssh_config = \"lab_ssh_config\"\n";
    fs::write(&path, text).unwrap();
    insta::assert_snapshot!("missing_ssh_config", machine.report(machine.find()));

    let config = machine.path("home/lab/lab_ssh_config");
    fs::write(&config, "User ana\n").unwrap();
    fs::set_permissions(&config, fs::Permissions::from_mode(0o644)).unwrap();
    assert_eq!(
        machine.find().unwrap().hosts[0].ssh_config.as_ref(),
        Some(&config)
    );

    fs::set_permissions(&config, fs::Permissions::from_mode(0o666)).unwrap();
    insta::assert_snapshot!("writable_ssh_config", machine.report(machine.find()));
    let request = Request {
        hosts: Some(path),
        ..Request::default()
    };
    assert_eq!(
        first_host(Inventory::find(&request, &machine.environment())),
        "ws01"
    );
}

#[test]
fn the_home_directory_may_be_written_as_a_tilde() {
    let machine = Machine::new();
    let path = machine.file("home/lab/hosts.toml", "ws01");
    fs::write(
        &path,
        "[[host]]\nname = \"ws01\"\nssh_config = \"~/conf\"\n",
    )
    .unwrap();
    fs::write(machine.path("home/conf"), "").unwrap();
    fs::set_permissions(machine.path("home/conf"), fs::Permissions::from_mode(0o600)).unwrap();
    assert_eq!(
        machine.find().unwrap().hosts[0].ssh_config,
        Some(machine.path("home/conf"))
    );
}

#[test]
fn bytes_that_are_no_text_are_shown_with_their_place() {
    let machine = Machine::new();
    let path = machine.file("home/lab/deep/hosts.toml", "ws01");
    fs::write(path, b"[[host]]\nname = \"ws\xff01\"\n").unwrap();
    insta::assert_snapshot!("not_utf8", machine.report(machine.find()));
}

#[test]
fn a_huge_file_is_refused_after_1_mib() {
    let machine = Machine::new();
    let file = fs::File::create(machine.path("huge.toml")).unwrap();
    file.set_len(1 << 40).unwrap();
    let request = Request {
        hosts: Some(machine.path("huge.toml")),
        ..Request::default()
    };
    assert_eq!(
        machine.report(Inventory::find(&request, &machine.environment())),
        "error: cannot read TOP/huge.toml\n  larger than 1 MiB: this is no hosts.toml"
    );
}
