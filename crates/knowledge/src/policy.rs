//! Who may do what in the knowledge base: one function over (who, what), used by every use case and by lists.
//!
//! | | stranger, customer | agent | supervisor | lead, admin |
//! |---|---|---|---|---|
//! | published article, category | reads | reads | reads | reads |
//! | other article | hidden | own, and what is in review | reads | reads |
//! | write a draft | – | own | any | any |
//! | write what is no draft | – | – | any | any |
//! | submit | – | own | any | any |
//! | publish, archive | – | – | any | any |
//! | back to draft | – | own from review | any | any |
//! | delete an article, write categories | – | – | – | any |
//!
//! Ranks are those of any team: the knowledge base is the whole desk's. Whether strangers read at all is a setting.

use kernel::{Actor, Role, TeamRole, UserId};

use crate::article::{Article, ArticleCard, ArticleStatus, Step};

/// How much someone may do. The order is the rank.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rank {
    /// Read what is published.
    Reader,
    /// Write articles of their own.
    Writer,
    /// Write any article, and publish it.
    Editor,
    /// All.
    Keeper,
}

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// How much they may do.
    pub rank: Rank,
    /// Who they are, if they are a person.
    pub person: Option<UserId>,
}

impl Standing {
    /// The standing of someone, or of one whom nobody knows.
    #[must_use]
    pub fn of(actor: Option<&Actor>) -> Self {
        let person = match actor {
            None => {
                return Self {
                    rank: Rank::Reader,
                    person: None,
                };
            }
            Some(Actor::System(_)) => {
                return Self {
                    rank: Rank::Keeper,
                    person: None,
                };
            }
            Some(Actor::Person(person)) => person,
        };
        let rank = match person.role {
            Role::User => Rank::Reader,
            Role::Admin => Rank::Keeper,
            Role::Agent => person
                .teams
                .iter()
                .map(|membership| match membership.role {
                    TeamRole::Agent => Rank::Writer,
                    TeamRole::Supervisor => Rank::Editor,
                    TeamRole::Lead => Rank::Keeper,
                })
                .max()
                .unwrap_or(Rank::Writer),
        };
        Self {
            rank,
            person: Some(person.id),
        }
    }

    /// Whether they are of the staff.
    #[must_use]
    pub fn is_staff(self) -> bool {
        self.rank >= Rank::Writer
    }

    /// Whether they may see an article that stands there and is that author's.
    #[must_use]
    pub fn sees(self, status: ArticleStatus, author: UserId) -> bool {
        match (status, self.rank) {
            (ArticleStatus::Published, _) | (_, Rank::Editor | Rank::Keeper) => true,
            (ArticleStatus::Review, Rank::Writer) => true,
            (ArticleStatus::Draft | ArticleStatus::Archived, Rank::Writer) => self.person == Some(author),
            (_, Rank::Reader) => false,
        }
    }

    /// Whether they may see an article of a list.
    #[must_use]
    pub fn sees_card(self, card: &ArticleCard) -> bool {
        self.sees(card.status, card.author)
    }

    /// Whether they may write on an article that they see.
    #[must_use]
    pub fn writes(self, article: &Article) -> bool {
        match self.rank {
            Rank::Editor | Rank::Keeper => true,
            Rank::Writer => self.person == Some(article.author) && article.status == ArticleStatus::Draft,
            Rank::Reader => false,
        }
    }

    /// Whether they may take a step with an article that they see, wherever it stands.
    #[must_use]
    pub fn takes(self, step: Step, article: &Article) -> bool {
        let own = self.person == Some(article.author);
        match (self.rank, step) {
            (Rank::Editor | Rank::Keeper, _) => true,
            (Rank::Writer, Step::Submit) => own,
            (Rank::Writer, Step::Reopen) => own && article.status == ArticleStatus::Review,
            (Rank::Writer, Step::Publish | Step::Archive) | (Rank::Reader, _) => false,
        }
    }

    /// Whether they may delete articles and write categories.
    #[must_use]
    pub fn keeps(self) -> bool {
        self.rank == Rank::Keeper
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::testing::build;

    const ME: UserId = UserId(Uuid::from_u128(1));
    const OTHER: UserId = UserId(Uuid::from_u128(2));

    fn standings() -> [Standing; 6] {
        let agent = |role| Standing::of(Some(&build::agent(ME, role)));
        [
            Standing::of(None),
            Standing::of(Some(&build::customer(ME))),
            agent(Some(TeamRole::Agent)),
            agent(Some(TeamRole::Supervisor)),
            agent(Some(TeamRole::Lead)),
            Standing::of(Some(&build::admin(ME))),
        ]
    }

    fn cells(rule: impl Fn(Standing) -> bool) -> String {
        let mark = |may| if may { 'Y' } else { '-' };
        standings()
            .into_iter()
            .map(|standing| mark(rule(standing)))
            .collect()
    }

    /// The table of the module's documentation, cell by cell.
    #[test]
    fn the_matrix_holds() {
        use ArticleStatus::{Archived, Draft, Published, Review};
        let article = |status, author| Article {
            status,
            author,
            ..build::article(crate::ArticleId(Uuid::from_u128(9)))
        };
        for (status, author, sees, writes, submits, publishes, reopens) in [
            (Draft, ME, "--YYYY", "--YYYY", "--YYYY", "---YYY", "---YYY"),
            (Draft, OTHER, "---YYY", "---YYY", "---YYY", "---YYY", "---YYY"),
            (Review, ME, "--YYYY", "---YYY", "--YYYY", "---YYY", "--YYYY"),
            (Review, OTHER, "--YYYY", "---YYY", "---YYY", "---YYY", "---YYY"),
            (Published, ME, "YYYYYY", "---YYY", "--YYYY", "---YYY", "---YYY"),
            (Published, OTHER, "YYYYYY", "---YYY", "---YYY", "---YYY", "---YYY"),
            (Archived, ME, "--YYYY", "---YYY", "--YYYY", "---YYY", "---YYY"),
            (Archived, OTHER, "---YYY", "---YYY", "---YYY", "---YYY", "---YYY"),
        ] {
            let one = article(status, author);
            let what = format!("{status:?} of {author}");
            assert_eq!(cells(|who| who.sees(status, author)), sees, "{what} seen");
            assert_eq!(cells(|who| who.writes(&one)), writes, "{what} written");
            for (step, expected) in [
                (Step::Submit, submits),
                (Step::Publish, publishes),
                (Step::Archive, publishes),
                (Step::Reopen, reopens),
            ] {
                assert_eq!(cells(|who| who.takes(step, &one)), expected, "{what} {step:?}");
            }
        }
        assert_eq!(cells(Standing::keeps), "----YY");
        assert_eq!(cells(Standing::is_staff), "--YYYY");
    }

    #[test]
    fn an_agent_without_a_team_writes_and_a_membership_means_nothing_once_the_role_is_user() {
        assert_eq!(Standing::of(Some(&build::agent(ME, None))).rank, Rank::Writer);
        let Actor::Person(mut person) = build::agent(ME, Some(TeamRole::Lead)) else {
            panic!("an agent is a person");
        };
        person.role = Role::User;
        assert_eq!(Standing::of(Some(&Actor::Person(person))).rank, Rank::Reader);
    }
}
