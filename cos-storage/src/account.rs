//! User accounts, read without the C library: a statically linked worker has no `getpwnam`.
//!
//! Looked up in /etc/passwd first, then by the `getent` command, which knows the accounts of LDAP,
//! NIS and the like.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use crate::error::ExpandError;
use crate::shown::Shown;

const PASSWD: &str = "/etc/passwd";

/// How long a directory service may take. Its own time-outs are minutes, and a run waits for it.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(10);

/// One account is one line; whatever `getent` prints beyond this is not one.
const MAX_ANSWER: usize = 64 * 1024;

/// The parts of an account that COS needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Account {
    pub(crate) name: OsString,
    pub(crate) uid: u32,
    pub(crate) home: PathBuf,
}

/// Looks up an account by its name.
pub(crate) fn by_name(name: &OsStr) -> Result<Option<Account>, ExpandError> {
    find(name, |account| account.name == name)
}

/// Looks up an account by its number.
pub(crate) fn by_uid(uid: u32) -> Result<Option<Account>, ExpandError> {
    find(OsStr::new(&uid.to_string()), |account| account.uid == uid)
}

fn find(key: &OsStr, wanted: impl Fn(&Account) -> bool) -> Result<Option<Account>, ExpandError> {
    if let Some(account) = in_file(Path::new(PASSWD), &wanted) {
        return Ok(Some(account));
    }
    // A name may look like an option or like a number; the answer is compared, the option refused.
    if key.as_bytes().first().is_none_or(|byte| *byte == b'-') {
        return Ok(None);
    }
    let answer = ask_name_service(key)?;
    Ok(answer
        .split(|byte| *byte == b'\n')
        .filter_map(parse)
        .find(wanted))
}

fn in_file(passwd: &Path, wanted: impl Fn(&Account) -> bool) -> Option<Account> {
    let lines = BufReader::new(File::open(passwd).ok()?).split(b'\n');
    lines
        .map_while(Result::ok)
        .filter_map(|line| parse(&line))
        .find(wanted)
}

/// Reads one line of passwd(5): `name:password:uid:gid:comment:home:shell`.
fn parse(line: &[u8]) -> Option<Account> {
    let fields: Vec<&[u8]> = line.split(|byte| *byte == b':').collect();
    let &[name, _, uid, _, _, home, _] = fields.as_slice() else {
        return None;
    };
    // Lines that begin with `+` or `-` are NIS directives, not accounts.
    if name.is_empty() || name.starts_with(b"+") || name.starts_with(b"-") {
        return None;
    }
    Some(Account {
        name: OsString::from_vec(name.to_vec()),
        uid: std::str::from_utf8(uid).ok()?.parse().ok()?,
        home: PathBuf::from(OsString::from_vec(home.to_vec())),
    })
}

/// What `getent passwd KEY` prints; nothing where there is no such command.
fn ask_name_service(key: &OsStr) -> Result<Vec<u8>, ExpandError> {
    let spawned = Command::new("getent")
        .arg("passwd")
        .arg(key)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn();
    let Ok(mut child) = spawned else {
        return Ok(Vec::new());
    };
    let answer = child
        .stdout
        .take()
        .and_then(|out| read_until(out, LOOKUP_TIMEOUT));
    stop(&mut child);
    answer.ok_or_else(|| ExpandError::LookupTimedOut {
        user: Shown::os_str(key).to_string(),
        waited: LOOKUP_TIMEOUT,
    })
}

/// Reads to the end, or to the cap; `None` if the time is over first.
fn read_until(mut from: ChildStdout, timeout: Duration) -> Option<Vec<u8>> {
    let deadline = Instant::now() + timeout;
    let (mut answer, mut buffer) = (Vec::new(), [0; 4096]);
    while answer.len() < MAX_ANSWER {
        let left = deadline.saturating_duration_since(Instant::now());
        let left = Timespec {
            tv_sec: left.as_secs() as i64,
            tv_nsec: left.subsec_nanos().into(),
        };
        match poll(&mut [PollFd::new(&from, PollFlags::IN)], Some(&left)) {
            Ok(0) => return None,
            Err(Errno::INTR) => continue,
            Err(_) => break,
            Ok(_) => match from.read(&mut buffer) {
                Ok(0) | Err(_) => break,
                Ok(count) => answer.extend_from_slice(&buffer[..count]),
            },
        }
    }
    Some(answer)
}

/// Ends and reaps the child. Its status says nothing that its output does not, and a process that
/// reaps all its children (a subreaper) may have taken it already, so errors mean nothing here.
fn stop(child: &mut Child) {
    let _ = child.kill();
    let _ = child.wait();
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn passwd_lines_are_read_and_others_skipped() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(
            b"# comment\n\nroot:x:0:0:root:/root:/bin/sh\n+ana:x:7::::\nbad:x:no:0::/x:/bin/sh\n\
              short:x:1\nana:x:1000:1000:Ana,,,:/home/ana:/bin/fish\nb\xff:x:5:5::/h\xff:",
        )
        .unwrap();
        let by_name = |name: &[u8]| in_file(file.path(), |a| a.name.as_bytes() == name);
        assert_eq!(by_name(b"ana").unwrap().home, Path::new("/home/ana"));
        assert_eq!(
            by_name(b"b\xff").unwrap().home.as_os_str().as_bytes(),
            b"/h\xff"
        );
        assert_eq!(by_name(b"bad"), None);
        assert_eq!(by_name(b"+ana"), None);
        assert_eq!(in_file(file.path(), |a| a.uid == 1000).unwrap().name, "ana");
        assert_eq!(in_file(Path::new("/nonexistent/passwd"), |_| true), None);
    }

    #[test]
    fn root_is_known_and_strangers_are_not() {
        assert_eq!(by_uid(0).unwrap().unwrap().name, "root");
        assert_eq!(by_name(OsStr::new("no-such-user-here")).unwrap(), None);
        // `getent passwd 0` answers with root, whose name is not `0`.
        assert_eq!(by_name(OsStr::new("0")).unwrap(), None);
        assert_eq!(by_name(OsStr::new("--help")).unwrap(), None);
    }

    #[test]
    fn a_silent_name_service_is_given_up() {
        let mut child = Command::new("sleep")
            .arg("600")
            .stdout(Stdio::piped())
            .spawn()
            .expect("sleep starts");
        let out = child.stdout.take().unwrap();
        assert_eq!(read_until(out, Duration::from_millis(50)), None);
        stop(&mut child);
    }
}
