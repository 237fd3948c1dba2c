//! The store with good and bad writers, other runs, full disks and damage.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::time::{Duration, SystemTime};

use super::*;
use crate::landing::LandingError;
use crate::suffix::Suffix;

fn open(at: &Path) -> Store {
    Store::open(at, 1 << 20).unwrap()
}

fn put(store: &mut Store, content: &[u8]) -> Object {
    let digest = Digest::of(content);
    let mut partial = store.begin(&digest, content.len() as u64).unwrap();
    let offset = partial.offset();
    partial.append(offset, &content[offset as usize..]).unwrap();
    store.commit(partial).unwrap()
}

fn look_up(store: &mut Store, content: &[u8]) -> LookUp {
    store
        .look_up(&Digest::of(content), content.len() as u64)
        .unwrap()
}

fn is_present(store: &mut Store, content: &[u8]) -> bool {
    matches!(look_up(store, content), LookUp::Present(_))
}

fn object_path(at: &Path, content: &[u8]) -> PathBuf {
    at.join("store/objects")
        .join(Digest::of(content).to_string())
}

fn partials(at: &Path) -> usize {
    fs::read_dir(at.join("store/partial")).unwrap().count()
}

fn age(path: &Path, seconds: u64) {
    let past = SystemTime::now() - Duration::from_secs(seconds);
    let times = fs::FileTimes::new().set_accessed(past).set_modified(past);
    File::options()
        .write(true)
        .open(path)
        .unwrap()
        .set_times(times)
        .unwrap();
}

#[test]
fn contents_are_found_by_this_run_and_the_next() {
    let at = tempfile::tempdir().unwrap();
    for content in [&b""[..], b"a", &[7; 200_000]] {
        let mut store = open(at.path());
        assert!(matches!(look_up(&mut store, content), LookUp::Absent));
        put(&mut store, content);
        assert!(is_present(&mut store, content));
        assert!(is_present(&mut open(at.path()), content));
    }
    assert_eq!(partials(at.path()), 0);
    let mode = fs::metadata(at.path().join("store"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o7777, 0o700);
}

#[test]
fn a_transfer_goes_on_where_it_ended() {
    let at = tempfile::tempdir().unwrap();
    let content: Vec<u8> = (0..100_000_u32).map(|n| n as u8).collect();
    let digest = Digest::of(&content);
    let mut store = open(at.path());
    let mut partial = store.begin(&digest, 100_000).unwrap();
    partial.append(0, &content[..40_000]).unwrap();
    assert!(!object_path(at.path(), &content).exists());
    drop((partial, store));

    let mut store = open(at.path());
    let mut partial = store.begin(&digest, 100_000).unwrap();
    assert_eq!(partial.offset(), 40_000);
    let error = partial.append(39_999, &content[39_999..]).unwrap_err();
    assert!(
        matches!(
            error,
            StoreError::OutOfOrder {
                expected: 40_000,
                ..
            }
        ),
        "{error}"
    );
    partial.append(40_000, &content[40_000..]).unwrap();
    assert!(partial.is_whole());
    store.commit(partial).unwrap();
    assert!(is_present(&mut store, &content));
}

#[test]
fn what_is_not_what_it_says_is_never_visible() {
    let at = tempfile::tempdir().unwrap();
    let mut store = open(at.path());
    let digest = Digest::of(b"expected");
    for arrives in [&b"expectee"[..], b"short"] {
        let mut partial = store.begin(&digest, 8).unwrap();
        partial.append(0, arrives).unwrap();
        let error = store.commit(partial).unwrap_err();
        assert!(matches!(error, StoreError::Mismatch { .. }), "{error}");
        assert!(matches!(look_up(&mut store, b"expected"), LookUp::Absent));
        assert_eq!(partials(at.path()), 0);
    }
    let mut partial = store.begin(&digest, 8).unwrap();
    let error = partial.append(0, b"more than that").unwrap_err();
    assert!(
        matches!(error, StoreError::Mismatch { arrived: 14, .. }),
        "{error}"
    );
    partial.append(0, b"expected").unwrap();
    store.commit(partial).unwrap();
}

#[test]
fn a_torn_partial_is_begun_again() {
    let at = tempfile::tempdir().unwrap();
    let mut store = open(at.path());
    let digest = Digest::of(b"expected");
    let mut partial = store.begin(&digest, 8).unwrap();
    partial.append(0, b"expe").unwrap();
    let path = at.path().join("store/partial").join(&partial.name);
    drop(partial);
    // Zeros where data was: a crash of the machine.
    fs::write(&path, [0; 4]).unwrap();
    let mut partial = store.begin(&digest, 8).unwrap();
    partial.append(4, b"cted").unwrap();
    store.commit(partial).unwrap_err();
    assert_eq!(store.begin(&digest, 8).unwrap().offset(), 0);
    // Longer than it can be.
    fs::write(&path, [0; 9]).unwrap();
    assert_eq!(store.begin(&digest, 8).unwrap().offset(), 0);
}

#[test]
fn damage_is_found_removed_and_repaired() {
    let at = tempfile::tempdir().unwrap();
    let content = b"a content of some length";
    type Damage = fn(&Path);
    let damages: [(&str, Damage); 6] = [
        ("flipped", |path| {
            let mut bytes = fs::read(path).unwrap();
            bytes[3] ^= 1;
            fs::write(path, bytes).unwrap();
        }),
        ("truncated", |path| fs::write(path, "a").unwrap()),
        ("emptied", |path| fs::write(path, "").unwrap()),
        ("a link", |path| {
            fs::remove_file(path).unwrap();
            symlink("/etc/passwd", path).unwrap();
        }),
        ("a directory", |path| {
            fs::remove_file(path).unwrap();
            fs::create_dir_all(path.join("below")).unwrap();
        }),
        ("a pipe", |path| {
            fs::remove_file(path).unwrap();
            let mode = Mode::RUSR | Mode::WUSR;
            rustix::fs::mknodat(rustix::fs::CWD, path, FileType::Fifo, mode, 0).unwrap();
        }),
    ];
    for (name, damage) in damages {
        for seen_before in [false, true] {
            let mut store = open(at.path());
            put(&mut store, content);
            let path = object_path(at.path(), content);
            age(&path, 100);
            if seen_before {
                assert!(is_present(&mut store, content));
            } else {
                store = open(at.path());
            }
            damage(&path);
            let found = look_up(&mut store, content);
            assert!(matches!(found, LookUp::Corrupt), "{name}: {found:?}");
            assert!(
                matches!(look_up(&mut store, content), LookUp::Absent),
                "{name}"
            );
            put(&mut store, content);
            assert!(is_present(&mut store, content), "{name}");
        }
    }
}

#[test]
fn a_new_run_hashes_what_an_old_one_believed() {
    let at = tempfile::tempdir().unwrap();
    let mut store = open(at.path());
    put(&mut store, b"content");
    let path = object_path(at.path(), b"content");
    let times = fs::metadata(&path).unwrap();
    // A disk that rots does not change times.
    fs::write(&path, b"CONTENT").unwrap();
    let old = fs::FileTimes::new()
        .set_modified(times.modified().unwrap())
        .set_accessed(times.accessed().unwrap());
    File::options()
        .write(true)
        .open(&path)
        .unwrap()
        .set_times(old)
        .unwrap();
    assert!(matches!(
        look_up(&mut open(at.path()), b"content"),
        LookUp::Corrupt
    ));
}

#[test]
fn writers_of_one_content_do_not_disturb_each_other() {
    let at = tempfile::tempdir().unwrap();
    let content: Vec<u8> = (0..50_000_u32).map(|n| (n / 7) as u8).collect();
    let (mut one, mut other) = (open(at.path()), open(at.path()));
    let digest = Digest::of(&content);
    let mut first = one.begin(&digest, 50_000).unwrap();
    first.append(0, &content[..10]).unwrap();
    let mut second = other.begin(&digest, 50_000).unwrap();
    assert_eq!(second.offset(), 0);
    second.append(0, &content).unwrap();
    other.commit(second).unwrap();
    first.append(10, &content[10..]).unwrap();
    one.commit(first).unwrap();
    assert!(is_present(&mut open(at.path()), &content));
    assert_eq!(partials(at.path()), 0);

    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for round in 0..20_u8 {
                    let mut store = open(at.path());
                    let content = [round; 3000];
                    match look_up(&mut store, &content) {
                        LookUp::Present(object) => {
                            let mut bytes = Vec::new();
                            io::Read::read_to_end(&mut object.file(), &mut bytes).unwrap();
                            assert_eq!(bytes, content);
                        }
                        LookUp::Absent => drop(put(&mut store, &content)),
                        LookUp::Corrupt => panic!("a part was seen"),
                    }
                }
            });
        }
    });
    assert_eq!(partials(at.path()), 0);
}

#[test]
fn the_least_recently_used_goes_and_what_is_held_stays() {
    let at = tempfile::tempdir().unwrap();
    let mut store = Store::open(at.path(), 3500).unwrap();
    let contents: Vec<[u8; 1000]> = (0..5).map(|n| [n; 1000]).collect();
    let held = put(&mut store, &contents[0]);
    drop(put(&mut store, &contents[1]));
    drop(put(&mut store, &contents[2]));
    for (number, seconds) in [(0, 400), (1, 200), (2, 300)] {
        age(&object_path(at.path(), &contents[number]), seconds);
    }
    // Another run knows nothing of what this one holds, but heeds it.
    let mut other = Store::open(at.path(), 3500).unwrap();
    drop(put(&mut other, &contents[3]));
    assert!(is_present(&mut store, &contents[0]));
    assert!(is_present(&mut store, &contents[1]));
    assert!(matches!(look_up(&mut store, &contents[2]), LookUp::Absent));
    assert_eq!(other.used(), 3000);

    let rest = [&contents[1], &contents[3]].map(|content| look_up(&mut store, content));
    let error = other.begin(&Digest::of(&contents[4]), 1000).unwrap_err();
    assert!(
        matches!(error, StoreError::Full { size: 1000, .. }),
        "{error}"
    );
    drop((held, rest));
    drop(put(&mut other, &contents[4]));
    let error = other.begin(&Digest::of(b"large"), 3501).unwrap_err();
    assert!(matches!(error, StoreError::TooLarge { .. }), "{error}");
    assert_eq!(partials(at.path()), 0);
}

#[test]
fn what_nobody_will_finish_goes_first() {
    let at = tempfile::tempdir().unwrap();
    let mut store = Store::open(at.path(), 3000).unwrap();
    drop(put(&mut store, &[1; 1000]));
    let mut names = Vec::new();
    for number in [2, 3] {
        let mut partial = store.begin(&Digest::of(&[number; 1000]), 1000).unwrap();
        partial.append(0, &[number; 900]).unwrap();
        names.push(at.path().join("store/partial").join(&partial.name));
    }
    age(&names[0], 2 * 24 * 3600);
    age(&object_path(at.path(), &[1; 1000]), 3 * 24 * 3600);
    drop(put(&mut store, &[4; 1000]));
    assert!(!names[0].exists());
    assert!(names[1].exists());
    assert!(is_present(&mut store, &[1; 1000]));
}

#[test]
fn jobs_get_copies_of_their_own() {
    let at = tempfile::tempdir().unwrap();
    let job = tempfile::tempdir().unwrap();
    let root = File::open(job.path()).unwrap();
    let mut store = open(at.path());
    let object = put(&mut store, b"original");
    let path = Suffix::of("in/put.txt").unwrap();
    object.place(&root, &path, 0o755).unwrap();
    let placed = job.path().join("in/put.txt");
    assert_eq!(
        fs::metadata(&placed).unwrap().permissions().mode() & 0o777,
        0o755
    );
    fs::write(&placed, "scribbled").unwrap();
    assert!(is_present(&mut store, b"original"));
    object.place(&root, &path, 0o444).unwrap();
    assert_eq!(fs::read(&placed).unwrap(), b"original");
    symlink("/tmp", job.path().join("out")).unwrap();
    let error = object
        .place(&root, &Suffix::of("out/x").unwrap(), 0o644)
        .unwrap_err();
    assert!(matches!(error, LandingError::Escapes { .. }), "{error}");
}

#[test]
fn full_disks_make_room_first_and_then_say_so() {
    crate::testing::with_own_mounts(|| {
        let at = tempfile::tempdir().unwrap();
        crate::testing::mount_small_memory(at.path(), "256k");
        let mut store = Store::open(at.path(), 1 << 30).unwrap();
        assert_eq!(store.capacity(), 128 << 10);
        drop(put(&mut store, &[1; 100_000]));
        // The rest of the disk is somebody else's.
        fs::write(at.path().join("else"), vec![0; 100_000]).unwrap();
        drop(put(&mut store, &[2; 100_000]));
        assert!(matches!(look_up(&mut store, &[1; 100_000]), LookUp::Absent));
        let held = look_up(&mut store, &[2; 100_000]);
        let error = store
            .begin(&Digest::of(&[3; 120_000]), 120_000)
            .unwrap_err();
        assert!(matches!(error, StoreError::Full { .. }), "{error}");
        drop(held);
        fs::remove_file(object_path(at.path(), &[2; 100_000])).unwrap();
        fs::write(at.path().join("else"), vec![0; 200_000]).unwrap();
        let error = store.begin(&Digest::of(&[3; 90_000]), 90_000).unwrap_err();
        assert!(matches!(error, StoreError::DiskFull { .. }), "{error}");
        assert!(
            error.to_string().contains("90000 bytes are needed"),
            "{error}"
        );

        // It becomes full while a content arrives: what is there is kept, and goes on later.
        fs::remove_file(at.path().join("else")).unwrap();
        let content = vec![4; 80_000];
        let mut partial = store.begin(&Digest::of(&content), 80_000).unwrap();
        partial.append(0, &content[..8192]).unwrap();
        let mut rest = File::create(at.path().join("else")).unwrap();
        io::copy(&mut io::repeat(0), &mut rest).unwrap_err();
        let error = partial.append(8192, &content[8192..]).unwrap_err();
        assert!(matches!(error, StoreError::DiskFull { .. }), "{error}");
        drop(rest);
        fs::remove_file(at.path().join("else")).unwrap();
        drop(partial);
        let mut partial = store.begin(&Digest::of(&content), 80_000).unwrap();
        assert_eq!(partial.offset(), 8192);
        partial.append(8192, &content[8192..]).unwrap();
        store.commit(partial).unwrap();
    });
}

#[test]
fn a_store_is_cleared_but_for_what_is_in_use() {
    let at = tempfile::tempdir().unwrap();
    assert_eq!(
        clear_store(at.path().join("none")).unwrap(),
        Clearing::default()
    );
    assert_eq!(clear_store(at.path()).unwrap(), Clearing::default());
    let mut store = open(at.path());
    let held = put(&mut store, b"held");
    drop(put(&mut store, b"other"));
    let partial = store.begin(&Digest::of(b"arriving"), 8).unwrap();
    let clearing = clear_store(at.path()).unwrap();
    assert_eq!(
        clearing,
        Clearing {
            removed: 1,
            bytes: 5,
            in_use: 2
        }
    );
    drop((held, partial, store));
    clear_store(at.path()).unwrap();
    assert_eq!(fs::read_dir(at.path()).unwrap().count(), 0);
}
