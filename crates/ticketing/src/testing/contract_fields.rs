//! What every [`FieldStore`] must do. Run on the fake and on the database.

#![expect(clippy::unwrap_used, reason = "a suite ends where a promise is broken")]

use std::sync::Arc;

use chrono::Duration;
use kernel::{EventId, EventReceipt, IdSource, Receipt, Version};

use super::build;
use crate::field_definition::port::{FieldCommit, FieldCommitError, FieldStore, FieldWrite};
use crate::field_definition::{
    FIELDS_MAX, FieldDefinition, FieldHelp, FieldId, FieldLabel, FieldName, FieldValues, Options, Pattern,
};

fn field(ids: &dyn IdSource, name: &str, place: i16) -> FieldDefinition {
    let at = build::noon() + Duration::microseconds(3);
    FieldDefinition {
        id: FieldId::new(ids),
        name: FieldName::stored(name.to_owned()),
        label: FieldLabel::stored("Größe".to_owned()),
        description: Some(FieldHelp::stored("In cm.\nRounded.".to_owned())),
        values: FieldValues::Number,
        required: true,
        user_editable: true,
        place,
        created_at: at,
        updated_at: at,
        version: Version::FIRST,
    }
}

fn insertion(field: &FieldDefinition) -> FieldCommit {
    FieldCommit {
        write: FieldWrite::Insert(Box::new(field.clone())),
        receipt: None,
    }
}

fn update(field: &FieldDefinition, expected: Version) -> FieldCommit {
    FieldCommit {
        write: FieldWrite::Update {
            field: Box::new(field.clone()),
            expected,
        },
        receipt: None,
    }
}

fn deletion(field: &FieldDefinition, expected: Version) -> FieldCommit {
    FieldCommit {
        write: FieldWrite::Delete {
            id: field.id,
            expected,
        },
        receipt: None,
    }
}

async fn clear(store: &dyn FieldStore) {
    for field in store.fields().await.unwrap() {
        store.commit(deletion(&field, field.version)).await.unwrap();
    }
}

/// Everything that a [`FieldStore`] promises, one promise after the other. There must be no definitions when this begins.
///
/// # Panics
/// When one is broken.
pub async fn field_store(store: Arc<dyn FieldStore>, ids: Arc<dyn IdSource>) {
    let (store, ids) = (store.as_ref(), ids.as_ref());
    a_definition_reads_back_as_it_was_written(store, ids).await;
    they_come_by_place_and_key(store, ids).await;
    a_stale_commit_stores_nothing(store, ids).await;
    a_key_is_there_once_and_so_is_a_receipt(store, ids).await;
    there_are_no_more_than_the_bound(store, ids).await;
}

async fn a_definition_reads_back_as_it_was_written(store: &dyn FieldStore, ids: &dyn IdSource) {
    let options = || Options::stored(vec!["a, b".to_owned(), "\"ü\"".to_owned()]);
    let pattern = Pattern::parse("/pattern", r"\d{3}-[äö]+").unwrap();
    for values in [
        FieldValues::Text(None),
        FieldValues::Text(Some(pattern)),
        FieldValues::Number,
        FieldValues::Boolean,
        FieldValues::Date,
        FieldValues::Select(options()),
        FieldValues::MultiSelect(options()),
    ] {
        let mut written = field(ids, "size", 7);
        written.values = values;
        store.commit(insertion(&written)).await.unwrap();
        assert_eq!(store.fields().await.unwrap(), [written.clone()]);
        written.label = FieldLabel::stored("x".repeat(100));
        written.description = None;
        written.required = false;
        written.user_editable = false;
        written.place = 9_999;
        written.updated_at += Duration::seconds(1);
        written.version = written.version.next();
        store.commit(update(&written, Version::FIRST)).await.unwrap();
        assert_eq!(store.fields().await.unwrap(), [written]);
        clear(store).await;
    }
}

async fn they_come_by_place_and_key(store: &dyn FieldStore, ids: &dyn IdSource) {
    for (name, place) in [("b", 1), ("c", 0), ("a", 1)] {
        store.commit(insertion(&field(ids, name, place))).await.unwrap();
    }
    let all = store.fields().await.unwrap();
    let names: Vec<_> = all.iter().map(|field| field.name.as_str()).collect();
    assert_eq!(names, ["c", "a", "b"]);
    clear(store).await;
}

async fn a_stale_commit_stores_nothing(store: &dyn FieldStore, ids: &dyn IdSource) {
    let stored = field(ids, "size", 0);
    store.commit(insertion(&stored)).await.unwrap();
    let mut other = stored.clone();
    other.label = FieldLabel::stored("Other".to_owned());
    let receipt = Receipt::Event(EventReceipt {
        subscriber: "s",
        event: EventId::new(ids),
        step: "field",
    });
    for mut commit in [update(&other, Version(2)), deletion(&stored, Version(2))] {
        commit.receipt = Some(receipt.clone());
        let refused = store.commit(commit).await;
        assert!(matches!(refused, Err(FieldCommitError::Stale)), "{refused:?}");
    }
    assert_eq!(store.fields().await.unwrap(), std::slice::from_ref(&stored));
    // Nor did its receipt stay.
    let mut kept = update(&stored, Version::FIRST);
    kept.receipt = Some(receipt);
    store.commit(kept).await.unwrap();
    clear(store).await;
}

async fn a_key_is_there_once_and_so_is_a_receipt(store: &dyn FieldStore, ids: &dyn IdSource) {
    store.commit(insertion(&field(ids, "size", 0))).await.unwrap();
    let taken = store.commit(insertion(&field(ids, "size", 1))).await;
    assert!(matches!(taken, Err(FieldCommitError::NameTaken)), "{taken:?}");
    let receipt = Receipt::Event(EventReceipt {
        subscriber: "s",
        event: EventId::new(ids),
        step: "field",
    });
    for (name, is_first) in [("one", true), ("two", false)] {
        let mut commit = insertion(&field(ids, name, 0));
        commit.receipt = Some(receipt.clone());
        let stored = store.commit(commit).await;
        assert_eq!(stored.is_ok(), is_first, "{stored:?}");
        assert!(is_first || matches!(stored, Err(FieldCommitError::Repeated)));
    }
    assert_eq!(store.fields().await.unwrap().len(), 2);
    clear(store).await;
}

async fn there_are_no_more_than_the_bound(store: &dyn FieldStore, ids: &dyn IdSource) {
    for number in 0..FIELDS_MAX {
        let field = field(ids, &format!("f{number}"), 0);
        store.commit(insertion(&field)).await.unwrap();
    }
    let refused = store.commit(insertion(&field(ids, "more", 0))).await;
    assert!(matches!(refused, Err(FieldCommitError::TooMany)), "{refused:?}");
    clear(store).await;
}
