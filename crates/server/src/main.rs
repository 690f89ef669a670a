//! The InsightDesk help desk server.
fn main() {}
