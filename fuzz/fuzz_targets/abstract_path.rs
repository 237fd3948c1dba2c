//! Decoding of abstract paths: what was decoded keeps the rules, and encodes to what it was.
//!
//! `cargo +nightly fuzz run abstract_path`
#![no_main]

use bincode::config;
use cos_storage::AbstractPath;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let config = config::standard().with_limit::<65_536>();
    let Ok((path, _)) = bincode::serde::decode_from_slice::<AbstractPath, _>(bytes, config) else {
        return;
    };
    if let Some(index) = path.index() {
        let same = AbstractPath::new(index, path.suffix());
        assert_eq!(same.as_ref(), Ok(&path), "construction refuses what was decoded");
        assert!(path.under("/entry").starts_with("/entry"));
        assert!(path.suffix().iter().all(|name| name != ".."));
    }
    let again = bincode::serde::encode_to_vec(&path, config::standard()).expect("encodes");
    let (decoded, length): (AbstractPath, usize) =
        bincode::serde::decode_from_slice(&again, config).expect("decodes");
    assert_eq!((&decoded, length), (&path, again.len()));
});
