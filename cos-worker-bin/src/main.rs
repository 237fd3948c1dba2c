//! `cos-worker`, the binary that COS deploys to its hosts.

fn main() {}
