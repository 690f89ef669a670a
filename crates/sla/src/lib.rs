//! Service levels.
pub mod calendar;
pub mod clocks;
pub mod ledger;
mod policy;
mod reading;
#[cfg(any(test, feature = "testing"))]
pub mod testing;

pub use calendar::Calendar;
pub use policy::*;
