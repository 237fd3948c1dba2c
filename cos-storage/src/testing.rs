//! For tests: a thread with mounts of its own, which nobody else sees.

use std::path::Path;

use rustix::io::Errno;
use rustix::mount::{MountFlags, MountPropagationFlags, mount, mount_bind, mount_change};
use rustix::thread::{UnshareFlags, unshare_unsafe};

/// Runs `test` in a mount namespace of its own. Only root may make one: for others nothing is run.
pub(crate) fn with_own_mounts(test: impl FnOnce() + Send) {
    std::thread::scope(|scope| {
        let run = || {
            // SAFETY: descriptors stay shared (no FILES); the thread ends with the test.
            match unsafe { unshare_unsafe(UnshareFlags::NEWNS) } {
                Err(Errno::PERM) => return eprintln!("not run: mounting needs root"),
                unshared => unshared.unwrap(),
            }
            let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
            mount_change("/", private).unwrap();
            test();
        };
        let joined = scope.spawn(run).join();
        joined.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    });
}

pub(crate) fn bind(from: &Path, to: &Path) {
    mount_bind(from, to).unwrap();
}

pub(crate) fn mount_memory(at: &Path) {
    mount("tmpfs", at, "tmpfs", MountFlags::empty(), None).unwrap();
}

/// Mounts a file system at `at` that is full after `size` bytes.
pub(crate) fn mount_small_memory(at: &Path, size: &str) {
    let options = std::ffi::CString::new(format!("size={size}")).unwrap();
    mount(
        "tmpfs",
        at,
        "tmpfs",
        MountFlags::empty(),
        Some(options.as_c_str()),
    )
    .unwrap();
}
