//! Reading actions, and telling everything that is wrong with them at once.

use kernel::text::TextRule;
use kernel::{TeamId, UserId, Violation, Violations};
use serde_json::{Map, Value};
use uuid::Uuid;

use super::{Action, AssignMode, MailRecipient, NotifyRecipient, Payload};
use crate::field::{Audience, Owner, is_custom_name};
use crate::pointer;
use crate::reference::{EndpointId, Reference, Target};
use crate::template::{HEADER_MAX_CHARS, Template};
use crate::trigger::Occasion;

/// The most actions of a rule or macro.
pub const ACTIONS_MAX: usize = 20;
/// The most bytes of the actions, as JSON without blanks: 128 KiB.
pub const ACTIONS_MAX_BYTES: usize = 128 * 1024;
/// The most tags of one action, as of a ticket.
pub const TAGS_MAX: usize = 20;
/// The most characters of a tag.
pub const TAG_MAX_CHARS: usize = 50;
/// The most bytes of a custom field's value, as JSON.
pub const VALUE_MAX_BYTES: usize = 2_048;
/// The most recipients of one notification or mail.
pub const RECIPIENTS_MAX: usize = 20;
/// The most characters of an address.
pub const EMAIL_MAX_CHARS: usize = 254;
/// The most bytes of a webhook's payload as it is written, as JSON: 16 KiB.
pub const PAYLOAD_MAX_BYTES: usize = 16 * 1024;
/// How deep lists and objects of a payload may be nested.
pub const PAYLOAD_LEVELS_MAX: usize = 8;

const TYPES: [&str; 17] = [
    "set_priority",
    "set_status",
    "set_assignee",
    "set_team",
    "add_tags",
    "remove_tags",
    "set_tags",
    "set_custom_field",
    "set_sla_policy",
    "assign_round_robin",
    "assign_least_loaded",
    "add_note",
    "send_reply",
    "notify",
    "send_email",
    "webhook",
    "stop",
];

/// The actions of a rule or macro, checked, in the order in which they are carried out.
#[derive(Debug, Clone)]
pub struct Actions {
    written: Value,
    list: Vec<Action>,
    references: Vec<Reference>,
}

impl PartialEq for Actions {
    fn eq(&self, other: &Self) -> bool {
        // All else is made of it.
        self.written == other.written
    }
}

impl Actions {
    /// Reads a list of 1 to [`ACTIONS_MAX`] actions; `pointer` is where in the request it stands.
    ///
    /// # Errors
    /// Everything that is wrong with them, each with its place. Whether what they name is there is asked of
    /// [`Actions::references`].
    pub fn read(json: &Value, pointer: &str, occasion: Occasion) -> Result<Self, Violations> {
        let list = match json {
            Value::Array(list) if (1..=ACTIONS_MAX).contains(&list.len()) => list,
            Value::Array(list) => {
                let message = format!("must have 1 to {ACTIONS_MAX} actions, has {}", list.len());
                let code = if list.is_empty() { "too_short" } else { "too_many" };
                return Err(Violation::new(pointer, code, message).into());
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => {
                return Err(Violation::new(pointer, "wrong_type", "must be a list of actions").into());
            }
        };
        if json.to_string().len() > ACTIONS_MAX_BYTES {
            let message = format!("must have at most {ACTIONS_MAX_BYTES} bytes");
            return Err(Violation::new(pointer, "too_long", message).into());
        }
        let mut reader = Reader {
            occasion,
            faults: Violations::new(),
            references: Vec::new(),
        };
        let mut actions = Vec::new();
        for (index, json) in list.iter().enumerate() {
            actions.extend(reader.action(json, &format!("{pointer}/{index}")));
        }
        reader.faults.into_result()?;
        Ok(Self {
            written: json.clone(),
            list: actions,
            references: reader.references,
        })
    }

    /// As they were written.
    #[must_use]
    pub fn as_json(&self) -> &Value {
        &self.written
    }

    /// In their order.
    #[must_use]
    pub fn as_slice(&self) -> &[Action] {
        &self.list
    }

    /// The accounts, teams, policies and endpoints that they name.
    #[must_use]
    pub fn references(&self) -> &[Reference] {
        &self.references
    }

    /// Whether any reaches beyond the desk's own people.
    #[must_use]
    pub fn reach_outside(&self) -> bool {
        self.list.iter().any(Action::reaches_outside)
    }
}

struct Reader {
    occasion: Occasion,
    faults: Violations,
    references: Vec<Reference>,
}

/// The document of one action and its place.
struct Document<'a> {
    members: &'a Map<String, Value>,
    pointer: &'a str,
}

impl Document<'_> {
    fn place(&self, name: &str) -> String {
        pointer::child(self.pointer, name)
    }
}

impl Reader {
    fn refuse<T>(
        &mut self,
        pointer: impl Into<String>,
        code: &'static str,
        message: impl Into<String>,
    ) -> Option<T> {
        self.faults.push(Violation::new(pointer, code, message));
        None
    }

    fn action(&mut self, json: &Value, pointer: &str) -> Option<Action> {
        let Value::Object(members) = json else {
            return self.refuse(pointer, "wrong_type", "must be an object");
        };
        let name = members.get("type").and_then(Value::as_str);
        let Some(name) = TYPES.into_iter().find(|known| Some(*known) == name) else {
            let message = format!("must be one of {}", TYPES.join(", "));
            return self.refuse(pointer::child(pointer, "type"), "unknown_action", message);
        };
        let known: &[&str] = match name {
            "set_custom_field" => &["type", "field", "value"],
            "notify" => &["type", "to", "value"],
            "send_email" => &["type", "to", "subject", "value"],
            "webhook" => &["type", "value", "payload"],
            "stop" => &["type"],
            _ => &["type", "value"],
        };
        pointer::members(json, pointer, known, &mut self.faults);
        let document = Document { members, pointer };
        let action = self.typed(name, &document)?;
        if action.needs_ticket() && !self.occasion.has(Owner::Ticket) {
            let message = "needs a ticket, and this trigger has none";
            return self.refuse(pointer::child(pointer, "type"), "not_allowed", message);
        }
        Some(action)
    }

    fn typed(&mut self, name: &'static str, document: &Document<'_>) -> Option<Action> {
        Some(match name {
            "set_priority" => Action::SetPriority(self.choice(
                document,
                events::TicketPriority::parse,
                &events::TicketPriority::ALL.map(events::TicketPriority::as_str),
            )?),
            "set_status" => Action::SetStatus(self.choice(
                document,
                events::TicketStatus::parse,
                &events::TicketStatus::ALL.map(events::TicketStatus::as_str),
            )?),
            "set_assignee" => {
                let id = self.id_or_null(document, |id| Target::Staff(UserId(id)))?;
                Action::SetAssignee(id.map(UserId))
            }
            "set_team" => {
                let id = self.id_or_null(document, |id| Target::Team(TeamId(id)))?;
                Action::SetTeam(id.map(TeamId))
            }
            "add_tags" => Action::AddTags(self.tags(document, 1)?),
            "remove_tags" => Action::RemoveTags(self.tags(document, 1)?),
            "set_tags" => Action::SetTags(self.tags(document, 0)?),
            "set_custom_field" => self.custom_field(document)?,
            "set_sla_policy" => Action::SetSlaPolicy(self.id_or_null(document, Target::SlaPolicy)?),
            "assign_round_robin" => self.assign_from(document, AssignMode::RoundRobin)?,
            "assign_least_loaded" => self.assign_from(document, AssignMode::LeastLoaded)?,
            "add_note" => Action::AddNote(self.text(document, "value", Audience::Staff)?),
            "send_reply" => Action::SendReply(self.text(document, "value", Audience::Customer)?),
            "notify" => {
                let to = self.notified(document);
                let text = self.text(document, "value", Audience::Staff);
                let (to, text) = to.zip(text)?;
                Action::Notify { to, text }
            }
            "send_email" => self.mail(document)?,
            "webhook" => self.webhook(document)?,
            _ => Action::Stop,
        })
    }

    fn required<'a>(&mut self, document: &Document<'a>, name: &str) -> Option<&'a Value> {
        let found = document.members.get(name);
        if found.is_none() {
            return self.refuse(document.place(name), "required", "must be given");
        }
        found
    }

    fn choice<T>(
        &mut self,
        document: &Document<'_>,
        parse: fn(&str) -> Option<T>,
        names: &[&str],
    ) -> Option<T> {
        let value = self.required(document, "value")?;
        let found = value.as_str().and_then(parse);
        if found.is_none() {
            let message = format!("must be one of {}", names.join(", "));
            return self.refuse(document.place("value"), "not_allowed", message);
        }
        found
    }

    fn id_or_null(
        &mut self,
        document: &Document<'_>,
        target: impl Fn(Uuid) -> Target,
    ) -> Option<Option<Uuid>> {
        let value = self.required(document, "value")?;
        if value.is_null() {
            return Some(None);
        }
        let place = document.place("value");
        let Some(id) = pointer::uuid(value) else {
            return self.refuse(place, "not_a_uuid", "must be a UUID or null");
        };
        self.references.push(Reference {
            pointer: place,
            target: target(id),
        });
        Some(Some(id))
    }

    fn tags(&mut self, document: &Document<'_>, least: usize) -> Option<Vec<String>> {
        let place = document.place("value");
        let list = match self.required(document, "value")? {
            Value::Array(list) if (least..=TAGS_MAX).contains(&list.len()) => list,
            _ => {
                let message = format!("must be a list of {least} to {TAGS_MAX} tags");
                return self.refuse(place, "wrong_type", message);
            }
        };
        let mut tags: Vec<String> = Vec::new();
        let mut is_good = true;
        for (index, json) in list.iter().enumerate() {
            let place = format!("{place}/{index}");
            let parsed = match json.as_str() {
                Some(text) => TextRule::line(1, TAG_MAX_CHARS).parse(&place, text),
                None => Err(Violation::new(place, "wrong_type", "must be a text")),
            };
            match self.faults.check(parsed).map(|tag| tag.to_lowercase()) {
                Some(tag) if tags.contains(&tag) => {}
                Some(tag) => tags.push(tag),
                None => is_good = false,
            }
        }
        is_good.then_some(tags)
    }

    fn custom_field(&mut self, document: &Document<'_>) -> Option<Action> {
        let name = self.required(document, "field").and_then(Value::as_str);
        let name = match name.filter(|name| is_custom_name(name)) {
            Some(name) => Some(name.to_owned()),
            None if document.members.contains_key("field") => self.refuse(
                document.place("field"),
                "unknown_field",
                "must be a custom field's name",
            ),
            None => None,
        };
        let value = self.required(document, "value")?;
        let is_text = |json: &Value| json.is_string();
        let fits = match value {
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => true,
            Value::Array(elements) => elements.iter().all(is_text),
            Value::Object(_) => false,
        };
        let place = document.place("value");
        if !fits {
            let message = "must be a text, a number, a boolean, a list of texts or null";
            return self.refuse(place, "wrong_type", message);
        }
        let text = value.to_string();
        if text.len() > VALUE_MAX_BYTES || text.contains("\\u0000") {
            let message = format!("must have at most {VALUE_MAX_BYTES} bytes, and no U+0000");
            return self.refuse(place, "invalid", message);
        }
        Some(Action::SetCustomField {
            name: name?,
            value: (!value.is_null()).then(|| value.clone()),
        })
    }

    fn assign_from(&mut self, document: &Document<'_>, mode: AssignMode) -> Option<Action> {
        let team = match document.members.get("value") {
            None => None,
            Some(_) => self.id_or_null(document, |id| Target::Team(TeamId(id)))?,
        };
        Some(Action::AssignFrom {
            mode,
            team: team.map(TeamId),
        })
    }

    fn text(&mut self, document: &Document<'_>, name: &str, audience: Audience) -> Option<Template> {
        let json = self.required(document, name)?;
        match Template::read(json, &document.place(name), audience, self.occasion) {
            Ok(template) => Some(template),
            Err(found) => {
                pointer::extend(&mut self.faults, &found);
                None
            }
        }
    }

    fn recipients<'a>(&mut self, document: &Document<'a>) -> Option<&'a [Value]> {
        match self.required(document, "to")? {
            Value::Array(list) if (1..=RECIPIENTS_MAX).contains(&list.len()) => Some(list),
            _ => {
                let message = format!("must be a list of 1 to {RECIPIENTS_MAX} recipients");
                self.refuse(document.place("to"), "wrong_type", message)
            }
        }
    }

    /// Whether the occasion has someone to tell.
    fn offers(&mut self, owner: Owner, place: &str) -> bool {
        let is_there = self.occasion.has(owner);
        if !is_there {
            self.refuse::<()>(place, "not_allowed", "this trigger has nobody like that");
        }
        is_there
    }

    fn notified(&mut self, document: &Document<'_>) -> Option<Vec<NotifyRecipient>> {
        let list = self.recipients(document)?;
        let mut to = Vec::new();
        for (index, json) in list.iter().enumerate() {
            let place = format!("{}/{index}", document.place("to"));
            let one = match (json.as_str(), pointer::uuid(json)) {
                (Some("assignee"), _) => NotifyRecipient::Assignee,
                (Some("team"), _) => NotifyRecipient::Team,
                (Some("followers"), _) => NotifyRecipient::Followers,
                (_, Some(id)) => {
                    let target = Target::Staff(UserId(id));
                    self.references.push(Reference {
                        pointer: place.clone(),
                        target,
                    });
                    NotifyRecipient::Person(UserId(id))
                }
                (_, None) => {
                    let message = "must be assignee, team, followers or the id of one of the staff";
                    self.refuse::<()>(place, "unknown_recipient", message);
                    continue;
                }
            };
            let is_offered = match one {
                NotifyRecipient::Person(_) => true,
                NotifyRecipient::Assignee | NotifyRecipient::Team | NotifyRecipient::Followers => {
                    self.offers(Owner::Ticket, &place)
                }
            };
            if is_offered {
                to.push(one);
            }
        }
        (to.len() == list.len()).then_some(to)
    }

    fn mail(&mut self, document: &Document<'_>) -> Option<Action> {
        let list = self.recipients(document);
        let mut to = Vec::new();
        let mut people = Vec::new();
        for (index, json) in list.unwrap_or_default().iter().enumerate() {
            let place = format!("{}/{index}", document.place("to"));
            let one = match (json.as_str(), pointer::uuid(json)) {
                (Some("requester"), _) => self
                    .offers(Owner::Requester, &place)
                    .then_some(MailRecipient::Requester),
                (Some("assignee"), _) => self
                    .offers(Owner::Assignee, &place)
                    .then_some(MailRecipient::Assignee),
                (Some("user"), _) => self.offers(Owner::User, &place).then_some(MailRecipient::User),
                (_, Some(id)) => {
                    people.push((place, UserId(id)));
                    Some(MailRecipient::Person(UserId(id)))
                }
                (Some(address), None) if is_address(address) => {
                    Some(MailRecipient::Address(address.to_owned()))
                }
                _ => {
                    let message = "must be requester, assignee, user, the id of an account or an address";
                    self.refuse(place, "unknown_recipient", message)
                }
            };
            to.extend(one);
        }
        // Who has no id may be a customer.
        let may_be_staff = to.iter().all(|one| match one {
            MailRecipient::Assignee | MailRecipient::Person(_) => true,
            MailRecipient::Requester | MailRecipient::User | MailRecipient::Address(_) => false,
        });
        let audience = if may_be_staff {
            Audience::Staff
        } else {
            Audience::Customer
        };
        let subject = self.text(document, "subject", audience);
        let text = self.text(document, "value", audience);
        let (subject, text) = subject.zip(text)?;
        if subject.as_str().chars().count() > HEADER_MAX_CHARS {
            let message = format!("must have at most {HEADER_MAX_CHARS} characters");
            self.refuse::<()>(document.place("subject"), "too_long", message);
        }
        let is_internal = [&subject, &text].into_iter().any(names_internal);
        for (pointer, id) in people {
            let target = if is_internal {
                Target::Staff(id)
            } else {
                Target::User(id)
            };
            self.references.push(Reference { pointer, target });
        }
        self.references.push(Reference {
            pointer: document.place("type"),
            target: Target::Mail,
        });
        (Some(to.len()) == list.map(<[Value]>::len)).then_some(Action::SendEmail { to, subject, text })
    }

    fn webhook(&mut self, document: &Document<'_>) -> Option<Action> {
        let place = document.place("value");
        let id = self.required(document, "value").and_then(pointer::uuid);
        if id.is_none() && document.members.contains_key("value") {
            self.refuse::<()>(
                place.clone(),
                "not_a_uuid",
                "must be the id of a webhook endpoint",
            );
        }
        let payload = match document.members.get("payload") {
            None | Some(Value::Null) => None,
            Some(json @ Value::Object(_)) => {
                let pointer = document.place("payload");
                if json.to_string().len() > PAYLOAD_MAX_BYTES {
                    let message = format!("must have at most {PAYLOAD_MAX_BYTES} bytes");
                    return self.refuse(pointer, "too_long", message);
                }
                Some(self.payload(json, &pointer, 1)?)
            }
            Some(_) => return self.refuse(document.place("payload"), "wrong_type", "must be an object"),
        };
        let id = id?;
        let endpoint = EndpointId(id);
        let target = if payload.as_ref().is_some_and(Payload::names_internal) {
            Target::StaffEndpoint(endpoint)
        } else {
            Target::Endpoint(endpoint)
        };
        self.references.push(Reference {
            pointer: place,
            target,
        });
        Some(Action::Webhook { endpoint, payload })
    }

    fn payload(&mut self, json: &Value, pointer: &str, level: usize) -> Option<Payload> {
        if level > PAYLOAD_LEVELS_MAX {
            let message = format!("must not be nested deeper than {PAYLOAD_LEVELS_MAX} levels");
            return self.refuse(pointer, "too_deep", message);
        }
        match json {
            Value::Null | Value::Bool(_) | Value::Number(_) => Some(Payload::Plain(json.clone())),
            Value::String(text) if !text.contains('{') => Some(Payload::Literal(text.clone())),
            Value::String(_) => match Template::read(json, pointer, Audience::Staff, self.occasion) {
                Ok(template) => Some(Payload::Text(template)),
                Err(found) => {
                    pointer::extend(&mut self.faults, &found);
                    None
                }
            },
            Value::Array(elements) => {
                let mut parts = Vec::new();
                for (index, element) in elements.iter().enumerate() {
                    parts.extend(self.payload(element, &format!("{pointer}/{index}"), level + 1));
                }
                (parts.len() == elements.len()).then_some(Payload::List(parts))
            }
            Value::Object(members) => {
                let mut parts = Vec::new();
                for (name, member) in members {
                    let part = self.payload(member, &pointer::child(pointer, name), level + 1);
                    parts.extend(part.map(|part| (name.clone(), part)));
                }
                (parts.len() == members.len()).then_some(Payload::Object(parts))
            }
        }
    }
}

impl Payload {
    fn names_internal(&self) -> bool {
        match self {
            Payload::Plain(_) | Payload::Literal(_) => false,
            Payload::Text(template) => names_internal(template),
            Payload::List(parts) => parts.iter().any(Payload::names_internal),
            Payload::Object(parts) => parts.iter().any(|(_, part)| part.names_internal()),
        }
    }
}

/// Whether a text shows what only staff may read.
fn names_internal(template: &Template) -> bool {
    template.fields().any(|field| field.audience() == Audience::Staff)
}

/// Whether a text can be an address outside: one `@`, nothing that a header would read otherwise.
fn is_address(text: &str) -> bool {
    let Some((local, domain)) = text.split_once('@') else {
        return false;
    };
    let is_plain = |c: char| !c.is_control() && !c.is_whitespace() && !"<>()[],;:\\\"@".contains(c);
    text.chars().count() <= EMAIL_MAX_CHARS
        && !local.is_empty()
        && local.chars().all(is_plain)
        && domain.contains('.')
        && domain
            .split('.')
            .all(|label| !label.is_empty() && label.chars().all(is_plain))
}
