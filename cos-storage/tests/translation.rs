//! Translation between hosts over generated storages and paths, against a model that knows only
//! lists of names.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use cos_storage::{AbstractPath, MirroredStorage, TranslateError};
use proptest::prelude::*;

/// Names that invite mistakes: one the prefix of another, not UTF-8, newline, blank, dots.
const NAMES: [&[u8]; 7] = [b"a", b"ab", b"a\n", b"\xff", b"\xc3\xa9", b" ", b"..."];

type Names = Vec<&'static [u8]>;

fn names(count: std::ops::Range<usize>) -> impl Strategy<Value = Names> {
    prop::collection::vec(prop::sample::select(NAMES.to_vec()), count)
}

#[derive(Debug, Clone)]
struct Entry {
    place: Names,
    /// Configured by a link to it instead of by its own path.
    by_link: bool,
}

#[derive(Debug, Clone)]
struct Case {
    entries: Vec<Entry>,
    /// The path: below this entry, or anywhere if there is none of that number.
    from: usize,
    tail: Names,
    exists: bool,
    /// What stands between two names instead of a slash.
    separator: &'static str,
    end: &'static str,
}

fn case() -> impl Strategy<Value = Case> {
    let entry = (names(1..4), any::<bool>()).prop_map(|(place, by_link)| Entry { place, by_link });
    (
        prop::collection::vec(entry, 1..6),
        0..8usize,
        names(0..4),
        any::<bool>(),
        prop::sample::select(vec!["/", "//", "/./"]),
        prop::sample::select(vec!["", "/", "/."]),
    )
        .prop_map(|(entries, from, tail, exists, separator, end)| Case {
            entries,
            from,
            tail,
            exists,
            separator,
            end,
        })
}

fn path(root: &Path, names: &[&[u8]]) -> PathBuf {
    names.iter().fold(root.to_owned(), |path, name| {
        path.join(OsStr::from_bytes(name))
    })
}

/// What the translation must be, by lists of names alone.
fn model(case: &Case, names: &[&'static [u8]]) -> Option<(u16, Names)> {
    let holders = (0..)
        .zip(&case.entries)
        .filter(|(_, entry)| names.starts_with(&entry.place));
    // Of equals the first.
    let (index, entry) = holders.min_by_key(|(_, entry)| names.len() - entry.place.len())?;
    Some((index, names[entry.place.len()..].to_vec()))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..Default::default() })]

    #[test]
    fn paths_go_there_and_back(case in case()) {
        let guard = tempfile::tempdir().unwrap();
        let top = fs::canonicalize(guard.path()).unwrap();
        let (here, there) = (top.join("here"), top.join("there"));
        let mut configured = Vec::new();
        for (number, entry) in case.entries.iter().enumerate() {
            let place = path(&here, &entry.place);
            fs::create_dir_all(&place).unwrap();
            fs::create_dir_all(there.join(format!("d{number}"))).unwrap();
            let link = top.join(format!("link{number}"));
            symlink(&place, &link).unwrap();
            configured.push(if entry.by_link { link } else { place });
        }
        let here_storage = MirroredStorage::new(&configured).unwrap();
        let roots_there = (0..case.entries.len()).map(|number| there.join(format!("d{number}")));
        let there_storage = MirroredStorage::new(roots_there).unwrap();

        let mut names = case.entries.get(case.from).map_or(Vec::new(), |e| e.place.clone());
        names.extend(&case.tail);
        let real = path(&here, &names);
        if case.exists {
            fs::create_dir_all(&real).unwrap();
        }
        // The same place, spelled in another way, by a link where the entry has one.
        let start = configured.get(case.from).unwrap_or(&here);
        let mut spelled = start.clone().into_os_string().into_vec();
        for name in &case.tail {
            spelled.extend_from_slice(case.separator.as_bytes());
            spelled.extend_from_slice(name);
        }
        spelled.extend_from_slice(case.end.as_bytes());
        let spelled = PathBuf::from(OsString::from_vec(spelled));

        let sent = match (here_storage.to_abstract(&spelled), model(&case, &names)) {
            (Err(TranslateError::NotMirrored { .. }), None) => return Ok(()),
            (Ok(sent), Some((index, suffix))) => {
                let suffix = path(Path::new(""), &suffix);
                prop_assert_eq!(&sent, &AbstractPath::new(index, &suffix).unwrap());
                sent
            }
            (translated, model) => panic!("{translated:?} but {model:?}"),
        };
        prop_assert_eq!(here_storage.to_actual(&sent).unwrap().into_os_string(), real.into_os_string());

        let config = bincode::config::standard();
        let bytes = bincode::serde::encode_to_vec(&sent, config).unwrap();
        let (received, length): (AbstractPath, usize) =
            bincode::serde::decode_from_slice(&bytes, config).unwrap();
        prop_assert_eq!((&received, length), (&sent, bytes.len()));
        let text = serde_json::to_string(&sent).unwrap();
        prop_assert_eq!(&serde_json::from_str::<AbstractPath>(&text).unwrap(), &sent);

        // There the roots lie elsewhere, and what is there has the same name here.
        let root = there.join(format!("d{}", sent.index().unwrap()));
        let arrived = there_storage.to_actual(&received).unwrap();
        prop_assert_eq!(arrived.strip_prefix(&root).unwrap(), sent.suffix());
        prop_assert_eq!(&there_storage.to_abstract(&arrived).unwrap(), &sent);
    }

    /// Whatever text a suffix is made of, what it means lies below its entry or it is refused.
    #[test]
    fn no_text_of_a_suffix_escapes(bytes in prop::collection::vec(prop::sample::select(b"./a\0\xff\n".to_vec()), 0..12)) {
        let storage = MirroredStorage::new(["/"]).unwrap();
        let text = OsStr::from_bytes(&bytes);
        let climbs = bytes.split(|byte| *byte == b'/').any(|name| name == b"..");
        let refused = climbs || bytes.starts_with(b"/") || bytes.contains(&0);
        match AbstractPath::new(0, text) {
            Err(_) => prop_assert!(refused),
            Ok(path) => {
                prop_assert!(!refused);
                let wanted = bytes.split(|byte| *byte == b'/').filter(|name| !matches!(*name, b"" | b"."));
                let found: Vec<_> = path.suffix().iter().map(OsStr::as_bytes).collect();
                prop_assert_eq!(found, wanted.collect::<Vec<_>>());
                prop_assert!(storage.to_actual(&path).unwrap().starts_with("/"));
            }
        }
    }

    /// Decoding what anybody may have sent ends in a value that keeps the rules, or in an error.
    #[test]
    fn decoding_never_makes_what_construction_refuses(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
        let config = bincode::config::standard().with_limit::<1024>();
        let decoded = bincode::serde::decode_from_slice::<AbstractPath, _>(&bytes, config);
        if let Some((path, index)) = decoded.ok().and_then(|(path, _)| Some((path.clone(), path.index()?))) {
            prop_assert_eq!(&AbstractPath::new(index, path.suffix()).unwrap(), &path);
        }
    }

    /// Links may lead anywhere: what is opened by an abstract path lies below its entry, and what is
    /// reached without leaving it is opened.
    #[test]
    fn no_link_leads_out_of_an_entry(
        links in prop::collection::vec((names(1..3), prop::collection::vec(0..LINK_PARTS.len(), 1..5)), 0..6),
        wanted in names(0..4),
    ) {
        let guard = tempfile::tempdir().unwrap();
        let top = fs::canonicalize(guard.path()).unwrap();
        let root = top.join("root");
        for at in &NAMES[..2] {
            fs::create_dir_all(path(&root, &[at, at])).unwrap();
            fs::create_dir_all(path(&top, &[at, at])).unwrap();
        }
        for (place, parts) in &links {
            let target: Vec<&[u8]> = parts.iter().map(|part| LINK_PARTS[*part]).collect();
            let place = path(&root, place);
            if fs::create_dir_all(place.parent().unwrap()).is_err() {
                continue;
            }
            let above = fs::canonicalize(place.parent().unwrap());
            // Not through a link that was made before, which may lead anywhere on this computer.
            if above.is_ok_and(|above| above == place.parent().unwrap()) {
                let _ = fs::remove_file(&place);
                let _ = fs::remove_dir_all(&place);
                symlink(OsStr::from_bytes(&target.join(&b'/')), place).unwrap();
            }
        }
        let storage = MirroredStorage::new([&root]).unwrap();
        let sent = AbstractPath::new(0, path(Path::new(""), &wanted)).unwrap();
        let flags = rustix::fs::OFlags::PATH;
        if let Ok(opened) = storage.open(&sent, flags, rustix::fs::Mode::empty()) {
            use std::os::fd::AsRawFd;
            let place = fs::read_link(format!("/proc/self/fd/{}", opened.as_raw_fd())).unwrap();
            prop_assert!(place.starts_with(&root), "{place:?}");
            prop_assert_eq!(place, fs::canonicalize(path(&root, &wanted)).unwrap());
        }
    }
}

/// What targets of links are made of.
const LINK_PARTS: [&[u8]; 6] = [b"..", b".", b"a", b"ab", b"\xff", b"root"];
