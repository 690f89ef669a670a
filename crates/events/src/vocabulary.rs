//! Words of the contract that several domains speak. Ticketing owns their rules.

use serde::{Deserialize, Serialize};

/// Where a ticket stands (contract enum `TicketStatus`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TicketStatus {
    /// Waits for the desk.
    Open,
    /// Waits for the customer or someone else.
    Pending,
    /// Answered for good, as the desk sees it.
    Resolved,
    /// Done.
    Closed,
}

impl TicketStatus {
    /// Every status, in the contract's order.
    pub const ALL: [Self; 4] = [Self::Open, Self::Pending, Self::Resolved, Self::Closed];

    /// The name in the contract and in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Pending => "pending",
            Self::Resolved => "resolved",
            Self::Closed => "closed",
        }
    }

    /// The status of that name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|value| value.as_str() == name)
    }
}

/// How much a ticket presses (contract enum `TicketPriority`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, Default)]
#[serde(rename_all = "lowercase")]
pub enum TicketPriority {
    /// Can wait.
    Low,
    /// The usual.
    #[default]
    Medium,
    /// Soon.
    High,
    /// Now.
    Urgent,
}

impl TicketPriority {
    /// Every priority, from least to most.
    pub const ALL: [Self; 4] = [Self::Low, Self::Medium, Self::High, Self::Urgent];

    /// The name in the contract and in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Urgent => "urgent",
        }
    }

    /// The priority of that name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|value| value.as_str() == name)
    }
}

/// How a ticket came in (contract enum `TicketChannel`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, Default)]
#[serde(rename_all = "lowercase")]
pub enum TicketChannel {
    /// A web form.
    #[default]
    Web,
    /// E-mail.
    Email,
    /// A chat.
    Chat,
    /// A program.
    Api,
}

impl TicketChannel {
    /// Every channel, in the contract's order.
    pub const ALL: [Self; 4] = [Self::Web, Self::Email, Self::Chat, Self::Api];

    /// The name in the contract and in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Web => "web",
            Self::Email => "email",
            Self::Chat => "chat",
            Self::Api => "api",
        }
    }

    /// The channel of that name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|value| value.as_str() == name)
    }
}
