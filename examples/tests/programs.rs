//! The example programs, without hosts and on a lab of two: each does what its first lines say.

#![expect(
    clippy::unwrap_used,
    reason = "a test ends where something is not as it should be"
)]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use cos_testlab::{Lab, TestHost};
use tempfile::TempDir;

/// A home without a hosts.toml, or with the one of a lab.
struct Place {
    home: TempDir,
    _lab: Option<(Lab, Vec<TestHost>)>,
}

impl Place {
    fn alone() -> Self {
        Self {
            home: tempfile::tempdir().unwrap(),
            _lab: None,
        }
    }

    fn with_lab() -> Self {
        let lab = Lab::new().unwrap();
        let hosts: Vec<TestHost> = ["ws01", "ws02"]
            .map(|name| lab.host(name).start().unwrap())
            .into();
        let home = tempfile::tempdir().unwrap();
        let hosts_toml = lab.hosts_toml(&hosts).unwrap();
        fs::write(home.path().join("hosts.toml"), hosts_toml).unwrap();
        Self {
            home,
            _lab: Some((lab, hosts)),
        }
    }

    fn path(&self) -> &Path {
        self.home.path()
    }

    fn run(&self, program: &str, arguments: &[&str]) -> Output {
        Command::new(program)
            .args(arguments)
            .current_dir(self.path())
            .env("HOME", self.path())
            .env_remove("COS_HOSTS")
            .env_remove("XDG_CONFIG_HOME")
            .env_remove("PARALLEL_MIRRORED_STORAGE")
            .output()
            .unwrap()
    }

    /// The standard output of a program that succeeds.
    fn output(&self, program: &str, arguments: &[&str]) -> String {
        let output = self.run(program, arguments);
        let words = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{}: {words}", output.status);
        String::from_utf8(output.stdout).unwrap()
    }
}

/// Both places, since every program runs in both.
fn places() -> [Place; 2] {
    [Place::alone(), Place::with_lab()]
}

#[test]
fn context_switches_are_in_the_order_of_pyopus() {
    let said = Place::alone().output(env!("CARGO_BIN_EXE_01_context"), &[]);
    let mut expected = vec!["2 Hello A: 0".to_owned()];
    for i in 1..10 {
        expected.push(format!("2 Hello A: {i}"));
        expected.push(format!("3 Hello B: {}", i - 1));
    }
    expected.push("3 Hello B: 9".to_owned());
    expected.push("task 2: 10".to_owned());
    expected.extend((10..20).map(|i| format!("3 Hello B: {i}")));
    expected.push("task 3: 20".to_owned());
    assert_eq!(said.lines().collect::<Vec<_>>(), expected);
}

#[test]
fn what_an_outsourced_task_prints_comes_back() {
    for place in places() {
        let output = place.run(env!("CARGO_BIN_EXE_02_remote"), &[]);
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let said = said + &String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}");
        for (name, count) in [("A", 10), ("B", 20), ("C", 15)] {
            let lines = (0..count).filter(|i| said.contains(&format!("{name}: {i}\n")));
            assert_eq!(lines.count(), count, "{name}: {said}");
        }
        for result in ["2: 10", "3: 20", "4: 15"] {
            assert!(said.lines().any(|line| line == result), "{result}: {said}");
        }
    }
}

#[test]
fn a_dispatch_gives_results_in_the_order_of_the_jobs() {
    let doubled: Vec<u64> = (0..100).map(|x| 2 * x).collect();
    for place in places() {
        let said = place.output(env!("CARGO_BIN_EXE_03_dispatch"), &[]);
        assert_eq!(said, format!("{doubled:?}\n"));
    }
}

#[test]
fn an_endless_generator_is_stopped_by_its_collector() {
    for place in places() {
        let said = place.output(env!("CARGO_BIN_EXE_04_generator"), &[]);
        let doubled: Vec<(u64, u64)> = (0..76).map(|x| (x, 2 * x)).collect();
        let first = format!("{doubled:?}");
        assert!(said.starts_with(first.trim_end_matches(']')), "{said}");
    }
}

#[test]
fn an_asynchronous_loop_ends_when_its_goal_is_reached() {
    for place in places() {
        let said = place.output(env!("CARGO_BIN_EXE_05_async_loop"), &[]);
        let best = said
            .strip_prefix("best ")
            .and_then(|rest| rest.split(' ').next());
        let best: u64 = best.unwrap().parse().unwrap();
        assert!(best >= 150 && best.is_multiple_of(2), "{said}");
    }
}

#[test]
fn tasks_share_a_bound_through_their_spawner() {
    for place in places() {
        let said = place.output(env!("CARGO_BIN_EXE_06_spawner_call"), &[]);
        // Seed 1 is halved three times by whoever comes first or last.
        assert!(said.starts_with("best 0.125\n"), "{said}");
        assert!(said.contains(" of 40 searches gave up early\n"), "{said}");
    }
}

#[test]
fn rows_are_outsourced_with_microthreads_inside() {
    let rows: Vec<u64> = (0..10).map(|row| 12 * row).collect();
    for place in places() {
        let said = place.output(env!("CARGO_BIN_EXE_08_nested"), &[]);
        assert_eq!(said, format!("{rows:?}\n"));
    }
}

#[test]
fn threads_of_a_synchronous_program_share_one_os() {
    let said = Place::alone().output(env!("CARGO_BIN_EXE_embed"), &[]);
    assert_eq!(said.lines().count(), 3, "{said}");
    for line in said.lines() {
        assert!(line.ends_with(" to (3.000, -1.000)"), "{said}");
    }
}

#[test]
fn a_sweep_gives_the_same_table_wherever_its_evaluations_are_done() {
    let small = [
        "--function",
        "sphere,ackley",
        "--dimensions",
        "2",
        "--populations",
        "10,16",
        "--seeds",
        "2",
        "--tolerance",
        "1e-2",
    ];
    let mut tables = Vec::new();
    for place in places() {
        for outsourced in ["nothing", "runs", "evaluations", "both"] {
            let arguments = [&small[..], &["--outsource", outsourced]].concat();
            tables.push(place.output(env!("CARGO_BIN_EXE_desweep"), &arguments));
        }
    }
    assert_eq!(tables[0].lines().count(), 5, "{}", tables[0]);
    for table in &tables {
        assert_eq!(*table, tables[0]);
    }
}
