//! A policy as JSON, and as a row of the contract's table.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use kernel::text::TextRule;
use kernel::{Version, Violations};
use serde_json::{Map, Value, json};

use super::escalation::{Escalation, metric_of};
use super::terms::{Hours, Metric, Minutes, Multiplier, Multipliers, Pauses, Priority, Promise, Targets};
use super::{
    DocumentChecks, POLICY_DESCRIPTION_MAX_CHARS, PolicyFilter, PolicyId, PolicyName, SlaPolicy, Unchecked,
};
use crate::calendar::Calendar;
use crate::reading::{Reader, member, optional};

const MEMBERS: [&str; 11] = [
    "name",
    "description",
    "firstResponseTime",
    "nextResponseTime",
    "resolutionTime",
    "priorityMultipliers",
    "businessHoursOnly",
    "businessHours",
    "pausedWhilePending",
    "escalationRules",
    "filter",
];

/// What someone says of a policy.
#[derive(Debug, Clone, PartialEq)]
pub struct PolicyDraft {
    /// What it is to be called.
    pub name: PolicyName,
    /// What it is for.
    pub description: Option<String>,
    /// What it is to promise.
    pub promise: Promise,
    /// Which tickets it is to be for.
    pub filter: Option<PolicyFilter>,
}

impl PolicyDraft {
    /// Reads a policy, which stands at `pointer`, with the contract's names of its members and our further ones:
    /// `nextResponseTime` (minutes), `pausedWhilePending` (names of metrics; all when absent) and `filter`. Name,
    /// `firstResponseTime` and `resolutionTime` must be given. `businessHoursOnly` is true when absent, as in the contract, and
    /// then `businessHours` must be given.
    ///
    /// # Errors
    /// Everything that is wrong with it, up to a bound, each with its place.
    pub fn read(json: &Value, pointer: &str, checks: &dyn DocumentChecks) -> Result<Self, Violations> {
        let mut reader = Reader::new();
        let draft = draft(&mut reader, json, pointer, checks);
        reader.finish(draft)
    }

    /// Whether a document, or a patch of one, has no members but those that [`PolicyDraft::read`] knows.
    ///
    /// # Errors
    /// `wrong_type` and `unknown_member`.
    pub fn check_members(json: &Value, pointer: &str) -> Result<(), Violations> {
        let mut reader = Reader::new();
        let members = reader.object(json, pointer, &MEMBERS);
        reader.finish(members.map(drop))
    }

    /// The document, as [`PolicyDraft::read`] takes it.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let Promise {
            targets,
            multipliers,
            hours,
            pauses,
            escalation,
        } = &self.promise;
        let multiplied = Priority::ALL
            .into_iter()
            .filter(|priority| multipliers.of(*priority) != Multiplier::ONE)
            .map(|priority| {
                let number = json!(multipliers.of(priority).as_f64());
                (priority.as_str().to_owned(), number)
            });
        let is_business = matches!(hours, Hours::Business(_) | Hours::Unsaid);
        json!({
            "name": self.name.as_str(),
            "description": self.description,
            "firstResponseTime": targets.first_response.get(),
            "nextResponseTime": targets.next_response.map(Minutes::get),
            "resolutionTime": targets.resolution.get(),
            "priorityMultipliers": multiplied.collect::<Map<_, _>>(),
            "businessHoursOnly": is_business,
            "businessHours": hours.calendar().map(|calendar| calendar.to_json()),
            "pausedWhilePending": pauses.metrics().map(Metric::as_str).collect::<Vec<_>>(),
            "escalationRules": escalation.to_json(),
            "filter": self.filter.as_ref().map(PolicyFilter::as_json),
        })
    }
}

impl From<&SlaPolicy> for PolicyDraft {
    fn from(policy: &SlaPolicy) -> Self {
        Self {
            name: policy.name.clone(),
            description: policy.description.clone(),
            promise: policy.promise.clone(),
            filter: policy.filter.clone(),
        }
    }
}

/// A policy as a store holds it: the columns of the contract's table, which others write too, and ours.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredPolicy {
    /// Column `id`.
    pub id: PolicyId,
    /// Column `name`.
    pub name: String,
    /// Column `description`.
    pub description: Option<String>,
    /// Column `first_response_time`, minutes.
    pub first_response_time: i32,
    /// Our column for the target of further responses, minutes.
    pub next_response_time: Option<i32>,
    /// Column `resolution_time`, minutes.
    pub resolution_time: i32,
    /// Column `business_hours_only`.
    pub business_hours_only: bool,
    /// Column `business_hours`.
    pub business_hours: Option<Value>,
    /// Column `escalation_rules`.
    pub escalation_rules: Value,
    /// Column `priority_multipliers`.
    pub priority_multipliers: Value,
    /// Our column for what pauses, names of metrics; `None` for all.
    pub paused_while_pending: Option<Value>,
    /// Our column for the filter.
    pub filter: Option<Value>,
    /// Our column for the place.
    pub place: i32,
    /// Column `is_default`.
    pub is_default: bool,
    /// Column `created_at`.
    pub created_at: DateTime<Utc>,
    /// Column `updated_at`.
    pub updated_at: DateTime<Utc>,
    /// Our column for the version.
    pub version: Version,
    /// Our column for the version of the promise.
    pub terms_version: Version,
    /// Our column for the version of the hours.
    pub calendar_version: Version,
}

impl SlaPolicy {
    /// Takes a row. Texts are taken as they are, filter and actions too: they are read when they are used.
    ///
    /// # Errors
    /// What makes the row no policy, with pointers as in the document: such a policy can promise nothing.
    pub fn stored(row: StoredPolicy) -> Result<Self, Violations> {
        let StoredPolicy {
            id,
            name,
            description,
            first_response_time,
            next_response_time,
            resolution_time,
            business_hours_only,
            business_hours,
            escalation_rules,
            priority_multipliers,
            paused_while_pending,
            filter,
            place,
            is_default,
            created_at,
            updated_at,
            version,
            terms_version,
            calendar_version,
        } = row;
        let is_unsaid = business_hours_only && business_hours.is_none();
        let document = json!({
            "firstResponseTime": first_response_time,
            "nextResponseTime": next_response_time,
            "resolutionTime": resolution_time,
            "priorityMultipliers": priority_multipliers,
            "businessHoursOnly": business_hours_only && !is_unsaid,
            "businessHours": business_hours,
            "pausedWhilePending": paused_while_pending,
            "escalationRules": escalation_rules,
        });
        let mut reader = Reader::new();
        let promise = document
            .as_object()
            .and_then(|members| promise(&mut reader, members, "", &Unchecked));
        let mut promise = reader.finish(promise)?;
        if is_unsaid {
            promise.hours = Hours::Unsaid;
        }
        Ok(Self {
            id,
            name: PolicyName::stored(name),
            description,
            promise,
            place,
            filter: filter.map(PolicyFilter::stored),
            is_default,
            created_at,
            updated_at,
            version,
            terms_version,
            calendar_version,
        })
    }
}

fn draft(
    reader: &mut Reader,
    json: &Value,
    pointer: &str,
    checks: &dyn DocumentChecks,
) -> Option<PolicyDraft> {
    let members = reader.object(json, pointer, &MEMBERS)?;
    let name = reader.required(members, pointer, "name").and_then(|json| {
        let pointer = member(pointer, "name");
        let text = reader.text(json, &pointer)?;
        reader.take(PolicyName::parse(&pointer, text))
    });
    let description = match optional(members, "description") {
        Some(json) => {
            let pointer = member(pointer, "description");
            let text = reader.text(json, &pointer);
            let rule = TextRule::block(0, POLICY_DESCRIPTION_MAX_CHARS);
            text.and_then(|text| reader.take(rule.parse(&pointer, text)))
                .map(|text| Some(text).filter(|text| !text.is_empty()))
        }
        None => Some(None),
    };
    let filter = match optional(members, "filter") {
        Some(json) => {
            let filter = PolicyFilter::parse(&member(pointer, "filter"), json.clone(), checks);
            reader.take_all(filter).map(Some)
        }
        None => Some(None),
    };
    let promise = promise(reader, members, pointer, checks);
    Some(PolicyDraft {
        name: name?,
        description: description?,
        promise: promise?,
        filter: filter?,
    })
}

fn promise(
    reader: &mut Reader,
    members: &Map<String, Value>,
    pointer: &str,
    checks: &dyn DocumentChecks,
) -> Option<Promise> {
    let first_response = reader.required(members, pointer, "firstResponseTime");
    let first_response =
        first_response.and_then(|json| minutes(reader, json, &member(pointer, "firstResponseTime")));
    let next_response = match optional(members, "nextResponseTime") {
        Some(json) => minutes(reader, json, &member(pointer, "nextResponseTime")).map(Some),
        None => Some(None),
    };
    let resolution = reader.required(members, pointer, "resolutionTime");
    let resolution = resolution.and_then(|json| minutes(reader, json, &member(pointer, "resolutionTime")));
    let multipliers = match optional(members, "priorityMultipliers") {
        Some(json) => multipliers(reader, json, &member(pointer, "priorityMultipliers")),
        None => Some(Multipliers::default()),
    };
    let hours = hours(reader, members, pointer);
    let pauses = match optional(members, "pausedWhilePending") {
        Some(json) => pauses(reader, json, &member(pointer, "pausedWhilePending")),
        None => Some(Pauses::ALL),
    };
    let escalation = match optional(members, "escalationRules") {
        Some(json) => reader.take_all(Escalation::read(
            json,
            &member(pointer, "escalationRules"),
            checks,
        )),
        None => Some(Escalation::default()),
    };
    Some(Promise {
        targets: Targets {
            first_response: first_response?,
            next_response: next_response?,
            resolution: resolution?,
        },
        multipliers: multipliers?,
        hours: hours?,
        pauses: pauses?,
        escalation: escalation?,
    })
}

fn minutes(reader: &mut Reader, json: &Value, pointer: &str) -> Option<Minutes> {
    // What is no whole number is out of range, too.
    reader.take(Minutes::parse(pointer, json.as_i64().unwrap_or(0)))
}

fn multipliers(reader: &mut Reader, json: &Value, pointer: &str) -> Option<Multipliers> {
    let members = reader.object(json, pointer, &Priority::ALL.map(Priority::as_str))?;
    let mut multipliers = Multipliers::default();
    let mut is_whole = true;
    for priority in Priority::ALL {
        let Some(json) = optional(members, priority.as_str()) else {
            continue;
        };
        let pointer = member(pointer, priority.as_str());
        let number = json
            .as_f64()
            .or_else(|| reader.refuse(&pointer, "wrong_type", "must be a number"));
        match number.and_then(|number| reader.take(Multiplier::parse(&pointer, number))) {
            Some(multiplier) => multipliers = multipliers.with(priority, multiplier),
            None => is_whole = false,
        }
    }
    is_whole.then_some(multipliers)
}

fn hours(reader: &mut Reader, members: &Map<String, Value>, pointer: &str) -> Option<Hours> {
    let is_business = match optional(members, "businessHoursOnly") {
        Some(json) => reader.flag(json, &member(pointer, "businessHoursOnly")),
        None => Some(true),
    };
    let pointer = member(pointer, "businessHours");
    let calendar = match optional(members, "businessHours") {
        Some(json) => reader.take_all(Calendar::read(json, &pointer)).map(Some),
        None => Some(None),
    };
    match (is_business?, calendar?.map(Arc::new)) {
        (false, calendar) => Some(Hours::AroundTheClock(calendar)),
        (true, Some(calendar)) => Some(Hours::Business(calendar)),
        (true, None) => reader.refuse(
            pointer,
            "required",
            "must be given where only business hours count",
        ),
    }
}

fn pauses(reader: &mut Reader, json: &Value, pointer: &str) -> Option<Pauses> {
    let names = reader.list(json, pointer, Metric::ALL.len())?;
    let mut metrics = Vec::new();
    for (index, name) in names.iter().enumerate() {
        metrics.extend(metric_of(reader, name, &format!("{pointer}/{index}")));
    }
    (metrics.len() == names.len()).then(|| Pauses::of(&metrics))
}
