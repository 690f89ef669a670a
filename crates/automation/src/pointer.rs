//! Places in a JSON document (RFC 6901), and the checks that every document of ours starts with.

use kernel::{Violation, Violations};
use serde_json::{Map, Value};

/// The most characters of a member's name that a fault repeats.
const NAME_SHOWN_MAX_CHARS: usize = 64;

/// The pointer to a member of what lies at `pointer`.
pub(crate) fn child(pointer: &str, name: &str) -> String {
    let name: String = name.chars().take(NAME_SHOWN_MAX_CHARS).collect();
    kernel::member_pointer(pointer, &name)
}

/// The members of an object; each that is not among `known` is a fault.
pub(crate) fn members<'a>(
    json: &'a Value,
    pointer: &str,
    known: &[&str],
    faults: &mut Violations,
) -> Option<&'a Map<String, Value>> {
    let Value::Object(members) = json else {
        faults.push(Violation::new(pointer, "wrong_type", "must be an object"));
        return None;
    };
    for name in members.keys().filter(|name| !known.contains(&name.as_str())) {
        let message = format!("must be one of {}", known.join(", "));
        faults.push(Violation::new(child(pointer, name), "unknown_member", message));
    }
    Some(members)
}

/// Refuses members of an object that are not among `known`.
pub(crate) fn check_members(json: &Value, known: &[&str]) -> Result<(), Violations> {
    let mut faults = Violations::new();
    let _ = members(json, "", known, &mut faults);
    faults.into_result()
}

/// A document after a merge patch (RFC 7396) of its members: those left out stay, null takes one away, each other is taken
/// whole.
pub(crate) fn patched(mut document: Value, patch: &Value) -> Value {
    let (Value::Object(members), Value::Object(changes)) = (&mut document, patch) else {
        // Whoever reads it says that it is no object.
        return patch.clone();
    };
    for (name, value) in changes {
        if value.is_null() {
            members.remove(name);
        } else {
            members.insert(name.clone(), value.clone());
        }
    }
    document
}

/// Adds what was found elsewhere.
pub(crate) fn extend(faults: &mut Violations, found: &Violations) {
    for one in found.as_slice() {
        faults.push(one.clone());
    }
}

/// An id in its usual spelling, of 36 characters.
pub(crate) fn uuid(json: &Value) -> Option<uuid::Uuid> {
    let text = json.as_str().filter(|text| text.len() == 36)?;
    uuid::Uuid::try_parse(text).ok()
}
