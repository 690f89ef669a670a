//! Clocks as a store keeps them: JSON with a version, so that rows of older programs stay readable.
//!
//! Moments are microseconds since 1970 and times microseconds; what is absent is its usual value.

use serde_json::{Value, json};

use super::TicketClocks;

/// The version of the stored form.
const FORM: u64 = 1;

/// Why stored clocks could not be read.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// They were written by a later program.
    #[error("the clocks are stored in form {0}, which this program does not know")]
    UnknownForm(u64),
    /// They are no clocks.
    #[error("the stored clocks cannot be read")]
    Invalid(#[source] serde_json::Error),
}

impl TicketClocks {
    /// The stored form.
    #[must_use]
    pub fn to_json(&self) -> Value {
        json!({ "form": FORM, "clocks": self })
    }

    /// Reads the stored form.
    ///
    /// # Errors
    /// See [`StateError`].
    pub fn read(stored: &Value) -> Result<Self, StateError> {
        match stored.get("form").and_then(Value::as_u64) {
            Some(form) if form != FORM => Err(StateError::UnknownForm(form)),
            Some(_) | None => {
                let clocks = stored.get("clocks").unwrap_or(&Value::Null);
                serde::Deserialize::deserialize(clocks).map_err(StateError::Invalid)
            }
        }
    }
}

/// A time as microseconds.
pub(super) mod micros {
    use chrono::TimeDelta;
    use serde::{Deserialize as _, Deserializer, Serializer};

    pub(crate) fn serialize<S: Serializer>(time: &TimeDelta, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_i64(time.num_microseconds().unwrap_or(i64::MAX))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<TimeDelta, D::Error> {
        i64::deserialize(from).map(TimeDelta::microseconds)
    }
}

/// The same where there may be none.
pub(super) mod micros_option {
    use chrono::TimeDelta;
    use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer};

    #[expect(clippy::ref_option, reason = "serde asks so")]
    pub(crate) fn serialize<S: Serializer>(time: &Option<TimeDelta>, to: S) -> Result<S::Ok, S::Error> {
        time.and_then(|time| time.num_microseconds()).serialize(to)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<TimeDelta>, D::Error> {
        Option::<i64>::deserialize(from).map(|time| time.map(TimeDelta::microseconds))
    }
}

/// A point of a clock as in a policy: `80%`.
pub(super) mod step_at {
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    use crate::policy::StepAt;

    pub(crate) fn serialize<S: Serializer>(at: &StepAt, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(at)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<StepAt, D::Error> {
        let text = String::deserialize(from)?;
        StepAt::parse(&text).ok_or_else(|| D::Error::custom("is no point of a clock"))
    }
}
