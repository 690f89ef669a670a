//! The record of acts in memory, and the suite that every store of it must pass.

use std::net::Ipv6Addr;
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use chrono::Duration;
use kernel::{Client, EventId, PageLimit, PortError, TeamId, UserId};
use serde_json::json;

use super::builders::{start, unique_id};
use crate::audit::{ANONYMIZED, AuditActor, AuditEntry, AuditNumber, AuditTarget};
use crate::ports::{ActionFilter, AuditFilter, AuditPage, AuditStore, Recorded};

/// Where acts come from.
const ADDRESS: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 7);

/// The record of acts in memory.
#[derive(Debug, Default)]
pub struct MemoryAudit(Mutex<Vec<AuditEntry>>);

impl MemoryAudit {
    /// A record without entries.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

#[async_trait]
impl AuditStore for MemoryAudit {
    async fn append(&self, entry: AuditEntry) -> Result<(), PortError> {
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if entries.iter().all(|kept| kept.event != entry.event) {
            entries.push(entry);
        }
        Ok(())
    }

    async fn list(
        &self,
        filter: AuditFilter,
        before: Option<AuditNumber>,
        limit: PageLimit,
    ) -> Result<AuditPage, PortError> {
        let AuditFilter {
            actor,
            target,
            action,
            since,
            until,
        } = filter;
        let entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let anonymized = |person: UserId| {
            entries
                .iter()
                .any(|entry| entry.action == ANONYMIZED && entry.target.id() == Some(person.0))
        };
        let mut rows: Vec<_> = (1..).map(AuditNumber).zip(entries.iter()).collect();
        rows.reverse();
        let rows = rows
            .into_iter()
            .filter(|(number, _)| before.is_none_or(|before| *number < before))
            .filter(|(_, entry)| actor.is_none_or(|id| entry.actor == AuditActor::Person(id)))
            .filter(|(_, entry)| target.is_none_or(|id| entry.target.id() == Some(id)))
            .filter(|(_, entry)| action.as_ref().is_none_or(|filter| filter.admits(&entry.action)))
            .filter(|(_, entry)| since.is_none_or(|since| since <= entry.at))
            .filter(|(_, entry)| until.is_none_or(|until| entry.at < until))
            .take(limit.rows() + 1)
            .map(|(number, entry)| Recorded {
                number,
                anonymized: entry.person().is_some_and(anonymized),
                entry: entry.clone(),
            });
        Ok(AuditPage::from_rows(rows.collect(), limit))
    }
}

/// An act of `actor` on `target`, at [`start`].
#[must_use]
pub fn audit_entry(action: &str, actor: AuditActor, target: AuditTarget) -> AuditEntry {
    AuditEntry {
        event: EventId(unique_id()),
        at: start(),
        action: action.to_owned(),
        actor,
        target,
        client: Client::new(Some("Übersetzer/1"), Some(ADDRESS.into())),
        request_id: Some("r-1".to_owned()),
        credential: Some(unique_id()),
        detail: json!({ "fields": ["name"], "left": 3 }),
    }
}

/// The suite of [`AuditStore`]. Needs a record to itself that has no entries yet.
///
/// # Panics
/// When a promise is broken.
pub async fn audit_store(store: &dyn AuditStore) {
    let append = async |entry: &AuditEntry| {
        if let Err(error) = store.append(entry.clone()).await {
            panic!("it is appended: {error:?}");
        }
    };
    let list = async |filter: AuditFilter, before: Option<AuditNumber>, rows: u8| {
        let limit = PageLimit::new(rows).unwrap_or_default();
        match store.list(filter, before, limit).await {
            Ok(page) => page,
            Err(error) => panic!("it is listed: {error:?}"),
        }
    };
    let all = AuditFilter::default;
    assert_eq!(list(all(), None, 10).await.items, []);

    let (ann, bob, team) = (UserId(unique_id()), UserId(unique_id()), TeamId(unique_id()));
    let on = |user: UserId| AuditTarget::User(Some(user));
    let mut entries = vec![
        audit_entry("user.created", AuditActor::System("import".to_owned()), on(ann)),
        audit_entry("user.updated", AuditActor::Person(ann), on(ann)),
        audit_entry("team.created", AuditActor::Person(bob), AuditTarget::Team(team)),
        audit_entry("session.refused", AuditActor::Stranger, on(ann)),
        audit_entry("session.refused", AuditActor::Stranger, AuditTarget::User(None)),
        audit_entry(
            "settings.security_changed",
            AuditActor::Person(bob),
            AuditTarget::Settings,
        ),
        audit_entry("user.updated", AuditActor::Person(bob), on(ann)),
    ];
    for (entry, hour) in entries.iter_mut().zip(0..) {
        entry.at = start() + Duration::hours(hour);
    }
    // One of which nothing is known.
    entries[2].client = Client::default();
    entries[2].request_id = None;
    entries[2].credential = None;
    entries[2].detail = json!({});
    for entry in &entries {
        append(entry).await;
        append(entry).await;
    }

    // What was appended is there whole, once, numbered from 1 on.
    let page = list(all(), None, 100).await;
    let shown: Vec<_> = page
        .items
        .iter()
        .rev()
        .map(|row| (row.number.0, row.entry.clone(), row.anonymized))
        .collect();
    let expected: Vec<_> = (1..)
        .zip(&entries)
        .map(|(number, entry)| (number, entry.clone(), false))
        .collect();
    assert_eq!(shown, expected);
    assert_eq!(page.next, None);

    // Page by page.
    let mut numbers = Vec::new();
    let mut before = None;
    loop {
        let page = list(all(), before, 3).await;
        numbers.push(page.items.iter().map(|row| row.number.0).collect::<Vec<_>>());
        before = page.next;
        if before.is_none() {
            break;
        }
    }
    assert_eq!(numbers, [vec![7, 6, 5], vec![4, 3, 2], vec![1]]);

    // By each filter, alone and together.
    let cases = [
        (
            AuditFilter {
                actor: Some(bob),
                ..all()
            },
            vec![7, 6, 3],
        ),
        (
            AuditFilter {
                target: Some(ann.0),
                ..all()
            },
            vec![7, 4, 2, 1],
        ),
        (
            AuditFilter {
                target: Some(team.0),
                ..all()
            },
            vec![3],
        ),
        (
            AuditFilter {
                action: Some(ActionFilter::parse("user.updated")),
                ..all()
            },
            vec![7, 2],
        ),
        (
            AuditFilter {
                action: Some(ActionFilter::parse("user.")),
                ..all()
            },
            vec![7, 2, 1],
        ),
        (
            AuditFilter {
                action: Some(ActionFilter::parse("%.updated")),
                ..all()
            },
            vec![],
        ),
        (
            AuditFilter {
                since: Some(start() + Duration::hours(2)),
                until: Some(start() + Duration::hours(4)),
                ..all()
            },
            vec![4, 3],
        ),
        (
            AuditFilter {
                actor: Some(bob),
                target: Some(ann.0),
                action: Some(ActionFilter::parse("user.")),
                since: Some(start()),
                until: None,
            },
            vec![7],
        ),
    ];
    for (filter, expected) in cases {
        let page = list(filter.clone(), None, 100).await;
        let numbers: Vec<_> = page.items.iter().map(|row| row.number.0).collect();
        assert_eq!(numbers, expected, "{filter:?}");
        let rest = list(filter.clone(), Some(AuditNumber(4)), 100).await;
        let numbers: Vec<_> = rest.items.iter().map(|row| row.number.0).collect();
        let later: Vec<_> = expected.into_iter().filter(|number| *number < 4).collect();
        assert_eq!(numbers, later, "{filter:?} before 4");
    }

    // Of whom the record says that they were anonymised, all that is of them is marked.
    append(&audit_entry(ANONYMIZED, AuditActor::Person(bob), on(ann))).await;
    let page = list(all(), None, 100).await;
    let marked: Vec<_> = page
        .items
        .iter()
        .filter(|row| row.anonymized)
        .map(|row| row.number.0)
        .collect();
    assert_eq!(
        marked,
        [4, 2, 1],
        "what Ann did, and what the server or a stranger did in her name"
    );
}
