//! What can go wrong in the knowledge base.

use kernel::{Classify, FailureKind, PortError, Version, Violation, Violations};

use crate::article::{ArticleStatus, Step};
use crate::category::CATEGORIES_MAX;

/// What a failure is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Thing {
    /// An article.
    Article,
    /// A category.
    Category,
    /// A text that an article had.
    Version,
}

impl Thing {
    fn name(self) -> &'static str {
        match self {
            Thing::Article => "article",
            Thing::Category => "category",
            Thing::Version => "version of this article",
        }
    }
}

/// Why a use case failed.
#[derive(Debug, thiserror::Error)]
pub enum KnowledgeError {
    /// The input breaks rules.
    #[error("the input breaks a rule: {0}")]
    Invalid(Violations),
    /// There is no such thing, or the caller may not know of it.
    #[error("no such {} for this caller", .0.name())]
    NotFound(Thing),
    /// The caller may not do this.
    #[error("the caller may not {0}")]
    Forbidden(&'static str),
    /// Another one has the slug that was wished.
    #[error("another {} has the slug", .0.name())]
    SlugTaken(Thing),
    /// Articles or categories lie in it.
    #[error("the category is not empty")]
    NotEmpty,
    /// There are as many categories as there can be.
    #[error("there are {CATEGORIES_MAX} categories already")]
    TooMany,
    /// The step cannot be taken from where the article stands.
    #[error("{step:?} from {from:?}")]
    NotAllowed {
        /// Where it stands.
        from: ArticleStatus,
        /// The step.
        step: Step,
    },
    /// It changed since the caller looked.
    #[error("the {} is at another version", .thing.name())]
    Stale {
        /// What.
        thing: Thing,
        /// The version that it has now; `None` when writers kept overtaking each other.
        current: Option<Version>,
    },
    /// The request was carried out before; its answer is stored.
    #[error("the request was carried out before")]
    Repeated,
    /// A port failed.
    #[error(transparent)]
    Port(#[from] PortError),
}

impl From<Violation> for KnowledgeError {
    fn from(violation: Violation) -> Self {
        KnowledgeError::Invalid(violation.into())
    }
}

impl From<Violations> for KnowledgeError {
    fn from(violations: Violations) -> Self {
        KnowledgeError::Invalid(violations)
    }
}

impl Classify for KnowledgeError {
    fn kind(&self) -> FailureKind {
        match self {
            KnowledgeError::Invalid(_) => FailureKind::Invalid,
            KnowledgeError::NotFound(_) => FailureKind::NotFound,
            KnowledgeError::Forbidden(_) => FailureKind::Forbidden,
            KnowledgeError::SlugTaken(_)
            | KnowledgeError::NotEmpty
            | KnowledgeError::TooMany
            | KnowledgeError::NotAllowed { .. }
            | KnowledgeError::Repeated => FailureKind::Conflict,
            KnowledgeError::Stale { current: Some(_), .. } => FailureKind::Stale,
            // Nobody named a version: it was too busy, and the request may be sent again.
            KnowledgeError::Stale { current: None, .. } => FailureKind::Unavailable,
            KnowledgeError::Port(error) => error.kind(),
        }
    }

    fn code(&self) -> &'static str {
        match self {
            KnowledgeError::Invalid(_) => "request.invalid",
            KnowledgeError::NotFound(Thing::Article) => "article.not_found",
            KnowledgeError::NotFound(Thing::Category) => "category.not_found",
            KnowledgeError::NotFound(Thing::Version) => "article.version_not_found",
            KnowledgeError::Forbidden(_) => "access.forbidden",
            KnowledgeError::SlugTaken(_) => "slug.taken",
            KnowledgeError::NotEmpty => "category.not_empty",
            KnowledgeError::TooMany => "category.too_many",
            KnowledgeError::NotAllowed { .. } => "article.transition_not_allowed",
            KnowledgeError::Stale { current: Some(_), .. } => "request.stale",
            KnowledgeError::Stale { current: None, .. } => "server.busy",
            KnowledgeError::Repeated => "request.repeated",
            KnowledgeError::Port(error) => error.code(),
        }
    }

    fn detail(&self) -> String {
        match self {
            KnowledgeError::Invalid(_) => "The request breaks the rules listed in `errors`.".into(),
            KnowledgeError::NotFound(thing) => format!("There is no such {}.", thing.name()),
            KnowledgeError::Forbidden(what) => format!("You may not {what}."),
            KnowledgeError::SlugTaken(thing) => format!("Another {} has this slug.", thing.name()),
            KnowledgeError::NotEmpty => {
                "Articles or categories lie in this category; move or delete them first.".into()
            }
            KnowledgeError::TooMany => {
                format!("There are {CATEGORIES_MAX} categories already; delete one before you add another.")
            }
            KnowledgeError::NotAllowed { from, step } => format!(
                "An article that is {} cannot become {}.",
                from.as_str(),
                step.leads_to().as_str()
            ),
            KnowledgeError::Stale {
                thing,
                current: Some(_),
            } => format!(
                "The {} has changed since the version named in If-Match; read it again.",
                thing.name()
            ),
            KnowledgeError::Stale { thing, current: None } => format!(
                "Too many changes of this {} at once; send the request again.",
                thing.name()
            ),
            KnowledgeError::Repeated => "The request was carried out before.".into(),
            KnowledgeError::Port(error) => error.detail(),
        }
    }

    fn current_version(&self) -> Option<Version> {
        match self {
            KnowledgeError::Stale { current, .. } => *current,
            _ => None,
        }
    }

    fn violations(&self) -> &[Violation] {
        match self {
            KnowledgeError::Invalid(violations) => violations.as_slice(),
            _ => &[],
        }
    }
}
