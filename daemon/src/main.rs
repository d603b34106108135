//! The `twill` binary.
fn main() {}
