//! Macros: the actions of rules, applied to a ticket by someone of the staff.
//!
//! | | customer | other staff | member | supervisor, lead | admin |
//! |---|---|---|---|---|---|
//! | one's own | closed | for its owner alone, whoever that is on the staff | | | |
//! | a team's | closed | hidden | applies | writes | writes |
//! | everyone's | closed | applies | applies | applies | writes |
//!
//! A macro does nothing that whoever applies it could not do: its plan is carried out in their name. What reaches outside
//! (mails and webhooks) stands in everyone's macros alone, which administrators write.

use chrono::{DateTime, Utc};
use kernel::text::TextRule;
use kernel::{Actor, Person, Role, TeamId, TeamRole, UserId, Version, Violation, Violations};
use serde_json::{Value, json};

use crate::action::{Action, Actions};
use crate::pointer;
use crate::reference::{Reference, Target, World};
use crate::rule::{DESCRIPTION_MAX_CHARS, NAME_MAX_CHARS};
use crate::trigger::Occasion;

kernel::id_type! {
    /// A macro.
    MacroId
}

/// A macro.
#[derive(Debug, Clone, PartialEq)]
pub struct Macro {
    /// Which.
    pub id: MacroId,
    /// What it does.
    pub content: MacroContent,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it last changed.
    pub updated_at: DateTime<Utc>,
    /// Moves with every change.
    pub version: Version,
}

impl Macro {
    /// Its place in lists: one's own first, then the teams', then everyone's, each by name.
    #[must_use]
    pub fn place(&self) -> (u8, &str, MacroId) {
        let kind = match self.content.holder {
            MacroHolder::Person(_) => 0,
            MacroHolder::Team(_) => 1,
            MacroHolder::Desk => 2,
        };
        (kind, &self.content.name, self.id)
    }
}

/// What a macro is made of.
#[derive(Debug, Clone, PartialEq)]
pub struct MacroContent {
    /// One line of 1 to [`NAME_MAX_CHARS`] characters.
    pub name: String,
    /// At most [`DESCRIPTION_MAX_CHARS`] characters.
    pub description: Option<String>,
    /// What it does.
    pub actions: Actions,
    /// Whose it is.
    pub holder: MacroHolder,
}

/// Whose a macro is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MacroHolder {
    /// One person's.
    Person(UserId),
    /// A team's.
    Team(TeamId),
    /// All staff's.
    Desk,
}

const MEMBERS: [&str; 5] = ["name", "description", "actions", "visibility", "teamId"];

impl MacroContent {
    /// Refuses members that no macro has.
    ///
    /// # Errors
    /// Each of them.
    pub fn check_members(json: &Value) -> Result<(), Violations> {
        pointer::check_members(json, &MEMBERS)
    }

    /// The document after a merge patch (RFC 7396) of its members. A team goes with the visibility `team`.
    #[must_use]
    pub fn patched(&self, patch: &Value) -> Value {
        let mut document = pointer::patched(self.to_json(), patch);
        if patch.get("visibility").is_some()
            && patch.get("teamId").is_none()
            && let Value::Object(members) = &mut document
            && members.get("visibility").and_then(Value::as_str) != Some("team")
        {
            members.remove("teamId");
        }
        document
    }

    /// Reads `{ name, description?, actions, visibility: own | team | all, teamId? }` as `owner` sends it. What it names is
    /// listed for the [`World`] that [`MacroContent::check`] wants.
    ///
    /// # Errors
    /// Everything that is wrong with the document.
    pub fn read(json: &Value, owner: Option<UserId>) -> Result<Self, Violations> {
        let mut faults = Violations::new();
        let Some(members) = pointer::members(json, "", &MEMBERS, &mut faults) else {
            return Err(faults);
        };
        let text = |name: &str, rule: TextRule| match members.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => rule.parse(&format!("/{name}"), text).map(Some),
            Some(_) => Err(Violation::new(format!("/{name}"), "wrong_type", "must be a text")),
        };
        let name = faults.check(text("name", TextRule::line(1, NAME_MAX_CHARS)));
        if name == Some(None) {
            faults.push(Violation::new("/name", "required", "must be given"));
        }
        let description = faults.check(text("description", TextRule::block(1, DESCRIPTION_MAX_CHARS)));
        let holder = faults.check(holder(members.get("visibility"), members.get("teamId"), owner));
        let actions = match members.get("actions") {
            None => Err(Violation::new("/actions", "required", "must be a list of actions").into()),
            Some(json) => Actions::read(json, "/actions", Occasion::Macro),
        };
        if let Err(found) = &actions {
            pointer::extend(&mut faults, found);
        }
        if let (Ok(actions), Some(holder)) = (&actions, holder) {
            for (index, action) in actions.as_slice().iter().enumerate() {
                let place = format!("/actions/{index}/type");
                if *action == Action::Stop {
                    faults.push(Violation::new(
                        place,
                        "not_allowed",
                        "is for rules: no rule comes after a macro",
                    ));
                } else if action.reaches_outside() && holder != MacroHolder::Desk {
                    let message = "reaches outside, which only macros of the visibility all may";
                    faults.push(Violation::new(place, "not_allowed", message));
                }
            }
        }
        faults.clone().into_result()?;
        match (name.flatten(), description, holder, actions) {
            (Some(name), Some(description), Some(holder), Ok(actions)) => Ok(Self {
                name,
                description,
                actions,
                holder,
            }),
            _ => Err(faults),
        }
    }

    /// What it names.
    #[must_use]
    pub fn references(&self) -> Vec<Reference> {
        let mut references = self.actions.references().to_vec();
        if let MacroHolder::Team(team) = self.holder {
            references.push(Reference {
                pointer: "/teamId".to_owned(),
                target: Target::Team(team),
            });
        }
        references
    }

    /// Whether all that it names is there.
    ///
    /// # Errors
    /// Each reference that leads nowhere.
    pub fn check(&self, world: &World) -> Result<(), Violations> {
        world.check_all(&self.references())
    }

    /// The document that it is read from.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let (visibility, team) = match self.holder {
            MacroHolder::Person(_) => ("own", None),
            MacroHolder::Team(team) => ("team", Some(team)),
            MacroHolder::Desk => ("all", None),
        };
        json!({
            "name": self.name,
            "description": self.description,
            "actions": self.actions.as_json(),
            "visibility": visibility,
            "teamId": team,
        })
    }
}

fn holder(
    visibility: Option<&Value>,
    team: Option<&Value>,
    owner: Option<UserId>,
) -> Result<MacroHolder, Violation> {
    let team = team.filter(|json| !json.is_null());
    let unwanted = || Violation::new("/teamId", "not_allowed", "is for the visibility team");
    match (visibility.and_then(Value::as_str), team) {
        (Some("team"), Some(json)) => {
            let team = pointer::uuid(json).map(|id| MacroHolder::Team(TeamId(id)));
            team.ok_or_else(|| Violation::new("/teamId", "not_a_uuid", "must be a UUID"))
        }
        (Some("team"), None) => Err(Violation::new(
            "/teamId",
            "required",
            "must be given for the visibility team",
        )),
        (Some("own" | "all"), Some(_)) => Err(unwanted()),
        (Some("all"), None) => Ok(MacroHolder::Desk),
        (Some("own"), None) => owner.map(MacroHolder::Person).ok_or_else(|| {
            Violation::new(
                "/visibility",
                "not_allowed",
                "the server has no macros of its own",
            )
        }),
        _ => Err(Violation::new(
            "/visibility",
            "not_allowed",
            "must be own, team or all",
        )),
    }
}

/// What someone may do with a macro. The order is the rank.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum MacroRight {
    /// Nothing: macros are not for them.
    Closed,
    /// Nothing: this macro does not exist for them.
    Hidden,
    /// See it and apply it.
    Apply,
    /// Also make, change and delete it.
    Write,
}

impl MacroRight {
    /// What `actor` may do with the macros of `holder`.
    #[must_use]
    pub fn of(actor: &Actor, holder: MacroHolder) -> Self {
        match actor {
            Actor::Person(person) => Self::of_person(person, holder),
            Actor::System(_) => match holder {
                MacroHolder::Person(_) => MacroRight::Hidden,
                MacroHolder::Team(_) | MacroHolder::Desk => MacroRight::Write,
            },
        }
    }

    fn of_person(person: &Person, holder: MacroHolder) -> Self {
        match (person.role, holder) {
            (Role::User, _) => MacroRight::Closed,
            (Role::Agent | Role::Admin, MacroHolder::Person(owner)) if owner == person.id => {
                MacroRight::Write
            }
            (Role::Agent | Role::Admin, MacroHolder::Person(_)) => MacroRight::Hidden,
            (Role::Admin, MacroHolder::Team(_) | MacroHolder::Desk) => MacroRight::Write,
            (Role::Agent, MacroHolder::Team(team)) => match person.rank_in(team) {
                Some(TeamRole::Supervisor | TeamRole::Lead) => MacroRight::Write,
                Some(TeamRole::Agent) => MacroRight::Apply,
                None => MacroRight::Hidden,
            },
            (Role::Agent, MacroHolder::Desk) => MacroRight::Apply,
        }
    }
}

/// The macros that someone sees: the same rule as [`MacroRight`], in the form that a store can list by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MacroReach {
    /// Whose own.
    pub person: Option<UserId>,
    /// Which teams'; `None` for all.
    pub teams: Option<Vec<TeamId>>,
}

impl MacroReach {
    /// What `actor` sees; `None` where macros are closed to them.
    #[must_use]
    pub fn of(actor: &Actor) -> Option<Self> {
        let Actor::Person(person) = actor else {
            return Some(Self {
                person: None,
                teams: None,
            });
        };
        let teams = match person.role {
            Role::User => return None,
            Role::Admin => None,
            Role::Agent => Some(person.teams.iter().map(|membership| membership.team).collect()),
        };
        Some(Self {
            person: Some(person.id),
            teams,
        })
    }

    /// Whether it has the macros of `holder` in it.
    #[must_use]
    pub fn contains(&self, holder: MacroHolder) -> bool {
        match holder {
            MacroHolder::Person(owner) => self.person == Some(owner),
            MacroHolder::Team(team) => self.teams.as_ref().is_none_or(|teams| teams.contains(&team)),
            MacroHolder::Desk => true,
        }
    }
}
