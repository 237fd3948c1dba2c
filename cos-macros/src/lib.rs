//! The attributes of COS: [`macro@task`].
//!
//! It is used as `#[cos::task]` after `use cos_core as cos;`, re-exported by `cos-core`, which is
//! the only crate to depend on. What is generated finds `cos-core` under whatever name the program has given it.

mod library;
mod task;

use proc_macro::TokenStream;

/// Makes a function a task: something that COS can run elsewhere.
///
/// The function stays as it is. Beside it there is a type of the same name, which has a function `job`:
///
/// ```
/// use cos_core as cos;
///
/// #[cos::task]
/// pub fn double(x: u64) -> u64 {
///     2 * x
/// }
///
/// assert_eq!(double(3), 6); // a plain call
/// let job: cos::Job<u64> = double::job(3); // to be spawned or dispatched
/// ```
///
/// It may be an `async fn`, too.
///
/// # Arguments and value
///
/// They travel between processes, so they are owned values that implement `serde::Serialize` and
/// `serde::Deserialize`, and arguments are `Send`. The encoding is compact and names nothing: types that need a
/// self-describing format (`#[serde(untagged)]`, `#[serde(flatten)]`, `serde_json::Value`) do not decode. In debug
/// builds a task that runs in this process sends its arguments and its value through the encoding as well, so that such a
/// type is found there.
///
/// A function whose signature says `Result<T, E>` where `E: Display` gives a job of a `T`: its error, as text, becomes
/// the task's `TaskError::Failed`. It is the word `Result` that counts, as in `cos::Result<T>` or `std::io::Result<T>`; an
/// alias of another name is a value like any other.
///
/// # Names
///
/// A task is found by the path of its module and its name. Two tasks of the same name in one module, such as tasks inside
/// of two functions, are an error when the program starts.
///
/// The type beside the function collides with a module of the same name in the same place, as in
///
/// ```compile_fail
/// # use cos_core as cos;
/// mod search {
///     # use cos_core as cos;
///     #[cos::task]
///     pub fn search(seed: u64) -> u64 { seed }
/// }
/// pub use search::search; // `search` is already the module
/// ```
///
/// where the cure is to export the module and call the task `search::search`, or to give one of them another name.
#[proc_macro_attribute]
pub fn task(attribute: TokenStream, item: TokenStream) -> TokenStream {
    task::expand(attribute.into(), item.into()).into()
}
