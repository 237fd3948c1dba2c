//! The first hosts.toml, as `cos init` writes it.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use super::host_range::{self, HostRangeError};

/// The text of a hosts.toml with these hosts: three lines for each name, which may have ranges.
/// Without a name it is this machine.
///
/// # Errors
///
/// The first name that is refused, and why.
pub fn starter(names: &[impl AsRef<str>]) -> Result<String, (String, HostRangeError)> {
    let mut tables = Vec::new();
    for name in names.iter().map(AsRef::as_ref) {
        host_range::expand(name).map_err(|error| (name.to_owned(), error))?;
        tables.push(table(name));
    }
    if tables.is_empty() {
        tables.push(table("local"));
    }
    Ok(tables.join("\n"))
}

fn table(name: &str) -> String {
    // A name that was accepted holds nothing that TOML would read otherwise.
    format!("[[host]]\nname  = \"{name}\"\nslots = \"cores\"\n")
}

/// Writes `text` to a new file, which nobody but the user may write, whatever the umask: otherwise it
/// would not be read when it is found.
///
/// # Errors
///
/// [`io::ErrorKind::AlreadyExists`] if there is a file; it is left as it is.
pub fn create_starter(path: &Path, text: &str) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o644)
        .open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::super::{Inventory, SlotCount};
    use super::*;

    #[test]
    fn three_lines_are_a_whole_file() {
        let text = starter(&["ws[01-12]"]).unwrap();
        assert_eq!(text, "[[host]]\nname  = \"ws[01-12]\"\nslots = \"cores\"\n");
        let inventory = Inventory::from_text(&text, Path::new("hosts.toml")).unwrap();
        assert_eq!(inventory.hosts.len(), 12);
        assert!(
            inventory
                .hosts
                .iter()
                .all(|host| host.slots == SlotCount::Cores)
        );
    }

    #[test]
    fn every_accepted_name_makes_a_readable_file() {
        for names in [
            vec![],
            vec!["local"],
            vec!["ssh://ana@ws[1-2]:22", "fe80::1%eth0", "a@b@c.d_e"],
        ] {
            let text = starter(&names).unwrap();
            Inventory::from_text(&text, Path::new("hosts.toml")).unwrap();
        }
        assert_eq!(starter(&["a\"b"]).unwrap_err().0, "a\"b");
    }

    #[test]
    fn an_existing_file_is_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("hosts.toml");
        create_starter(&path, "first").unwrap();
        assert_eq!(
            create_starter(&path, "second").unwrap_err().kind(),
            io::ErrorKind::AlreadyExists
        );
        assert_eq!(std::fs::read_to_string(path).unwrap(), "first");
    }
}
