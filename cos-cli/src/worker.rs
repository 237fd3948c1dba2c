//! The worker that was built and embedded with `cos`.

use cos_ssh_vm::deploy::Worker;

mod embedded {
    include!(concat!(env!("OUT_DIR"), "/embedded_worker.rs"));
}

/// The worker for hosts of the target that `cos` was built for.
#[must_use]
pub(crate) fn embedded() -> Worker {
    Worker::embedded(embedded::TARGET, embedded::BYTES)
}
