//! Paths that mean the same file on every host, and directories that belong to one run only.
//!
//! This crate is the file-system side of COS: synchronous, without a runtime, and used by the client
//! and by the worker on each host alike. All calls block as long as the file system does, so an
//! asynchronous caller makes them on a thread of its own.
//!
//! | role | types |
//! |---|---|
//! | name a file so that every host finds it | [`MirroredStorage`], [`AbstractPath`] |
//! | prove that two hosts mean the same directory | [`PlantedToken`], [`Token`], [`Verdict`] |
//! | open what another host named, and nothing outside | [`MirroredStorage::open`], [`open_beneath`] |
//! | the same without a list at hand | [`AbstractPath::of`], [`AbstractPath::here`], [`process_storage`] |
//! | the directory and the files that a task finds | [`Environment`], [`MirrorMap`] |
//! | private directories of a run and of its jobs | [`Scratch`], [`sweep`], [`remove_tree`] |
//! | contents that travel where nothing is shared | [`SourceFile`], [`Digest`], [`Store`], [`Object`] |
//! | files that come back, and appear whole | [`collect`](collect::collect), [`Landing`] |
//! | `~`, `~user` and `{user}` in configured paths | [`expand_home`], [`local_storage_path`] |
//!
//! # A path goes to another host
//!
//! Hosts that share directories mount them at different places. Each host has a list of them, the
//! *mirrored storage*; entry n is the same tree in every list. A path travels as the number of its
//! entry and the part below it. Nothing is believed: before a host uses a directory, a token file
//! that the client wrote there proves that it is the same one.
//!
//! ```
//! use cos_storage::{AbstractPath, MirroredStorage, PlantedToken, Token};
//!
//! # let lab = tempfile::tempdir()?;
//! # let (foo, bar) = (lab.path().join("foo"), lab.path().join("bar"));
//! # std::fs::create_dir_all(bar.join("circuits"))?;
//! # std::fs::create_dir(&foo)?;
//! # let (d1, d2) = (lab.path().join("d1"), lab.path().join("d2"));
//! # std::os::unix::fs::symlink(&foo, &d1)?;
//! # std::os::unix::fs::symlink(&bar, &d2)?;
//! // On the client, where the shared directories are /foo and /bar:
//! let client = MirroredStorage::new([&foo, &bar])?;
//! let circuits: AbstractPath = client.to_abstract(bar.join("circuits"))?;
//! assert_eq!(circuits.to_string(), "[1]/circuits");
//! let planted = PlantedToken::plant(bar.join("circuits"), client.root(1)?)?;
//! let token: &Token = planted.token();
//!
//! // On the host, where the same directories are /d1 and /d2:
//! let host = MirroredStorage::new([&d1, &d2])?;
//! let directory = host.to_actual(&circuits)?;
//! assert!(token.check(&directory).is_proven());
//!
//! // Back on the client, when every host has answered:
//! planted.remove()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # A run has a place of its own
//!
//! Where nothing is shared, jobs run in a scratch directory that no other user can enter and that
//! is gone when the run is, even if the run was killed: the next one sweeps.
//!
//! ```
//! use cos_storage::{Scratch, local_storage_path, sweep};
//!
//! # let temporary = tempfile::tempdir()?;
//! # let template = temporary.path().join("cos-{user}");
//! // The template is /var/tmp/cos-{user} unless hosts.toml says otherwise.
//! let local_storage = local_storage_path(template)?;
//! for path in sweep(&local_storage)?.removed {
//!     println!("removed {}, left by a run that was killed", path.display());
//! }
//! let scratch = Scratch::create(&local_storage, "7kq2")?;
//! let job = scratch.create_job_directory("217")?;
//! // ... run the job in `job.path()` ...
//! let removal = job.remove();
//! if !removal.is_complete() {
//!     println!("left behind: {removal}");
//! }
//! # assert!(scratch.remove().is_complete());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Who is not trusted
//!
//! Other users of a host are hostile: they may place links and files wherever they can write, at any
//! moment. Whatever COS creates, reads or removes below a directory is reached through descriptors
//! and never through a link that leads out of it. What another host sends is not trusted either: an
//! [`AbstractPath`] cannot climb, also when it was decoded. Paths appear in error messages escaped.

mod abstract_path;
mod account;
mod beneath;
pub mod collect;
mod copying;
mod digest;
pub mod environment;
mod error;
mod expand;
pub mod hash;
mod landing;
mod local_storage;
mod mirrored;
mod mount;
mod owner;
mod path_bytes;
mod process;
pub mod proof;
mod random;
mod removal;
mod removal_beneath;
mod remove_tree;
mod resolve;
pub mod scratch;
mod shown;
pub mod store;
mod suffix;
#[cfg(test)]
mod testing;

pub use abstract_path::AbstractPath;
pub use beneath::open_beneath;
pub use digest::{Digest, DigestError};
pub use environment::{Environment, MirrorMap};
pub use error::{
    BeneathError, EntryList, EntryListError, ExpandError, OpenError, PlantError, ScratchError,
    SuffixError, TranslateError,
};
pub use expand::{expand_home, home_directory, local_storage_path, user_name};
pub use hash::{FileState, SourceError, SourceFile};
pub use landing::{Landing, LandingError, make_directories_beneath};
pub use local_storage::{
    ClearError, Cleared, LOCAL_STORAGE_VARIABLE, clear_local_storage,
    local_storage_from_environment,
};
pub use mirrored::{MIRRORED_STORAGE_VARIABLE, MirrorEntry, MirroredStorage};
pub use process::{process_storage, set_process_storage, to_abstract_path, to_actual_path};
pub use proof::{PlantedToken, Token, Verdict};
pub use removal::{Leftover, Removal};
pub use removal_beneath::{remove_empty_directories_beneath, remove_file_beneath};
pub use remove_tree::remove_tree;
pub use scratch::{JobDirectory, Scratch, sweep};
pub use store::{LookUp, Object, Partial, Store, StoreError, clear_store};
pub use suffix::Suffix;
