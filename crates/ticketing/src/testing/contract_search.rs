//! What every [`SearchIndex`] must do. Run on the fake and on the database.

#![expect(clippy::unwrap_used, reason = "a suite ends where a promise is broken")]

use std::sync::Arc;

use chrono::Duration;
use kernel::{IdSource, PageLimit, TicketId};
use serde_json::json;

use super::build;
use super::contract::World;
use crate::port::{TicketCommit, TicketStore, TicketWrite};
use crate::query::{Count, Direction, Scope, Sort, SortKey, TicketFilter};
use crate::search::{Part, SearchIndex, SearchOrder, SearchQuery, SearchText};
use crate::ticket::{Audience, Message, Note, NoteId, Ticket, Visibility};
use crate::value::{Body, Description, Subject};

/// The desk that the promises are tried on.
struct Desk<'a> {
    store: &'a dyn TicketStore,
    index: &'a dyn SearchIndex,
    ids: &'a dyn IdSource,
    world: &'a World,
}

impl Desk<'_> {
    /// Stores a ticket `minutes` after noon, with a public message and an internal one where they are not empty.
    async fn ticket(&self, minutes: i64, texts: [&str; 5]) -> Ticket {
        let [subject, description, public, internal, note] = texts;
        let at = build::noon() + Duration::minutes(minutes);
        let number = self.store.next_number().await.unwrap();
        let mut ticket = build::ticket()
            .identified(TicketId::new(self.ids), number)
            .requested_by(self.world.customer)
            .build();
        ticket.subject = Subject::stored(subject.to_owned());
        ticket.description = Description::stored(description.to_owned());
        ticket.team = Some(self.world.team);
        ticket.created_at = at;
        ticket.staff_face.updated_at = at;
        ticket.public_face.updated_at = at;
        let said = [(public, Visibility::Public), (internal, Visibility::Internal)];
        let messages = said.into_iter().filter(|(text, _)| !text.is_empty());
        let messages = messages.map(|(text, visibility)| Message {
            id: kernel::MessageId::new(self.ids),
            ticket: ticket.id,
            sender: self.world.agent,
            body: Body::stored(text.to_owned()),
            html: None,
            attachment_urls: json!([]),
            attachments: Vec::new(),
            visibility,
            created_at: at,
            updated_at: at,
        });
        let notes = (!note.is_empty()).then(|| Note {
            id: NoteId::new(self.ids),
            ticket: ticket.id,
            author: self.world.agent,
            body: Body::stored(note.to_owned()),
            created_at: at,
        });
        let commit = TicketCommit {
            ticket: TicketWrite::Insert(Box::new(ticket.clone())),
            messages: messages.collect(),
            edited_messages: vec![],
            removed_attachments: vec![],
            notes: notes.into_iter().collect(),
            activities: vec![],
            events: vec![],
            receipt: None,
            item: None,
            assigns: None,
            clocks: None,
        };
        self.store.commit(commit).await.unwrap();
        ticket
    }

    fn query(text: &str) -> SearchQuery {
        let (text, conditions) = SearchText::read(text, Audience::Staff).unwrap();
        assert!(conditions.is_empty(), "the fields are the service's");
        SearchQuery {
            text,
            ..SearchQuery::default()
        }
    }

    fn customer(&self) -> Scope {
        Scope::Customer(self.world.customer)
    }

    /// The subjects of what is found, in the order of the alphabet.
    async fn found(&self, scope: &Scope, text: &str) -> Vec<String> {
        let query = Self::query(text);
        let page = self.index.search(scope, &query).await.unwrap();
        let mut subjects: Vec<_> = page
            .items
            .iter()
            .map(|hit| hit.ticket.subject.to_string())
            .collect();
        let count = self.index.count_found(scope, &query).await.unwrap();
        assert_eq!(
            count,
            Count::Exact(i64::try_from(subjects.len()).unwrap()),
            "{text}"
        );
        subjects.sort();
        subjects
    }
}

/// Everything that a [`SearchIndex`] promises.
///
/// # Panics
/// When a promise is broken.
pub async fn search_index(
    store: Arc<dyn TicketStore>,
    index: Arc<dyn SearchIndex>,
    ids: Arc<dyn IdSource>,
    world: World,
) {
    let desk = Desk {
        store: store.as_ref(),
        index: index.as_ref(),
        ids: ids.as_ref(),
        world: &world,
    };
    desk.ticket(
        1,
        [
            "Alpha zebra",
            "The quokka is blue",
            "A public narwhal swims",
            "",
            "",
        ],
    )
    .await;
    desk.ticket(
        2,
        ["Beta zebra", "The quokka is red", "", "An internal narwhal", ""],
    )
    .await;
    desk.ticket(
        3,
        [
            "Gamma",
            "Nothing but a zebra crossing",
            "",
            "",
            "narwhal in a note",
        ],
    )
    .await;
    let mut gone = desk.ticket(4, ["Delta zebra", "narwhal", "", "", ""]).await;
    gone.deleted_at = Some(build::noon());
    let expected = gone.staff_face.version;
    gone.staff_face.version = gone.staff_face.version.next();
    let deletion = TicketCommit {
        ticket: TicketWrite::Update {
            ticket: Box::new(gone),
            expected,
        },
        messages: vec![],
        edited_messages: vec![],
        removed_attachments: vec![],
        notes: vec![],
        activities: vec![],
        events: vec![],
        receipt: None,
        item: None,
        assigns: None,
        clocks: None,
    };
    desk.store.commit(deletion).await.unwrap();
    while desk.index.take_up(3).await.unwrap() > 0 {}
    every_term_must_hold(&desk).await;
    internal_text_is_found_by_staff_alone(&desk).await;
    nothing_beyond_the_scope_is_found(&desk).await;
    what_was_found_is_paged_in_its_order(&desk).await;
    excerpts_show_where_it_fits(&desk).await;
}

async fn every_term_must_hold(desk: &Desk<'_>) {
    let all = Scope::Desk;
    let (alpha, beta) = ("Alpha zebra".to_owned(), "Beta zebra".to_owned());
    assert_eq!(
        desk.found(&all, "ZEBRA quokka").await,
        [alpha.clone(), beta.clone()]
    );
    assert_eq!(
        desk.found(&all, "zebra -red quokka").await,
        std::slice::from_ref(&alpha)
    );
    assert_eq!(
        desk.found(&all, "\"quokka is red\"").await,
        std::slice::from_ref(&beta)
    );
    assert_eq!(desk.found(&all, "\"red quokka\"").await, Vec::<String>::new());
    assert_eq!(desk.found(&all, "quok* bl*").await, std::slice::from_ref(&alpha));
    assert_eq!(
        desk.found(&all, "subject:zebra").await,
        [alpha.clone(), beta.clone()]
    );
    assert_eq!(desk.found(&all, "description:zebra").await, ["Gamma"]);
    assert_eq!(desk.found(&all, "zebra -subject:zebra").await, ["Gamma"]);
    assert_eq!(desk.found(&all, "message:narwhal").await, [alpha]);
    assert_eq!(desk.found(&all, "nothingofthesort").await, Vec::<String>::new());
    assert_eq!(
        desk.found(&all, "zebra nothingofthesort").await,
        Vec::<String>::new()
    );
}

async fn internal_text_is_found_by_staff_alone(desk: &Desk<'_>) {
    let everyone = ["Alpha zebra", "Beta zebra", "Gamma"];
    assert_eq!(desk.found(&Scope::Desk, "narwhal").await, everyone);
    assert_eq!(desk.found(&Scope::Desk, "note:narwhal").await, everyone[1..]);
    assert_eq!(desk.found(&desk.customer(), "narwhal").await, everyone[..1]);
    assert_eq!(
        desk.found(&desk.customer(), "zebra -narwhal").await,
        everyone[1..]
    );
    assert_eq!(
        desk.found(&desk.customer(), "intern*").await,
        Vec::<String>::new()
    );
}

async fn nothing_beyond_the_scope_is_found(desk: &Desk<'_>) {
    let elsewhere = Scope::WorkOf {
        agent: desk.world.agent,
        teams: vec![desk.world.other_team],
    };
    assert_eq!(desk.found(&elsewhere, "zebra").await, Vec::<String>::new());
    let there = Scope::WorkOf {
        agent: desk.world.agent,
        teams: vec![desk.world.team],
    };
    assert_eq!(desk.found(&there, "zebra").await.len(), 3);
    assert_eq!(
        desk.found(&Scope::Customer(desk.world.stranger), "zebra").await,
        Vec::<String>::new()
    );
    let mut query = Desk::query("zebra");
    query.filter = TicketFilter {
        requester: Some(desk.world.stranger),
        ..TicketFilter::default()
    };
    assert_eq!(
        desk.index.count_found(&Scope::Desk, &query).await.unwrap(),
        Count::Exact(0)
    );
    assert!(
        desk.index
            .search(&Scope::Desk, &query)
            .await
            .unwrap()
            .items
            .is_empty()
    );
}

async fn what_was_found_is_paged_in_its_order(desk: &Desk<'_>) {
    let by = |key, direction| SearchOrder::By(Sort { key, direction });
    let orders = [
        (SearchOrder::Relevance, None),
        (
            by(SortKey::UpdatedAt, Direction::NewestFirst),
            Some(["Gamma", "Beta zebra", "Alpha zebra"]),
        ),
        (
            by(SortKey::CreatedAt, Direction::OldestFirst),
            Some(["Alpha zebra", "Beta zebra", "Gamma"]),
        ),
    ];
    for (order, expected) in orders {
        let mut query = Desk::query("zebra");
        query.order = order;
        query.limit = PageLimit::new(1).unwrap();
        let mut subjects = Vec::new();
        let mut scores = Vec::new();
        for _ in 0..4 {
            let page = desk.index.search(&Scope::Desk, &query).await.unwrap();
            scores.extend(page.items.iter().map(|hit| hit.score));
            subjects.extend(page.items.iter().map(|hit| hit.ticket.subject.to_string()));
            query.after = page.next;
            if query.after.is_none() {
                break;
            }
        }
        match expected {
            Some(expected) => assert_eq!(subjects, expected),
            None => {
                assert!(scores.is_sorted_by(|one, next| one >= next), "{scores:?}");
                subjects.sort();
                assert_eq!(subjects, ["Alpha zebra", "Beta zebra", "Gamma"]);
            }
        }
    }
}

async fn excerpts_show_where_it_fits(desk: &Desk<'_>) {
    let page = desk
        .index
        .search(&Scope::Desk, &Desk::query("narwhal"))
        .await
        .unwrap();
    for hit in &page.items {
        let [excerpt] = hit.excerpts.as_slice() else {
            panic!("one excerpt, not {:?}", hit.excerpts);
        };
        let part = match hit.ticket.subject.as_str() {
            "Alpha zebra" => Part::Message,
            _ => Part::Internal,
        };
        assert_eq!(excerpt.part, part);
        assert_eq!(excerpt.message.is_some(), hit.ticket.subject.as_str() != "Gamma");
        let marked = excerpt.runs.iter().find(|run| run.is_match).unwrap();
        assert!(marked.text.contains("narwhal"), "{marked:?}");
    }
    let page = desk
        .index
        .search(&desk.customer(), &Desk::query("zebra"))
        .await
        .unwrap();
    assert_eq!(page.items.len(), 3);
    for excerpt in page.items.iter().flat_map(|hit| &hit.excerpts) {
        assert!(excerpt.part.is_shown_to(Audience::Customer));
        assert!(excerpt.runs.iter().all(|run| !run.text.contains("intern")));
    }
}
