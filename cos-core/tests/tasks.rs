//! What `#[cos::task]` makes of functions, seen from a program: nothing is lost, nothing is added but the twin.

#![deny(warnings, missing_docs, unreachable_pub)]

use std::fmt;

use cos::vm::local::LocalVm;
use cos_core as cos;
use serde::{Deserialize, Serialize};

/// A value of a program's own.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
struct Point {
    x: f64,
    y: f64,
}

mod visible {
    use cos_core as cos;

    /// A function that others see.
    #[cos::task]
    #[must_use]
    pub(crate) fn twice(x: u64) -> u64 {
        2 * x
    }
}

mod same_names {
    //! Names that generated code might have taken.
    use cos_core as cos;
    use serde::{Deserialize, Serialize};

    #[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
    pub(crate) struct Task(pub(crate) u8);

    pub(crate) type Value = Option<Task>;

    #[cos::task]
    pub(crate) fn encoder(encoder: Task, decoder: u8, value: Value, job: u8, error: u8) -> Value {
        let sum = encoder.0 + decoder + value?.0 + job + error;
        Some(Task(sum))
    }
}

#[cos::task]
fn patterns((a, b): (u32, u32), mut rows: Vec<Vec<u32>>, [first, ..]: [u32; 3], _: ()) -> u32 {
    rows.push(vec![a, b, first]);
    rows.iter().flatten().sum()
}

#[cos::task]
async fn turned(Point { x, y }: Point) -> Point {
    std::future::ready(Point { x: -y, y: x }).await
}

/// An error that is nothing but a text.
struct Refused(u8);

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "refused {}", self.0)
    }
}

#[cos::task]
fn refuse(x: u8) -> Result<(), Refused> {
    Err(Refused(x))
}

#[cos::task]
fn read(path: std::path::PathBuf) -> std::io::Result<Vec<u8>> {
    std::fs::read(path)
}

#[cos::task]
#[allow(clippy::too_many_arguments, reason = "more than serde's tuples have")]
fn many(
    a: u8,
    b: u8,
    c: u8,
    d: u8,
    e: u8,
    f: u8,
    g: u8,
    h: u8,
    i: u8,
    j: u8,
    k: u8,
    l: u8,
    m: u8,
    n: u8,
    o: u8,
    p: u8,
    q: u8,
) -> Vec<u8> {
    vec![a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q]
}

#[cos::task]
#[cfg(any())]
fn absent(missing: Missing) -> Missing {
    missing
}

fn run<T: 'static>(job: cos::Job<T>) -> Result<T, cos::job::TaskError> {
    let os = cos::Os::new().vm(LocalVm::in_process(1));
    let results = os.block_on(async { cos::dispatch([job]).collect_all().await });
    let mut results = results.expect("a runtime").expect("an OS");
    results.remove(0)
}

#[test]
fn arguments_of_every_form_arrive() {
    assert_eq!(run(visible::twice::job(21)), Ok(42));
    assert_eq!(visible::twice(21), 42);
    let job = patterns::job((1, 2), vec![vec![10], vec![]], [100, 7, 7], ());
    assert_eq!(run(job), Ok(113));
    assert_eq!(
        run(turned::job(Point { x: 1.0, y: 2.0 })),
        Ok(Point { x: -2.0, y: 1.0 })
    );
    let job = many::job(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16);
    assert_eq!(run(job), Ok((0..17).collect()));
    let task = same_names::Task(1);
    let job = same_names::encoder::job(task.clone(), 2, Some(task.clone()), 3, 4);
    assert_eq!(run(job), Ok(Some(same_names::Task(11))));
    assert_eq!(run(same_names::encoder::job(task, 2, None, 3, 4)), Ok(None));
}

#[test]
fn any_error_that_can_be_displayed_is_told() {
    let error = run(refuse::job(4)).unwrap_err().to_string();
    assert!(error.ends_with(" on local: refused 4"), "{error}");
    let error = run(read::job("/nowhere/at/all".into())).unwrap_err();
    assert!(error.to_string().contains("No such file"), "{error}");
}

#[test]
fn a_task_may_stand_inside_of_a_function() {
    #[cos::task]
    fn inner(x: u8) -> u8 {
        x + 1
    }
    assert_eq!(run(inner::job(1)), Ok(2));
    assert_eq!(cos::registry::check(), Ok(()));
}

#[test]
fn the_function_is_as_free_as_before() {
    // The twin takes the name of a type and leaves that of a value.
    let visible = [1, 2].map(visible::twice);
    assert_eq!(visible, [2, 4]);
    let jobs: Vec<cos::Job<u64, usize>> = (0..3)
        .map(visible::twice::job)
        .enumerate()
        .map(|(index, job)| job.extra(index))
        .collect();
    assert_eq!(jobs.len(), 3);
}
