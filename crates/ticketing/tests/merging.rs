//! The laws of merging: what a merge did, its undoing undoes, whatever the tickets went through; nothing that anyone wrote
//! is ever lost or in two places.

#![expect(
    clippy::unwrap_used,
    reason = "a test ends where something is not as it must be"
)]

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use chrono::{DateTime, Duration, Utc};
use events::{TicketPriority, TicketStatus};
use insightdesk_ticketing as ticketing;
use kernel::{
    Actor, IdSource as _, ManualClock, PageLimit, SequentialIds, TeamId, TeamRole, TicketId, UserId,
};
use proptest::prelude::*;
use ticketing::testing::{MemoryDirectory, MemoryTickets, PlainMarkup, build};
use ticketing::{
    Audience, Body, Edit, Guard, Later, LinkKind, Reply, Settings, Standing, Tags, TicketError, TicketKey,
    TicketStore as _, Tickets, Visibility,
};
use uuid::Uuid;

const CUSTOMER: UserId = UserId(Uuid::from_u128(0xc1));
const AGENT: UserId = UserId(Uuid::from_u128(0xa1));
const TEAM: TeamId = TeamId(Uuid::from_u128(0x71));

struct Desk {
    store: Arc<MemoryTickets>,
    clock: Arc<ManualClock>,
    tickets: Tickets,
}

fn agent() -> Actor {
    Actor::Person(build::agent(AGENT, TEAM, TeamRole::Agent))
}

fn customer() -> Actor {
    Actor::Person(build::customer(CUSTOMER))
}

/// Something that happens to a ticket.
#[derive(Debug, Clone)]
enum Step {
    Say(bool, Visibility),
    Note,
    Tag(u8),
    Untag(u8),
    Status(TicketStatus),
    Priority(TicketPriority),
}

fn step() -> impl Strategy<Value = Step> {
    let status = prop::sample::select(TicketStatus::ALL.to_vec());
    let priority = prop::sample::select(TicketPriority::ALL.to_vec());
    prop_oneof![
        4 => (any::<bool>(), any::<bool>()).prop_map(|(by_agent, public)| {
            let visibility = if public { Visibility::Public } else { Visibility::Internal };
            Step::Say(by_agent, visibility)
        }),
        1 => Just(Step::Note),
        2 => (0_u8..30).prop_map(Step::Tag),
        1 => (0_u8..30).prop_map(Step::Untag),
        2 => status.prop_map(Step::Status),
        1 => priority.prop_map(Step::Priority),
    ]
}

fn body() -> Body {
    Body::parse("/message", "hello").unwrap()
}

impl Desk {
    fn new() -> Self {
        let store = Arc::new(MemoryTickets::default());
        let clock = Arc::new(ManualClock::at(build::noon()));
        let directory = MemoryDirectory {
            requesters: HashSet::from([CUSTOMER, AGENT]),
            teams: [(TEAM, "Front".to_owned())].into(),
            ..MemoryDirectory::default()
        };
        let ids = SequentialIds::default();
        // Away from the ids of people.
        let _ = ids.next();
        let tickets = Tickets::new(
            store.clone(),
            Arc::new(directory),
            Arc::new(PlainMarkup),
            clock.clone(),
            Arc::new(ids),
            Settings::default(),
        );
        Self {
            store,
            clock,
            tickets,
        }
    }

    async fn open(&self) -> TicketId {
        self.clock.advance(Duration::seconds(1));
        let mut new = build::new_ticket("Printer on fire");
        new.team = Some(TEAM);
        let made = self
            .tickets
            .create(&customer(), new, &kernel::receipt::no_receipt)
            .await;
        made.unwrap().view.ticket.id
    }

    /// Does it, where the rules allow it.
    async fn go(&self, ticket: TicketId, step: &Step) {
        self.clock.advance(Duration::seconds(1));
        let key = TicketKey::Id(ticket);
        let edit = |edit: Edit| async move {
            let _ = self
                .tickets
                .edit(&agent(), &key_of(ticket), &edit, Guard::none())
                .await;
        };
        let tags = |tag: &u8| Tags::parse("/tags", &[format!("tag{tag}")]).unwrap();
        match step {
            Step::Say(by_agent, visibility) => {
                let actor = if *by_agent { agent() } else { customer() };
                let reply = Reply {
                    body: body(),
                    visibility: *visibility,
                    attachments: Vec::new(),
                    mentions: Vec::new(),
                };
                let _ = self.tickets.reply(&actor, &key, &reply, Guard::none()).await;
            }
            Step::Note => {
                let _ = self
                    .tickets
                    .add_note(&agent(), &key, &body(), &[], Guard::none())
                    .await;
            }
            Step::Tag(tag) => {
                let _ = self
                    .tickets
                    .add_tags(&agent(), &key, &tags(tag), Guard::none())
                    .await;
            }
            Step::Untag(tag) => {
                let _ = self
                    .tickets
                    .remove_tags(&agent(), &key, &tags(tag), Guard::none())
                    .await;
            }
            Step::Status(status) => {
                edit(Edit {
                    status: Some(*status),
                    ..Edit::default()
                })
                .await;
            }
            Step::Priority(priority) => {
                edit(Edit {
                    priority: Some(*priority),
                    ..Edit::default()
                })
                .await;
            }
        }
    }

    /// All of a ticket that a merge could change.
    async fn seen(&self, ticket: TicketId) -> Seen {
        let limit = PageLimit::new(100).unwrap();
        let stored = self.store.stored(ticket).unwrap();
        let messages = self
            .store
            .messages(ticket, Audience::Staff, None, limit)
            .await
            .unwrap();
        let notes = self.store.notes(ticket, None, limit).await.unwrap();
        let counted = |public: bool| {
            let counted = messages
                .items
                .iter()
                .filter(|message| !public || message.visibility == Visibility::Public);
            (
                i32::try_from(counted.clone().count()).unwrap(),
                counted.map(|message| message.created_at).max(),
            )
        };
        // Its own figures are those of its conversation.
        let (staff, public) = (stored.staff_face, stored.public_face);
        assert_eq!((staff.message_count, staff.last_message_at), counted(false));
        assert_eq!((public.message_count, public.last_message_at), counted(true));
        Seen {
            standing: stored.standing,
            priority: stored.priority,
            tags: stored.tags,
            first_response_at: stored.first_response_at,
            merged_into: stored.merged_into,
            messages: messages.items.iter().map(|message| message.id.0).collect(),
            notes: notes.items.iter().map(|note| note.id.0).collect(),
        }
    }
}

fn key_of(ticket: TicketId) -> TicketKey {
    TicketKey::Id(ticket)
}

#[derive(Debug, Clone, PartialEq)]
struct Seen {
    standing: Standing,
    priority: TicketPriority,
    tags: Tags,
    first_response_at: Option<DateTime<Utc>>,
    merged_into: Option<TicketId>,
    messages: Vec<Uuid>,
    notes: Vec<Uuid>,
}

fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap()
        .block_on(future)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    /// Merging `0` and `1` into one another, `2` in between, and undoing it in turn, is as if nothing had been.
    #[test]
    fn a_merge_that_is_undone_never_was(
        histories in prop::collection::vec(prop::collection::vec(step(), 0..12), 3),
        nested in any::<bool>(),
    ) {
        run(async {
            let desk = Desk::new();
            let mut tickets = Vec::new();
            for history in &histories {
                let ticket = desk.open().await;
                for step in history {
                    desk.go(ticket, step).await;
                }
                tickets.push(ticket);
            }
            let [target, source, third] = tickets[..] else { unreachable!() };
            let mut before = BTreeMap::new();
            for ticket in [target, source, third] {
                before.insert(ticket, desk.seen(ticket).await);
            }
            desk.clock.advance(Duration::seconds(1));
            // The third goes into the source, which then goes on; or beside it into the target.
            let first = if nested { (source, third) } else { (target, third) };
            let mut done = Vec::new();
            for (into, from) in [first, (target, source)] {
                let merged = desk.tickets.merge(&agent(), &key_of(into), from, None, Guard::none()).await;
                match merged {
                    Ok(_) => done.push((into, from)),
                    Err(error) => assert!(matches!(error, TicketError::Closed), "{error}"),
                }
                desk.clock.advance(Duration::seconds(1));
            }
            let all: usize = before.values().map(|seen| seen.messages.len() + seen.notes.len()).sum();
            let mut there = 0;
            for ticket in [target, source, third] {
                let seen = desk.seen(ticket).await;
                there += seen.messages.len() + seen.notes.len();
            }
            assert_eq!(there, all + done.len(), "each merge adds the description and loses nothing");
            for (into, from) in done.into_iter().rev() {
                desk.tickets
                    .unmerge(&agent(), &key_of(into), from, Later::Source, Guard::none())
                    .await
                    .unwrap();
            }
            for (ticket, seen) in before {
                assert_eq!(desk.seen(ticket).await, seen);
            }
        });
    }

    /// What happens between a merge and its undoing goes where the caller says, whole, and nothing else moves.
    #[test]
    fn what_was_written_since_goes_where_the_caller_says(
        histories in prop::collection::vec(prop::collection::vec(step(), 0..8), 2),
        since in prop::collection::vec(step(), 0..12),
        to_source in any::<bool>(),
    ) {
        run(async {
            let desk = Desk::new();
            let (target, source) = (desk.open().await, desk.open().await);
            for (ticket, history) in [target, source].into_iter().zip(&histories) {
                for step in history {
                    desk.go(ticket, step).await;
                }
            }
            let (target_before, source_before) = (desk.seen(target).await, desk.seen(source).await);
            desk.clock.advance(Duration::seconds(1));
            let merged = desk.tickets.merge(&agent(), &key_of(target), source, None, Guard::none()).await;
            if merged.is_err() {
                assert_eq!(desk.seen(source).await, source_before);
                return;
            }
            for step in &since {
                desk.go(target, step).await;
                // The source takes nothing while it is merged.
                desk.go(source, step).await;
            }
            let merged = desk.seen(target).await;
            let old = |id: &Uuid| target_before.messages.contains(id) || source_before.messages.contains(id);
            let description = merged.messages.iter().filter(|id| !old(id)).min().copied();
            let later: Vec<Uuid> = merged
                .messages
                .iter()
                .copied()
                .filter(|id| !old(id) && Some(*id) != description)
                .collect();
            let later_to = if to_source { Later::Source } else { Later::Target };
            desk.tickets
                .unmerge(&agent(), &key_of(target), source, later_to, Guard::none())
                .await
                .unwrap();
            let (target_after, source_after) = (desk.seen(target).await, desk.seen(source).await);
            let sorted = |mut ids: Vec<Uuid>| {
                ids.sort_unstable();
                ids
            };
            let (mut at_target, mut at_source) = (target_before.messages, source_before.messages);
            if to_source { at_source.extend(later) } else { at_target.extend(later) }
            assert_eq!(sorted(target_after.messages), sorted(at_target));
            assert_eq!(sorted(source_after.messages), sorted(at_source));
            assert_eq!(source_after.standing, source_before.standing);
            assert_eq!(source_after.tags, source_before.tags);
            assert_eq!((source_after.merged_into, target_after.merged_into), (None, None));
            // Other changes since stay.
            assert_eq!((target_after.standing, target_after.priority), (merged.standing, merged.priority));
        });
    }
}

#[test]
fn links_close_no_circle_and_a_child_has_one_parent() {
    run(async {
        let desk = Desk::new();
        let (a, b, c) = (desk.open().await, desk.open().await, desk.open().await);
        let link = async |this, kind, other| {
            desk.tickets
                .link(&agent(), &TicketKey::Id(this), kind, other, Guard::none())
                .await
        };
        link(a, LinkKind::Blocks, b).await.unwrap();
        link(b, LinkKind::Blocks, c).await.unwrap();
        assert!(matches!(
            link(c, LinkKind::Blocks, a).await,
            Err(TicketError::LinkCycle)
        ));
        assert!(matches!(
            link(a, LinkKind::BlockedBy, c).await,
            Err(TicketError::LinkCycle)
        ));
        assert!(matches!(
            link(b, LinkKind::BlockedBy, a).await,
            Err(TicketError::LinkExists)
        ));
        link(c, LinkKind::Parent, a).await.unwrap();
        assert!(matches!(
            link(a, LinkKind::Child, b).await,
            Err(TicketError::SecondParent)
        ));
        assert!(matches!(
            link(a, LinkKind::Parent, c).await,
            Err(TicketError::LinkCycle)
        ));
        link(c, LinkKind::Relates, a).await.unwrap();
        assert!(matches!(
            link(a, LinkKind::Relates, c).await,
            Err(TicketError::LinkExists)
        ));
        assert!(matches!(
            link(a, LinkKind::Relates, a).await,
            Err(TicketError::Invalid(_))
        ));
        desk.tickets
            .unlink(&agent(), &TicketKey::Id(a), LinkKind::Blocks, b, Guard::none())
            .await
            .unwrap();
        link(c, LinkKind::Blocks, a).await.unwrap();
        let seen = desk.tickets.links(&agent(), &TicketKey::Id(a)).await.unwrap();
        let kinds: Vec<_> = seen
            .iter()
            .map(|(kind, linked)| (*kind, linked.other.id))
            .collect();
        assert_eq!(
            kinds,
            [
                (LinkKind::Child, c),
                (LinkKind::Relates, c),
                (LinkKind::BlockedBy, c)
            ]
        );
        assert!(matches!(
            desk.tickets.links(&customer(), &TicketKey::Id(a)).await,
            Err(TicketError::NotFound)
        ));
    });
}

#[test]
fn a_blocked_ticket_waits_for_the_other_one_but_not_for_its_requester() {
    run(async {
        let desk = Desk::new();
        let (a, b) = (desk.open().await, desk.open().await);
        let key = TicketKey::Id(b);
        desk.tickets
            .link(&agent(), &TicketKey::Id(a), LinkKind::Blocks, b, Guard::none())
            .await
            .unwrap();
        let refused = desk.tickets.resolve(&agent(), &key, None, Guard::none()).await;
        assert!(matches!(refused, Err(TicketError::Blocked { by }) if by == ["TKT-00001"]));
        let edit = Edit {
            status: Some(TicketStatus::Closed),
            ..Edit::default()
        };
        let refused = desk.tickets.edit(&agent(), &key, &edit, Guard::none()).await;
        assert!(matches!(refused, Err(TicketError::Blocked { .. })));
        desk.tickets
            .close(&customer(), &key, Guard::none())
            .await
            .unwrap();
        desk.tickets
            .reopen(&agent(), &key, None, Guard::none())
            .await
            .unwrap();
        desk.tickets
            .resolve(&agent(), &TicketKey::Id(a), None, Guard::none())
            .await
            .unwrap();
        desk.tickets
            .resolve(&agent(), &key, None, Guard::none())
            .await
            .unwrap();
    });
}
