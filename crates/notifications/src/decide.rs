//! The decision whom a fact concerns. Pure: one event in, drafts out.

use events::{Event, Fact, IdentityFact, TicketFact, TicketSummary};
use kernel::UserId;
use serde_json::{Value, json};

use crate::notification::{Kind, Notification};

/// A notification before it has an id.
#[derive(Debug, Clone, PartialEq)]
pub struct Draft {
    /// Who is told.
    pub user: UserId,
    /// What it tells of.
    pub kind: Kind,
    /// In a few words.
    pub title: String,
    /// In a sentence.
    pub message: String,
    /// A JSON object.
    pub data: Value,
}

/// Whom `event` concerns, and what they are told: each person once.
#[must_use]
pub fn decide(event: &Event) -> Vec<Draft> {
    let (ticket, what) = match &event.fact {
        Fact::Ticket { ticket, what } => (ticket, what),
        Fact::Identity(fact) => return owner_of_disabled(fact).into_iter().collect(),
        Fact::Knowledge(_) => return Vec::new(),
    };
    let mut drafts = called(ticket, what);
    for draft in concerned(event, ticket, what) {
        if !is_told(&drafts, draft.user) {
            drafts.push(draft);
        }
    }
    if let Some((what, message)) = followed(what) {
        for follower in &ticket.followers {
            let is_theirs = event.cause.person() == Some(*follower) || is_customer(ticket, *follower);
            if !is_theirs && !is_told(&drafts, *follower) {
                drafts.push(draft(ticket, *follower, Kind::Followed, &what, message.clone()));
            }
        }
    }
    drafts
}

/// Whoever made a rule or a webhook endpoint hears that the server disabled it.
fn owner_of_disabled(fact: &IdentityFact) -> Option<Draft> {
    match fact {
        IdentityFact::AutomationRuleChanged {
            rule,
            name,
            owner: Some(owner),
            change,
        } if change == "disabled_as_loop" => {
            let title = format!("Rule disabled: {name}");
            Some(Draft {
                user: *owner,
                kind: Kind::RuleDisabled,
                title: title.chars().take(Notification::TITLE_CHARS_MAX).collect(),
                message: "It kept setting itself off, alone or with others.".to_owned(),
                data: json!({ "ruleId": rule }),
            })
        }
        IdentityFact::WebhookChanged {
            endpoint,
            name,
            owner,
            change,
        } => {
            let message = match change.as_str() {
                "too_many_failures" => "Too many calls failed in a row; those that wait can be replayed.",
                "failing_too_long" => "No call went through for days; those that wait can be replayed.",
                "gone" => "It answered that it is gone for good (410).",
                _ => return None,
            };
            let title = format!("Webhook disabled: {name}");
            Some(Draft {
                user: *owner,
                kind: Kind::WebhookDisabled,
                title: title.chars().take(Notification::TITLE_CHARS_MAX).collect(),
                message: message.to_owned(),
                data: json!({ "webhookId": endpoint }),
            })
        }
        _ => None,
    }
}

fn is_told(drafts: &[Draft], user: UserId) -> bool {
    drafts.iter().any(|draft| draft.user == user)
}

/// Those whom a text for staff calls, but for its author and never the requester.
fn called(ticket: &TicketSummary, what: &TicketFact) -> Vec<Draft> {
    let (mentioned, author, message) = match what {
        TicketFact::InternalMessageAdded {
            message,
            author,
            mentioned,
        } => (mentioned, author, json!(message)),
        TicketFact::NoteAdded {
            note: _,
            author,
            mentioned,
        } => (mentioned, author, Value::Null),
        _ => return Vec::new(),
    };
    let others = mentioned
        .iter()
        .filter(|user| *user != author && !is_customer(ticket, **user));
    others
        .map(|user| draft(ticket, *user, Kind::Mentioned, "mentions you", message.clone()))
        .collect()
}

/// What followers are told of a fact, and of which message, if they are.
fn followed(what: &TicketFact) -> Option<(String, Value)> {
    match what {
        TicketFact::MessageAdded { message, .. } => Some(("has a new reply".to_owned(), json!(message))),
        TicketFact::InternalMessageAdded { message, .. } => {
            Some(("has a new internal message".to_owned(), json!(message)))
        }
        TicketFact::NoteAdded { .. } => Some(("has a new note".to_owned(), Value::Null)),
        TicketFact::StatusChanged { from: _, to } => Some((format!("is now {}", to.as_str()), Value::Null)),
        TicketFact::SlaBreached { metric, .. } => {
            Some((format!("is overdue: {}", clock(metric)), Value::Null))
        }
        _ => None,
    }
}

/// Whom a fact concerns by their part in the ticket.
fn concerned(event: &Event, ticket: &TicketSummary, what: &TicketFact) -> Vec<Draft> {
    if let TicketFact::MessageAdded {
        message,
        author,
        by_staff,
    } = what
    {
        let reader = if *by_staff { None } else { ticket.assignee };
        let readers = reader.into_iter().chain(customers(ticket));
        return readers
            .filter(|reader| reader != author)
            .map(|reader| draft(ticket, reader, Kind::Replied, "has a new reply", json!(message)))
            .collect();
    }
    one_concerned(event, ticket, what).into_iter().collect()
}

/// The requester and everyone else who has part in the ticket as a customer has.
fn customers(ticket: &TicketSummary) -> impl Iterator<Item = UserId> {
    std::iter::once(ticket.requester).chain(ticket.cc.iter().copied())
}

fn is_customer(ticket: &TicketSummary, user: UserId) -> bool {
    customers(ticket).any(|customer| customer == user)
}

/// The one whom a fact other than a reply concerns.
fn one_concerned(event: &Event, ticket: &TicketSummary, what: &TicketFact) -> Option<Draft> {
    match what {
        TicketFact::Assigned {
            to: Some(to),
            from: _,
        } if event.cause.person() != Some(*to) => Some(draft(
            ticket,
            *to,
            Kind::Assigned,
            "is now yours to answer",
            Value::Null,
        )),
        TicketFact::CcAdded { user } if event.cause.person() != Some(*user) => Some(draft(
            ticket,
            *user,
            Kind::Copied,
            "is now copied to you",
            Value::Null,
        )),
        TicketFact::InternalMessageAdded {
            message,
            author,
            mentioned: _,
        } => internal_reader(ticket, *author).map(|reader| {
            draft(
                ticket,
                reader,
                Kind::InternalNote,
                "has a new internal message",
                json!(message),
            )
        }),
        TicketFact::NoteAdded {
            note: _,
            author,
            mentioned: _,
        } => internal_reader(ticket, *author)
            .map(|reader| draft(ticket, reader, Kind::InternalNote, "has a new note", Value::Null)),
        TicketFact::Rated { score: _ } => {
            answerer(ticket).map(|assignee| draft(ticket, assignee, Kind::Rated, "was rated", Value::Null))
        }
        TicketFact::SlaWarning { metric, .. } => {
            let what = format!("is soon due: {}", clock(metric));
            answerer(ticket).map(|reader| draft(ticket, reader, Kind::SlaWarning, &what, Value::Null))
        }
        TicketFact::SlaBreached { metric, .. } => {
            let what = format!("is overdue: {}", clock(metric));
            answerer(ticket).map(|reader| draft(ticket, reader, Kind::SlaBreached, &what, Value::Null))
        }
        TicketFact::SlaEscalated { .. }
        | TicketFact::Assigned { .. }
        | TicketFact::MessageAdded { .. }
        | TicketFact::CcAdded { .. }
        | TicketFact::CcRemoved { .. }
        | TicketFact::Created {}
        | TicketFact::Updated { .. }
        | TicketFact::StatusChanged { .. }
        | TicketFact::PriorityChanged { .. }
        | TicketFact::Transferred { .. }
        | TicketFact::MessageEdited { .. }
        | TicketFact::Followed { .. }
        | TicketFact::Unfollowed { .. }
        | TicketFact::Linked { .. }
        | TicketFact::Unlinked { .. }
        | TicketFact::Merged { .. }
        | TicketFact::MergedInto { .. }
        | TicketFact::Unmerged { .. }
        | TicketFact::MessageMoved { .. }
        | TicketFact::AttachmentRemoved { .. }
        | TicketFact::Deleted {}
        | TicketFact::Restored {} => None,
    }
}

/// Who answers the ticket, unless they asked it as well.
fn answerer(ticket: &TicketSummary) -> Option<UserId> {
    ticket.assignee.filter(|assignee| *assignee != ticket.requester)
}

/// A clock's name for people.
fn clock(metric: &str) -> String {
    metric.replace('_', " ")
}

/// Who is told of text for staff alone: the assignee, unless it is the author, and never the requester, not even one
/// who answers the ticket as well.
fn internal_reader(ticket: &TicketSummary, author: UserId) -> Option<UserId> {
    ticket
        .assignee
        .filter(|assignee| *assignee != author && !is_customer(ticket, *assignee))
}

fn draft(ticket: &TicketSummary, user: UserId, kind: Kind, what: &str, message: Value) -> Draft {
    let TicketSummary {
        id, number, subject, ..
    } = ticket;
    let title = format!("{number} {what}");
    let mut data = json!({ "ticketId": id, "ticketNumber": number });
    if let (Value::Object(members), false) = (&mut data, message.is_null()) {
        members.insert("messageId".to_owned(), message);
    }
    Draft {
        user,
        kind,
        title: title.chars().take(Notification::TITLE_CHARS_MAX).collect(),
        message: subject.clone(),
        data,
    }
}

#[cfg(test)]
mod tests {
    use events::Cause;
    use events::testing::ticket_event;
    use kernel::{MessageId, TeamId};
    use uuid::Uuid;

    use super::*;

    const REQUESTER: u128 = 1;
    const ASSIGNEE: u128 = 2;
    const COLLEAGUE: u128 = 3;

    fn user(number: u128) -> UserId {
        UserId(Uuid::from_u128(number))
    }

    fn message(number: u128) -> MessageId {
        MessageId(Uuid::from_u128(number))
    }

    fn told(event: &Event) -> Vec<(UserId, Kind)> {
        decide(event)
            .into_iter()
            .map(|draft| (draft.user, draft.kind))
            .collect()
    }

    fn by(author: u128, what: TicketFact) -> Event {
        let mut event = ticket_event(100, 10, what);
        event.cause = Cause::Person(user(author));
        event
    }

    fn of_the_desk_itself(what: TicketFact) -> Event {
        let mut event = ticket_event(100, 10, what);
        event.cause = Cause::System("auto_close".into());
        event
    }

    /// The ticket's requester answers it as well.
    fn own_ticket(mut event: Event) -> Event {
        if let Fact::Ticket { ticket, .. } = &mut event.fact {
            ticket.assignee = Some(ticket.requester);
        }
        event
    }

    fn assigned(to: Option<u128>) -> TicketFact {
        TicketFact::Assigned {
            from: None,
            to: to.map(user),
        }
    }

    fn public(author: u128, by_staff: bool) -> TicketFact {
        TicketFact::MessageAdded {
            message: message(7),
            author: user(author),
            by_staff,
        }
    }

    fn internal(author: u128) -> TicketFact {
        TicketFact::InternalMessageAdded {
            message: message(7),
            author: user(author),
            mentioned: Vec::new(),
        }
    }

    fn note(author: u128) -> TicketFact {
        TicketFact::NoteAdded {
            note: Uuid::from_u128(7),
            author: user(author),
            mentioned: Vec::new(),
        }
    }

    /// The event with these followers of its ticket.
    fn followed_by(mut event: Event, followers: &[u128]) -> Event {
        if let Fact::Ticket { ticket, .. } = &mut event.fact {
            ticket.followers = followers.iter().map(|number| user(*number)).collect();
        }
        event
    }

    #[test]
    fn followers_are_told_once_and_not_of_their_own_doing() {
        let reply = followed_by(
            by(COLLEAGUE, public(COLLEAGUE, true)),
            &[COLLEAGUE, ASSIGNEE, 5, REQUESTER],
        );
        let expected = [
            (user(REQUESTER), Kind::Replied),
            (user(ASSIGNEE), Kind::Followed),
            (user(5), Kind::Followed),
        ];
        assert_eq!(told(&reply), expected);
        let internal = followed_by(by(COLLEAGUE, internal(COLLEAGUE)), &[ASSIGNEE, 5, REQUESTER]);
        let expected = [(user(ASSIGNEE), Kind::InternalNote), (user(5), Kind::Followed)];
        assert_eq!(told(&internal), expected);
        let resolved = TicketFact::StatusChanged {
            from: events::TicketStatus::Open,
            to: events::TicketStatus::Resolved,
        };
        let drafts = decide(&followed_by(by(ASSIGNEE, resolved), &[5]));
        assert_eq!(drafts[0].title, "TKT-00010 is now resolved");
        let priority = TicketFact::Updated {
            fields: vec![],
            before: serde_json::Map::new(),
        };
        assert_eq!(told(&followed_by(by(ASSIGNEE, priority), &[5])), []);
    }

    #[test]
    fn whoever_is_called_is_told_of_that_and_nothing_else() {
        let mentioned = [ASSIGNEE, 5, COLLEAGUE, REQUESTER].map(user).to_vec();
        let note = TicketFact::NoteAdded {
            note: Uuid::from_u128(7),
            author: user(COLLEAGUE),
            mentioned,
        };
        let note = followed_by(by(COLLEAGUE, note), &[5, 6]);
        let expected = [
            (user(ASSIGNEE), Kind::Mentioned),
            (user(5), Kind::Mentioned),
            (user(6), Kind::Followed),
        ];
        assert_eq!(told(&note), expected);
    }

    #[test]
    fn an_assignee_is_told_unless_it_was_their_own_doing() {
        assert_eq!(
            told(&by(COLLEAGUE, assigned(Some(ASSIGNEE)))),
            [(user(ASSIGNEE), Kind::Assigned)]
        );
        assert_eq!(
            told(&of_the_desk_itself(assigned(Some(ASSIGNEE)))),
            [(user(ASSIGNEE), Kind::Assigned)]
        );
        assert_eq!(told(&by(ASSIGNEE, assigned(Some(ASSIGNEE)))), []);
        assert_eq!(told(&by(COLLEAGUE, assigned(None))), []);
    }

    #[test]
    fn a_reply_is_told_to_the_other_side() {
        assert_eq!(
            told(&by(ASSIGNEE, public(ASSIGNEE, true))),
            [(user(REQUESTER), Kind::Replied)]
        );
        assert_eq!(
            told(&by(COLLEAGUE, public(COLLEAGUE, true))),
            [(user(REQUESTER), Kind::Replied)]
        );
        assert_eq!(
            told(&by(REQUESTER, public(REQUESTER, false))),
            [(user(ASSIGNEE), Kind::Replied)]
        );
    }

    #[test]
    fn nobody_is_told_of_their_own_reply() {
        assert_eq!(told(&by(REQUESTER, public(REQUESTER, true))), []);
        assert_eq!(told(&own_ticket(by(REQUESTER, public(REQUESTER, false)))), []);
    }

    #[test]
    fn internal_text_is_told_to_the_assignee_alone() {
        for what in [internal, note] {
            assert_eq!(
                told(&by(COLLEAGUE, what(COLLEAGUE))),
                [(user(ASSIGNEE), Kind::InternalNote)]
            );
            assert_eq!(told(&by(ASSIGNEE, what(ASSIGNEE))), []);
        }
    }

    #[test]
    fn a_requester_never_learns_of_internal_text_not_even_as_the_assignee() {
        for what in [internal, note] {
            assert_eq!(told(&own_ticket(by(COLLEAGUE, what(COLLEAGUE)))), []);
        }
        let mut unassigned = by(COLLEAGUE, internal(COLLEAGUE));
        if let Fact::Ticket { ticket, .. } = &mut unassigned.fact {
            ticket.assignee = None;
        }
        assert_eq!(told(&unassigned), []);
    }

    #[test]
    fn a_rating_is_told_to_the_assignee_who_is_not_its_author() {
        let rated = || by(REQUESTER, TicketFact::Rated { score: 2 });
        assert_eq!(told(&rated()), [(user(ASSIGNEE), Kind::Rated)]);
        assert_eq!(told(&own_ticket(rated())), []);
    }

    #[test]
    fn other_facts_are_told_to_nobody() {
        for what in [
            TicketFact::Created {},
            TicketFact::MessageEdited {
                message: message(7),
                internal: true,
            },
            TicketFact::Transferred {
                from: None,
                to: Some(TeamId(Uuid::from_u128(5))),
            },
            TicketFact::Deleted {},
        ] {
            assert_eq!(told(&by(COLLEAGUE, what)), []);
        }
    }

    #[test]
    fn a_notification_leads_to_the_message() {
        let draft = decide(&by(ASSIGNEE, public(ASSIGNEE, true))).remove(0);
        assert_eq!(draft.title, "TKT-00010 has a new reply");
        assert_eq!(draft.message, "Printer on fire");
        assert_eq!(draft.data["messageId"], json!(message(7)));
        assert_eq!(draft.data["ticketNumber"], "TKT-00010");
        let assigned = decide(&by(COLLEAGUE, assigned(Some(ASSIGNEE)))).remove(0);
        assert_eq!(assigned.data.get("messageId"), None);
    }
}
