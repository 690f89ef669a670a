//! PostgreSQL adapters (diesel) for the ports of InsightDesk's domains.
//!
//! One module for each domain implements that domain's ports; below them lie [the pool](Database) with its time limits
//! and its rules of trying again, the meaning of the database's errors (`error`), raw SQL with cached statements
//! (`sql`), the enums (`enums`) and the generated tables (`schema`).
//!
//! To add an adapter: a struct that holds a [`Database`], a row type for what is read, and one function for each
//! transaction. A violated constraint that the domain knows becomes the domain's error by its name; everything else
//! becomes a `kernel::PortError`.

mod automation;
mod enums;
mod error;
mod facts;
mod identity;
mod jitter;
mod knowledge;
mod migrations;
mod moment;
mod notifications;
mod outbox;
mod pool;
mod rates;
mod receipts;
mod roles;
mod schema;
mod settings;
mod sla;
mod sql;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
mod ticketing;
mod tls;
mod wake_ups;

pub use automation::{PgMacros, PgRules, PgRuns, PgWebhooks, SealSecrets};
pub use facts::PgFacts;
pub use identity::{
    AuditRow, PgApiKeys, PgAudit, PgPeople, PgSecurity, PgSessions, PgSetup, PgSignOn, PgTeams, PgTokens,
    PgTwoFactor, PgUsers,
};
pub use knowledge::{PgArticleSearch, PgArticles, PgCategories};
pub use migrations::MigrateError;
pub use notifications::PgNotifications;
pub use outbox::PgOutbox;
pub use pool::{ConnectError, Database};
pub use rates::PgRateLimits;
pub use receipts::PgAnswers;
pub use roles::{Role, RolesError};
pub use settings::{Settings, SettingsError};
pub use sla::{PgClocks, PgPolicies};
pub use ticketing::{PgDirectory, PgDrafts, PgFields, PgJobs, PgRouting, PgSearch, PgTickets, PgViews};
pub use wake_ups::WakeUps;
