//! The filter language means the same in SQL as in memory.

use std::collections::BTreeSet;
use std::sync::Arc;

use chrono::Duration;
use events::{TicketChannel, TicketPriority};
use kernel::filter::{Circumstances, Condition};
use kernel::{PageLimit, SequentialIds, TicketId};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Map, Value, json};
use ticketing::testing::build;
use ticketing::testing::contract::World;
use ticketing::{
    ClosedBy, Count, CustomFields, Description, Rating, Satisfaction, Scope, Score, Standing, Subject,
    Ticket, TicketCommit, TicketFields, TicketFilter, TicketNumber, TicketQuery, TicketStore as _,
    TicketWrite,
};
use uuid::Uuid;

use super::PgTickets;
use super::tests::world;
use crate::testing::own::test_database;

const TICKETS: usize = 80;
const CONDITIONS: u32 = 400;

const WORDS: [&str; 10] = [
    "Printer",
    "printer",
    "PRINT",
    "Ünïcode",
    "ünïcode",
    "100%",
    "a_b",
    "it's",
    "\\",
    "İstanbul",
];
const TAGS: [&str; 4] = ["vpn", "größe", "a,b", "it's"];
const CUSTOM_NAMES: [&str; 3] = ["floor", "it's", "a.b"];

fn one_of<T: Clone + std::fmt::Debug + 'static>(all: &[T]) -> BoxedStrategy<T> {
    proptest::sample::select(all.to_vec()).boxed()
}

fn words() -> BoxedStrategy<String> {
    proptest::collection::vec(one_of(&WORDS), 1..4)
        .prop_map(|words| words.join(" "))
        .boxed()
}

/// Values of custom fields, such as we write and such as others do.
fn custom_values() -> BoxedStrategy<Value> {
    one_of(&[
        json!(1),
        json!(1.0),
        json!(1.5),
        json!(-3),
        json!("Alpha"),
        json!("alpha"),
        json!("2026-01-01"),
        json!("2026-02-01"),
        json!("1"),
        json!(""),
        json!(true),
        json!(false),
        json!([]),
        json!(["Alpha", "1"]),
        json!(["alpha"]),
        json!(null),
        json!({ "Alpha": 1 }),
        json!([1, { "a": "Alpha" }]),
    ])
}

fn minutes() -> BoxedStrategy<Option<i64>> {
    proptest::option::of(-4_i64..4).boxed()
}

/// A ticket of this world; its id and number come when it is stored.
fn tickets(world: &World) -> BoxedStrategy<Ticket> {
    let World {
        customer,
        stranger,
        agent,
        team,
        other_team,
    } = world.clone();
    let who = (
        one_of(&[customer, stranger]),
        proptest::option::of(Just(agent)),
        proptest::option::of(one_of(&[team, other_team])),
    );
    let what = (
        words(),
        words(),
        one_of(&TicketPriority::ALL),
        one_of(&TicketChannel::ALL),
        proptest::sample::subsequence(TAGS.to_vec(), 0..=3),
        proptest::collection::vec((one_of(&CUSTOM_NAMES), custom_values()), 0..3),
    );
    let times = (0_u8..4, any::<bool>(), minutes(), minutes(), minutes(), minutes());
    let rated = (0_u8..7, minutes());
    let counts = (0_i32..4, 0_i32..4, any::<bool>(), rated);
    (who, what, times, counts)
        .prop_map(|(who, what, times, counts)| {
            let ((requester, assignee, team), (subject, description, priority, channel, tags, custom)) =
                (who, what);
            let (standing, system, first, due, public, last) = times;
            let time = |minutes: i64| build::noon() + Duration::minutes(minutes);
            let mut ticket = build::ticket()
                .requested_by(requester)
                .priority(priority)
                .tagged(&tags)
                .standing(match standing {
                    0 => Standing::Open,
                    1 => Standing::Pending,
                    2 => Standing::Resolved { at: time(1) },
                    _ => Standing::Closed {
                        resolved_at: time(1),
                        at: time(2),
                        by: if system {
                            ClosedBy::Silence
                        } else {
                            ClosedBy::Person
                        },
                    },
                })
                .build();
            ticket.assignee = assignee;
            ticket.team = team;
            ticket.subject = Subject::stored(subject);
            ticket.description = Description::stored(description);
            ticket.channel = channel;
            let custom: Map<String, Value> = custom
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value))
                .collect();
            ticket.custom_fields = CustomFields::stored(custom);
            ticket.first_response_at = first.map(time);
            ticket.sla_due_at = due.map(time);
            ticket.sla_breached = counts.2;
            let (score, rated_at) = counts.3;
            ticket.satisfaction = Score::stored(score)
                .zip(rated_at)
                .map(|(score, rated_at)| Satisfaction {
                    rating: Rating { score, comment: None },
                    rated_at: time(rated_at),
                });
            ticket.staff_face.message_count = counts.0;
            ticket.public_face.message_count = counts.1;
            ticket.staff_face.last_message_at = last.map(time);
            ticket.public_face.last_message_at = public.map(time);
            ticket.staff_face.updated_at = time(last.unwrap_or(0));
            ticket.public_face.updated_at = time(public.unwrap_or(0));
            ticket
        })
        .boxed()
}

fn term(
    fields: &[&'static str],
    operators: &[&'static str],
    value: BoxedStrategy<Option<Value>>,
) -> BoxedStrategy<Value> {
    (one_of(fields), one_of(operators), value)
        .prop_map(|(field, operator, value)| match value {
            Some(value) => json!({ "field": field, "operator": operator, "value": value }),
            None => json!({ "field": field, "operator": operator }),
        })
        .boxed()
}

fn some<T: Into<Value> + std::fmt::Debug + 'static>(
    values: BoxedStrategy<T>,
) -> BoxedStrategy<Option<Value>> {
    values.prop_map(|value| Some(value.into())).boxed()
}

fn list(values: BoxedStrategy<Option<Value>>) -> BoxedStrategy<Option<Value>> {
    proptest::collection::vec(values, 1..4)
        .prop_map(|values| Some(values.into_iter().flatten().collect()))
        .boxed()
}

fn two(values: BoxedStrategy<Option<Value>>) -> BoxedStrategy<Option<Value>> {
    (values.clone(), values)
        .prop_map(|(from, to)| Some(json!([from, to])))
        .boxed()
}

/// Any term that the vocabulary of `staff` or of customers has.
fn terms(world: &World, staff: bool) -> BoxedStrategy<Value> {
    const TEXTS: [&str; 3] = ["ticketNumber", "subject", "description"];
    const CUSTOM: [&str; 4] = [
        "customFields.floor",
        "customFields.it's",
        "customFields.a.b",
        "customFields.absent",
    ];
    let mut times = vec![
        "createdAt",
        "updatedAt",
        "firstResponseAt",
        "resolvedAt",
        "closedAt",
        "autoClosedAt",
        "lastMessageAt",
    ];
    let mut all = vec!["tags", "assignedToId", "teamId", "status", "messageCount"];
    let mut numbers = vec!["messageCount"];
    if staff {
        times.extend(["slaDueAt", "ratedAt"]);
        numbers.push("satisfactionScore");
        all.extend(["slaPolicyId", "slaBreached", "satisfactionScore"]);
    }
    all.extend(TEXTS.iter().chain(&CUSTOM).chain(&times));
    let is_one = ["equals", "not_equals"];
    let is_any = ["in", "not_in"];
    let has = ["contains", "not_contains"];
    let ends = ["starts_with", "ends_with"];
    let more = ["greater_than", "less_than"];
    let text = || {
        some(one_of(&[
            "print",
            "ÜNÏCODE",
            "ünïcode",
            "%",
            "_",
            "'",
            "\\",
            "r",
            "i",
            "TKT-0000",
        ]))
    };
    let tag = || some(one_of(&["VPN", "größe", "a,b", "it's", "none"]));
    let time = || {
        let absolute =
            (-4_i64..4).prop_map(|minutes| (build::noon() + Duration::minutes(minutes)).to_rfc3339());
        some(prop_oneof![absolute, one_of(&["-2m".to_owned(), "+1m".to_owned()])].boxed())
    };
    let id = |ids: &[Uuid]| some(one_of(&ids.iter().map(Uuid::to_string).collect::<Vec<_>>()));
    let people = id(&[world.customer.0, world.stranger.0, world.agent.0]);
    let people = prop_oneof![people, Just(Some(json!("me")))].boxed();
    let teams = id(&[world.team.0, world.other_team.0]);
    let custom = some(one_of(&[
        json!(1),
        json!(1.5),
        json!("ALPHA"),
        json!("Alpha"),
        json!("1"),
        json!(true),
    ]));
    let custom_bound = some(one_of(&[
        json!(1),
        json!(-3.5),
        json!("2026-01-15"),
        json!("alpha"),
    ]));
    let custom_text = some(one_of(&["Alpha", "lph", "a", "1"]));
    let statuses = some(one_of(&["open", "pending", "resolved", "closed"]));
    let priorities = some(one_of(&["low", "urgent"]));
    let channels = some(one_of(&["web", "api"]));
    let number = || some((0_i32..6).boxed());
    let kinds: Vec<BoxedStrategy<Value>> = vec![
        term(&all, &["is_set", "is_not_set"], Just(None).boxed()),
        term(&TEXTS, &is_one, some(words())),
        term(&TEXTS, &is_any, list(some(words()))),
        term(&TEXTS, &[has, ends].concat(), text()),
        term(&["status"], &is_any, list(statuses.clone())),
        term(&["status"], &is_one, statuses),
        term(&["priority"], &is_any, list(priorities)),
        term(&["channel"], &is_one, channels),
        term(&["assignedToId", "createdById"], &is_one, people.clone()),
        term(&["assignedToId", "createdById"], &is_any, list(people)),
        term(&["teamId"], &is_one, teams.clone()),
        term(&["teamId"], &is_any, list(teams)),
        term(&["tags"], &has, tag()),
        term(&["tags"], &is_any, list(tag())),
        term(&times, &more, time()),
        term(&times, &["between"], two(time())),
        term(&numbers, &[is_one, more].concat(), number()),
        term(&numbers, &["between"], two(number())),
        term(&numbers, &is_any, list(number())),
        term(&CUSTOM, &is_one, custom.clone()),
        term(&CUSTOM, &is_any, list(custom)),
        term(&CUSTOM, &[has, ends].concat(), custom_text),
        term(&CUSTOM, &more, custom_bound.clone()),
        term(&CUSTOM, &["between"], two(custom_bound)),
    ];
    let mut any_term = proptest::strategy::Union::new(kinds);
    if staff {
        any_term = any_term.or(term(&["slaBreached"], &is_one, some(any::<bool>().boxed())));
    }
    any_term.boxed()
}

fn conditions(world: &World, staff: bool) -> BoxedStrategy<Value> {
    terms(world, staff)
        .prop_recursive(3, 8, 2, |inner| {
            let group = one_of(&["all", "any", "none"]);
            (group, proptest::collection::vec(inner, 1..3))
                .prop_map(|(group, conditions)| json!({ group: conditions }))
        })
        .boxed()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_condition_selects_the_same_tickets_in_sql_as_in_memory() {
    let test = test_database().await;
    let ids = SequentialIds::default();
    let world = world(&test, &ids).await;
    let store = Arc::new(PgTickets::new(test.database().clone()));
    let mut runner = TestRunner::new(Config {
        cases: CONDITIONS,
        failure_persistence: None,
        ..Config::default()
    });

    let mut stored = Vec::new();
    for number in 1..=TICKETS {
        let mut ticket = tickets(&world).new_tree(&mut runner).unwrap().current();
        ticket.id = TicketId::new(&ids);
        ticket.number = TicketNumber::of(i64::try_from(number).unwrap());
        let commit = TicketCommit {
            ticket: TicketWrite::Insert(Box::new(ticket.clone())),
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
        store.commit(commit).await.unwrap();
        stored.push(ticket);
    }

    let circumstances = Circumstances {
        now: build::noon(),
        me: Some(world.agent.0),
    };
    let runtime = tokio::runtime::Handle::current();
    for scope in [Scope::Desk, Scope::Customer(world.customer)] {
        let audience = scope.audience();
        let staff = scope == Scope::Desk;
        let outcome = runner.run(&conditions(&world, staff), |json| {
            let read = Condition::read(&json, "", &TicketFields(audience));
            let read = read.map_err(|faults| TestCaseError::fail(format!("{json}: {faults}")))?;
            let query = TicketQuery {
                filter: TicketFilter {
                    condition: Some(read.settled(&circumstances)),
                    ..TicketFilter::default()
                },
                limit: PageLimit::new(100).unwrap(),
                ..TicketQuery::default()
            };
            let matching = stored
                .iter()
                .filter(|ticket| scope.contains(ticket) && query.filter.matches(ticket, audience));
            let expected: BTreeSet<&str> = matching.map(|ticket| ticket.number.as_str()).collect();
            let (page, count) = tokio::task::block_in_place(|| {
                runtime.block_on(async {
                    let page = store.list(&scope, &query).await.unwrap();
                    (page, store.count(&scope, &query).await.unwrap())
                })
            });
            let found: BTreeSet<&str> = page.items.iter().map(|ticket| ticket.number.as_str()).collect();
            prop_assert_eq!(
                count,
                Count::Exact(i64::try_from(expected.len()).unwrap()),
                "{}",
                json
            );
            prop_assert_eq!(found, expected, "{}", json);
            Ok(())
        });
        outcome.unwrap();
    }
}
