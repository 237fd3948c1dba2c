//! Finds the processes of a test by a mark in their environment.

/// The variable that holds the mark.
pub(super) const MARK: &str = "COS_TEST_MARK";

/// Processes whose environment holds the mark, zombies aside.
pub(super) fn marked(mark: &str) -> Vec<(i32, String)> {
    let wanted = format!("{MARK}={mark}");
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|it| it.parse().ok()) else {
            continue;
        };
        let Ok(environment) = std::fs::read(entry.path().join("environ")) else {
            continue;
        };
        let mut pairs = environment.split(|byte| *byte == 0);
        if pairs.any(|pair| pair == wanted.as_bytes()) {
            let name = std::fs::read_to_string(entry.path().join("comm")).unwrap_or_default();
            found.push((pid, name.trim().to_owned()));
        }
    }
    found
}
