//! Service levels.
pub mod calendar;
pub mod clocks;
pub mod ledger;
mod policy;
mod port;
mod preview;
mod reading;
mod service;
#[cfg(any(test, feature = "testing"))]
pub mod testing;

pub use calendar::Calendar;
pub use policy::*;
pub use port::*;
pub use preview::*;
pub use service::*;
