//! Which mount an open file lies in, and whether its file system is this machine's own.

use std::fs;
use std::os::fd::{AsFd, AsRawFd};

use rustix::fs::fstatfs;

/// The number of a mount on this host. Two files with the same number lie in the same tree of the
/// same file system; a bind mount has a number of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct MountId(u64);

impl MountId {
    /// The mount of an open file; `None` where /proc does not tell (`mnt_id`, since Linux 3.15).
    pub(crate) fn of(file: impl AsFd) -> Option<Self> {
        let path = format!("/proc/self/fdinfo/{}", file.as_fd().as_raw_fd());
        let text = fs::read_to_string(path).ok()?;
        let number = text.lines().find_map(|line| line.strip_prefix("mnt_id:"))?;
        number.trim().parse().ok().map(Self)
    }
}

/// Whether no other machine can have changed the file system without this one's knowledge, so that
/// what is not seen is not there. What is unknown counts as remote: that costs time only.
pub(crate) fn is_local(file: impl AsFd) -> bool {
    // From statfs(2) and linux/magic.h. FUSE is not in the list: sshfs is FUSE.
    const LOCAL: [u64; 12] = [
        0x0000_ef53, // ext2, ext3, ext4
        0x5846_5342, // XFS
        0x9123_683e, // Btrfs
        0xca45_1a4e, // bcachefs
        0xf2f5_2010, // F2FS
        0x2fc1_2fc1, // ZFS
        0x3153_464a, // JFS
        0x5265_4973, // ReiserFS
        0x0102_1994, // tmpfs
        0x8584_58f6, // ramfs
        0x794c_7630, // overlayfs
        0x0000_9fa0, // proc
    ];
    // The field's width and sign depend on the architecture; the numbers have 32 bits.
    fstatfs(file).is_ok_and(|stat| LOCAL.contains(&(stat.f_type as u64 & 0xffff_ffff)))
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::*;

    #[test]
    fn mounts_are_told_apart() {
        let id = |path: &str| MountId::of(File::open(path).unwrap()).unwrap();
        assert_eq!(id("/proc"), id("/proc/self"));
        assert_ne!(id("/proc"), id("/"));
    }

    #[test]
    fn proc_is_local() {
        assert!(is_local(File::open("/proc").unwrap()));
    }
}
