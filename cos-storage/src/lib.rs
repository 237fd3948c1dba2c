//! Abstract and actual paths over mirrored storage.

mod abstract_path;
mod account;
mod beneath;
mod error;
mod expand;
mod mirrored;
mod mount;
mod path_bytes;
pub mod proof;
mod remove_tree;
mod resolve;
pub mod scratch;
mod shown;
mod suffix;

pub use abstract_path::AbstractPath;
pub use beneath::open_beneath;
pub use error::{
    BeneathError, EntryList, EntryListError, ExpandError, OpenError, PlantError, ScratchError,
    SuffixError, TranslateError,
};
pub use expand::{expand_home, home_directory, local_storage_path, user_name};
pub use mirrored::{MIRRORED_STORAGE_VARIABLE, MirrorEntry, MirroredStorage};
pub use proof::{PlantedToken, Token, Verdict};
pub use remove_tree::{Leftover, Removal, remove_tree};
pub use scratch::{JobDirectory, Scratch, sweep};
