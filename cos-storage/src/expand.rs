//! `~`, `~user` and `{user}` in configured paths.

use std::env;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use crate::account;
use crate::error::ExpandError;
use crate::shown::Shown;

/// The home directory of this process's user: `HOME` if it is an absolute path, else what the
/// user's account says.
///
/// # Errors
///
/// [`ExpandError::NoHome`] if neither is known, [`ExpandError::LookupTimedOut`] if a directory
/// service had to be asked and did not answer.
pub fn home_directory() -> Result<PathBuf, ExpandError> {
    let from_environment = env::var_os("HOME")
        .map(PathBuf::from)
        .filter(|home| home.is_absolute());
    if let Some(home) = from_environment {
        return Ok(home);
    }
    let uid = rustix::process::getuid().as_raw();
    match account::by_uid(uid)? {
        Some(account) if account.home.is_absolute() => Ok(account.home),
        _ => Err(ExpandError::NoHome { uid }),
    }
}

/// The name of this process's user, or the user's number where the account has no name here.
///
/// # Errors
///
/// [`ExpandError::LookupTimedOut`] if a directory service had to be asked and did not answer.
pub fn user_name() -> Result<OsString, ExpandError> {
    let uid = rustix::process::getuid().as_raw();
    let account = account::by_uid(uid)?;
    Ok(account.map_or_else(|| uid.to_string().into(), |account| account.name))
}

/// Replaces a leading `~` by the user's home directory and a leading `~name` by that user's, as a
/// shell does. Other paths come back as they are.
///
/// # Errors
///
/// [`ExpandError`] if the home directory is not known here. A shell would keep the text instead,
/// and a directory named `~ana` would appear.
pub fn expand_home(path: &OsStr) -> Result<PathBuf, ExpandError> {
    let Some(rest) = path.as_bytes().strip_prefix(b"~") else {
        return Ok(PathBuf::from(path));
    };
    let slash = rest
        .iter()
        .position(|byte| *byte == b'/')
        .unwrap_or(rest.len());
    let (user, below) = rest.split_at(slash);
    let home = if user.is_empty() {
        home_directory()?
    } else {
        home_of(user)?
    };
    let below: &[u8] = &below[below.iter().take_while(|byte| **byte == b'/').count()..];
    Ok(if below.is_empty() {
        home
    } else {
        home.join(OsStr::from_bytes(below))
    })
}

fn home_of(user: &[u8]) -> Result<PathBuf, ExpandError> {
    let user = OsStr::from_bytes(user);
    match account::by_name(user)? {
        Some(account) if account.home.is_absolute() => Ok(account.home),
        _ => Err(ExpandError::UnknownUser {
            user: Shown::os_str(user).to_string(),
        }),
    }
}

/// The directory that a `local_storage` setting such as `/var/tmp/cos-{user}` means on this host:
/// `{user}` becomes the user's name, a leading `~` a home directory.
///
/// # Errors
///
/// [`ExpandError`] for another placeholder, an unknown user, or a result that is not absolute.
///
/// ```
/// let path = cos_storage::local_storage_path("/var/tmp/cos-{user}")?;
/// assert!(path.starts_with("/var/tmp") && !path.ends_with("cos-{user}"));
/// # Ok::<(), cos_storage::ExpandError>(())
/// ```
pub fn local_storage_path(template: impl AsRef<Path>) -> Result<PathBuf, ExpandError> {
    let template = template.as_ref().as_os_str();
    let expanded = expand_home(&replace_user(template, user_name)?)?;
    if !expanded.is_absolute() {
        return Err(ExpandError::Relative {
            path: Shown::path(&expanded).to_string(),
        });
    }
    Ok(expanded)
}

/// Replaces every `{user}`; `name` is asked only if there is one, since it may cost a process.
fn replace_user(
    template: &OsStr,
    name: impl Fn() -> Result<OsString, ExpandError>,
) -> Result<OsString, ExpandError> {
    const PLACEHOLDER: &[u8] = b"{user}";
    let (mut out, mut rest) = (Vec::new(), template.as_bytes());
    while let Some(brace) = rest.iter().position(|byte| *byte == b'{') {
        out.extend_from_slice(&rest[..brace]);
        rest = &rest[brace..];
        let Some(behind) = rest.strip_prefix(PLACEHOLDER) else {
            let end = rest
                .iter()
                .position(|byte| *byte == b'}')
                .map_or(rest.len(), |end| end + 1);
            let placeholder = Shown::os_str(OsStr::from_bytes(&rest[..end])).to_string();
            return Err(ExpandError::UnknownPlaceholder { placeholder });
        };
        // An account's name is one component, whatever a directory service makes of it.
        out.extend(
            name()?
                .as_bytes()
                .iter()
                .map(|byte| if *byte == b'/' { b'_' } else { *byte }),
        );
        rest = behind;
    }
    out.extend_from_slice(rest);
    Ok(OsString::from_vec(out))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expanded(text: &str) -> PathBuf {
        expand_home(OsStr::new(text)).unwrap()
    }

    #[test]
    fn the_own_home() {
        let home = home_directory().unwrap();
        assert_eq!(expanded("~"), home);
        assert_eq!(expanded("~/"), home);
        assert_eq!(expanded("~/a/b"), home.join("a/b"));
        // Not an absolute path below the home: a second slash must not discard the home.
        assert_eq!(expanded("~//a"), home.join("a"));
    }

    #[test]
    fn the_home_of_another_user() {
        assert_eq!(expanded("~root"), Path::new("/root"));
        assert_eq!(expanded("~root/x"), Path::new("/root/x"));
        let error = expand_home(OsStr::new("~no-such-user-here/x")).unwrap_err();
        assert_eq!(
            error.to_string(),
            "there is no user `no-such-user-here` on this computer"
        );
    }

    #[test]
    fn a_tilde_elsewhere_is_a_letter() {
        for path in ["/a/~", "/~root", "a~", "./~"] {
            assert_eq!(expanded(path), Path::new(path));
        }
    }

    #[test]
    fn user_placeholders() {
        let replace = |text: &str| replace_user(OsStr::new(text), || Ok("ana".into()));
        assert_eq!(replace("/var/tmp/cos-{user}").unwrap(), "/var/tmp/cos-ana");
        assert_eq!(replace("/{user}/{user}").unwrap(), "/ana/ana");
        assert_eq!(replace("/plain}").unwrap(), "/plain}");
        let placeholder = |text: &str| match replace(text).unwrap_err() {
            ExpandError::UnknownPlaceholder { placeholder } => placeholder,
            other => panic!("{other}"),
        };
        assert_eq!(placeholder("/x/{host}/y"), "{host}");
        assert_eq!(placeholder("/x/{user"), "{user");
        let slash = replace_user(OsStr::new("/t/{user}"), || Ok("../x".into())).unwrap();
        assert_eq!(slash, "/t/.._x");
    }

    #[test]
    fn local_storage_is_absolute() {
        let error = local_storage_path("scratch").unwrap_err();
        assert_eq!(
            error,
            ExpandError::Relative {
                path: "scratch".into()
            }
        );
        assert_eq!(local_storage_path("~root/s").unwrap(), Path::new("/root/s"));
    }
}
