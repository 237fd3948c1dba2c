//! The command `cos`.

fn main() {}
