//! What is known about one host before anything is asked of it.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use thiserror::Error;

use super::host_name::HostName;
use super::slot_count::SlotCount;

/// One host of an [`Inventory`](super::Inventory), with every setting decided.
///
/// The fields are public because flags of the command line override the file's settings.
#[derive(Clone, Debug, PartialEq)]
pub struct HostSpec {
    /// Its name: what ssh is given, or this machine.
    pub name: HostName,
    /// How many slots it gives. Default: one per core.
    pub slots: SlotCount,
    /// The niceness of its jobs, -20 to 19. Default: 10, since these are other people's desks.
    pub nice: i32,
    /// Other people's load per core above which no new job starts there. Default: no limit.
    pub max_load: Option<f64>,
    /// Shell commands that run there once; what they export reaches every job. Default: none.
    pub setup: Option<String>,
    /// The words by which `--on` selects it, in the order of the file. Default: none.
    pub tags: Vec<String>,
    /// Variables in the environment of every job. Default: none.
    pub env: BTreeMap<String, String>,
    /// Where private directories of tasks are made. Default: `/var/tmp/cos-{user}`.
    pub local_storage: LocalStorage,
    /// The directory trees that it shares with this machine: entry n names the same tree on every host, a leading `~`
    /// the home directory there. `None`, the default, means the same list as this machine's. Empty lists say that
    /// nothing is shared.
    pub mirrored_storage: Option<Vec<PathBuf>>,
    /// How long a connection may take to come up. Default: 10 s.
    pub connect_timeout: Duration,
    /// How long it may work on unattended. Default: 60 s.
    pub lease: Duration,
    /// What happens at a host key that is not in known_hosts. Default: [`HostKeys::Known`].
    pub host_keys: HostKeys,
    /// The ssh_config that is used for it instead of the user's own.
    pub ssh_config: Option<PathBuf>,
    /// The program that runs a job's command line, given `-c` and the line. Default: `/bin/sh`.
    pub shell: String,
    /// Its target triple. Default: asked of the host.
    pub target: Option<String>,
    /// Whether it is used at all. Default: true.
    pub enabled: bool,
}

impl HostSpec {
    /// A host with the built-in default of every setting.
    pub fn new(name: HostName) -> Self {
        Self {
            name,
            slots: SlotCount::default(),
            nice: 10,
            max_load: None,
            setup: None,
            tags: Vec::new(),
            env: BTreeMap::new(),
            local_storage: LocalStorage::default(),
            mirrored_storage: None,
            connect_timeout: Duration::from_secs(10),
            lease: Duration::from_secs(60),
            host_keys: HostKeys::default(),
            ssh_config: None,
            shell: "/bin/sh".to_owned(),
            target: None,
            enabled: true,
        }
    }

    /// Whether it carries `tag`.
    pub fn has_tag(&self, tag: &str) -> bool {
        self.tags.iter().any(|own| own == tag)
    }
}

/// Which host keys are accepted: the value of `host_keys`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HostKeys {
    /// Only those in known_hosts (`StrictHostKeyChecking=yes`).
    #[default]
    Known,
    /// Also that of a host never seen before, which is then remembered; never a changed one
    /// (`StrictHostKeyChecking=accept-new`).
    AcceptNew,
}

impl HostKeys {
    /// Its words in hosts.toml.
    pub const WORDS: [&str; 2] = ["known", "accept-new"];
}

impl FromStr for HostKeys {
    type Err = UnknownHostKeys;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "known" => Ok(Self::Known),
            "accept-new" => Ok(Self::AcceptNew),
            _ => Err(UnknownHostKeys),
        }
    }
}

impl fmt::Display for HostKeys {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Known => "known",
            Self::AcceptNew => "accept-new",
        })
    }
}

/// The text is no policy for host keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("\"known\" or \"accept-new\"")]
pub struct UnknownHostKeys;

/// A directory of a host in which `{user}` stands for the account that is used there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalStorage(String);

impl LocalStorage {
    /// The directory for the account `user`.
    pub fn directory(&self, user: &str) -> PathBuf {
        PathBuf::from(self.0.replace("{user}", user))
    }

    /// The text as it was written, with `{user}` in it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for LocalStorage {
    fn default() -> Self {
        Self("/var/tmp/cos-{user}".to_owned())
    }
}

impl FromStr for LocalStorage {
    type Err = DirectoryError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        absolute_directory(text)?;
        if text.replace("{user}", "").contains(['{', '}']) {
            return Err(DirectoryError::Placeholder);
        }
        Ok(Self(text.to_owned()))
    }
}

/// Checks that `text` names one directory wherever it is used.
fn absolute_directory(text: &str) -> Result<PathBuf, DirectoryError> {
    if text.contains('\0') {
        return Err(DirectoryError::Nul);
    }
    if !text.starts_with('/') {
        return Err(DirectoryError::Relative);
    }
    if text.split('/').any(|component| component == "..") {
        return Err(DirectoryError::Parent);
    }
    Ok(PathBuf::from(text))
}

/// An entry of `mirrored_storage`: an absolute path, or one below a home directory.
pub(super) fn mirrored_directory(text: &str) -> Result<PathBuf, DirectoryError> {
    match text.strip_prefix('~') {
        None => absolute_directory(text).map_err(|error| match error {
            DirectoryError::Relative => DirectoryError::RelativeEntry,
            other => other,
        }),
        Some(below) => absolute_directory(&format!("/{below}")).map(|_| PathBuf::from(text)),
    }
}

/// Why a text is no directory of a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum DirectoryError {
    /// It does not begin with `/`.
    #[error("must begin with `/`")]
    Relative,
    /// An entry of `mirrored_storage` begins neither with `/` nor with `~`.
    #[error("must begin with `/`, or with `~` for a home directory")]
    RelativeEntry,
    /// It has a component `..`.
    #[error("must not contain `..`")]
    Parent,
    /// It contains a NUL byte.
    #[error("must not contain a NUL byte")]
    Nul,
    /// It has braces other than `{user}`.
    #[error("the only placeholder is `{{user}}`")]
    Placeholder,
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn local_storage_is_per_user() {
        assert_eq!(
            LocalStorage::default().directory("ana"),
            Path::new("/var/tmp/cos-ana")
        );
        let fixed: LocalStorage = "/scratch".parse().unwrap();
        assert_eq!(fixed.directory("ana"), Path::new("/scratch"));
    }

    #[test]
    fn local_storage_names_one_directory() {
        let error = |text: &str| text.parse::<LocalStorage>().unwrap_err();
        assert_eq!(error("scratch"), DirectoryError::Relative);
        assert_eq!(error(""), DirectoryError::Relative);
        assert_eq!(error("/a/../b"), DirectoryError::Parent);
        assert_eq!(error("/a\0b"), DirectoryError::Nul);
        assert_eq!(error("/a/{host}"), DirectoryError::Placeholder);
        assert_eq!(error("/a/{user"), DirectoryError::Placeholder);
    }

    #[test]
    fn host_keys_are_never_weaker_than_accept_new() {
        for word in HostKeys::WORDS {
            assert_eq!(
                word.parse::<HostKeys>().map(|keys| keys.to_string()),
                Ok(word.to_owned())
            );
        }
        for word in ["no", "off", "any", "", "Known"] {
            assert_eq!(word.parse::<HostKeys>(), Err(UnknownHostKeys));
        }
    }
}
