//! The people of an export: which account each is.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use identity::service::{HowReceived, Newcomer, Received};
use identity::{EmailAddress, Intake, PersonName};
use kernel::{Role, UserId};
use ring::digest;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use uuid::Uuid;

use super::items::{DeskPerson, Rank, Remark};
use super::text;
use crate::import::{ImportError, Mode, patiently};

/// The domain of addresses that stand for people without one. No mail can reach it (RFC 2606).
const PLACEHOLDER_DOMAIN: &str = "imported.invalid";
/// The most people of an export that are held: some 300 MB.
const PEOPLE_MAX: usize = 2_000_000;
/// So many people are received at once, over all batches.
const RECEIVED_AT_ONCE_MAX: usize = 8;
/// The most characters of a name.
const NAME_MAX_CHARS: usize = 100;

/// What an import does with people.
#[derive(Debug, Clone)]
pub(super) struct Rules {
    /// The help desk that the export is of.
    pub(super) system: &'static str,
    /// The name of the source.
    pub(super) source: String,
    /// Administrators there are administrators here.
    pub(super) keeps_admins: bool,
    /// Accounts whose address nobody proved are taken for its owner's.
    pub(super) trusts_addresses: bool,
    pub(super) mode: Mode,
}

/// Which account somebody is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Known {
    pub(super) user: UserId,
    /// Whether they answered tickets there.
    pub(super) was_staff: bool,
    /// Whether they can answer tickets here.
    pub(super) is_staff: bool,
    /// Why no ticket can be theirs, if so.
    pub(super) cannot_ask: Option<&'static str>,
}

/// How a person's account came about, and what is to be told of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Arrival {
    pub(super) how: HowReceived,
    pub(super) remarks: Vec<Remark>,
}

/// Why nothing can be asked in the name of an account.
pub(super) fn refusal(rule: &'static str) -> Remark {
    let message = match rule {
        "deleted_account" => "belongs to an account that was deleted; restore it first",
        _ => {
            "belongs to an account whose address nobody proved, so that it may be somebody else's: have its owner \
             prove it, or import again with --trust-addresses"
        }
    };
    Remark::new("requesterEmail", rule, message)
}

/// The people whom tickets can name.
#[derive(Clone)]
pub(super) struct People {
    intake: Arc<Intake>,
    rules: Arc<Rules>,
    known: Arc<Mutex<HashMap<Box<str>, Known>>>,
    turns: Arc<Semaphore>,
}

impl People {
    pub(super) fn new(intake: Arc<Intake>, rules: Rules) -> Self {
        Self {
            intake,
            rules: Arc::new(rules),
            known: Arc::default(),
            turns: Arc::new(Semaphore::new(RECEIVED_AT_ONCE_MAX)),
        }
    }

    /// Which account somebody is who was received before.
    pub(super) fn get(&self, person: &DeskPerson) -> Option<Known> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(key(person).as_str()).copied()
    }

    /// Receives people, each with what came of it, in order. Of several with one id, or one address, the first says who
    /// they are.
    pub(super) async fn receive(&self, people: Vec<DeskPerson>) -> Result<Vec<Arrival>, ImportError> {
        let mut addresses: HashMap<EmailAddress, usize> = HashMap::new();
        let mut groups: Vec<Vec<(usize, DeskPerson, Applicant)>> = Vec::new();
        for (place, person) in people.into_iter().enumerate() {
            let applicant = self.applicant(&person);
            let group = *addresses
                .entry(applicant.newcomer.email.clone())
                .or_insert_with(|| {
                    groups.push(Vec::new());
                    groups.len() - 1
                });
            groups[group].push((place, person, applicant));
        }
        let mut tasks = JoinSet::new();
        for group in groups {
            let this = self.clone();
            tasks.spawn(async move {
                let mut arrivals = Vec::new();
                for (place, person, applicant) in group {
                    arrivals.push((place, this.receive_one(&person, applicant).await?));
                }
                Ok::<_, ImportError>(arrivals)
            });
        }
        let mut arrivals = Vec::new();
        while let Some(task) = tasks.join_next().await {
            arrivals.extend(task.map_err(|error| ImportError::System(error.into()))??);
        }
        arrivals.sort_by_key(|(place, _)| *place);
        Ok(arrivals.into_iter().map(|(_, arrival)| arrival).collect())
    }

    async fn receive_one(&self, person: &DeskPerson, applicant: Applicant) -> Result<Arrival, ImportError> {
        let Applicant {
            newcomer,
            is_placeholder,
            mut remarks,
        } = applicant;
        let _turn = self
            .turns
            .acquire()
            .await
            .map_err(|error| ImportError::System(std::io::Error::other(error)))?;
        let received = match self.rules.mode {
            Mode::Import => patiently(|| self.intake.receive(newcomer.clone())).await,
            Mode::DryRun => patiently(|| self.intake.find(&newcomer.email))
                .await
                .map(|found| {
                    found.unwrap_or(Received {
                        user: UserId(Uuid::nil()),
                        role: newcomer.role,
                        how: HowReceived::Made,
                    })
                }),
        };
        let Received { user, role, how } = received.map_err(ImportError::Interrupted)?;
        let cannot_ask = match how {
            HowReceived::Made | HowReceived::There => None,
            HowReceived::Deleted => Some("deleted_account"),
            // An address that nobody can receive mail at is nobody's but the import's.
            HowReceived::Unproved if self.rules.trusts_addresses && !is_placeholder => None,
            HowReceived::Unproved => Some("unproved_address"),
        };
        let is_staff = matches!(role, Role::Agent | Role::Admin);
        let was_staff = person.rank >= Rank::Agent;
        if was_staff && !is_staff && cannot_ask.is_none() {
            let message = "has a customer's account here, which an import does not change";
            remarks.push(Remark::new("role", "role_kept", message));
        }
        let known = Known {
            user,
            was_staff,
            is_staff: is_staff && how != HowReceived::Deleted,
            cannot_ask,
        };
        let mut all = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= PEOPLE_MAX {
            let message = format!("the export has more than {PEOPLE_MAX} people; split it");
            return Err(ImportError::Usage(message));
        }
        all.entry(key(person).into()).or_insert(known);
        Ok(Arrival { how, remarks })
    }

    /// Those of these people who were not received yet, each once, as far as others tell of them.
    pub(super) fn missing<'a>(&self, people: impl Iterator<Item = &'a DeskPerson>) -> Vec<DeskPerson> {
        let mut keys = HashSet::new();
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let mut is_missing = |person: &&DeskPerson| {
            let key = key(person);
            !known.contains_key(key.as_str()) && keys.insert(key)
        };
        people.filter(|person| is_missing(person)).cloned().collect()
    }

    fn applicant(&self, person: &DeskPerson) -> Applicant {
        let mut remarks = Vec::new();
        let given = person.email.as_deref();
        let parsed = given.and_then(|email| EmailAddress::parse("/email", email).ok());
        let is_placeholder = parsed.is_none();
        let email = parsed.unwrap_or_else(|| {
            let email = placeholder(&self.rules, &person.id);
            let why = match given {
                Some(bad) => format!("{:?} is no address", text::clip(bad, 200)),
                None => "has no address".to_owned(),
            };
            let message = format!("{why}; the account {} stands for them", email.as_str());
            remarks.push(Remark::new("email", "no_address", message));
            email
        });
        let unnamed = || {
            if is_placeholder {
                format!(
                    "{} user {}",
                    self.rules.system,
                    text::clip(&text::line(&person.id), 40)
                )
            } else {
                email.as_str().split('@').next().unwrap_or_default().to_owned()
            }
        };
        let name = person
            .name
            .as_deref()
            .map(|name| text::clip(&text::line(name), NAME_MAX_CHARS))
            .filter(|name| !name.trim().is_empty())
            .unwrap_or_else(unnamed);
        let name = PersonName::parse("/name", &name).unwrap_or_else(|_| PersonName::of_the_deleted());
        let role = match person.rank {
            Rank::Customer => Role::User,
            Rank::Agent => Role::Agent,
            Rank::Admin if self.rules.keeps_admins => Role::Admin,
            Rank::Admin => {
                let message =
                    "is an administrator there and an agent here; --keep-admins makes administrators";
                remarks.push(Remark::new("role", "admin_as_agent", message));
                Role::Agent
            }
        };
        Applicant {
            newcomer: Newcomer {
                email,
                name,
                role,
                shut_out: person.shut_out,
            },
            is_placeholder,
            remarks,
        }
    }
}

struct Applicant {
    newcomer: Newcomer,
    is_placeholder: bool,
    remarks: Vec<Remark>,
}

/// What somebody is known by.
fn key(person: &DeskPerson) -> String {
    match (&person.id, &person.email) {
        (id, Some(email)) if id.is_empty() => format!("mail:{}", email.trim().to_lowercase()),
        (id, _) => id.clone(),
    }
}

/// The address that stands for somebody without one: the same for the same person each time.
fn placeholder(rules: &Rules, id: &str) -> EmailAddress {
    let hash = |text: &str| -> String {
        let digest = digest::digest(&digest::SHA256, text.as_bytes());
        digest.as_ref()[..4]
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect()
    };
    let is_plain = (1..=30).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let name = match id {
        "" => "nobody".to_owned(),
        id if is_plain => id.to_ascii_lowercase(),
        id => format!("x{}", hash(id)),
    };
    let (system, source) = (rules.system, hash(&rules.source));
    EmailAddress::stored(format!("{system}-{name}-{source}@{PLACEHOLDER_DOMAIN}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(source: &str) -> Rules {
        Rules {
            system: "zendesk",
            source: source.to_owned(),
            keeps_admins: false,
            trusts_addresses: false,
            mode: Mode::Import,
        }
    }

    #[test]
    fn a_placeholder_is_an_address_and_the_same_each_time_but_for_another_source() {
        let one = placeholder(&rules("a"), "7");
        assert!(one.as_str().starts_with("zendesk-7-") && one.as_str().ends_with("@imported.invalid"));
        assert_eq!(one, placeholder(&rules("a"), "7"));
        assert_ne!(one, placeholder(&rules("b"), "7"));
        for id in ["", "a b", "Ä", "7@x"] {
            let address = placeholder(&rules("a"), id);
            assert_eq!(
                EmailAddress::parse("/email", address.as_str()),
                Ok(address.clone())
            );
        }
    }
}
