//! The keys that `[defaults]` and every `[[host]]` may have.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::PathBuf;
use std::time::Duration;

use toml::de::{DeTable, DeValue};

use super::super::host_name::HostName;
use super::super::host_spec::{HostKeys, HostSpec, LocalStorage, mirrored_directory};
use super::super::report::{Problem, nearest, quoted};
use super::super::slot_count::SlotCount;
use super::Reader;
use super::values::{self, Key, Value};

/// The shortest lease: below it, a busy network looks like a lost host.
const SHORTEST_LEASE: Duration = Duration::from_secs(2);

/// The longest lease. What works unattended for longer is nobody's any more.
const LONGEST_LEASE: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// ssh counts its timeout in whole seconds.
const SHORTEST_CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// Nobody waits longer for a connection.
const LONGEST_CONNECT_TIMEOUT: Duration = Duration::from_secs(60 * 60);

/// The keys, as they are listed to the user.
const KEYS: [&str; 17] = [
    "name",
    "slots",
    "nice",
    "max_load",
    "setup",
    "tags",
    "env",
    "local_storage",
    "mirrored_storage",
    "shared_dirs",
    "connect_timeout",
    "lease",
    "host_keys",
    "ssh_config",
    "shell",
    "target",
    "enabled",
];

/// Words that people write for a key, or for something that stands elsewhere.
const OTHER_WORDS: [(&[&str], &str); 6] = [
    (&["host", "hostname", "address"], "did you mean `name`?"),
    (
        &["cores", "cpus", "jobs", "max_slots", "ncpus"],
        "did you mean `slots`?",
    ),
    (&["timeout"], "did you mean `connect_timeout`?"),
    (
        &["disabled", "disable", "enable"],
        "did you mean `enabled`?",
    ),
    (
        &["user", "username", "login"],
        "belongs in ssh_config; or name = \"user@host\"",
    ),
    (
        &[
            "port",
            "identity_file",
            "identityfile",
            "key",
            "proxy_jump",
            "proxyjump",
            "proxy",
        ],
        "belongs in ssh_config",
    ),
];

/// Settings as far as one table gives them.
#[derive(Clone, Debug, Default)]
pub(super) struct Settings {
    slots: Option<SlotCount>,
    nice: Option<i32>,
    max_load: Option<f64>,
    setup: Option<String>,
    tags: Option<Vec<String>>,
    env: BTreeMap<String, String>,
    local_storage: Option<LocalStorage>,
    pub(super) mirrored_storage: Option<Located<Vec<PathBuf>>>,
    connect_timeout: Option<Duration>,
    lease: Option<Duration>,
    host_keys: Option<HostKeys>,
    ssh_config: Option<PathBuf>,
    shell: Option<String>,
    target: Option<String>,
    enabled: Option<bool>,
}

/// A value and the bytes of the text where it stands.
#[derive(Clone, Debug)]
pub(super) struct Located<T> {
    pub(super) value: T,
    pub(super) span: Range<usize>,
}

impl Settings {
    /// Reads the keys of `table`. The key `name` is handed to `name`, or reported where there is none.
    pub(super) fn read(
        reader: &mut Reader<'_>,
        table: &DeTable<'_>,
        mut name: Option<&mut dyn FnMut(&Value<'_>)>,
    ) -> Self {
        let mut settings = Self::default();
        for (key, value) in table {
            match (key.get_ref().as_ref(), &mut name) {
                ("name", Some(name)) => name(value),
                ("name", None) => {
                    let label = "belongs below `[[host]]`";
                    reader.report(Problem::new(
                        key.span(),
                        "`name` cannot have a default",
                        label,
                    ));
                }
                _ => settings.read_key(reader, key, value),
            }
        }
        if let (Some((first, _)), Some((second, _))) = (
            table.get_key_value("mirrored_storage"),
            table.get_key_value("shared_dirs"),
        ) {
            let problem = Problem::new(
                second.span(),
                "two words for one list",
                "the same as `mirrored_storage`",
            )
            .context(first.span(), "is here too");
            reader.report(problem);
        }
        settings
    }

    fn read_key(&mut self, reader: &mut Reader<'_>, key: &Key<'_>, value: &Value<'_>) {
        let word: &str = key.get_ref();
        match word {
            "slots" => self.slots = reader.accept(slots(word, value)),
            "nice" => self.nice = reader.accept(values::integer(word, value, -20, 19)),
            "max_load" => self.max_load = reader.accept(values::positive(word, value)),
            "setup" => self.setup = reader.accept(setup(word, value)),
            "tags" => self.tags = reader.accept(values::tags(word, value)),
            "env" => match values::environment(word, value) {
                Ok(variables) => self.env = variables,
                Err(problems) => problems
                    .into_iter()
                    .for_each(|problem| reader.report(problem)),
            },
            "local_storage" => {
                self.local_storage =
                    reader.accept(values::parsed(word, value, "\"/var/tmp/cos-{user}\""));
            }
            "mirrored_storage" | "shared_dirs" => {
                self.mirrored_storage = reader.accept(mirrored_storage(word, value));
            }
            "connect_timeout" => {
                let range = (SHORTEST_CONNECT_TIMEOUT, LONGEST_CONNECT_TIMEOUT);
                self.connect_timeout =
                    reader.accept(values::duration(word, value, range.0, range.1));
            }
            "lease" => {
                self.lease =
                    reader.accept(values::duration(word, value, SHORTEST_LEASE, LONGEST_LEASE));
            }
            "host_keys" => self.host_keys = reader.accept(values::parsed(word, value, "\"known\"")),
            "ssh_config" => self.ssh_config = ssh_config(reader, word, value),
            "shell" => self.shell = reader.accept(shell(word, value)),
            "target" => self.target = reader.accept(target(word, value)),
            "enabled" => self.enabled = reader.accept(values::boolean(word, value)),
            _ => reader.report(unknown_key(reader.surroundings.file_name(), key)),
        }
    }

    /// These settings on top of `defaults`. Lists replace each other; variables are taken one by one.
    pub(super) fn over(mut self, defaults: &Self) -> Self {
        for (name, value) in &defaults.env {
            self.env
                .entry(name.clone())
                .or_insert_with(|| value.clone());
        }
        Self {
            slots: self.slots.or(defaults.slots),
            nice: self.nice.or(defaults.nice),
            max_load: self.max_load.or(defaults.max_load),
            setup: self.setup.or_else(|| defaults.setup.clone()),
            tags: self.tags.or_else(|| defaults.tags.clone()),
            env: self.env,
            local_storage: self
                .local_storage
                .or_else(|| defaults.local_storage.clone()),
            mirrored_storage: self
                .mirrored_storage
                .or_else(|| defaults.mirrored_storage.clone()),
            connect_timeout: self.connect_timeout.or(defaults.connect_timeout),
            lease: self.lease.or(defaults.lease),
            host_keys: self.host_keys.or(defaults.host_keys),
            ssh_config: self.ssh_config.or_else(|| defaults.ssh_config.clone()),
            shell: self.shell.or_else(|| defaults.shell.clone()),
            target: self.target.or_else(|| defaults.target.clone()),
            enabled: self.enabled.or(defaults.enabled),
        }
    }

    /// The host `name` with these settings; the rest are the built-in defaults.
    pub(super) fn host(&self, name: HostName) -> HostSpec {
        let built_in = HostSpec::new(name);
        let settings = self.clone();
        HostSpec {
            slots: settings.slots.unwrap_or(built_in.slots),
            nice: settings.nice.unwrap_or(built_in.nice),
            max_load: settings.max_load,
            setup: settings.setup,
            tags: settings.tags.unwrap_or_default(),
            env: settings.env,
            local_storage: settings.local_storage.unwrap_or(built_in.local_storage),
            mirrored_storage: settings.mirrored_storage.map(|located| located.value),
            connect_timeout: settings.connect_timeout.unwrap_or(built_in.connect_timeout),
            lease: settings.lease.unwrap_or(built_in.lease),
            host_keys: settings.host_keys.unwrap_or(built_in.host_keys),
            ssh_config: settings.ssh_config,
            shell: settings.shell.unwrap_or(built_in.shell),
            target: settings.target,
            enabled: settings.enabled.unwrap_or(built_in.enabled),
            name: built_in.name,
        }
    }
}

fn slots(key: &str, value: &Value<'_>) -> Result<SlotCount, Problem> {
    match value.get_ref() {
        DeValue::String(text) => text
            .parse()
            .map_err(|error| values::refused(key, value, error)),
        DeValue::Integer(number) => {
            // What is negative or does not fit is refused like 0 or like too many.
            let number = values::whole(number).unwrap_or(i64::MAX).max(0);
            SlotCount::number(u32::try_from(number).unwrap_or(u32::MAX))
                .map_err(|error| values::refused(key, value, error))
        }
        _ => Err(values::mismatch(
            key,
            value,
            "a number, \"cores\", \"cores-1\" or \"50%\"",
        )),
    }
}

fn setup(key: &str, value: &Value<'_>) -> Result<String, Problem> {
    values::text(key, value, "\"module load ngspice\"").map(str::to_owned)
}

fn shell(key: &str, value: &Value<'_>) -> Result<String, Problem> {
    let program = values::text(key, value, "\"/bin/bash\"")?;
    if program.starts_with('-')
        || program.contains(|character: char| character.is_whitespace() || character.is_control())
    {
        return Err(values::refused(
            key,
            value,
            "one program without arguments; it is given `-c` and the command",
        ));
    }
    Ok(program.to_owned())
}

fn target(key: &str, value: &Value<'_>) -> Result<String, Problem> {
    let triple = values::text(key, value, "\"aarch64-unknown-linux-musl\"")?;
    if is_target(triple) {
        Ok(triple.to_owned())
    } else {
        Err(values::refused(
            key,
            value,
            "a target triple such as `aarch64-unknown-linux-musl`",
        ))
    }
}

/// Whether `text` has the form of a target triple; which ones exist is the compiler's to know.
pub(super) fn is_target(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let word = |part: &&str| {
        !part.is_empty()
            && part
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.'))
    };
    (2..=5).contains(&parts.len()) && parts.iter().all(word)
}

fn mirrored_storage(key: &str, value: &Value<'_>) -> Result<Located<Vec<PathBuf>>, Problem> {
    let mut directories = Vec::new();
    for item in values::list(key, value, "[\"/home\"]")? {
        let text = values::text(key, item, "\"/home\"")?;
        let directory =
            mirrored_directory(text).map_err(|error| values::refused(key, item, error))?;
        if directories.contains(&directory) {
            return Err(values::refused(key, item, "is in the list already"));
        }
        directories.push(directory);
    }
    Ok(Located {
        value: directories,
        span: value.span(),
    })
}

fn ssh_config(reader: &mut Reader<'_>, key: &str, value: &Value<'_>) -> Option<PathBuf> {
    let result = values::text(key, value, "\"lab_ssh_config\"");
    let path = reader.surroundings.resolve(reader.accept(result)?);
    match (reader.surroundings.check_ssh_config)(&path) {
        Ok(()) => Some(path),
        Err(reason) => {
            reader.report(values::refused(key, value, reason));
            None
        }
    }
}

fn unknown_key(file_name: &str, key: &Key<'_>) -> Problem {
    let word: &str = key.get_ref();
    let title = format!("unknown key {} in {file_name}", quoted(word));
    let lower = word.to_lowercase();
    let other = OTHER_WORDS
        .iter()
        .find(|(words, _)| words.contains(&lower.as_str()));
    match (other, nearest(word, KEYS)) {
        (Some((_, answer)), _) => Problem::new(key.span(), title, *answer),
        (None, Some(known)) => Problem::new(key.span(), title, format!("did you mean `{known}`?")),
        (None, None) => Problem::new(key.span(), title, "no such setting of a host")
            .hint(format!("the keys are {}", KEYS.join(", "))),
    }
}
