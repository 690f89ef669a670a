//! Filling a desk: the import of tickets, and the sample data, on a real database.

#![expect(
    clippy::unwrap_used,
    reason = "a test ends where something is not as it must be"
)]

mod demo;
mod desk;
mod process;
mod take_over;
mod take_over_real;
mod tickets;
