//! Query parameters, read strictly.
//!
//! It promises that a parameter nobody asked for, one that comes twice, and a value outside of its set are refused
//! with 400 naming what would do, all faults at once. A handler that takes a [`Query`] reads what it offers and then
//! calls [`Query::finish`]; routes without parameters refuse any on their own. What a handler reads must stand in
//! its operation's `params`: a debug build asserts it.

use std::fmt::Write as _;
use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::web::Data;
use actix_web::{FromRequest, HttpRequest, web};
use chrono::{DateTime, Datelike, NaiveDate, SubsecRound, TimeDelta, Utc};
use kernel::{Page, PageLimit, Position, Violations};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::app::AppState;
use crate::cursor::{CursorScope, Seek};
use crate::problem::{Fault, Place, Problem};
use crate::routes::RouteInfo;

/// Parameters that choose no rows and no order, so that they may change from page to page.
const NOT_IN_SCOPE: [&str; 5] = ["cursor", "limit", "count", "include", "fields"];

/// The most values of a parameter that takes a list.
const LIST_VALUES_MAX: usize = 50;

/// The query parameters of a request.
#[derive(Debug)]
pub struct Query {
    request: HttpRequest,
    pairs: Vec<Pair>,
    faults: Vec<Fault>,
}

#[derive(Debug)]
struct Pair {
    name: String,
    value: String,
    read: bool,
}

impl FromRequest for Query {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Ok(Self::of(request)))
    }
}

/// Refuses every parameter, where the operation documents none.
pub(crate) fn refuse_unknown(request: &HttpRequest) -> Result<(), Problem> {
    if request.query_string().is_empty()
        || RouteInfo::of(request).is_some_and(|route| route.takes_query(request.method()))
    {
        return Ok(());
    }
    Query::of(request).finish()
}

impl Query {
    fn of(request: &HttpRequest) -> Self {
        let mut faults = Vec::new();
        let mut pairs: Vec<Pair> = Vec::new();
        if !request.query_string().is_empty() {
            let parsed = web::Query::<Vec<(String, String)>>::from_query(request.query_string());
            for (name, value) in parsed.map(web::Query::into_inner).unwrap_or_default() {
                if pairs.iter().any(|pair| pair.name == name) {
                    faults.push(fault(&name, "repeated", "must be given once".to_owned()));
                } else {
                    pairs.push(Pair {
                        name,
                        value,
                        read: false,
                    });
                }
            }
        }
        Self {
            request: request.clone(),
            pairs,
            faults,
        }
    }

    /// Takes a parameter's value out.
    fn take(&mut self, name: &str) -> Option<String> {
        debug_assert!(
            RouteInfo::of(&self.request).is_none_or(|route| route.documents(self.request.method(), name)),
            "the parameter {name} is read and not documented"
        );
        let pair = self.pairs.iter_mut().find(|pair| pair.name == name)?;
        pair.read = true;
        Some(pair.value.clone())
    }

    /// Notes a fault of a parameter that only the handler can see.
    pub fn refuse(&mut self, name: &str, code: &'static str, message: String) {
        self.faults.push(fault(name, code, message));
    }

    /// Takes a parameter that others send along and nobody reads, whatever it says.
    pub fn ignore(&mut self, name: &str) {
        self.take(name);
    }

    /// A text as it came; at most `chars_max` characters, none of them a control character, not empty.
    pub fn text(&mut self, name: &str, chars_max: usize) -> Option<String> {
        let value = self.take(name)?;
        let chars = value.chars().count();
        if value.trim().is_empty() {
            self.refuse(name, "too_short", "must not be empty".to_owned());
        } else if chars > chars_max {
            self.refuse(
                name,
                "too_long",
                format!("must have at most {chars_max} characters, has {chars}"),
            );
        } else if value.chars().any(char::is_control) {
            self.refuse(
                name,
                "bad_character",
                "must not contain control characters".to_owned(),
            );
        } else {
            return Some(value);
        }
        None
    }

    /// One of `all`, by its name.
    pub fn choice<T: Copy>(
        &mut self,
        name: &str,
        all: &[T],
        name_of: impl Fn(T) -> &'static str,
    ) -> Option<T> {
        let value = self.take(name)?;
        self.pick(name, &value, all, &name_of)
    }

    /// Some of `all`, by their names with commas between. Empty when the parameter is absent.
    pub fn choices<T: Copy>(&mut self, name: &str, all: &[T], name_of: impl Fn(T) -> &'static str) -> Vec<T> {
        let Some(value) = self.take(name) else {
            return Vec::new();
        };
        if value.split(',').count() > LIST_VALUES_MAX {
            self.refuse(
                name,
                "too_many",
                format!("must have at most {LIST_VALUES_MAX} values"),
            );
            return Vec::new();
        }
        value
            .split(',')
            .filter_map(|item| self.pick(name, item, all, &name_of))
            .collect()
    }

    fn pick<T: Copy>(
        &mut self,
        name: &str,
        value: &str,
        all: &[T],
        name_of: &impl Fn(T) -> &'static str,
    ) -> Option<T> {
        let found = all.iter().copied().find(|item| name_of(*item) == value);
        if found.is_none() {
            let allowed = allowed(all.iter().map(|item| name_of(*item)));
            self.refuse(name, "not_allowed", format!("must be one of {allowed}"));
        }
        found
    }

    /// Texts with commas between, each as [`text`](Self::text). Empty when the parameter is absent.
    pub fn texts(&mut self, name: &str, chars_max: usize) -> Vec<String> {
        let Some(value) = self.take(name) else {
            return Vec::new();
        };
        let items: Vec<_> = value.split(',').map(|item| item.trim().to_owned()).collect();
        if items.len() > LIST_VALUES_MAX {
            self.refuse(
                name,
                "too_many",
                format!("must have at most {LIST_VALUES_MAX} values"),
            );
        } else if items.iter().any(|item| {
            item.is_empty() || item.chars().count() > chars_max || item.chars().any(char::is_control)
        }) {
            let message = format!("must be texts of 1 to {chars_max} characters with commas between");
            self.refuse(name, "invalid", message);
        } else {
            return items;
        }
        Vec::new()
    }

    /// An id.
    pub fn id<T: From<Uuid>>(&mut self, name: &str) -> Option<T> {
        let value = self.take(name)?;
        let id = crate::path::parse_uuid(&value);
        if id.is_none() {
            self.refuse(name, "not_a_uuid", "must be a UUID".to_owned());
        }
        id.map(T::from)
    }

    /// Ids with commas between, at most `ids_max`; `None` when the parameter is absent.
    pub fn ids<T: From<Uuid>>(&mut self, name: &str, ids_max: usize) -> Option<Vec<T>> {
        let value = self.take(name)?;
        if value.split(',').count() > ids_max {
            self.refuse(name, "too_many", format!("must have at most {ids_max} values"));
            return None;
        }
        let ids = value
            .split(',')
            .map(crate::path::parse_uuid)
            .collect::<Option<Vec<_>>>();
        if ids.is_none() {
            self.refuse(name, "not_a_uuid", "must be UUIDs with commas between".to_owned());
        }
        ids.map(|ids| ids.into_iter().map(T::from).collect())
    }

    /// The caller, nobody, or one by id: `me`, `none` or a UUID.
    pub fn whom(&mut self, name: &str) -> Option<Whom> {
        let value = self.take(name)?;
        let whom = match value.as_str() {
            "me" => Some(Whom::Me),
            "none" => Some(Whom::Nobody),
            id => crate::path::parse_uuid(id).map(Whom::Id),
        };
        if whom.is_none() {
            self.refuse(name, "not_allowed", "must be me, none or a UUID".to_owned());
        }
        whom
    }

    /// One by id, or nothing: `none` or a UUID.
    pub fn id_or_none<T: From<Uuid>>(&mut self, name: &str) -> Option<Option<T>> {
        match self.whom(name)? {
            Whom::Nobody => Some(None),
            Whom::Id(id) => Some(Some(T::from(id))),
            Whom::Me => {
                self.refuse(name, "not_allowed", "must be none or a UUID".to_owned());
                None
            }
        }
    }

    /// The caller or one by id: `me` or a UUID.
    pub fn me_or_id<T: From<Uuid>>(&mut self, name: &str, me: T) -> Option<T> {
        match self.whom(name)? {
            Whom::Me => Some(me),
            Whom::Id(id) => Some(T::from(id)),
            Whom::Nobody => {
                self.refuse(name, "not_allowed", "must be me or a UUID".to_owned());
                None
            }
        }
    }

    /// JSON, of at most `bytes_max` bytes.
    pub fn json(&mut self, name: &str, bytes_max: usize) -> Option<Value> {
        let text = self.take(name)?;
        if text.len() > bytes_max {
            let message = format!("must have at most {bytes_max} bytes, has {}", text.len());
            self.refuse(name, "too_long", message);
            return None;
        }
        let parsed = crate::json::parse_value(&text);
        parsed
            .map_err(|flaw| self.refuse(name, "malformed_json", flaw))
            .ok()
    }

    /// Notes what is wrong within a parameter that is JSON.
    pub fn refuse_within(&mut self, name: &'static str, violations: &Violations) {
        self.faults
            .extend(violations.as_slice().iter().map(|violation| Fault {
                place: Place::Within(name, violation.pointer.clone()),
                code: violation.code,
                message: violation.message.clone(),
            }));
    }

    /// Notes what is wrong with a parameter that is one value.
    pub fn refuse_value(&mut self, name: &str, violations: &Violations) {
        for violation in violations.as_slice() {
            self.refuse(name, violation.code, violation.message.clone());
        }
    }

    /// Notes that a parameter is missing, unless it is there and was refused.
    pub fn require(&mut self, name: &str) {
        if self.pairs.iter().all(|pair| pair.name != name) {
            self.refuse(name, "required", "must be given".to_owned());
        }
    }

    /// `true` or `false`; `false` when absent.
    pub fn flag(&mut self, name: &str) -> bool {
        match self.take(name).as_deref() {
            Some("true") => true,
            Some("false") | None => false,
            Some(_) => {
                self.refuse(name, "not_allowed", "must be true or false".to_owned());
                false
            }
        }
    }

    /// A span of time, by `name[gte]`, `name[gt]`, `name[lte]` and `name[lt]` as RFC 3339, in microseconds.
    pub fn span(&mut self, name: &str) -> TimeSpan {
        let step = TimeDelta::microseconds(1);
        let from = self.time(&format!("{name}[gte]"));
        let after = self.time(&format!("{name}[gt]")).map(|time| time + step);
        let before = self.time(&format!("{name}[lt]"));
        let until = self.time(&format!("{name}[lte]")).map(|time| time + step);
        let earliest = match (before, until) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        TimeSpan {
            from: from.max(after),
            before: earliest,
        }
    }

    /// A moment as RFC 3339, in microseconds.
    pub fn time(&mut self, name: &str) -> Option<DateTime<Utc>> {
        let value = self.take(name)?;
        // An offset's plus sign that was not percent-encoded arrives as a blank.
        let parsed = DateTime::parse_from_rfc3339(&value.replace(' ', "+")).ok();
        let time = parsed
            .map(|time| time.to_utc().trunc_subsecs(6))
            .filter(|time| (1..=9999).contains(&time.year()));
        if time.is_none() {
            self.refuse(
                name,
                "not_a_time",
                "must be a time as in RFC 3339: 2026-01-31T09:00:00Z".to_owned(),
            );
        }
        time
    }

    /// A day of the calendar: 2026-01-31.
    pub fn day(&mut self, name: &str) -> Option<NaiveDate> {
        let value = self.take(name)?;
        let day = NaiveDate::parse_from_str(&value, "%Y-%m-%d")
            .ok()
            .filter(|day| (1..=9999).contains(&day.year()));
        if day.is_none() {
            self.refuse(name, "not_a_day", "must be a day: 2026-01-31".to_owned());
        }
        day
    }

    /// An order out of `offered`, whose names come with a minus in front for descending; `None` when absent.
    pub fn sort<K: Copy>(&mut self, offered: &[(&str, K)]) -> Option<(K, Direction)> {
        let value = self.take("sort")?;
        let (direction, key) = match value.strip_prefix('-') {
            Some(key) => (Direction::Descending, key),
            None => (Direction::Ascending, value.as_str()),
        };
        let found = offered
            .iter()
            .find(|(name, _)| *name == key)
            .map(|(_, key)| (*key, direction));
        if found.is_none() {
            let allowed = allowed(offered.iter().map(|(name, _)| *name));
            self.refuse(
                "sort",
                "not_allowed",
                format!("must be one of {allowed}, with - in front for descending"),
            );
        }
        found
    }

    /// The page asked for: `limit`, `cursor` and `count`. `principal` is the caller, whose cursors no one else can use.
    pub fn page<P: Seek>(&mut self, principal: impl Into<Uuid>) -> PageRequest<P> {
        let counted = self.flag("count");
        self.page_with(principal.into(), counted)
    }

    /// The page asked for, of a list that does not count its rows: `limit` and `cursor`.
    pub fn page_uncounted<P: Seek>(&mut self, principal: impl Into<Uuid>) -> PageRequest<P> {
        self.page_with(principal.into(), false)
    }

    fn page_with<P: Seek>(&mut self, principal: Uuid, counted: bool) -> PageRequest<P> {
        let limit = self.limit();
        let scope = {
            let pairs = self
                .pairs
                .iter()
                .filter(|pair| !NOT_IN_SCOPE.contains(&pair.name.as_str()));
            let pairs = pairs.map(|pair| (pair.name.as_str(), pair.value.as_str()));
            CursorScope::new(principal, self.request.path(), pairs)
        };
        let cursor = self.take("cursor");
        let app = self.request.app_data::<Data<AppState>>().cloned();
        PageRequest {
            limit,
            counted,
            cursor,
            scope,
            app,
            seek: std::marker::PhantomData,
        }
    }

    /// How many rows to show (`limit`), of a list that has one page.
    pub fn limit(&mut self) -> PageLimit {
        let Some(value) = self.take("limit") else {
            return PageLimit::DEFAULT;
        };
        let limit = value.parse().ok().and_then(PageLimit::new);
        if limit.is_none() {
            self.refuse(
                "limit",
                "out_of_range",
                format!("must be a number from 1 to {}", PageLimit::MAX),
            );
        }
        limit.unwrap_or_default()
    }

    /// Ends the reading.
    ///
    /// # Errors
    /// 400 with every fault found, parameters that nobody read among them.
    pub fn finish(mut self) -> Result<(), Problem> {
        for pair in self.pairs.iter().filter(|pair| !pair.read) {
            let name: String = pair.name.chars().take(64).collect();
            self.faults.push(fault(
                &name,
                "unknown_parameter",
                "is not a parameter of this operation".to_owned(),
            ));
        }
        if self.faults.is_empty() {
            Ok(())
        } else {
            Err(Problem::invalid_parameters(self.faults))
        }
    }
}

fn fault(name: &str, code: &'static str, message: String) -> Fault {
    Fault {
        place: Place::Parameter(name.to_owned()),
        code,
        message,
    }
}

/// `a, b, c`.
fn allowed<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let mut list = String::new();
    for (index, name) in names.enumerate() {
        let separator = if index == 0 { "" } else { ", " };
        // Writing into a string cannot fail.
        let _ = write!(list, "{separator}{name}");
    }
    list
}

/// Whom a filter asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whom {
    /// The caller.
    Me,
    /// Nobody: the field is empty.
    Nobody,
    /// This one.
    Id(Uuid),
}

/// A span of time: from a moment on, up to and without another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TimeSpan {
    /// At this moment or later.
    pub from: Option<DateTime<Utc>>,
    /// Before this moment.
    pub before: Option<DateTime<Utc>>,
}

/// Which way a list is sorted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// Least first.
    Ascending,
    /// Greatest first.
    Descending,
}

/// The page that a client asks for.
#[derive(Debug)]
pub struct PageRequest<P = Position> {
    /// How many rows.
    pub limit: PageLimit,
    /// Whether all rows are to be counted.
    pub counted: bool,
    cursor: Option<String>,
    scope: CursorScope,
    app: Option<Data<AppState>>,
    seek: std::marker::PhantomData<P>,
}

impl<P: Seek> PageRequest<P> {
    /// Where the page begins; `None` for the first.
    ///
    /// # Errors
    /// 400 `request.invalid_cursor` for a cursor that this list did not give out for this query.
    pub fn after(&self) -> Result<Option<P>, Problem> {
        let Some(cursor) = &self.cursor else {
            return Ok(None);
        };
        self.key()?.open(&self.scope, cursor).map(Some)
    }

    /// The cursor of the page after one that ended at `position`.
    ///
    /// # Errors
    /// Only when the server is wired wrongly.
    pub fn cursor_at(&self, position: &P) -> Result<String, Problem> {
        Ok(self.key()?.seal(&self.scope, position))
    }

    fn key(&self) -> Result<&crate::cursor::CursorKey, Problem> {
        let app = self
            .app
            .as_ref()
            .ok_or_else(|| Problem::internal("the application has no state"))?;
        Ok(&app.cursors)
    }

    /// The answer to the request: the page's rows as DTOs, and the cursor of the next page.
    ///
    /// # Errors
    /// Only when the server is wired wrongly.
    pub fn answer<T, D>(
        &self,
        page: Page<T, P>,
        total: Option<TotalCount>,
        convert: impl FnMut(T) -> D,
    ) -> Result<web::Json<ListBody<D>>, Problem> {
        let Page { items, next } = page;
        let next_cursor = next.map(|position| self.cursor_at(&position)).transpose()?;
        Ok(web::Json(ListBody {
            data: items.into_iter().map(convert).collect(),
            page: PageInfo {
                next_cursor,
                total_count: total.map(|total| total.rows),
                total_count_is_estimate: total.filter(|total| total.is_estimate).map(|_| true),
            },
        }))
    }
}

/// How many rows a list has in all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TotalCount {
    /// The number.
    pub rows: i64,
    /// Whether it is only about right.
    pub is_estimate: bool,
}

/// A page of a list.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ListBody<D> {
    /// The rows.
    pub data: Vec<D>,
    /// Where the list goes on.
    pub page: PageInfo,
}

/// Where a list goes on, and how long it is.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Page)]
pub struct PageInfo {
    /// What to send as `cursor` for the next page; null on the last one.
    #[schema(required = true)]
    pub next_cursor: Option<String>,
    /// With `count=true`: the number of rows in all pages.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total_count: Option<i64>,
    /// True when `totalCount` is only about right.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total_count_is_estimate: Option<bool>,
}

impl PageInfo {
    /// Of a list that is bounded, and here as a whole.
    #[must_use]
    pub fn whole() -> Self {
        Self {
            next_cursor: None,
            total_count: None,
            total_count_is_estimate: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;
    use kernel::Role;

    use super::*;

    fn query(text: &str) -> Query {
        Query::of(&TestRequest::with_uri(&format!("/x?{text}")).to_http_request())
    }

    fn names(problem: &Problem) -> Vec<(String, &'static str)> {
        let place = |fault: &Fault| match &fault.place {
            Place::Parameter(name) => name.clone(),
            other => panic!("{other:?}"),
        };
        problem
            .faults()
            .iter()
            .map(|fault| (place(fault), fault.code))
            .collect()
    }

    #[test]
    fn a_list_has_at_most_fifty_values() {
        for (count, good) in [(50, true), (51, false)] {
            let roles = vec!["user"; count].join(",");
            let mut query = query(&format!("role={roles}&tag={roles}"));
            assert_eq!(
                query.choices("role", &Role::ALL, Role::as_str).len(),
                if good { count } else { 0 }
            );
            assert_eq!(query.texts("tag", 10).len(), if good { count } else { 0 });
            match query.finish() {
                Ok(()) => assert!(good, "{count}"),
                Err(problem) => {
                    let expected = ["role", "tag"].map(|name| (name.to_owned(), "too_many"));
                    assert_eq!(names(&problem), expected, "{count}");
                }
            }
        }
    }

    #[test]
    fn every_fault_of_a_query_is_named_at_once() {
        let mut query =
            query("role=king,user&limit=0&colour=red&deleted=yes&id=1&sort=age&limit=5&at[gte]=noon&at[lt]=");
        assert_eq!(query.choices("role", &Role::ALL, Role::as_str), [Role::User]);
        assert!(!query.flag("deleted"));
        assert_eq!(query.id::<Uuid>("id"), None);
        assert_eq!(query.sort(&[("createdAt", 1)]), None);
        assert_eq!(query.span("at"), TimeSpan::default());
        query.limit();
        let problem = query.finish().unwrap_err();
        assert_eq!(
            (problem.status().as_u16(), problem.code()),
            (400, "request.invalid_parameter")
        );
        let expected = [
            ("limit", "repeated"),
            ("role", "not_allowed"),
            ("deleted", "not_allowed"),
            ("id", "not_a_uuid"),
            ("sort", "not_allowed"),
            ("at[gte]", "not_a_time"),
            ("at[lt]", "not_a_time"),
            ("limit", "out_of_range"),
            ("colour", "unknown_parameter"),
        ];
        assert_eq!(
            names(&problem),
            expected.map(|(name, code)| (name.to_owned(), code))
        );
    }

    #[test]
    fn a_refusal_names_the_allowed_set() {
        let mut query = query("role=king");
        query.choice("role", &Role::ALL, Role::as_str);
        let problem = query.finish().unwrap_err();
        assert_eq!(problem.faults()[0].message, "must be one of user, agent, admin");
    }

    #[test]
    fn spans_are_half_open_whatever_they_are_written_with() {
        let time = |text: &str| DateTime::parse_from_rfc3339(text).unwrap().to_utc();
        let span = query("at%5Bgt%5D=2026-01-01T00:00:00Z&at[lte]=2026-01-02T01:00:00%2B01:00").span("at");
        assert_eq!(span.from, Some(time("2026-01-01T00:00:00.000001Z")));
        assert_eq!(span.before, Some(time("2026-01-02T00:00:00.000001Z")));
        let unencoded = query("at[gte]=2026-01-02T01:00:00+01:00").span("at");
        assert_eq!(unencoded.from, Some(time("2026-01-02T00:00:00Z")));
    }

    #[test]
    fn limits_outside_of_1_to_100_are_refused() {
        for bad in ["0", "101", "-1", "1000000000", "9223372036854775808", "x", ""] {
            let mut query = query(&format!("limit={bad}"));
            query.limit();
            assert!(query.finish().is_err(), "{bad}");
        }
        let mut good = query("limit=100");
        assert_eq!(good.limit().rows(), 100);
        assert!(good.finish().is_ok());
    }

    #[test]
    fn whom_is_me_none_or_an_id() {
        assert_eq!(query("w=me").whom("w"), Some(Whom::Me));
        assert_eq!(query("w=none").whom("w"), Some(Whom::Nobody));
        let id = Uuid::from_u128(7);
        assert_eq!(query(&format!("w={id}")).whom("w"), Some(Whom::Id(id)));
        let mut bad = query("w=you");
        assert_eq!(bad.whom("w"), None);
        assert!(bad.finish().is_err());
    }
}
