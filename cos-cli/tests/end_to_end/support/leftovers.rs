//! What a run must not leave: processes, scratch, temporary files, sockets.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Instant;

use cos_testlab::TestHost;

use super::{DEADLINE, Fixture, LOOK_AGAIN, Ran};

impl Fixture {
    /// Fails the test when anything of a run is left, on a host or on the client. Processes may take a moment to go;
    /// what is on disk must be gone with them.
    #[track_caller]
    pub(crate) fn assert_nothing_left(&self, ran: &Ran) {
        for host in &self.hosts {
            if let Err(error) = host.wait_for_no_processes(DEADLINE) {
                panic!("{error}\n{}", ran.story());
            }
            let left = left_on(host);
            assert!(
                left.is_empty(),
                "left on {}: {left:?}\n{}",
                host.name(),
                ran.story()
            );
        }
        let start = Instant::now();
        loop {
            let left = self.client_processes();
            if left.is_empty() {
                break;
            }
            assert!(
                start.elapsed() < DEADLINE,
                "processes of the client: {left:#?}\n{}",
                ran.story()
            );
            thread::sleep(LOOK_AGAIN);
        }
        let client = self.lab.directory().join("client");
        for directory in ["run", "tmp"] {
            let left = entries_below(&client.join(directory));
            let left: Vec<_> = left.into_iter().filter(|path| !is_kept(path)).collect();
            assert!(
                left.is_empty(),
                "left on the client: {left:?}\n{}",
                ran.story()
            );
        }
    }

    /// Every process with the client's home in its environment: `cos`, its ssh masters, local agents and their jobs.
    fn client_processes(&self) -> Vec<String> {
        let mut home = b"HOME=".to_vec();
        home.extend_from_slice(self.lab.client_home().as_os_str().as_bytes());
        let mut found = Vec::new();
        for entry in fs::read_dir("/proc").expect("/proc").flatten() {
            // Processes come and go while they are looked at.
            let environment = fs::read(entry.path().join("environ")).unwrap_or_default();
            if environment
                .split(|&byte| byte == 0)
                .any(|pair| pair == home)
            {
                let words = fs::read(entry.path().join("cmdline")).unwrap_or_default();
                let words = String::from_utf8_lossy(&words).replace('\0', " ");
                found.push(format!("{} {words}", entry.file_name().to_string_lossy()));
            }
        }
        found
    }
}

/// What a run has left on a host's disk.
fn left_on(host: &TestHost) -> Vec<PathBuf> {
    let mut left = Vec::new();
    for directory in [host.scratch(), host.temporary(), host.runtime()] {
        left.extend(entries_below(&host.as_seen_by_host(directory)));
    }
    let cache = host.as_seen_by_host(host.cache().join("cos"));
    let files = entries_below(&cache)
        .into_iter()
        .filter(|path| !path.is_dir());
    left.extend(files.filter(|path| path.file_name() != Some("cos-worker".as_ref())));
    let store = host.as_seen_by_host(host.scratch()).join("store");
    left.retain(|path| !is_kept(path) && !is_stored(path, &store));
    left
}

/// What later runs use again: contents, and what had arrived of one whose job went to another host.
fn is_stored(path: &Path, store: &Path) -> bool {
    let is_directory = |name: &str| path == store.join(name) && path.is_dir();
    path == store
        || is_directory("objects")
        || is_directory("partial")
        || path.starts_with(store.join("objects"))
        || path.parent() == Some(&store.join("partial"))
}

/// The two directories that stay: where agents make theirs.
fn is_kept(path: &Path) -> bool {
    path.is_dir() && (path.ends_with("cos") || path.ends_with("cos/agents"))
}

/// Everything below a directory.
fn entries_below(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut pending = vec![directory.to_owned()];
    while let Some(next) = pending.pop() {
        for entry in fs::read_dir(&next).into_iter().flatten().flatten() {
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                pending.push(entry.path());
            }
            found.push(entry.path());
        }
    }
    found
}
