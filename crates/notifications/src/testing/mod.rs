//! The in-memory fake and the contract suite of the store, for the tests of this crate, of its adapters and of its
//! users.

pub mod contract;
mod memory;

pub use crate::port::MockNotificationStore;
pub use memory::MemoryNotifications;
