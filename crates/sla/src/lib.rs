//! Service levels.
pub mod calendar;
mod reading;
#[cfg(any(test, feature = "testing"))]
pub mod testing;

pub use calendar::Calendar;
