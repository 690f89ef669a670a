//! Webhooks, without I/O: what an endpoint is and which events it wants, [signing](Secrets::sign) by Standard Webhooks,
//! [retries](Delivery) over a day in the order of each ticket, the [breaker](Health) that disables an endpoint that is gone,
//! and which [addresses](AddressRules) may be called.
//!
//! Whoever sends promises the rest: the name is resolved once and the connection made to an address that
//! [`AddressRules::check_ip`] passed and to no other, redirects are never followed, certificates are checked, proxies of the
//! environment are ignored unless configured, at most [`ANSWER_MAX_BYTES`] of an answer are read, and all within
//! [`SEND_MAX`].

mod address;
mod delivery;
mod health;
mod payload;
mod port;
mod signing;

use chrono::{DateTime, TimeDelta, Utc};
use kernel::text::TextRule;
use kernel::{UserId, Version, Violation, Violations};
use serde_json::{Value, json};

use crate::condition::Conditions;
use crate::facts::{Happening, Scene, Surroundings, TicketView};
use crate::field::Audience;
use crate::pointer;
use crate::reference::EndpointId;
use crate::rule::NAME_MAX_CHARS;
use crate::trigger::TriggerKind;

pub use address::{AddressRules, Forbidden, Network, NotANetwork, URL_MAX_CHARS};
pub use delivery::{
    Answer, Dead, Delivery, DeliveryState, JITTER_PERCENT, RETRY_AFTER_MAX, RETRY_DELAYS, RETRY_FOR,
    WAITING_MAX, ready,
};
pub use health::{BREAK_AFTER, BREAK_AFTER_FAILURES, Broken, Health};
pub use payload::{Doer, EVENT_NAMES, MACRO_CALL, PING, RULE_CALL, STEP_CALL, Sent};
pub(crate) use payload::{Seen, of_event, of_ping, of_step, reaches};
pub use port::{
    Call, CallState, Called, Caller, Claimed, DeliveryStore, EndpointCommit, EndpointStore, EndpointWrite,
    LOG_MAX, NewCall, Outgoing, REPLAYED_IDS_MAX, Replay, SecretSource, Settled, Try,
};
#[cfg(any(test, feature = "testing"))]
pub use port::{MockCaller, MockSecretSource};
pub use signing::{
    BadSignature, SECRET_MAX_BYTES, SECRET_MIN_BYTES, SECRETS_MAX, Secret, SecretError, Secrets, Signed,
    TOLERANCE,
};

/// The most of an answer that is read: 64 KiB.
pub const ANSWER_MAX_BYTES: usize = 64 * 1024;
/// The longest that one call may take, from resolving the name to the end of the answer.
pub const SEND_MAX: TimeDelta = TimeDelta::seconds(10);
/// The most events that an endpoint can name.
pub const EVENTS_MAX: usize = 50;
/// The most endpoints that a desk can have.
pub const ENDPOINTS_MAX: usize = 100;

const MEMBERS: [&str; 6] = ["name", "url", "events", "filter", "audience", "enabled"];

/// Where events are sent.
#[derive(Debug, Clone, PartialEq)]
pub struct Endpoint {
    /// Which.
    pub id: EndpointId,
    /// What it is.
    pub content: EndpointContent,
    /// What calls are signed with; the newest first.
    pub secrets: Secrets,
    /// How its calls fared.
    pub health: Health,
    /// Why the server disabled it; `None` where it did not.
    pub disabled: Option<Broken>,
    /// Who is told when it is disabled.
    pub owner: UserId,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it last changed.
    pub updated_at: DateTime<Utc>,
    /// Moves with every change.
    pub version: Version,
}

/// What an endpoint is made of.
#[derive(Debug, Clone, PartialEq)]
pub struct EndpointContent {
    /// One line.
    pub name: String,
    /// Where it is, as it was checked: never an address inside.
    pub url: String,
    /// The events that it wants; `ticket.*` and `*` stand for many. Empty where rules alone call it.
    pub events: Vec<String>,
    /// Which tickets it wants them of.
    pub filter: Conditions,
    /// Who may stand behind it.
    pub audience: Audience,
    /// Whether it is called.
    pub enabled: bool,
}

impl EndpointContent {
    /// Refuses members that no endpoint has.
    ///
    /// # Errors
    /// Each of them.
    pub fn check_members(json: &Value) -> Result<(), Violations> {
        pointer::check_members(json, &MEMBERS)
    }

    /// Reads `{ name, url, events?, filter?, audience?: customer | staff, enabled? }`.
    ///
    /// # Errors
    /// Everything that is wrong with it, each with its place.
    pub fn read(json: &Value, rules: &AddressRules) -> Result<Self, Violations> {
        let mut faults = Violations::new();
        let Some(members) = pointer::members(json, "", &MEMBERS, &mut faults) else {
            return Err(faults);
        };
        let text = |name: &str| {
            let text = members.get(name).and_then(Value::as_str);
            text.ok_or_else(|| Violation::new(format!("/{name}"), "required", "must be a text"))
        };
        let name = text("name").and_then(|text| TextRule::line(1, NAME_MAX_CHARS).parse("/name", text));
        let name = faults.check(name);
        let url = text("url").and_then(|text| {
            let refused = |why: Forbidden| Violation::new("/url", why.code(), why.to_string());
            rules.check_url(text).map_err(refused)
        });
        let url = faults.check(url);
        let events = match members.get("events") {
            None => Some(Vec::new()),
            Some(json) => events(json, &mut faults),
        };
        let filter = match members.get("filter") {
            None => Ok(Conditions::always()),
            Some(json) => Conditions::read(json, "/filter", TriggerKind::Schedule),
        };
        if let Err(found) = &filter {
            pointer::extend(&mut faults, found);
        }
        let audience = match members.get("audience").map(Value::as_str) {
            // Whoever says nothing gets what everyone may read.
            None | Some(Some("customer")) => Some(Audience::Customer),
            Some(Some("staff")) => Some(Audience::Staff),
            Some(_) => {
                faults.push(Violation::new(
                    "/audience",
                    "not_allowed",
                    "must be customer or staff",
                ));
                None
            }
        };
        let enabled = match members.get("enabled") {
            None => Some(true),
            Some(Value::Bool(enabled)) => Some(*enabled),
            Some(_) => {
                faults.push(Violation::new("/enabled", "wrong_type", "must be true or false"));
                None
            }
        };
        faults.clone().into_result()?;
        match (name, url, events, filter, audience, enabled) {
            (Some(name), Some(url), Some(events), Ok(filter), Some(audience), Some(enabled)) => Ok(Self {
                name,
                url,
                events,
                filter,
                audience,
                enabled,
            }),
            _ => Err(faults),
        }
    }

    /// The document that it is read from.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let audience = match self.audience {
            Audience::Staff => "staff",
            Audience::Customer => "customer",
        };
        json!({
            "name": self.name,
            "url": self.url,
            "events": self.events,
            "filter": self.filter.as_json(),
            "audience": audience,
            "enabled": self.enabled,
        })
    }

    /// Whether an event of this name is among its events.
    #[must_use]
    pub fn names(&self, event: &str) -> bool {
        self.events.iter().any(|wanted| match wanted.strip_suffix('*') {
            Some(beginning) => event.starts_with(beginning),
            None => event == wanted,
        })
    }

    /// Whether it wants an event of this name about this ticket, enabled or not. A filter takes no event without a ticket.
    #[must_use]
    pub fn wants(
        &self,
        event: &str,
        happening: &Happening,
        view: Option<&TicketView>,
        surroundings: &dyn Surroundings,
    ) -> bool {
        if !self.names(event) {
            return false;
        }
        if self.filter == Conditions::always() {
            return true;
        }
        view.is_some() && self.filter.holds(&Scene::new(happening, view, surroundings))
    }
}

fn events(json: &Value, faults: &mut Violations) -> Option<Vec<String>> {
    let Some(list) = json.as_array().filter(|list| list.len() <= EVENTS_MAX) else {
        let message = format!("must be a list of at most {EVENTS_MAX} names of events");
        faults.push(Violation::new("/events", "wrong_type", message));
        return None;
    };
    let mut names = Vec::new();
    for (index, json) in list.iter().enumerate() {
        match json.as_str().filter(|name| is_event(name)) {
            Some(name) => names.push(name.to_owned()),
            None => {
                let message = "must be the name of an event, like ticket.created, or ticket.* or *";
                faults.push(Violation::new(
                    format!("/events/{index}"),
                    "unknown_event",
                    message,
                ));
            }
        }
    }
    (names.len() == list.len()).then_some(names)
}

fn is_event(name: &str) -> bool {
    match name.strip_suffix('*') {
        Some("") => true,
        Some(of) => of.ends_with('.') && EVENT_NAMES.iter().any(|event| event.starts_with(of)),
        None => EVENT_NAMES.contains(&name),
    }
}

#[cfg(test)]
mod tests;
