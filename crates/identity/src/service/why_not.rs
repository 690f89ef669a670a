//! Why the rules of accounts and teams allow something or do not.
//!
//! The rules are [`policy`]'s; here the subject is looked up, and whoever may not know of it hears what they would of
//! one that does not exist.

use std::sync::Arc;

use kernel::{Actor, Classify, FailureKind, Person, PortError, TeamId, UserId};

use crate::policy::{self, About, Denial, Operation, Refusal, StateRefusal, Subject};
use crate::ports::{People, TeamStore, UserStore};
use crate::service::ChangeAccountError;

/// What [`WhyNot`] works with.
#[derive(Clone)]
pub struct WhyNotPorts {
    /// Keeps the accounts.
    pub users: Arc<dyn UserStore>,
    /// Keeps the teams.
    pub teams: Arc<dyn TeamStore>,
    /// Knows people with their memberships.
    pub people: Arc<dyn People>,
}

/// What is asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Question {
    /// An operation on nothing that exists yet.
    General(Operation),
    /// An operation on an account.
    Account(Operation, UserId),
    /// An operation on a team.
    Team(Operation, TeamId),
}

/// Why something is allowed or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Explained {
    /// What the person is to the subject: see [`policy::relation`].
    pub relation: &'static str,
    /// The rule in a sentence.
    pub rule: &'static str,
    /// Why it is refused; `None` when it is allowed.
    pub refusal: Option<Refusal>,
}

/// Why there is no explanation.
#[derive(Debug, thiserror::Error)]
pub enum WhyNotError {
    /// The caller asked for somebody else.
    #[error("the caller may not ask for others")]
    Forbidden,
    /// There is no such account, or the caller may not know of it.
    #[error("no such account for this caller")]
    UserNotFound,
    /// There is no such team.
    #[error("no such team")]
    TeamNotFound,
    /// A port failed.
    #[error(transparent)]
    Port(#[from] PortError),
}

impl Classify for WhyNotError {
    fn kind(&self) -> FailureKind {
        match self {
            WhyNotError::Forbidden => FailureKind::Forbidden,
            WhyNotError::UserNotFound | WhyNotError::TeamNotFound => FailureKind::NotFound,
            WhyNotError::Port(error) => error.kind(),
        }
    }

    fn code(&self) -> &'static str {
        match self {
            WhyNotError::Forbidden => "access.forbidden",
            WhyNotError::UserNotFound => "user.not_found",
            WhyNotError::TeamNotFound => "team.not_found",
            WhyNotError::Port(error) => error.code(),
        }
    }

    fn detail(&self) -> String {
        match self {
            WhyNotError::Forbidden => "You may not do this.".into(),
            WhyNotError::UserNotFound => "There is no such user.".into(),
            WhyNotError::TeamNotFound => "There is no such team.".into(),
            WhyNotError::Port(error) => error.detail(),
        }
    }
}

/// What a client would be told of a refusal: code and sentence are those of the operation itself.
impl From<Refusal> for ChangeAccountError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Denied(denial) => denial.into(),
            Refusal::State(state) => state.into(),
        }
    }
}

impl From<StateRefusal> for ChangeAccountError {
    fn from(state: StateRefusal) -> Self {
        match state {
            StateRefusal::Deleted => ChangeAccountError::Deleted,
            StateRefusal::NotDeleted => ChangeAccountError::NotDeleted,
            StateRefusal::OwnAccount => ChangeAccountError::OwnAccount,
        }
    }
}

/// Explains the rules of accounts and teams.
pub struct WhyNot {
    ports: WhyNotPorts,
}

impl WhyNot {
    /// Explanations over these ports.
    #[must_use]
    pub fn new(ports: WhyNotPorts) -> Self {
        Self { ports }
    }

    /// The person for whom an administrator asks.
    ///
    /// # Errors
    /// [`WhyNotError::Forbidden`] for all but administrators, [`WhyNotError::UserNotFound`] for one that is not there.
    pub async fn on_behalf_of(&self, actor: &Actor, id: UserId) -> Result<Person, WhyNotError> {
        policy::ask_for_others(actor).map_err(|_| WhyNotError::Forbidden)?;
        self.ports
            .people
            .person(id)
            .await?
            .ok_or(WhyNotError::UserNotFound)
    }

    /// Why `actor` may or may not do what is asked about.
    ///
    /// # Errors
    /// [`WhyNotError::UserNotFound`] and [`WhyNotError::TeamNotFound`] also for what the actor may not know of.
    pub async fn explain(&self, actor: &Actor, question: Question) -> Result<Explained, WhyNotError> {
        match question {
            Question::General(operation) => {
                judged(operation, actor, Subject::Nothing).ok_or(match operation.is_about() {
                    About::Nothing | About::Account => WhyNotError::UserNotFound,
                    About::Team => WhyNotError::TeamNotFound,
                })
            }
            Question::Account(operation, id) => {
                let user = self.ports.users.user(id).await?;
                let user = user.ok_or(WhyNotError::UserNotFound)?;
                judged(operation, actor, Subject::Account(&user)).ok_or(WhyNotError::UserNotFound)
            }
            Question::Team(operation, id) => {
                // To customers no team is told of, be it there or not.
                if let Err(denial) = policy::read_teams(actor) {
                    return Ok(Explained {
                        relation: policy::relation(actor, Subject::Team(id)),
                        rule: Operation::ReadTeam.rule(),
                        refusal: Some(denial.into()),
                    });
                }
                self.ports
                    .teams
                    .team(id)
                    .await?
                    .ok_or(WhyNotError::TeamNotFound)?;
                judged(operation, actor, Subject::Team(id)).ok_or(WhyNotError::TeamNotFound)
            }
        }
    }
}

/// The explanation; `None` where the actor may not know of the subject.
fn judged(operation: Operation, actor: &Actor, subject: Subject<'_>) -> Option<Explained> {
    let refusal = match operation.judge(actor, subject) {
        Ok(()) => None,
        Err(Refusal::Denied(Denial::Hidden)) => return None,
        Err(refusal @ (Refusal::Denied(Denial::Forbidden) | Refusal::State(_))) => Some(refusal),
    };
    Some(Explained {
        relation: policy::relation(actor, subject),
        rule: operation.rule(),
        refusal,
    })
}
