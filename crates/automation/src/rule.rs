//! Rules: what sets one off, when it runs, and what it does.
//!
//! ```json
//! { "name": "VPN to the network team", "trigger": "ticket.created",
//!   "conditions": { "field": "subject", "operator": "contains", "value": "vpn" },
//!   "actions": [ { "type": "set_team", "value": "0190…" }, { "type": "add_tags", "value": ["vpn"] } ],
//!   "priority": 10, "enabled": true, "stopAfterMatch": false,
//!   "rateLimit": { "perTicketPerHour": 3, "perRulePerHour": 500 } }
//! ```
//!
//! What someone sends is read in two steps: [`RuleReading::of`] finds all that the document itself has wrong and says
//! what it names, [`RuleReading::check`] asks whether that is there. What lies in the table, where others may write, is read
//! by [`Rule::read`], which gives a rule or says why it is none, and never fails otherwise.

use chrono::{DateTime, Utc};
use kernel::text::TextRule;
use kernel::{UserId, Version, Violation, Violations};
use serde::Serialize;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::action::{Action, Actions};
use crate::condition::Conditions;
use crate::pointer;
use crate::reference::{Reference, World};
use crate::trigger::{Occasion, Trigger};

/// The most characters of a rule's name, as in the contract.
pub const NAME_MAX_CHARS: usize = 100;
/// The most characters of a rule's description.
pub const DESCRIPTION_MAX_CHARS: usize = 2_000;
/// The greatest priority, and the least without its sign.
pub const PRIORITY_MAX: i32 = 10_000;
/// The most runs an hour that a rate limit can allow.
pub const RATE_MAX_RUNS: u32 = 100_000;

kernel::id_type! {
    /// A rule.
    RuleId
}

/// A rule as it is stored.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    /// Which.
    pub id: RuleId,
    /// What it does.
    pub content: RuleContent,
    /// Who made it; the contract's `createdBy`.
    pub owner: UserId,
    /// Why the server disabled it; `None` where it did not.
    pub disabled: Option<Disabled>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it last changed.
    pub updated_at: DateTime<Utc>,
    /// Moves with every change.
    pub version: Version,
    /// How often it ran. The store counts; a write leaves it alone.
    pub ran: Ran,
}

/// How often a rule ran, a few seconds late.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Ran {
    /// The contract's `triggerCount`.
    pub count: u32,
    /// The moment of the last event; the contract's `lastTriggeredAt`.
    pub last_at: Option<DateTime<Utc>>,
}

/// Why the server disabled a rule. Enabling it again clears this.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disabled {
    /// It kept setting itself off.
    Loop,
}

impl Disabled {
    /// The name in JSON and in the table.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Disabled::Loop => "loop",
        }
    }
}

/// What a rule is made of.
#[derive(Debug, Clone, PartialEq)]
pub struct RuleContent {
    /// One line of 1 to [`NAME_MAX_CHARS`] characters.
    pub name: String,
    /// At most [`DESCRIPTION_MAX_CHARS`] characters.
    pub description: Option<String>,
    /// What sets it off.
    pub trigger: Trigger,
    /// When it runs.
    pub conditions: Conditions,
    /// What it does.
    pub actions: Actions,
    /// Rules with a lower one run first; those with the same, in the order of their ids.
    pub priority: i32,
    /// Whether it runs at all.
    pub enabled: bool,
    /// Whether no rule after it sees an event for which it ran.
    pub stop_after_match: bool,
    /// How often it runs at the most.
    pub rate_limit: RateLimit,
}

/// How often a rule runs at the most, in an hour before the event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RateLimit {
    /// For one ticket.
    pub per_ticket_per_hour: Option<u32>,
    /// For all.
    pub per_rule_per_hour: Option<u32>,
}

impl RateLimit {
    /// Whether there is none.
    #[must_use]
    pub fn is_none(self) -> bool {
        self.per_ticket_per_hour.is_none() && self.per_rule_per_hour.is_none()
    }

    /// Whether it forbids another run after these.
    #[must_use]
    pub fn is_reached(self, runs: RunCounts) -> bool {
        self.per_ticket_per_hour.is_some_and(|most| runs.ticket >= most)
            || self.per_rule_per_hour.is_some_and(|most| runs.rule >= most)
    }
}

/// How often a rule ran in an hour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RunCounts {
    /// For the ticket.
    pub ticket: u32,
    /// For all.
    pub rule: u32,
}

/// A rule's document, read but for what it names.
#[derive(Debug, Clone)]
pub struct RuleReading {
    content: Option<RuleContent>,
    faults: Violations,
    references: Vec<Reference>,
}

const MEMBERS: [&str; 10] = [
    "name",
    "description",
    "trigger",
    "schedule",
    "conditions",
    "actions",
    "priority",
    "enabled",
    "stopAfterMatch",
    "rateLimit",
];

impl RuleReading {
    /// Reads a document.
    #[must_use]
    pub fn of(json: &Value) -> Self {
        let mut faults = Violations::new();
        let content = pointer::members(json, "", &MEMBERS, &mut faults).and_then(|members| {
            let parts = Parts {
                trigger: members.get("trigger"),
                schedule: members.get("schedule"),
                conditions: members.get("conditions"),
                actions: members.get("actions"),
            };
            let name = name(members.get("name"), &mut faults);
            let description = description(members.get("description"), &mut faults);
            let parts = parts.read(&mut faults);
            let priority = priority(members.get("priority"), &mut faults);
            let enabled = flag(members, "enabled", true, &mut faults);
            let stop_after_match = flag(members, "stopAfterMatch", false, &mut faults);
            let rate_limit = rate_limit(members.get("rateLimit"), &mut faults);
            let (trigger, conditions, actions) = parts?;
            Some(RuleContent {
                name: name?,
                description: description?,
                trigger,
                conditions,
                actions,
                priority: priority?,
                enabled: enabled?,
                stop_after_match: stop_after_match?,
                rate_limit: rate_limit?,
            })
        });
        let references = content.as_ref().map(RuleContent::references);
        Self {
            references: references.unwrap_or_default(),
            content,
            faults,
        }
    }

    /// Whether a document has members of a rule alone, before anything else of it is read.
    ///
    /// # Errors
    /// Each other member, at its place.
    pub fn check_members(json: &Value) -> Result<(), Violations> {
        pointer::check_members(json, &MEMBERS)
    }

    /// What it names: look it up, and say in a [`World`] what of it there is. Empty where the document is faulty anyway.
    #[must_use]
    pub fn references(&self) -> &[Reference] {
        &self.references
    }

    /// The rule's content, where all of it is well.
    ///
    /// # Errors
    /// Every fault of the document and every reference that leads nowhere, each with its place.
    pub fn check(self, world: &World) -> Result<RuleContent, Violations> {
        let mut faults = self.faults;
        for reference in &self.references {
            faults.check(world.check(reference));
        }
        match self.content {
            Some(content) if faults.as_slice().is_empty() => Ok(content),
            Some(_) => Err(faults),
            None if faults.as_slice().is_empty() => Err(Violation::new("", "invalid", "is no rule").into()),
            None => Err(faults),
        }
    }
}

/// The members that are JSON by nature.
struct Parts<'a> {
    trigger: Option<&'a Value>,
    schedule: Option<&'a Value>,
    conditions: Option<&'a Value>,
    actions: Option<&'a Value>,
}

impl Parts<'_> {
    fn read(&self, faults: &mut Violations) -> Option<(Trigger, Conditions, Actions)> {
        // Without a trigger nobody knows which fields there are; its own fault is told first.
        let trigger = Trigger::read(self.trigger, self.schedule, faults)?;
        let kind = trigger.kind();
        let conditions = match self.conditions {
            None => Some(Conditions::always()),
            Some(json) => gather(Conditions::read(json, "/conditions", kind), faults),
        };
        let actions = match self.actions {
            None => {
                let message = "must be a list of actions";
                faults.push(Violation::new("/actions", "required", message));
                None
            }
            Some(json) => gather(Actions::read(json, "/actions", Occasion::Event(kind)), faults),
        };
        let (conditions, actions) = conditions.zip(actions)?;
        let before_last = actions
            .as_slice()
            .split_last()
            .map_or(&[][..], |(_, before)| before);
        if let Some(index) = before_last.iter().position(|action| *action == Action::Stop) {
            let message = "must be the last action: nothing after it is carried out";
            faults.push(Violation::new(format!("/actions/{index}"), "not_last", message));
            return None;
        }
        Some((trigger, conditions, actions))
    }
}

fn gather<T>(read: Result<T, Violations>, faults: &mut Violations) -> Option<T> {
    match read {
        Ok(value) => Some(value),
        Err(found) => {
            pointer::extend(faults, &found);
            None
        }
    }
}

fn name(json: Option<&Value>, faults: &mut Violations) -> Option<String> {
    let Some(text) = json.and_then(Value::as_str) else {
        let code = if json.is_some() { "wrong_type" } else { "required" };
        faults.push(Violation::new("/name", code, "must be a text"));
        return None;
    };
    faults.check(TextRule::line(1, NAME_MAX_CHARS).parse("/name", text))
}

fn description(json: Option<&Value>, faults: &mut Violations) -> Option<Option<String>> {
    match json {
        None | Some(Value::Null) => Some(None),
        Some(Value::String(text)) => {
            let rule = TextRule::block(0, DESCRIPTION_MAX_CHARS);
            let text = faults.check(rule.parse("/description", text))?;
            Some((!text.is_empty()).then_some(text))
        }
        Some(Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_)) => {
            faults.push(Violation::new(
                "/description",
                "wrong_type",
                "must be a text or null",
            ));
            None
        }
    }
}

fn priority(json: Option<&Value>, faults: &mut Violations) -> Option<i32> {
    let Some(json) = json else {
        return Some(0);
    };
    let number = json.as_i64().and_then(|number| i32::try_from(number).ok());
    let fits = number.filter(|number| (-PRIORITY_MAX..=PRIORITY_MAX).contains(number));
    if fits.is_none() {
        let message = format!("must be a whole number from -{PRIORITY_MAX} to {PRIORITY_MAX}");
        faults.push(Violation::new("/priority", "out_of_range", message));
    }
    fits
}

fn flag(members: &Map<String, Value>, name: &str, absent: bool, faults: &mut Violations) -> Option<bool> {
    match members.get(name) {
        None => Some(absent),
        Some(Value::Bool(flag)) => Some(*flag),
        Some(_) => {
            let message = "must be true or false";
            faults.push(Violation::new(format!("/{name}"), "wrong_type", message));
            None
        }
    }
}

fn rate_limit(json: Option<&Value>, faults: &mut Violations) -> Option<RateLimit> {
    let known = ["perTicketPerHour", "perRulePerHour"];
    let Some(json) = json.filter(|json| !json.is_null()) else {
        return Some(RateLimit::default());
    };
    let members = pointer::members(json, "/rateLimit", &known, faults)?;
    let mut read = |name: &str| match members.get(name) {
        None | Some(Value::Null) => Some(None),
        Some(json) => {
            let number = json.as_u64().and_then(|number| u32::try_from(number).ok());
            let fits = number.filter(|number| (1..=RATE_MAX_RUNS).contains(number));
            if fits.is_none() {
                let message = format!("must be a whole number from 1 to {RATE_MAX_RUNS}, or null");
                faults.push(Violation::new(
                    pointer::child("/rateLimit", name),
                    "out_of_range",
                    message,
                ));
            }
            fits.map(Some)
        }
    };
    let (ticket, rule) = (read("perTicketPerHour"), read("perRulePerHour"));
    Some(RateLimit {
        per_ticket_per_hour: ticket?,
        per_rule_per_hour: rule?,
    })
}

impl RuleContent {
    /// Reads and checks a document at once, for whoever knows beforehand what there is.
    ///
    /// # Errors
    /// See [`RuleReading::check`].
    pub fn check(json: &Value, world: &World) -> Result<Self, Violations> {
        RuleReading::of(json).check(world)
    }

    /// What it names.
    #[must_use]
    pub fn references(&self) -> Vec<Reference> {
        let conditions = self.conditions.references().iter();
        conditions.chain(self.actions.references()).cloned().collect()
    }

    /// Whether it reaches beyond the desk's own people, so that whoever saves it should prove anew who they are.
    #[must_use]
    pub fn reaches_outside(&self) -> bool {
        self.actions.reach_outside()
    }

    /// The document that it is read from.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let RateLimit {
            per_ticket_per_hour,
            per_rule_per_hour,
        } = self.rate_limit;
        json!({
            "name": self.name,
            "description": self.description,
            "trigger": self.trigger.kind().as_str(),
            "schedule": self.trigger.schedule().map(crate::schedule::Schedule::to_json),
            "conditions": self.conditions.as_json(),
            "actions": self.actions.as_json(),
            "priority": self.priority,
            "enabled": self.enabled,
            "stopAfterMatch": self.stop_after_match,
            "rateLimit": {
                "perTicketPerHour": per_ticket_per_hour,
                "perRulePerHour": per_rule_per_hour,
            },
        })
    }

    /// The document after a merge patch (RFC 7396) of its members: those left out stay, each other is taken whole.
    #[must_use]
    pub fn patched(&self, patch: &Value) -> Value {
        let mut document = self.to_json();
        let (Value::Object(members), Value::Object(changes)) = (&mut document, patch) else {
            // Whoever reads it says that it is no object.
            return patch.clone();
        };
        for (name, value) in changes {
            members.insert(name.clone(), value.clone());
        }
        // A schedule goes with its trigger.
        if changes.contains_key("trigger") && !changes.contains_key("schedule") {
            let is_schedule = changes.get("trigger").and_then(Value::as_str) == Some("schedule");
            if !is_schedule {
                members.remove("schedule");
            }
        }
        document
    }
}

/// A rule as a table holds it. Others may have written any of its JSON. As JSON its members are the columns.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RuleRow {
    /// `id`
    pub id: Uuid,
    /// `name`
    pub name: String,
    /// `description`
    pub description: Option<String>,
    /// `trigger`
    pub trigger: String,
    /// The document of a schedule; ours.
    pub schedule: Option<Value>,
    /// `conditions`
    pub conditions: Value,
    /// `actions`
    pub actions: Value,
    /// `priority`
    pub priority: i32,
    /// `enabled`
    pub enabled: bool,
    /// Whether no rule after it sees the event; ours.
    pub stop_after_match: bool,
    /// The document of a rate limit; ours.
    pub rate_limit: Option<Value>,
    /// Why the server disabled it; ours.
    pub disabled: Option<String>,
    /// `created_by`
    pub created_by: Uuid,
    /// `created_at`
    pub created_at: DateTime<Utc>,
    /// `updated_at`
    pub updated_at: DateTime<Utc>,
    /// Counts its changes; ours.
    pub version: i32,
    /// `trigger_count`; the store counts.
    pub trigger_count: i32,
    /// `last_triggered_at`; the store counts.
    pub last_triggered_at: Option<DateTime<Utc>>,
}

impl RuleRow {
    /// How often it ran.
    #[must_use]
    pub fn ran(&self) -> Ran {
        Ran {
            count: u32::try_from(self.trigger_count).unwrap_or(0),
            last_at: self.last_triggered_at,
        }
    }
}

/// Why a row is no rule. It never runs, and is shown with this until someone mends it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("automation rule {id} is no rule: {faults}")]
pub struct RowFault {
    /// The row's key.
    pub id: RuleId,
    /// Its name.
    pub name: String,
    /// Its version, by which it can be mended or deleted.
    pub version: Version,
    /// Whether it says that it runs.
    pub enabled: bool,
    /// What is wrong, each with its place.
    pub faults: Violations,
    /// The row.
    pub row: Box<RuleRow>,
}

impl Rule {
    /// Reads a row, whoever wrote it. What it names is not looked up: what is gone by then is refused when it is used.
    ///
    /// # Errors
    /// [`RowFault`] for a row that is no rule.
    pub fn read(row: &RuleRow) -> Result<Rule, RowFault> {
        let mut faults = Violations::new();
        let trigger = json!(row.trigger);
        let parts = Parts {
            trigger: Some(&trigger),
            schedule: row.schedule.as_ref(),
            conditions: Some(&row.conditions),
            actions: Some(&row.actions),
        };
        let parts = parts.read(&mut faults);
        let rate_limit = rate_limit(row.rate_limit.as_ref(), &mut faults);
        let (Some((trigger, conditions, actions)), Some(rate_limit)) = (parts, rate_limit) else {
            return Err(RowFault {
                id: RuleId(row.id),
                name: row.name.clone(),
                version: Version(row.version),
                enabled: row.enabled,
                faults,
                row: Box::new(row.clone()),
            });
        };
        Ok(Rule {
            id: RuleId(row.id),
            content: RuleContent {
                name: row.name.clone(),
                description: row.description.clone(),
                trigger,
                conditions,
                actions,
                priority: row.priority,
                enabled: row.enabled,
                stop_after_match: row.stop_after_match,
                rate_limit,
            },
            owner: UserId(row.created_by),
            disabled: row.disabled.as_ref().map(|_| Disabled::Loop),
            created_at: row.created_at,
            updated_at: row.updated_at,
            version: Version(row.version),
            ran: row.ran(),
        })
    }

    /// The row that it is stored as.
    #[must_use]
    pub fn to_row(&self) -> RuleRow {
        let document = self.content.rate_limit;
        let rate_limit = (!document.is_none()).then(|| {
            json!({
                "perTicketPerHour": document.per_ticket_per_hour,
                "perRulePerHour": document.per_rule_per_hour,
            })
        });
        RuleRow {
            id: self.id.0,
            name: self.content.name.clone(),
            description: self.content.description.clone(),
            trigger: self.content.trigger.kind().as_str().to_owned(),
            schedule: self
                .content
                .trigger
                .schedule()
                .map(crate::schedule::Schedule::to_json),
            conditions: self.content.conditions.as_json().clone(),
            actions: self.content.actions.as_json().clone(),
            priority: self.content.priority,
            enabled: self.content.enabled,
            stop_after_match: self.content.stop_after_match,
            rate_limit,
            disabled: self.disabled.map(|why| why.as_str().to_owned()),
            created_by: self.owner.0,
            created_at: self.created_at,
            updated_at: self.updated_at,
            version: self.version.0,
            trigger_count: i32::try_from(self.ran.count).unwrap_or(i32::MAX),
            last_triggered_at: self.ran.last_at,
        }
    }

    /// Its place among others: by priority, then by id.
    #[must_use]
    pub fn place(&self) -> (i32, RuleId) {
        (self.content.priority, self.id)
    }
}

#[cfg(test)]
mod tests;
