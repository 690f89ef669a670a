//! Pages of a list by keyset: a page begins after a position, never at an offset, so that page 10 000 costs what
//! page 1 does and a row is never shown twice because another came before it.

use chrono::{DateTime, Utc};
use uuid::Uuid;

/// Where a page ended: the sort value of its last row, and its id to tell equals apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// The value of the sorted column.
    pub at: DateTime<Utc>,
    /// The row's id.
    pub id: Uuid,
}

/// How many rows a page may hold: 1 to 100.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageLimit(u8);

impl PageLimit {
    /// The most rows that a page can hold.
    pub const MAX: u8 = 100;
    /// The size of a page when none is asked for: 25 rows.
    pub const DEFAULT: PageLimit = PageLimit(25);

    /// A limit of `rows`; `None` outside of 1 to 100.
    #[must_use]
    pub fn new(rows: u8) -> Option<Self> {
        (1..=Self::MAX).contains(&rows).then_some(Self(rows))
    }

    /// The number of rows.
    #[must_use]
    pub fn rows(self) -> usize {
        usize::from(self.0)
    }

    /// One row more than the page holds: its presence tells that another page follows.
    #[must_use]
    pub fn rows_and_one(self) -> i64 {
        i64::from(self.0) + 1
    }
}

impl Default for PageLimit {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// One page of a list; `P` is what a place in the list's order is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T, P = Position> {
    /// The rows, in the order asked for.
    pub items: Vec<T>,
    /// Where the next page begins; `None` on the last one.
    pub next: Option<P>,
}

impl<T, P> Page<T, P> {
    /// Makes a page of up to `limit` + 1 rows as a store reads them; the row too many only says that more follows.
    #[must_use]
    pub fn from_rows(mut rows: Vec<T>, limit: PageLimit, position: impl Fn(&T) -> P) -> Self {
        let more = rows.len() > limit.rows();
        rows.truncate(limit.rows());
        let next = if more { rows.last().map(position) } else { None };
        Self { items: rows, next }
    }

    /// The same page with its rows turned into something else.
    #[must_use]
    pub fn map<U>(self, convert: impl FnMut(T) -> U) -> Page<U, P> {
        Page {
            items: self.items.into_iter().map(convert).collect(),
            next: self.next,
        }
    }
}
