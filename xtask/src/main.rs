//! Development tasks of InsightDesk.
fn main() {}
