//! The codes of the second factor.

use crate::two_factor::TotpSecret;

/// Computes codes (RFC 6238 with HMAC-SHA-1 and six digits). Must give the same as every authenticator app.
#[cfg_attr(any(test, feature = "testing"), mockall::automock)]
pub trait Totp: Send + Sync {
    /// The code of the step of that number, below 1000000.
    fn code(&self, secret: &TotpSecret, step: i64) -> u32;
}
