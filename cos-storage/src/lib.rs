//! Abstract and actual paths over mirrored storage.

mod abstract_path;
mod account;
mod error;
mod expand;
mod mirrored;
mod path_bytes;
mod resolve;
mod shown;

pub use abstract_path::AbstractPath;
pub use error::{EntryList, EntryListError, ExpandError, SuffixError, TranslateError};
pub use expand::{expand_home, home_directory, local_storage_path, user_name};
pub use mirrored::{MIRRORED_STORAGE_VARIABLE, MirrorEntry, MirroredStorage};
