//! Where a request comes from: kept for the record, and never a reason to allow anything.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The circumstances of a request, as the audit log keeps them.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Origin {
    /// The program that sent it.
    pub client: Client,
    /// The id under which it stands in the log.
    pub request_id: Option<String>,
    /// The session or API key through which the person speaks.
    pub credential: Option<Uuid>,
}

impl Origin {
    /// A request of `client`, of which nothing else is known.
    #[must_use]
    pub fn of(client: Client) -> Self {
        Self {
            client,
            request_id: None,
            credential: None,
        }
    }
}

/// The program that speaks for a person, as far as it tells of itself.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Client {
    user_agent: Option<String>,
    ip: Option<IpAddr>,
}

impl Client {
    /// The most characters of a `User-Agent` that are kept.
    pub const USER_AGENT_MAX_CHARS: usize = 500;

    /// A client. Of the user agent only what can be stored is kept: no control characters, at most 500 others.
    #[must_use]
    pub fn new(user_agent: Option<&str>, ip: Option<IpAddr>) -> Self {
        let user_agent = user_agent.map(|text| {
            text.chars()
                .filter(|c| !c.is_control())
                .take(Self::USER_AGENT_MAX_CHARS)
                .collect::<String>()
        });
        Self {
            user_agent: user_agent.filter(|text| !text.is_empty()),
            ip,
        }
    }

    /// The `User-Agent` header.
    #[must_use]
    pub fn user_agent(&self) -> Option<&str> {
        self.user_agent.as_deref()
    }

    /// The address that the request came from.
    #[must_use]
    pub fn ip(&self) -> Option<IpAddr> {
        self.ip
    }

    /// Whether `other` may be the same program: it gives the same user agent. Its address may have changed.
    #[must_use]
    pub fn resembles(&self, other: &Client) -> bool {
        self.user_agent == other.user_agent
    }
}
