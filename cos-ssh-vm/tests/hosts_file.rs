//! hosts.toml: what a file means, and what is said about one with mistakes.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::{Path, PathBuf};
use std::time::Duration;

use cos_ssh_vm::inventory::{HostKeys, HostSpec, Inventory, SlotCount, Source};
use proptest::prelude::*;

fn read(text: &str) -> Inventory {
    Inventory::from_text(text, Path::new("lab/hosts.toml"))
        .unwrap_or_else(|report| panic!("{report}"))
}

fn host<'a>(inventory: &'a Inventory, name: &str) -> &'a HostSpec {
    inventory.host(&name.parse().unwrap()).unwrap()
}

/// The report about a file with mistakes.
fn report(text: &str) -> String {
    Inventory::from_text(text, Path::new("lab/hosts.toml"))
        .unwrap_err()
        .to_string()
}

/// The file in the project's root.
fn sample() -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../hosts.toml")).unwrap()
}

#[test]
fn the_sample_runs_on_this_machine_without_ssh() {
    let inventory = read(&sample());
    let names: Vec<_> = inventory
        .hosts
        .iter()
        .map(|host| host.name.as_str())
        .collect();
    assert_eq!(names, ["local"]);
    assert!(inventory.hosts[0].name.is_local());
    assert_eq!(inventory.hosts[0].slots, SlotCount::Cores);
}

#[test]
fn the_lab_in_the_sample_is_right_once_it_is_uncommented() {
    let sample = sample();
    let (head, lab) = sample.split_once("has its default.\n").unwrap();
    let lab: String = lab
        .lines()
        .map(|line| line.strip_prefix("# ").unwrap_or(line))
        .flat_map(|line| [line, "\n"])
        .collect();
    let inventory = read(&format!("{head}has its default.\n{lab}"));

    assert_eq!(inventory.hosts.len(), 1 + 12 + 2);
    let ws = host(&inventory, "ws07");
    assert_eq!(
        (ws.slots, ws.nice, ws.max_load),
        (SlotCount::Cores, 10, Some(0.8))
    );
    assert_eq!(ws.setup.as_deref(), Some("module load ngspice"));
    assert_eq!(ws.tags, ["lab"]);
    assert_eq!(ws.env["OMP_NUM_THREADS"], "1");
    assert_eq!(
        ws.mirrored_storage,
        Some(vec!["/home".into(), "/srv/pdk".into()])
    );
    let big = host(&inventory, "big");
    assert_eq!(
        (big.slots, big.tags.as_slice()),
        (SlotCount::Number(32), &["lab".into(), "bigmem".into()][..])
    );
    assert_eq!(
        big.mirrored_storage,
        Some(vec!["/net/home".into(), "/pdk".into()])
    );
    let pi4 = host(&inventory, "pi4");
    assert_eq!(
        (pi4.enabled, pi4.target.as_deref()),
        (false, Some("aarch64-unknown-linux-musl"))
    );
    assert_eq!(inventory.enabled().count(), 14);
    assert_eq!(
        inventory.spawner_mirrored_storage,
        Some(vec!["/home".into(), "/srv/pdk".into()])
    );
    assert_eq!(
        inventory.workers["aarch64-unknown-linux-musl"],
        Path::new("lab/target/aarch64-unknown-linux-musl/release/cos-worker")
    );
}

#[test]
fn three_lines_have_the_documented_defaults() {
    let inventory = read("[[host]]\nname  = \"ws[01-12]\"\nslots = 4\n");
    assert!(
        matches!(&inventory.source, Source::File { path, .. } if path == Path::new("lab/hosts.toml"))
    );
    assert_eq!(inventory.hosts.len(), 12);
    let mut expected = HostSpec::new("ws12".parse().unwrap());
    expected.slots = SlotCount::Number(4);
    assert_eq!(*host(&inventory, "ws12"), expected);

    let built_in = HostSpec::new("x".parse().unwrap());
    assert_eq!(
        (built_in.slots, built_in.nice, built_in.max_load),
        (SlotCount::Cores, 10, None)
    );
    assert_eq!(
        (built_in.tags.len(), built_in.env.len(), &built_in.setup),
        (0, 0, &None)
    );
    assert_eq!(
        built_in.local_storage.directory("ana"),
        Path::new("/var/tmp/cos-ana")
    );
    assert_eq!(built_in.mirrored_storage, None);
    assert_eq!(
        (built_in.connect_timeout, built_in.lease),
        (Duration::from_secs(10), Duration::from_secs(60))
    );
    assert_eq!(
        (built_in.host_keys, built_in.ssh_config, built_in.enabled),
        (HostKeys::Known, None, true)
    );
    assert_eq!(built_in.shell, "/bin/sh");
}

#[test]
fn defaults_apply_to_every_host_that_does_not_say_otherwise() {
    let inventory = read(
        r#"
        [[host]]
        name = "a"

        [[host]]
        name = "b"
        slots = "50%"
        nice = 0
        tags = []
        env = { B = "2", BOTH = "b" }
        host_keys = "known"
        mirrored_storage = ["/net/home"]
        lease = "1m30s"

        [defaults]
        slots = "cores-1"
        nice = 19
        tags = ["lab", "lab"]
        env = { A = "1", BOTH = "a" }
        host_keys = "accept-new"
        shared_dirs = ["/home"]
        connect_timeout = "5s"
        lease = "2s"
        shell = "/bin/bash"
        ssh_config = "lab_ssh_config"
        local_storage = "/scratch/{user}"
        "#,
    );
    let (a, b) = (host(&inventory, "a"), host(&inventory, "b"));
    assert_eq!(
        (a.slots, b.slots),
        (SlotCount::CoresMinus(1), SlotCount::Percent(50))
    );
    assert_eq!((a.nice, b.nice), (19, 0));
    assert_eq!(
        (a.tags.as_slice(), b.tags.as_slice()),
        (&["lab".to_owned()][..], &[][..])
    );
    let env = |host: &HostSpec| {
        host.env
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect::<Vec<_>>()
    };
    assert_eq!(env(a), ["A=1", "BOTH=a"]);
    assert_eq!(env(b), ["A=1", "B=2", "BOTH=b"]);
    assert_eq!(
        (a.host_keys, b.host_keys),
        (HostKeys::AcceptNew, HostKeys::Known)
    );
    assert_eq!(a.mirrored_storage, Some(vec![PathBuf::from("/home")]));
    assert_eq!(b.mirrored_storage, Some(vec![PathBuf::from("/net/home")]));
    assert_eq!(
        (a.lease, b.lease),
        (Duration::from_secs(2), Duration::from_secs(90))
    );
    assert_eq!(
        (a.connect_timeout, b.connect_timeout),
        (Duration::from_secs(5), Duration::from_secs(5))
    );
    assert_eq!(b.shell, "/bin/bash");
    assert_eq!(
        b.ssh_config.as_deref(),
        Some(Path::new("lab/lab_ssh_config"))
    );
    assert_eq!(b.local_storage.directory("ana"), Path::new("/scratch/ana"));
}

#[test]
fn a_mistyped_key_is_shown_as_documented() {
    let expected = "error: unknown key `slotz` in hosts.toml
 --> lab/hosts.toml:3:1
  |
3 | slotz = 4
  | ^^^^^ did you mean `slots`?";
    assert_eq!(report("[[host]]\nname = \"a\"\nslotz = 4\n"), expected);
}

#[test]
fn every_mistake_is_told_at_once() {
    let report = report(
        r#"slots = 4

[default]
nice = 5

[defaults]
name = "all"
nice = 20
lease = "1s"
connect_timeout = 10
max_load = 0
host_keys = "no"
env = { OMP_NUM_THREADS = 1, "2x" = "y" }
mirrored_storage = ["/home", "/srv/pdk"]

[[host]]
name = "ws[01-03]"
slotz = 4
user = "ana"
proxyjump = "gate"
colour = "green"

[[host]]
slots = 0

[[host]]
name = "ws02"
slots = "four"
mirrored_storage = ["/net/home"]
shared_dirs = ["pdk"]

[[host]]
name = "-oProxyCommand=id"
enabled = "yes"
tags = "lab"
local_storage = "scratch"
shell = "bash -l"
target = "arm"

[[host]]
name = "ws[3-1]"

[[host]]
name = ["a", "b"]

[worker]
arm = "x"
x86_64-unknown-linux-gnu = 1
"#,
    );
    insta::assert_snapshot!(report);
}

#[test]
fn mistakes_of_syntax_do_not_hide_the_others() {
    let report = report(
        r#"[[host]]
name = ws01
slotz = 4

[[host]
name = "ws02"
slotz = 4

[[host]]
name = "ws03
slots = 

[[host]]
name = "ws04"
nice = 10
nice = 11
tags = ["a" "b"]
lease = 10s
ncie = 4
"#,
    );
    insta::assert_snapshot!(report);
}

#[test]
fn a_file_without_hosts_is_a_mistake() {
    let reports = [
        "",
        "[defaults]\nslots = 1\n",
        "[host]\nname = \"a\"\n",
        "host = []\n",
        "[[hosts]]\nname = \"a\"\n",
        "host = 3\n",
    ]
    .map(report)
    .join("\n\n");
    insta::assert_snapshot!(reports);
}

#[test]
fn hosts_named_twice_are_shown_with_both_places() {
    let report = report(
        "[[host]]\nname = \"ws[01-12]\"\n\n[[host]]\nname = \"big\"\n\n[[host]]\nname = \"WS[10-14]\"\n\n[[host]]\nname = \"x[1,1]\"\n",
    );
    insta::assert_snapshot!(report);
}

#[test]
fn lines_and_columns_survive_other_line_ends_and_scripts() {
    let report = report("\u{feff}# größe\r\n[[host]]\r\nname = \"größe\"\r\nslots = 4 # ok\r\n");
    insta::assert_snapshot!(report);
}

#[test]
fn the_number_of_hosts_is_bounded_before_any_is_made() {
    let many: String = (0..1000)
        .map(|n| format!("[[host]]\nname = \"n{n}x[0-4095]\"\n"))
        .collect();
    assert!(report(&many).starts_with("error: more than 4096 hosts\n --> lab/hosts.toml:4:8\n"));
}

#[test]
fn a_file_of_nothing_but_mistakes_has_a_short_report() {
    let lines = [
        "a\n",
        "a=1\n",
        "[a]\n",
        "[[host]]\n",
        "[[host\n",
        "[host]\n",
        "a.b.c=[[[[\n",
        "\"\n",
    ];
    for line in lines {
        let report = report(&line.repeat((1 << 18) / line.len()));
        assert!(report.len() < 20_000, "{line:?}");
    }
}

#[test]
fn colour_is_the_callers_choice() {
    let report = Inventory::from_text("x = 1", Path::new("hosts.toml")).unwrap_err();
    assert!(!report.render(false).contains('\u{1b}'));
    assert!(report.render(true).contains('\u{1b}'));
}

/// A line of a file that is almost right.
fn line() -> impl Strategy<Value = String> {
    let word = prop_oneof![
        Just("name"),
        Just("slots"),
        Just("nice"),
        Just("tags"),
        Just("env"),
        Just("lease"),
        Just("max_load"),
        Just("mirrored_storage"),
        Just("ssh_config"),
        Just("enabled"),
        Just("slotz"),
        Just("target"),
    ];
    let value = prop_oneof![
        Just("1"),
        Just("\"ws[01-03]\""),
        Just("[\"/home\"]"),
        Just("{ A = \"1\" }"),
        Just("true"),
        Just("\"10s\""),
        Just("-5"),
        Just("nan"),
        Just("1979-05-27"),
        Just("\"\\u009b\""),
        Just("[[1]]"),
        Just("\"\"\""),
        Just("0x10"),
    ];
    prop_oneof![
        6 => (word, value).prop_map(|(word, value)| format!("{word} = {value}\n")),
        2 => Just("[[host]]\n".to_owned()),
        1 => Just("[defaults]\n".to_owned()),
        1 => Just("[worker]\n".to_owned()),
        1 => r"\PC{0,20}\n?",
    ]
}

proptest! {
    #[test]
    fn no_file_panics_or_sends_escapes(text in prop_oneof![
        proptest::collection::vec(line(), 0..20).prop_map(|lines| lines.concat()),
        any::<String>(),
    ]) {
        if let Err(report) = Inventory::from_text(&text, Path::new("hosts.toml")) {
            let report = report.to_string();
            prop_assert!(report.starts_with("error: "));
            let escape = report.chars().find(|character| character.is_control() && *character != '\n');
            prop_assert_eq!(escape, None, "{:?}", report);
        }
    }
}
