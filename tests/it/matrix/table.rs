//! The table `tests/authorization.toml`, read.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::Value;

/// All of it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Table {
    pub(super) callers: Vec<String>,
    pub(super) access: Access,
    pub(super) shapes: BTreeMap<String, String>,
    /// The shapes of the resources inside of others, by shape and member.
    pub(super) inside: BTreeMap<String, BTreeMap<String, String>>,
    #[serde(rename = "rule")]
    pub(super) rules: Vec<Rule>,
}

/// What operations ask of the access, by their ids.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Access {
    pub(super) open: BTreeSet<String>,
    pub(super) own: BTreeSet<String>,
    pub(super) session: BTreeSet<String>,
    pub(super) signed_in: BTreeSet<String>,
}

/// One operation on one fixture.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Rule {
    pub(super) operation: String,
    #[serde(default)]
    pub(super) on: String,
    #[serde(default)]
    pub(super) body: String,
    #[serde(default)]
    pub(super) query: String,
    #[serde(default)]
    pub(super) recorded: bool,
    pub(super) cells: String,
    #[serde(default)]
    pub(super) deleted: String,
}

impl Rule {
    /// The rule's request in words.
    pub(super) fn told(&self, deleted: bool, caller: &str) -> String {
        let Self {
            operation,
            on,
            body,
            query,
            recorded: _,
            cells: _,
            deleted: _,
        } = self;
        let query = if query.is_empty() {
            String::new()
        } else {
            format!("?{query}")
        };
        let state = if deleted { " (deleted)" } else { "" };
        format!("{operation}{query} on {on}{state} {body} by {caller}")
    }

    /// Whether what it is tried on is another for each caller.
    pub(super) fn is_the_callers(&self) -> bool {
        matches!(
            self.on.as_str(),
            "self"
                | "passing"
                | "ticket.mine"
                | "ticket.assigned"
                | "ticket.upload"
                | "ticket.foreign"
                | "attachment.mine"
                | "attachment.followed"
        ) || self.body.contains("{self}")
    }
}

/// What one caller is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Cell {
    pub(super) status: u16,
    pub(super) shape: Option<String>,
}

impl Cell {
    pub(super) fn is_refusal(&self) -> bool {
        self.status >= 400
    }
}

impl Table {
    pub(super) fn read() -> Self {
        let table: Self = toml::from_str(include_str!("../../authorization.toml")).unwrap();
        for (shape, members) in &table.inside {
            let named = members.values().chain([shape]);
            for shape in named {
                assert!(table.shapes.contains_key(shape), "no shape {shape}");
            }
        }
        for rule in &table.rules {
            for cells in [&rule.cells, &rule.deleted]
                .into_iter()
                .filter(|cells| !cells.is_empty())
            {
                let count = cells.split_whitespace().count();
                assert_eq!(count, table.callers.len(), "{}: {cells}", rule.operation);
            }
            for cell in cells(&rule.cells).into_iter().chain(cells(&rule.deleted)) {
                let shape = cell.shape.as_deref();
                assert!(
                    shape.is_none_or(|shape| table.shapes.contains_key(shape)),
                    "{}: no shape {shape:?}",
                    rule.operation
                );
            }
        }
        table
    }

    pub(super) fn members(&self, shape: &str) -> BTreeSet<String> {
        let members = self.shapes.get(shape).map(String::as_str).unwrap_or_default();
        members.split_whitespace().map(str::to_owned).collect()
    }
}

/// The cells of a rule, in the order of the callers.
pub(super) fn cells(text: &str) -> Vec<Cell> {
    text.split_whitespace()
        .map(|cell| {
            let (status, shape) = cell
                .split_once(':')
                .map_or((cell, None), |(status, shape)| (status, Some(shape)));
            Cell {
                status: status.parse().unwrap(),
                shape: shape.map(str::to_owned),
            }
        })
        .collect()
}

/// What an answer shows: the resource, or every resource of a list.
pub(super) fn resources_of(answer: &Value) -> Vec<&Value> {
    match answer.get("data").and_then(Value::as_array) {
        Some(rows) => rows.iter().collect(),
        None => vec![answer],
    }
}

/// The names of a resource's members.
pub(super) fn members_of(resource: &Value) -> BTreeSet<String> {
    let members = resource.as_object();
    members
        .map(|map| map.keys().cloned().collect())
        .unwrap_or_default()
}
