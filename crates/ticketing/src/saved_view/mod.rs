//! Saved views: a condition on tickets and an order under a name, one's own, a team's or shared with all staff.
//!
//! A view holds its condition as it was written, so that "me" and "-7d" mean whoever looks and when they look; what one
//! sees through it is what one's own list gives. Who may do what is [`rights`], what is asked of a store [`port`].

pub(crate) mod port;
pub(crate) mod rights;

use chrono::{DateTime, Utc};
use kernel::filter::{Condition, Literal};
use kernel::text::TextRule;
use kernel::{TeamId, UserId, Version, Violation, Violations};
use serde_json::Value;

use crate::fields::TicketFields;
use crate::query::Sort;
use crate::ticket::Audience;

/// The most characters of a view's name.
pub const VIEW_NAME_MAX_CHARS: usize = 100;
/// The most bytes of a view's condition, as JSON without blanks.
pub const VIEW_FILTER_MAX_BYTES: usize = 8_192;
/// The greatest place of a view among others; the least is 0.
pub const VIEW_PLACE_MAX: i16 = 9_999;
/// The most views that a person, a team, or the whole desk can have.
pub const VIEWS_MAX: i64 = 100;

kernel::id_type! {
    /// A saved view.
    SavedViewId
}

/// A saved view of tickets.
#[derive(Debug, Clone, PartialEq)]
pub struct SavedView {
    /// Which.
    pub id: SavedViewId,
    /// What it is called.
    pub name: ViewName,
    /// Which tickets it selects; `None` for all.
    pub filter: Option<ViewFilter>,
    /// In which order.
    pub sort: Sort,
    /// Its place among the views of its kind.
    pub place: ViewPlace,
    /// Whose it is.
    pub holder: ViewHolder,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it last changed.
    pub updated_at: DateTime<Utc>,
    /// Moves with every change.
    pub version: Version,
}

impl SavedView {
    /// Its place in the list.
    #[must_use]
    pub fn position(&self) -> ViewPosition {
        ViewPosition {
            visibility: self.holder.visibility(),
            place: self.place,
            id: self.id,
        }
    }
}

/// A place in the list of views: one's own come first, then the teams', then the shared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ViewPosition {
    /// Of which kind.
    pub visibility: ViewVisibility,
    /// The place among them.
    pub place: ViewPlace,
    /// Tells equals apart.
    pub id: SavedViewId,
}

/// Whose a view is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ViewHolder {
    /// One person's.
    Person(UserId),
    /// A team's.
    Team(TeamId),
    /// All staff's.
    Desk,
}

impl ViewHolder {
    /// The kind that it makes a view.
    #[must_use]
    pub fn visibility(self) -> ViewVisibility {
        match self {
            ViewHolder::Person(_) => ViewVisibility::Own,
            ViewHolder::Team(_) => ViewVisibility::Team,
            ViewHolder::Desk => ViewVisibility::Shared,
        }
    }
}

/// Who a view is there for. The order is that of the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ViewVisibility {
    /// Its owner alone.
    Own,
    /// The members of a team.
    Team,
    /// All staff.
    Shared,
}

impl ViewVisibility {
    /// Every one, in the list's order.
    pub const ALL: [Self; 3] = [Self::Own, Self::Team, Self::Shared];

    /// The name in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Own => "own",
            Self::Team => "team",
            Self::Shared => "shared",
        }
    }
}

/// What a view is called: 1 to 100 characters on one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ViewName(String);

impl ViewName {
    const RULE: TextRule = TextRule::line(1, VIEW_NAME_MAX_CHARS);

    /// A name as someone typed it.
    ///
    /// # Errors
    /// When it is empty, too long, or no line.
    pub fn parse(pointer: &str, raw: &str) -> Result<Self, Violation> {
        Self::RULE.parse(pointer, raw).map(Self)
    }

    /// A name as a store holds it, whatever it is.
    #[must_use]
    pub fn stored(text: String) -> Self {
        Self(text)
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A view's place among others: 0 to 9999, the least first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct ViewPlace(i16);

impl ViewPlace {
    /// A place as someone asks for it.
    ///
    /// # Errors
    /// When it is out of bounds.
    pub fn parse(pointer: &str, raw: i64) -> Result<Self, Violation> {
        let fits = i16::try_from(raw)
            .ok()
            .filter(|place| (0..=VIEW_PLACE_MAX).contains(place));
        fits.map(Self).ok_or_else(|| {
            let message = format!("must be a number from 0 to {VIEW_PLACE_MAX}");
            Violation::new(pointer, "out_of_range", message)
        })
    }

    /// A place as a store or a cursor holds it.
    #[must_use]
    pub fn stored(place: i16) -> Self {
        Self(place)
    }

    /// The number.
    #[must_use]
    pub fn number(self) -> i16 {
        self.0
    }
}

/// A view's condition, as it was written.
#[derive(Debug, Clone, PartialEq)]
pub struct ViewFilter(Value);

impl ViewFilter {
    /// A condition as someone wrote it, read to its end, so that what is stored is one.
    ///
    /// # Errors
    /// All that is wrong with it, below `pointer`.
    pub fn parse(pointer: &str, written: Value) -> Result<Self, Violations> {
        let bytes = written.to_string().len();
        if bytes > VIEW_FILTER_MAX_BYTES {
            let message = format!("must have at most {VIEW_FILTER_MAX_BYTES} bytes, has {bytes}");
            return Err(Violation::new(pointer, "too_long", message).into());
        }
        Condition::<_, Literal>::read(&written, pointer, &TicketFields(Audience::Staff))?;
        Ok(Self(written))
    }

    /// A condition as a store holds it; it is read when it is used.
    #[must_use]
    pub fn stored(written: Value) -> Self {
        Self(written)
    }

    /// As it was written.
    #[must_use]
    pub fn as_json(&self) -> &Value {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_name_is_one_line_of_bounded_length() {
        assert_eq!(
            ViewName::parse("/name", "  Mine ").map(|name| name.0),
            Ok("Mine".to_owned())
        );
        for (raw, code) in [
            (" ", "too_short"),
            ("a\nb", "bad_character"),
            (&"x".repeat(101), "too_long"),
        ] {
            assert_eq!(
                ViewName::parse("/name", raw).map_err(|fault| fault.code),
                Err(code)
            );
        }
        assert!(ViewName::parse("/name", &"ä".repeat(100)).is_ok());
    }

    #[test]
    fn a_place_lies_within_its_bounds() {
        assert_eq!(
            ViewPlace::parse("/position", 9_999).map(ViewPlace::number),
            Ok(9_999)
        );
        for raw in [-1, 10_000, i64::MAX, i64::MIN] {
            let refused = ViewPlace::parse("/position", raw).map_err(|fault| fault.code);
            assert_eq!(refused, Err("out_of_range"), "{raw}");
        }
    }

    #[test]
    fn a_condition_is_kept_as_it_was_written() {
        let written = json!({ "all": [
            { "field": "assignedToId", "operator": "equals", "value": "me" },
            { "field": "slaDueAt", "operator": "less_than", "value": "+2h" },
        ] });
        let kept = ViewFilter::parse("/filter", written.clone()).unwrap();
        assert_eq!(kept.as_json(), &written);
    }

    #[test]
    fn a_bad_condition_is_refused_whole_with_every_place() {
        let written = json!({ "all": [
            { "field": "nothing", "operator": "is_set" },
            { "field": "status", "operator": "equals", "value": "odd" },
        ] });
        let faults = ViewFilter::parse("/filter", written).unwrap_err();
        let pointers: Vec<_> = faults
            .as_slice()
            .iter()
            .map(|fault| fault.pointer.as_str())
            .collect();
        assert_eq!(pointers, ["/filter/all/0/field", "/filter/all/1/value"]);
        let values = vec!["x".repeat(200); 41];
        let long = json!({ "field": "subject", "operator": "in", "value": values });
        let faults = ViewFilter::parse("/filter", long).unwrap_err();
        let [fault] = faults.as_slice() else {
            panic!("{faults}")
        };
        assert_eq!((fault.pointer.as_str(), fault.code), ("/filter", "too_long"));
    }
}
