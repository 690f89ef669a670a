//! JSON bodies: read whole and bounded, checked once, and only then turned into a DTO.
//!
//! It promises that a handler never sees a body that came too slowly (408), is too large (413), has another type
//! (415), is no JSON, is too deep, repeats a key or contains U+0000 (400), or has another shape than its DTO (422 with
//! a JSON pointer). The body is read before anything else is asked for, so a slow client holds nothing but its
//! connection.
//!
//! A DTO derives `Deserialize` with `rename_all = "camelCase", deny_unknown_fields`. A field of a merge patch is
//! `#[serde(default, deserialize_with = "patch")] field: Patch<T>` with [`patch`].

use std::borrow::Cow;
use std::cell::Cell;
use std::collections::HashSet;
use std::fmt;
use std::time::Duration;

use actix_web::dev::Payload;
use actix_web::http::{Method, StatusCode, header};
use actix_web::web::{Bytes, BytesMut};
use actix_web::{FromRequest, HttpRequest};
use futures_util::future::LocalBoxFuture;
use futures_util::{FutureExt, StreamExt};
use kernel::Patch;
use serde::Deserialize;
use serde::de::{DeserializeOwned, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use crate::app::AppState;
use crate::context::RequestContext;
use crate::problem::{Fault, Place, Problem};

/// A body whose members the domain reads: an object.
#[derive(Deserialize)]
#[serde(transparent)]
pub struct Document(pub Map<String, Value>);

/// The most bytes of a JSON body: 1 MiB.
pub const BODY_BYTES_MAX: usize = 1 << 20;

/// The most arrays and objects inside of each other.
pub const DEPTH_MAX: usize = 32;

/// A JSON body as a DTO. An empty body counts as `{}`.
#[derive(Debug)]
pub struct Json<T>(pub T);

impl<T: DeserializeOwned + 'static> FromRequest for Json<T> {
    type Error = Problem;
    type Future = LocalBoxFuture<'static, Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let request = request.clone();
        let payload = payload.take();
        async move {
            crate::query::refuse_unknown(&request)?;
            let body = read_body(&request, payload).await?;
            body.parse().map(Json)
        }
        .boxed_local()
    }
}

/// Refuses a request whose body has a type that is not taken.
pub(crate) type MediaType = fn(&HttpRequest) -> Result<(), Problem>;

/// A body that has arrived whole.
#[derive(Debug, Clone, Default)]
pub(crate) struct RawBody(Bytes);

impl RawBody {
    /// The bytes as they came.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// Reads the body as a DTO.
    pub(crate) fn parse<T: DeserializeOwned>(&self) -> Result<T, Problem> {
        let bytes: &[u8] = if self.0.trim_ascii().is_empty() {
            b"{}"
        } else {
            &self.0
        };
        check(bytes)?;
        // A derived `Deserialize` would take an array for the fields in their order.
        if !bytes.trim_ascii_start().starts_with(b"{") {
            let message = "must be an object".to_owned();
            let fault = Fault {
                place: Place::Body(String::new()),
                code: "wrong_type",
                message,
            };
            return Err(Problem::invalid_body(vec![fault]));
        }
        let mut deserializer = serde_json::Deserializer::from_slice(bytes);
        serde_path_to_error::deserialize(&mut deserializer)
            .map_err(|error| Problem::invalid_body(vec![shape_fault(&error)]))
    }
}

/// Reads the whole body of a request that takes JSON, within the bounds of size and time. The edge keeps the body; a
/// request that did not pass it brings its own.
pub(crate) async fn read_body(request: &HttpRequest, own: Payload) -> Result<RawBody, Problem> {
    read_body_of(request, own, media_type).await
}

/// The same for a body of another type, which `media_type` looks at.
pub(crate) async fn read_body_of(
    request: &HttpRequest,
    own: Payload,
    media_type: MediaType,
) -> Result<RawBody, Problem> {
    let context = RequestContext::of(request);
    let mut payload = context.take_unread().unwrap_or(own);
    let body = read_whole(request, &context, &mut payload, media_type).await;
    if body.is_err() {
        context.keep_unread(payload);
    }
    body
}

async fn read_whole(
    request: &HttpRequest,
    context: &RequestContext,
    payload: &mut Payload,
    media_type: MediaType,
) -> Result<RawBody, Problem> {
    let announced = content_length(request)?;
    if announced > BODY_BYTES_MAX {
        return Err(too_large());
    }
    // Most bodies came with their head, in one piece: no timer, no copy.
    let mut body = BytesMut::new();
    match payload.next().now_or_never() {
        Some(None) => return Ok(RawBody::default()),
        Some(Some(chunk)) => {
            let chunk = chunk.map_err(unreadable)?;
            if chunk.len() <= BODY_BYTES_MAX && matches!(payload.next().now_or_never(), Some(None)) {
                media_type(request)?;
                return Ok(RawBody(chunk));
            }
            body.extend_from_slice(&chunk);
        }
        None => {}
    }
    body.reserve(announced.saturating_sub(body.len()));
    let deadlines = AppState::deadlines_of(request);
    context.allow(deadlines.body_deadline + Duration::from_secs(1));
    // Others may go on meanwhile.
    context.leave();
    let rest = read_rest(payload, &mut body);
    tokio::time::timeout(deadlines.body_deadline, rest)
        .await
        .map_err(|_| {
            let secs = deadlines.body_deadline.as_secs_f64();
            let detail = format!("The body did not arrive within {secs} seconds.");
            Problem::new(StatusCode::REQUEST_TIMEOUT, "request.timeout", detail).closing()
        })??;
    context.reenter()?;
    context.allow(deadlines.request_deadline);
    if !body.is_empty() {
        media_type(request)?;
    }
    Ok(RawBody(body.freeze()))
}

async fn read_rest(payload: &mut Payload, body: &mut BytesMut) -> Result<(), Problem> {
    while body.len() <= BODY_BYTES_MAX {
        match payload.next().await {
            Some(chunk) => body.extend_from_slice(&chunk.map_err(unreadable)?),
            None => return Ok(()),
        }
    }
    Err(too_large())
}

fn content_length(request: &HttpRequest) -> Result<usize, Problem> {
    let Some(value) = request.headers().get(header::CONTENT_LENGTH) else {
        return Ok(0);
    };
    let length = value.to_str().ok().and_then(|text| text.parse::<u64>().ok());
    let length = length
        .ok_or_else(|| Problem::unreadable("request.invalid_header", "Content-Length is no number."))?;
    Ok(usize::try_from(length).unwrap_or(usize::MAX))
}

fn too_large() -> Problem {
    let detail = format!("The body is larger than {BODY_BYTES_MAX} bytes.");
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "request.too_large", detail).closing()
}

fn unreadable(error: actix_web::error::PayloadError) -> Problem {
    Problem::unreadable("request.bad_request", "The body could not be read to its end.")
        .with_cause(error.to_string())
        .closing()
}

/// Refuses a body of another type than JSON in UTF-8.
fn media_type(request: &HttpRequest) -> Result<(), Problem> {
    let value = request
        .headers()
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or("");
    if value == "application/json" {
        return Ok(());
    }
    let mut parts = value.split(';').map(str::trim);
    let essence = parts.next().unwrap_or("");
    let known = essence.eq_ignore_ascii_case("application/json")
        || (*request.method() == Method::PATCH
            && essence.eq_ignore_ascii_case("application/merge-patch+json"));
    let utf8 = parts.all(|part| match part.split_once('=') {
        Some((name, charset)) if name.trim().eq_ignore_ascii_case("charset") => {
            charset.trim().trim_matches('"').eq_ignore_ascii_case("utf-8")
        }
        _ => true,
    });
    if known && utf8 {
        return Ok(());
    }
    let detail = "The body must be JSON in UTF-8, with Content-Type: application/json.";
    let problem = Problem::new(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "request.unsupported_media_type",
        detail,
    );
    Err(problem.with_header(
        header::ACCEPT,
        header::HeaderValue::from_static("application/json"),
    ))
}

/// Why well-formed JSON is refused all the same.
#[derive(Debug)]
enum Refusal {
    TooDeep,
    Nul,
    RepeatedKey(String),
}

/// Refuses a body that is no JSON as we take it.
fn check(bytes: &[u8]) -> Result<(), Problem> {
    flaw(bytes).map_or(Ok(()), |flaw| {
        let detail = format!("The body {flaw}.");
        Err(Problem::unreadable("request.malformed_json", detail))
    })
}

/// Reads JSON that stands elsewhere than in the body, under the same rules.
///
/// # Errors
/// What is wrong with it, as in "it …".
pub(crate) fn parse_value(text: &str) -> Result<Value, String> {
    if let Some(flaw) = flaw(text.as_bytes()) {
        return Err(flaw);
    }
    serde_json::from_str(text).map_err(|error| format!("is not valid JSON: {error}"))
}

/// Walks over the text once, without building anything, for syntax, depth, repeated keys and U+0000.
fn flaw(bytes: &[u8]) -> Option<String> {
    let refusal = Cell::new(None);
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let walked = Walk {
        depth: 0,
        refusal: &refusal,
    }
    .deserialize(&mut deserializer);
    let error = walked.and_then(|()| deserializer.end()).err()?;
    let place = format!("line {} column {}", error.line(), error.column());
    Some(match refusal.take() {
        Some(Refusal::TooDeep) => format!("nests deeper than {DEPTH_MAX} levels at {place}"),
        Some(Refusal::Nul) => format!("contains the character U+0000 at {place}"),
        Some(Refusal::RepeatedKey(key)) => format!("repeats the key {key:?} at {place}"),
        None => format!("is not valid JSON: {error}"),
    })
}

/// One step of the walk.
#[derive(Clone, Copy)]
struct Walk<'c> {
    depth: usize,
    refusal: &'c Cell<Option<Refusal>>,
}

impl Walk<'_> {
    fn refuse<E: serde::de::Error>(self, refusal: Refusal) -> E {
        self.refusal.set(Some(refusal));
        E::custom("refused")
    }

    fn enter<E: serde::de::Error>(self) -> Result<Self, E> {
        let inner = Self {
            depth: self.depth + 1,
            ..self
        };
        if inner.depth > DEPTH_MAX {
            Err(self.refuse(Refusal::TooDeep))
        } else {
            Ok(inner)
        }
    }
}

impl<'de> DeserializeSeed<'de> for Walk<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Walk<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<(), E> {
        if text.contains('\0') {
            Err(self.refuse(Refusal::Nul))
        } else {
            Ok(())
        }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let inner = self.enter()?;
        while items.next_element_seed(inner)?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        let inner = self.enter()?;
        let mut keys = Keys::default();
        while let Some(Key(key)) = members.next_key()? {
            if key.contains('\0') {
                return Err(self.refuse(Refusal::Nul));
            }
            if let Err(key) = keys.insert(key) {
                return Err(self.refuse(Refusal::RepeatedKey(key.chars().take(64).collect())));
            }
            members.next_value_seed(inner)?;
        }
        Ok(())
    }
}

/// A key, borrowed from the text unless it holds an escape.
#[derive(Deserialize)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

/// The keys of one object. Few are compared one by one; many are hashed.
#[derive(Default)]
struct Keys<'a> {
    few: Vec<Cow<'a, str>>,
    many: HashSet<Cow<'a, str>>,
}

impl<'a> Keys<'a> {
    const FEW: usize = 16;

    fn insert(&mut self, key: Cow<'a, str>) -> Result<(), Cow<'a, str>> {
        if self.few.contains(&key) || self.many.contains(&key) {
            return Err(key);
        }
        if self.few.len() < Self::FEW {
            self.few.push(key);
        } else {
            self.many.insert(key);
        }
        Ok(())
    }
}

/// What is wrong with the shape of a body, in our words: where, which rule, and what was expected.
fn shape_fault(error: &serde_path_to_error::Error<serde_json::Error>) -> Fault {
    let mut pointer = String::new();
    for segment in error.path() {
        match segment {
            serde_path_to_error::Segment::Seq { index } => pointer.push_str(&format!("/{index}")),
            serde_path_to_error::Segment::Map { key } => push_token(&mut pointer, key),
            serde_path_to_error::Segment::Enum { .. } | serde_path_to_error::Segment::Unknown => {}
        }
    }
    let text = error.inner().to_string();
    // serde_json appends the place in the text; the pointer says it better.
    let text = text
        .rsplit_once(" at line ")
        .map_or(text.as_str(), |(message, _)| message);
    let quoted = || text.split('`').nth(1).unwrap_or("");
    let (code, message) = if text.starts_with("missing field") {
        push_token(&mut pointer, quoted());
        ("required", "is required".to_owned())
    } else if text.starts_with("unknown field") {
        let name = quoted();
        let suffix = format!("/{}", token(name));
        if !pointer.ends_with(&suffix) {
            pointer.push_str(&suffix);
        }
        (
            "unknown_field",
            format!("is not a field here; {}", expected(text)),
        )
    } else if text.starts_with("unknown variant") {
        ("not_allowed", format!("is not allowed; {}", expected(text)))
    } else if text.starts_with("invalid type") {
        ("wrong_type", format!("has the wrong type; {}", expected(text)))
    } else {
        ("invalid", format!("is not valid: {text}"))
    };
    Fault {
        place: Place::Body(pointer),
        code,
        message,
    }
}

/// The part of serde's message that says what would do, without the names of our types.
fn expected(text: &str) -> String {
    let expected = text
        .rsplit_once("expected ")
        .map_or("something else", |(_, expected)| expected);
    let expected = match expected {
        "internally tagged enum" | "map" => "an object",
        "a sequence" => "an array",
        "a borrowed string" => "a string",
        "i8" | "i16" | "i32" | "i64" | "u8" | "u16" | "u32" | "u64" | "usize" => "an integer",
        "f32" | "f64" => "a number",
        "there are no fields" => "no fields",
        other if other.starts_with("struct ") => "an object",
        other if other.starts_with("tuple ") => "an array",
        other => other,
    };
    format!("expected {expected}").replace('`', "")
}

fn push_token(pointer: &mut String, key: &str) {
    pointer.push('/');
    pointer.push_str(&token(key));
}

/// A key as a reference token of a JSON pointer (RFC 6901).
fn token(key: &str) -> Cow<'_, str> {
    if key.contains(['~', '/']) {
        Cow::Owned(key.replace('~', "~0").replace('/', "~1"))
    } else {
        Cow::Borrowed(key)
    }
}

/// Reads a field of a merge patch: absent keeps (with `#[serde(default)]`), null clears, a value sets.
///
/// # Errors
/// When the value has another type.
pub fn patch<'de, T, D>(deserializer: D) -> Result<Patch<T>, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    Option::<T>::deserialize(deserializer).map(|value| value.map_or(Patch::Clear, Patch::Set))
}

/// A document after a JSON merge patch (RFC 7396, section 2).
pub(crate) fn merged(document: Value, patch: &Value) -> Value {
    let Value::Object(changes) = patch else {
        return patch.clone();
    };
    let mut members = match document {
        Value::Object(members) => members,
        _ => serde_json::Map::new(),
    };
    for (name, change) in changes {
        if change.is_null() {
            members.remove(name);
        } else {
            let before = members.remove(name).unwrap_or(Value::Null);
            members.insert(name.clone(), merged(before, change));
        }
    }
    Value::Object(members)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::fmt::Write as _;

    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(rename_all = "camelCase", deny_unknown_fields)]
    struct Sample {
        subject: String,
        #[serde(default)]
        tags: Vec<String>,
        #[serde(default, deserialize_with = "patch")]
        team_id: Patch<u32>,
        #[serde(default)]
        extra: BTreeMap<String, Value>,
    }

    fn parse(text: &str) -> Result<Sample, Problem> {
        RawBody(Bytes::copy_from_slice(text.as_bytes())).parse()
    }

    fn fault(text: &str) -> (u16, String, &'static str) {
        let problem = parse(text).unwrap_err();
        match problem.faults() {
            [
                Fault {
                    place: Place::Body(pointer),
                    code,
                    ..
                },
            ] => (problem.status().as_u16(), pointer.clone(), code),
            _ => (problem.status().as_u16(), String::new(), problem.code()),
        }
    }

    #[test]
    fn absent_null_and_value_are_three_things() {
        assert_eq!(parse(r#"{"subject":"a"}"#).unwrap().team_id, Patch::Keep);
        assert_eq!(
            parse(r#"{"subject":"a","teamId":null}"#).unwrap().team_id,
            Patch::Clear
        );
        assert_eq!(
            parse(r#"{"subject":"a","teamId":7}"#).unwrap().team_id,
            Patch::Set(7)
        );
    }

    #[test]
    fn a_wrong_shape_is_named_by_pointer() {
        assert_eq!(fault(r#"{"subject":1}"#), (422, "/subject".into(), "wrong_type"));
        assert_eq!(
            fault(r#"{"subject":"a","tags":["x",2]}"#),
            (422, "/tags/1".into(), "wrong_type")
        );
        assert_eq!(
            fault(r#"{"subject":"a","colour":1}"#),
            (422, "/colour".into(), "unknown_field")
        );
        assert_eq!(
            fault(r#"{"subject":"a","a/b~c":1}"#),
            (422, "/a~1b~0c".into(), "unknown_field")
        );
        assert_eq!(fault(r#"{"tags":[]}"#), (422, "/subject".into(), "required"));
        assert_eq!(fault(r#"[]"#), (422, String::new(), "wrong_type"));
        assert_eq!(fault("  "), (422, "/subject".into(), "required"));
    }

    #[test]
    fn a_message_about_shape_names_none_of_our_types() {
        for text in [
            r#""x""#,
            r#"[1]"#,
            "1",
            "null",
            r#"{"subject":{}}"#,
            r#"{"subject":"a","extra":1}"#,
        ] {
            let problem = parse(text).unwrap_err();
            let message = &problem.faults()[0].message;
            assert!(
                !message.contains("Sample") && !message.contains("struct"),
                "{text}: {message}"
            );
        }
    }

    #[test]
    fn unreadable_json_is_a_400_with_its_place() {
        for text in [
            "{",
            "{\"a\":}",
            "{\"a\":1,}",
            "{} {}",
            "\u{feff}{}",
            "{\"subject\":1e999}",
            "{\"subject\":\"\\ud800\"}",
            "{\"subject\":\"\\u0000\"}",
            "{\"subject\":\"a\",\"subject\":\"b\"}",
            "{\"extra\":{\"a\":1,\"\\u0061\":2}}",
            "{\"extra\":{\"a\\u0000\":1}}",
            "NaN",
            "'a'",
        ] {
            let problem = parse(text).unwrap_err();
            assert_eq!(
                (problem.status().as_u16(), problem.code()),
                (400, "request.malformed_json"),
                "{text}"
            );
            assert!(
                format!("{problem:?}").contains("line 1 column"),
                "{text}: {problem:?}"
            );
        }
        let invalid_utf8 = RawBody(Bytes::from_static(b"{\"subject\":\"\xff\"}"));
        assert_eq!(invalid_utf8.parse::<Sample>().unwrap_err().status(), 400);
    }

    #[test]
    fn nesting_is_bounded() {
        let nested = |levels: usize| format!("{}1{}", "[".repeat(levels), "]".repeat(levels));
        assert!(check(nested(DEPTH_MAX).as_bytes()).is_ok());
        for levels in [DEPTH_MAX + 1, 200, 10_000] {
            let problem = check(nested(levels).as_bytes()).unwrap_err();
            assert!(format!("{problem:?}").contains("deeper"), "{problem:?}");
        }
    }

    #[test]
    fn many_keys_are_checked_in_no_time() {
        let mut text = String::from("{");
        for key in 0..100_000 {
            write!(text, "\"k{key}\":0,").unwrap();
        }
        text.push_str("\"k7\":0}");
        let started = std::time::Instant::now();
        assert!(format!("{:?}", check(text.as_bytes()).unwrap_err()).contains("repeats the key"));
        // Unoptimised; the bound only catches a cost that grows with the square.
        assert!(started.elapsed().as_secs() < 5, "{:?}", started.elapsed());
    }

    proptest! {
        #[test]
        fn any_bytes_give_a_value_or_a_4xx(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Err(problem) = RawBody(bytes.into()).parse::<Sample>() {
                prop_assert!(problem.status().is_client_error());
            }
        }

        #[test]
        fn a_json_text_passes_the_walk_exactly_when_it_parses(text in r#"[\[\]{}",:0-9a-b\\ntrue-]{0,40}"#) {
            let walked = check(text.as_bytes()).is_ok();
            let parsed = serde_json::from_str::<Value>(&text).is_ok();
            // The walk also refuses repeated keys, so it may only be the stricter one.
            prop_assert!(parsed || !walked);
        }
    }
}
