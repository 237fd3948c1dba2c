//! `cos hosts`: the hosts that hosts.toml names. Nothing is asked of any host.

use std::io::Write;

use comfy_table::{Table, presets};
use cos_ssh_vm::inventory::{FoundBy, HostSpec, Inventory, Source};
use serde::Serialize;

use crate::arguments::{HostsArguments, HostsError, TableFormat};
use crate::exit_code;
use crate::failure::Failure;

pub(super) fn list(arguments: &HostsArguments, out: &mut dyn Write) -> Result<u8, Failure> {
    let failure = |error: HostsError| Failure::Rendered {
        text: error.render(false),
        exit_code: error.exit_code(),
    };
    let inventory = if arguments.selection.on.is_empty() {
        arguments.selection.inventory().map_err(failure)?
    } else {
        arguments.selection.selected().map_err(failure)?
    };
    let text = match arguments.format {
        TableFormat::Text => table(&inventory),
        TableFormat::Json => json(&inventory),
    };
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .map_err(|error| Failure::stdout(&error))?;
    Ok(exit_code::SUCCESS)
}

pub(super) fn source(inventory: &Inventory) -> String {
    match &inventory.source {
        Source::File { path, found } => {
            let how = match found {
                FoundBy::Option => " (--hosts)",
                FoundBy::Variable => " (COS_HOSTS)",
                FoundBy::Search => "",
            };
            format!("{}{how}", path.display())
        }
        Source::Sshlogin => "--sshlogin".to_owned(),
        Source::ThisMachine { .. } => "no hosts.toml found; this machine alone".to_owned(),
    }
}

fn table(inventory: &Inventory) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(["HOST", "SLOTS", "NICE", "MAX LOAD", "TAGS", ""]);
    for host in &inventory.hosts {
        table.add_row([
            host.name.to_string(),
            host.slots.to_string(),
            host.nice.to_string(),
            host.max_load
                .map_or_else(String::new, |load| load.to_string()),
            host.tags.join(" "),
            if host.enabled {
                String::new()
            } else {
                "off".to_owned()
            },
        ]);
    }
    let lines: Vec<String> = table.lines().map(|line| line.trim().to_owned()).collect();
    format!("{}\n\nfrom {}\n", lines.join("\n"), source(inventory))
}

#[derive(Serialize)]
struct Document<'a> {
    v: u32,
    source: String,
    hosts: Vec<Entry<'a>>,
}

#[derive(Serialize)]
struct Entry<'a> {
    name: &'a str,
    slots: String,
    nice: i32,
    max_load: Option<f64>,
    tags: &'a [String],
    enabled: bool,
}

impl<'a> From<&'a HostSpec> for Entry<'a> {
    fn from(host: &'a HostSpec) -> Self {
        Self {
            name: host.name.as_str(),
            slots: host.slots.to_string(),
            nice: host.nice,
            max_load: host.max_load,
            tags: &host.tags,
            enabled: host.enabled,
        }
    }
}

fn json(inventory: &Inventory) -> String {
    let document = Document {
        v: 1,
        source: source(inventory),
        hosts: inventory.hosts.iter().map(Entry::from).collect(),
    };
    serde_json::to_string_pretty(&document).unwrap_or_default() + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    const FILE: &str = "[defaults]\ntags = [\"lab\"]\n\n[[host]]\nname = \"ws[1-2]\"\nslots = 4\n\n\
        [[host]]\nname = \"pi4\"\nenabled = false\n";

    fn inventory() -> Inventory {
        Inventory::from_text(FILE, Path::new("/lab/hosts.toml")).expect("a hosts.toml")
    }

    #[test]
    fn the_table_has_a_line_per_host() {
        let text = table(&inventory());
        let rows: Vec<Vec<&str>> = text
            .lines()
            .map(|line| line.split_whitespace().collect())
            .collect();
        assert_eq!(rows[0], ["HOST", "SLOTS", "NICE", "MAX", "LOAD", "TAGS"]);
        assert_eq!(rows[1], ["ws1", "4", "10", "lab"]);
        assert_eq!(rows[3], ["pi4", "cores", "10", "lab", "off"]);
        assert!(text.ends_with("\nfrom /lab/hosts.toml (--hosts)\n"));
    }

    #[test]
    fn json_has_the_same() {
        let value: serde_json::Value = serde_json::from_str(&json(&inventory())).expect("JSON");
        assert_eq!(value["hosts"][1]["name"], "ws2");
        assert_eq!(value["hosts"][2]["enabled"], false);
        assert_eq!(value["source"], "/lab/hosts.toml (--hosts)");
    }
}
