//! Reading documents from JSON, and telling everything that is wrong with them at once.
//!
//! A [`Reader`] collects faults, each with its JSON pointer and a stable code, while the functions that use it go on
//! behind a fault where they can. Whoever reads ends with [`Reader::finish`].

use kernel::{Violation, Violations};
use serde_json::{Map, Value};

/// The most faults of a document that are told; what lies behind is counted by nobody.
pub(crate) const FAULTS_MAX: usize = 100;
/// The most characters of an unknown member's name that are repeated.
const NAME_CHARS_MAX: usize = 64;

/// Collects the faults of a document.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    faults: Violations,
}

impl Reader {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn push(&mut self, fault: Violation) {
        if self.faults.as_slice().len() < FAULTS_MAX {
            self.faults.push(fault);
        }
    }

    /// Notes a fault; the `None` is what the caller has of the value then.
    pub(crate) fn refuse<T>(
        &mut self,
        pointer: impl Into<String>,
        code: &'static str,
        message: impl Into<String>,
    ) -> Option<T> {
        self.push(Violation::new(pointer, code, message));
        None
    }

    pub(crate) fn take<T>(&mut self, result: Result<T, Violation>) -> Option<T> {
        result.map_err(|fault| self.push(fault)).ok()
    }

    pub(crate) fn take_all<T>(&mut self, result: Result<T, Violations>) -> Option<T> {
        result
            .map_err(|faults| {
                for fault in faults.as_slice() {
                    self.push(fault.clone());
                }
            })
            .ok()
    }

    /// An object with no members but the known ones.
    pub(crate) fn object<'j>(
        &mut self,
        json: &'j Value,
        pointer: &str,
        known: &[&str],
    ) -> Option<&'j Map<String, Value>> {
        let Value::Object(members) = json else {
            return self.refuse(pointer, "wrong_type", "must be an object");
        };
        for name in members.keys() {
            if !known.contains(&name.as_str()) {
                let message = format!("must be one of {}", known.join(", "));
                self.refuse::<()>(member(pointer, name), "unknown_member", message);
            }
        }
        Some(members)
    }

    /// A list; what lies beyond `max` elements is not read.
    pub(crate) fn list<'j>(&mut self, json: &'j Value, pointer: &str, max: usize) -> Option<&'j [Value]> {
        let Value::Array(elements) = json else {
            return self.refuse(pointer, "wrong_type", "must be a list");
        };
        if elements.len() > max {
            let message = format!("must have at most {max} elements, has {}", elements.len());
            self.refuse::<()>(pointer, "too_many", message);
        }
        Some(elements.get(..max).unwrap_or(elements))
    }

    pub(crate) fn text<'j>(&mut self, json: &'j Value, pointer: &str) -> Option<&'j str> {
        match json.as_str() {
            Some(text) => Some(text),
            None => self.refuse(pointer, "wrong_type", "must be a text"),
        }
    }

    pub(crate) fn flag(&mut self, json: &Value, pointer: &str) -> Option<bool> {
        match json.as_bool() {
            Some(flag) => Some(flag),
            None => self.refuse(pointer, "wrong_type", "must be true or false"),
        }
    }

    /// A member that must be there.
    pub(crate) fn required<'j>(
        &mut self,
        members: &'j Map<String, Value>,
        pointer: &str,
        name: &str,
    ) -> Option<&'j Value> {
        match members.get(name) {
            Some(value) => Some(value),
            None => self.refuse(member(pointer, name), "required", "must be given"),
        }
    }

    /// The value, if nothing is wrong.
    ///
    /// # Errors
    /// All that is wrong.
    pub(crate) fn finish<T>(self, value: Option<T>) -> Result<T, Violations> {
        self.faults.into_result()?;
        // Without a fault there is a value.
        value.ok_or_else(|| Violation::new("", "invalid", "is no such document").into())
    }
}

/// The pointer to a member of the object at `pointer` (RFC 6901), its name cut where it is longer than anybody's.
pub(crate) fn member(pointer: &str, name: &str) -> String {
    let name: String = name.chars().take(NAME_CHARS_MAX).collect();
    kernel::member_pointer(pointer, &name)
}

/// A member that counts as absent where it is null.
pub(crate) fn optional<'j>(members: &'j Map<String, Value>, name: &str) -> Option<&'j Value> {
    members.get(name).filter(|value| !value.is_null())
}
