//! Ids in paths.
//!
//! It promises that a segment that is no id answers exactly as the id of nothing does: 404 with the same code. To use
//! a kind of id in a path, implement [`PathKey`] for it.

use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest};
use automation::{EndpointId, MacroId, RuleId};
use identity::{ApiKeyId, SessionId};
use kernel::{MessageId, TeamId, TicketId, UserId};
use knowledge::{ArticleId, CategoryId};
use sla::PolicyId;
use ticketing::{AttachmentId, FieldId, JobId, SavedViewId};
use uuid::Uuid;

use crate::problem::Problem;

/// What a segment of a path can name.
pub trait PathKey: Sized {
    /// The code of the domain's error for a thing that is not there.
    const NOT_FOUND: &'static str;
    /// The sentence that goes with it.
    const NOT_FOUND_DETAIL: &'static str;

    /// The key that a segment spells; `None` where nothing could have it.
    fn parse(segment: &str) -> Option<Self>;
}

/// The only key of a path.
#[derive(Debug, Clone, Copy)]
pub struct Path<K>(pub K);

/// The two keys of a path, in their order.
#[derive(Debug, Clone, Copy)]
pub struct Path2<A, B>(pub A, pub B);

impl<K: PathKey> FromRequest for Path<K> {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(key(request, 0).map(Self))
    }
}

impl<A: PathKey, B: PathKey> FromRequest for Path2<A, B> {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(key(request, 0).and_then(|first| Ok(Self(first, key(request, 1)?))))
    }
}

fn key<K: PathKey>(request: &HttpRequest, index: usize) -> Result<K, Problem> {
    let segment = request.match_info().iter().nth(index).map(|(_, segment)| segment);
    segment
        .and_then(K::parse)
        .ok_or_else(|| Problem::not_found(K::NOT_FOUND, K::NOT_FOUND_DETAIL))
}

/// A UUID in its usual form, and in no other.
pub(crate) fn parse_uuid(text: &str) -> Option<Uuid> {
    if text.len() == 36 {
        Uuid::try_parse(text).ok()
    } else {
        None
    }
}

/// What a webhook endpoint was sent, in a path.
#[derive(Debug, Clone, Copy)]
pub struct DeliveryId(pub Uuid);

impl From<Uuid> for DeliveryId {
    fn from(id: Uuid) -> Self {
        Self(id)
    }
}

/// Makes ids over UUIDs usable in paths.
macro_rules! uuid_keys {
    ($($id:ty, $code:literal, $detail:literal;)*) => {$(
        impl PathKey for $id {
            const NOT_FOUND: &'static str = $code;
            const NOT_FOUND_DETAIL: &'static str = $detail;

            fn parse(segment: &str) -> Option<Self> {
                parse_uuid(segment).map(Self::from)
            }
        }
    )*};
}

uuid_keys! {
    UserId, "user.not_found", "There is no such user.";
    TeamId, "team.not_found", "There is no such team.";
    TicketId, "ticket.not_found", "There is no such ticket.";
    SessionId, "session.not_found", "There is no such session.";
    ApiKeyId, "api_key.not_found", "There is no such API key.";
    SavedViewId, "view.not_found", "There is no such view.";
    FieldId, "ticket_field.not_found", "There is no such custom field.";
    RuleId, "rule.not_found", "There is no such rule.";
    MacroId, "macro.not_found", "There is no such macro.";
    EndpointId, "webhook.not_found", "There is no such webhook endpoint.";
    DeliveryId, "webhook.delivery_not_found", "There is no such delivery of this webhook endpoint.";
    PolicyId, "sla_policy.not_found", "There is no such policy.";
    CategoryId, "category.not_found", "There is no such category.";
    ArticleId, "article.not_found", "There is no such article.";
    JobId, "job.not_found", "There is no such job.";
    AttachmentId, "attachment.not_found", "There is no such attachment.";
    MessageId, "message.not_found", "There is no such message in this ticket.";
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    #[test]
    fn what_is_no_uuid_is_not_found() {
        let good = "01890a5d-ac96-774b-bcce-b302099a8057";
        for bad in [
            "",
            "1",
            "me",
            &good[1..],
            &format!("{{{good}}}"),
            &good.replace('-', ""),
            &format!("urn:uuid:{good}"),
        ] {
            let request = TestRequest::default()
                .param("id", bad.to_owned())
                .to_http_request();
            let problem = key::<UserId>(&request, 0).unwrap_err();
            assert_eq!(
                (problem.status().as_u16(), problem.code()),
                (404, "user.not_found"),
                "{bad}"
            );
        }
        let request = TestRequest::default().param("id", good).to_http_request();
        assert_eq!(key::<UserId>(&request, 0).unwrap().to_string(), good);
    }
}
