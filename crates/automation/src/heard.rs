//! A published event as rules hear of it.

use events::{Event, Fact, IdentityFact, TicketFact};
use kernel::filter::Vocabulary as _;
use kernel::{MessageId, TeamId, TicketId, UserId};
use serde_json::Value;
use uuid::Uuid;

use crate::chain::Chain;
use crate::facts::{AlwaysOpen, Change, Happening, Held, Scene, SlaMetric, TicketView};
use crate::field::{Field, Fields};
use crate::trigger::TriggerKind;

/// An event that can set rules off, and what has to be looked up before they can be asked.
#[derive(Debug, Clone, PartialEq)]
pub struct Heard {
    /// The event, but for what is looked up.
    pub happening: Happening,
    /// Its ticket.
    pub ticket: Option<TicketId>,
    /// Its message.
    pub message: Option<MessageId>,
    /// Its account.
    pub user: Option<UserId>,
    /// Fields of which it tells the value before alone.
    before: Vec<(Field, Held)>,
}

impl Heard {
    /// What rules hear of an event; `None` where none listens to such.
    #[must_use]
    pub fn of(event: &Event) -> Option<Self> {
        let kinds = TriggerKind::of(&event.fact);
        if kinds.is_empty() {
            return None;
        }
        // A chain that cannot be read is another program's; it is begun anew, and ends as any.
        let chain = event.chain.as_deref();
        let chain = chain.and_then(|chain| serde_json::from_value::<Chain>(chain.clone()).ok());
        let mut heard = Self {
            happening: Happening {
                id: event.id,
                kinds,
                at: event.at,
                changes: Vec::new(),
                message: None,
                sla: None,
                user: None,
                chain: chain.unwrap_or_default(),
            },
            ticket: None,
            message: None,
            user: None,
            before: Vec::new(),
        };
        match &event.fact {
            Fact::Ticket { ticket, what } => {
                heard.ticket = Some(ticket.id);
                heard.take_in(what);
            }
            Fact::Identity(IdentityFact::UserCreated { user }) => heard.user = Some(*user),
            Fact::Identity(_) | Fact::Knowledge(_) => {}
        }
        Some(heard)
    }

    fn take_in(&mut self, what: &TicketFact) {
        let changes = &mut self.happening.changes;
        match what {
            TicketFact::StatusChanged { from, to } => {
                changes.push(choice(Field::Status, from.as_str(), to.as_str()));
            }
            TicketFact::PriorityChanged { from, to } => {
                changes.push(choice(Field::Priority, from.as_str(), to.as_str()));
            }
            TicketFact::Assigned { from, to } => {
                let id = |user: &Option<UserId>| held_id(user.map(|user| user.0));
                changes.push(Change {
                    field: Field::AssignedTo,
                    from: id(from),
                    to: id(to),
                });
            }
            TicketFact::Transferred { from, to } => {
                let id = |team: &Option<TeamId>| held_id(team.map(|team| team.0));
                changes.push(Change {
                    field: Field::Team,
                    from: id(from),
                    to: id(to),
                });
            }
            TicketFact::Updated { fields, before } => {
                let names = fields.iter().filter(|name| !before.contains_key(*name));
                let unknown = names.map(|name| (name, &Value::Null));
                for (name, value) in before.iter().chain(unknown) {
                    if let Some((field, _)) = Fields::At(TriggerKind::Updated).find(name) {
                        let held = held(&field, value);
                        self.before.push((field, held));
                    }
                }
            }
            TicketFact::MessageAdded { message, .. } | TicketFact::InternalMessageAdded { message, .. } => {
                self.message = Some(*message);
            }
            TicketFact::SlaWarning { metric, .. } | TicketFact::SlaBreached { metric, .. } => {
                let is_meant = |one: &SlaMetric| one.as_str() == metric;
                self.happening.sla = SlaMetric::ALL.into_iter().find(is_meant);
            }
            TicketFact::Created {}
            | TicketFact::Rated { .. }
            | TicketFact::SlaEscalated { .. }
            | TicketFact::MessageEdited { .. }
            | TicketFact::AttachmentRemoved { .. }
            | TicketFact::NoteAdded { .. }
            | TicketFact::Followed { .. }
            | TicketFact::Unfollowed { .. }
            | TicketFact::CcAdded { .. }
            | TicketFact::CcRemoved { .. }
            | TicketFact::Linked { .. }
            | TicketFact::Unlinked { .. }
            | TicketFact::Merged { .. }
            | TicketFact::MergedInto { .. }
            | TicketFact::Unmerged { .. }
            | TicketFact::MessageMoved { .. }
            | TicketFact::Deleted {}
            | TicketFact::Restored {} => {}
        }
    }

    /// The event for its ticket as it stands now: fields of which it tells the value before changed to what they are.
    #[must_use]
    pub fn seen_with(self, view: Option<&TicketView>) -> Happening {
        let Self {
            mut happening,
            before,
            ..
        } = self;
        let changes: Vec<Change> = {
            let scene = Scene::new(&happening, view, &AlwaysOpen);
            let changes = before.into_iter().map(|(field, from)| Change {
                to: Held::of(field.value(&scene)),
                field,
                from,
            });
            changes.collect()
        };
        happening.changes.extend(changes);
        happening
    }
}

fn choice(field: Field, from: &str, to: &str) -> Change {
    Change {
        field,
        from: Held::Text(from.to_owned()),
        to: Held::Text(to.to_owned()),
    }
}

fn held_id(id: Option<Uuid>) -> Held {
    id.map_or(Held::Absent, Held::Id)
}

/// A value of the field as an event carries it.
fn held(field: &Field, value: &Value) -> Held {
    match (field, value) {
        (_, Value::Null) => Held::Absent,
        (Field::Tags, Value::Array(tags)) => {
            let tags = tags.iter().filter_map(Value::as_str);
            Held::Tags(tags.map(str::to_owned).collect())
        }
        (Field::Custom(_), value) => Held::Json(value.clone()),
        (Field::SlaPolicy, Value::String(id)) => held_id(id.parse().ok()),
        (_, Value::String(text)) => Held::Text(text.clone()),
        (_, Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_)) => Held::Absent,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use events::testing::ticket_event;
    use events::{TicketPriority, TicketStatus};
    use serde_json::json;

    use super::*;
    use crate::rule::RuleId;
    use crate::testing::build;

    fn heard(what: TicketFact) -> Heard {
        Heard::of(&ticket_event(1, 1, what)).unwrap()
    }

    #[test]
    fn what_no_rule_can_listen_to_is_not_heard() {
        assert_eq!(Heard::of(&ticket_event(1, 1, TicketFact::Deleted {})), None);
    }

    #[test]
    fn changes_have_both_values() {
        let moved = heard(TicketFact::StatusChanged {
            from: TicketStatus::Closed,
            to: TicketStatus::Open,
        });
        assert_eq!(
            moved.happening.kinds,
            [TriggerKind::StatusChanged, TriggerKind::Reopened]
        );
        let happening = moved.seen_with(Some(&build::view()));
        assert_eq!(
            happening.changes,
            [build::change(Field::Status, "closed", "open")]
        );
        let raised = heard(TicketFact::PriorityChanged {
            from: TicketPriority::Low,
            to: TicketPriority::High,
        });
        assert_eq!(
            raised.happening.changes,
            [build::change(Field::Priority, "low", "high")]
        );
    }

    #[test]
    fn a_field_of_which_the_value_before_is_told_became_what_it_is() {
        let before = json!({ "tags": ["old"], "customFields.region": "north", "subject": "Printer" });
        let Value::Object(before) = before else {
            unreachable!()
        };
        let fields = vec!["tags".to_owned(), "description".to_owned(), "metadata".to_owned()];
        let mut view = build::view();
        view.ticket.tags = vec!["new".to_owned()];
        let happening = heard(TicketFact::Updated { fields, before }).seen_with(Some(&view));
        let of = |field: Field| happening.change_of(&field).cloned().unwrap();
        assert_eq!(of(Field::Tags).from, Held::Tags(vec!["old".to_owned()]));
        assert_eq!(of(Field::Tags).to, Held::Tags(vec!["new".to_owned()]));
        let region = of(Field::Custom("region".to_owned()));
        assert_eq!(
            (region.from, region.to),
            (Held::Json(json!("north")), Held::Absent)
        );
        assert_eq!(of(Field::Subject).from, Held::Text("Printer".to_owned()));
        // Too long to be carried along: that it changed is known.
        assert_eq!(of(Field::Description).from, Held::Absent);
        assert_eq!(happening.changes.len(), 4);
    }

    #[test]
    fn an_event_carries_the_rules_that_led_to_it() {
        let chain = Chain::default().after([RuleId(Uuid::from_u128(7))], None);
        let mut event = ticket_event(1, 1, TicketFact::Created {});
        event.chain = Some(Arc::new(json!(chain)));
        assert_eq!(Heard::of(&event).unwrap().happening.chain, chain);
        event.chain = Some(Arc::new(json!("of another program")));
        assert_eq!(Heard::of(&event).unwrap().happening.chain, Chain::default());
    }
}
