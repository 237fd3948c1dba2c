//! The attributes of COS: [`macro@task`] and [`macro@main`].
//!
//! They are used as `#[cos::task]` and `#[cos::main]` after `use cos_core as cos;`, re-exported by `cos-core`, which is
//! the only crate to depend on. What they generate finds `cos-core` under whatever name the program has given it.

mod library;
mod main_function;
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

/// Makes `async fn main` a COS program.
///
/// ```no_run
/// use cos_core as cos;
///
/// #[cos::task]
/// fn double(x: u64) -> u64 {
///     2 * x
/// }
///
/// #[cos::main]
/// async fn main() -> cos::Result<()> {
///     let results: Vec<u64> = cos::dispatch((0..100).map(double::job)).collect().await?;
///     println!("{results:?}");
///     Ok(())
/// }
/// ```
///
/// The program first sees whether it was started as a worker: its hosts run the same program, which calls its tasks there.
/// Otherwise it runs an OS on a tokio runtime of this thread. The OS has no machine until `cos::set_vm` gives it one; until
/// then every task is a microthread of this process.
///
/// Lines that tasks print on hosts are written to the program's own standard output and standard error, with host
/// and task before each: `ws03 search(7) | text`.
///
/// `main` returns `()` or a `Result<(), E>` where `E: Display`, such as `cos::Result<()>`. An error is written to standard
/// error with its causes, and the exit status is then 1.
#[proc_macro_attribute]
pub fn main(attribute: TokenStream, item: TokenStream) -> TokenStream {
    main_function::expand(attribute.into(), item.into()).into()
}
