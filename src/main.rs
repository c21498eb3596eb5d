//! The `chacha` command.

fn main() {}
