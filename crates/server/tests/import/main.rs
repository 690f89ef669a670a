//! Filling a desk: the import of tickets, and the sample data, on a real database.

mod demo;
mod desk;
mod process;
mod tickets;
