//! What a rule names and does not own: people, teams, SLA policies, webhook endpoints. Whoever saves a rule looks them up
//! and says in a [`World`] which there are, so that none dangles.

use std::collections::{HashMap, HashSet};

use kernel::{Role, TeamId, UserId, Violation, Violations};
use uuid::Uuid;

use crate::field::Audience;

kernel::id_type! {
    /// A webhook endpoint.
    EndpointId
}

/// A thing that a rule names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Target {
    /// Any account.
    User(UserId),
    /// An account of staff: one that can be assigned tickets and may read internal text.
    Staff(UserId),
    /// A team.
    Team(TeamId),
    /// An SLA policy.
    SlaPolicy(Uuid),
    /// A webhook endpoint.
    Endpoint(EndpointId),
    /// One behind which there is staff alone: it is sent what only staff may read.
    StaffEndpoint(EndpointId),
    /// Mails whose texts rules make.
    Mail,
}

/// A thing that a rule names, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// JSON pointer to the id.
    pub pointer: String,
    /// What it names.
    pub target: Target,
}

/// What there is of what rules can name. Whatever is not in it does not exist.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct World {
    /// Active accounts with their roles.
    pub users: HashMap<UserId, Role>,
    /// Teams.
    pub teams: HashSet<TeamId>,
    /// SLA policies.
    pub sla_policies: HashSet<Uuid>,
    /// Webhook endpoints, and who may stand behind each.
    pub endpoints: HashMap<EndpointId, Audience>,
    /// Whether mails with texts of rules are sent.
    pub sends_mail: bool,
}

impl World {
    /// What is wrong with any of these references.
    ///
    /// # Errors
    /// Each fault at its reference's place.
    pub fn check_all(&self, references: &[Reference]) -> Result<(), Violations> {
        let mut faults = Violations::new();
        for reference in references {
            faults.check(self.check(reference));
        }
        faults.into_result()
    }

    /// What is wrong with a reference: `unknown`, or `not_staff`.
    ///
    /// # Errors
    /// The fault at the reference's place.
    pub fn check(&self, reference: &Reference) -> Result<(), Violation> {
        let unknown = |what: &str| {
            let message = format!("the {what} does not exist");
            Err(Violation::new(reference.pointer.clone(), "unknown", message))
        };
        match reference.target {
            Target::User(user) if self.users.contains_key(&user) => Ok(()),
            Target::Staff(user) => match self.users.get(&user) {
                Some(Role::Agent | Role::Admin) => Ok(()),
                Some(Role::User) => {
                    let message = "must be an agent or an administrator";
                    Err(Violation::new(reference.pointer.clone(), "not_staff", message))
                }
                None => unknown("account"),
            },
            Target::User(_) => unknown("account"),
            Target::Team(team) if self.teams.contains(&team) => Ok(()),
            Target::Team(_) => unknown("team"),
            Target::SlaPolicy(policy) if self.sla_policies.contains(&policy) => Ok(()),
            Target::SlaPolicy(_) => unknown("SLA policy"),
            Target::Endpoint(endpoint) if self.endpoints.contains_key(&endpoint) => Ok(()),
            Target::StaffEndpoint(endpoint) => match self.endpoints.get(&endpoint) {
                Some(Audience::Staff) => Ok(()),
                Some(Audience::Customer) => {
                    let message =
                        "the payload names what only staff may read, and the endpoint is not for staff alone";
                    Err(Violation::new(
                        reference.pointer.clone(),
                        "not_for_customers",
                        message,
                    ))
                }
                None => unknown("webhook endpoint"),
            },
            Target::Endpoint(_) => unknown("webhook endpoint"),
            Target::Mail if self.sends_mail => Ok(()),
            Target::Mail => {
                let message = "must be another action: this server sends no mails for rules";
                Err(Violation::new(
                    reference.pointer.clone(),
                    "not_supported",
                    message,
                ))
            }
        }
    }
}
