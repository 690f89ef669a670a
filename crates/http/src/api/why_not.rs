//! Why an operation would be refused, before it is tried.
//!
//! The answer comes from where the decision is made: what the access must be from the route table and
//! [`identity::Principal::meets`], who may and in which state from the domains. Only which rule an operation asks is
//! said here, in [`topic`]; a test finds an operation that nobody put there.

use actix_web::web::{Data, Json};
use automation::RuleRight;
use identity::policy::{About, Operation as PeopleOperation};
use identity::service::{ChangeAccountError, Explained, Question};
use identity::{Access, Requirement};
use kernel::{Actor, Classify, Role, TeamId, UserId};
use knowledge::KnowledgeError;
use knowledge::policy::{Rank, Standing};
use serde::Serialize;
use ticketing::{
    Action, Explanation, JobAction, JobId, SavedViewId, TicketError, TicketKey, TicketStatus, ViewAction,
    ViewExplanation,
};
use utoipa::ToSchema;

use crate::app::AppState;
use crate::auth::Caller;
use crate::path::PathKey;
use crate::problem::Problem;
use crate::query::Query;
use crate::routes::{API_BASE, Operation, operation};
use crate::wire::TeamRoleName;

/// The most characters of the name of an operation or an action.
const NAME_CHARS_MAX: usize = 100;
/// The most characters of a resource's path.
const RESOURCE_CHARS_MAX: usize = 300;

pub(crate) fn operations() -> Vec<Operation> {
    vec![operation(__path_why_not, why_not).signed_in()]
}

/// Which rule an operation asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Topic {
    /// That of one of these actions on a ticket; the first when none is named.
    Ticket(&'static [Action]),
    /// That of accounts and teams.
    People(PeopleOperation),
    /// That of saved views.
    View(ViewAction),
    /// That of jobs.
    Job(JobAction),
    /// That of automation rules.
    Rule(RuleRight, &'static str),
    /// That of the knowledge base.
    Knowledge(Rank, &'static str),
    /// None but for the role that it takes at least; what it shows or changes is the caller's anyway.
    Role(Role, &'static str),
}

/// Which rule the operation of this id asks. To add an operation to the API, say it here.
pub(crate) fn topic(operation_id: &str) -> Option<Topic> {
    const OWN: &str = "Everyone may, for their own account.";
    const OPEN: &str = "Everyone may, without signing in.";
    Some(match operation_id {
        "getTicket" | "listMessages" | "getMessage" | "listActivity" => Topic::Ticket(&[Action::Read]),
        "listNotes" => Topic::Ticket(&[Action::ReadNotes]),
        "getTicketSla" => Topic::Ticket(&[Action::ReadClocks]),
        "createNote" => Topic::Ticket(&[Action::AddNote]),
        "createMessage" => Topic::Ticket(&[Action::Reply, Action::MessageInternally]),
        "updateTicket" => Topic::Ticket(&[
            Action::Edit,
            Action::SetPriority,
            Action::EditTags,
            Action::EditCustomFields,
            Action::EditMetadata,
            Action::SetStatus(TicketStatus::Open),
            Action::SetStatus(TicketStatus::Pending),
            Action::SetStatus(TicketStatus::Resolved),
            Action::SetStatus(TicketStatus::Closed),
        ]),
        "claimTicket" => Topic::Ticket(&[Action::Claim]),
        "assignTicket" => Topic::Ticket(&[Action::Assign, Action::AssignSelf]),
        "unassignTicket" => Topic::Ticket(&[Action::Unassign]),
        "transferTicket" => Topic::Ticket(&[Action::Transfer]),
        "listTicketLinks" => Topic::Ticket(&[Action::ReadNotes]),
        "linkTickets" | "unlinkTickets" => Topic::Ticket(&[Action::Link]),
        "mergeTickets" | "unmergeTickets" => Topic::Ticket(&[Action::Merge]),
        "moveMessage" | "splitTicket" => Topic::Ticket(&[Action::MoveMessage]),
        "getDraft" | "saveDraft" | "discardDraft" => Topic::Ticket(&[Action::Read]),
        "listCc" => Topic::Ticket(&[Action::Read]),
        "addCc" | "removeCc" => Topic::Ticket(&[Action::Copy]),
        "listFollowers" => Topic::Ticket(&[Action::ReadNotes]),
        "followTicket" | "unfollowTicket" => Topic::Ticket(&[Action::Follow]),
        "addTicketTags" | "removeTicketTags" => Topic::Ticket(&[Action::EditTags]),
        "resolveTicket" => Topic::Ticket(&[Action::Resolve]),
        "closeTicket" => Topic::Ticket(&[Action::Close]),
        "reopenTicket" => Topic::Ticket(&[Action::Reopen]),
        "rateTicket" => Topic::Ticket(&[Action::Rate]),
        "getRating" | "putRating" => Topic::Role(
            Role::User,
            "Whoever has the link that was mailed to the ticket's requester.",
        ),
        "deleteTicket" => Topic::Ticket(&[Action::Delete]),
        "restoreTicket" => Topic::Ticket(&[Action::Restore]),
        "listTickets" => Topic::Role(Role::User, "Everyone lists the tickets that they see."),
        "searchTickets" => Topic::Role(Role::User, "Everyone searches the tickets that they see."),
        "listTicketFields" | "getTicketField" => {
            Topic::Role(Role::User, "Everyone sees what custom fields there are.")
        }
        "createTicketField" | "updateTicketField" | "deleteTicketField" => {
            Topic::Role(Role::Admin, "Administrators define custom fields.")
        }
        "listSlaPolicies" | "getSlaPolicy" | "previewSlaPolicy" | "readHolidays" => {
            Topic::Role(Role::Agent, "Staff see what is promised.")
        }
        "createSlaPolicy"
        | "updateSlaPolicy"
        | "deleteSlaPolicy"
        | "setDefaultSlaPolicy"
        | "simulateSlaPolicyChange"
        | "reorderSlaPolicies" => Topic::Role(Role::Admin, "Administrators say what is promised."),
        "listAutomationRules" | "getAutomationRule" | "listAutomationRuns" => Topic::Rule(
            RuleRight::Read,
            "Supervisors and leads of a team and administrators see rules and what they did.",
        ),
        "simulateAutomationRule" | "simulateAutomationDraft" => Topic::Rule(
            RuleRight::Try,
            "Leads of a team and administrators try rules, on the tickets that they see.",
        ),
        "createAutomationRule"
        | "updateAutomationRule"
        | "deleteAutomationRule"
        | "enableAutomationRule"
        | "disableAutomationRule"
        | "reorderAutomationRules" => Topic::Rule(RuleRight::Write, "Administrators write rules."),
        "listMacros" | "getMacro" | "createMacro" | "updateMacro" | "deleteMacro" => Topic::Role(
            Role::Agent,
            "Staff keep macros for themselves, supervisors and leads for their team, administrators for all.",
        ),
        "listKbCategories"
        | "getKbCategory"
        | "listKbCategoryArticles"
        | "listKbArticles"
        | "getKbArticle"
        | "searchKb"
        | "suggestKbArticles"
        | "listRelatedKbArticles" => Topic::Role(Role::User, "Everyone reads what is published."),
        "voteKbArticle" => Topic::Role(
            Role::User,
            "Everyone who is signed in says whether a published article helped.",
        ),
        "listAllKbArticles"
        | "createKbArticle"
        | "getKbArticleById"
        | "listKbArticleVersions"
        | "getKbArticleVersion" => Topic::Knowledge(
            Rank::Writer,
            "Staff write articles; agents see their own and what is in review or published, others all.",
        ),
        "updateKbArticle" | "revertKbArticle" => Topic::Knowledge(
            Rank::Writer,
            "Agents change their own drafts, supervisors and leads of a team and administrators any article.",
        ),
        "submitKbArticle" | "reopenKbArticle" => Topic::Knowledge(
            Rank::Writer,
            "Agents submit their own drafts and take them back, supervisors and leads of a team and administrators any article.",
        ),
        "publishKbArticle" | "archiveKbArticle" => Topic::Knowledge(
            Rank::Editor,
            "Supervisors and leads of a team and administrators publish and archive articles.",
        ),
        "getKbAnalytics" => Topic::Knowledge(
            Rank::Editor,
            "Supervisors and leads of a team and administrators see what readers search for.",
        ),
        "deleteKbArticle" | "createKbCategory" | "updateKbCategory" | "deleteKbCategory" => Topic::Knowledge(
            Rank::Keeper,
            "Leads of a team and administrators delete articles and write categories.",
        ),
        "applyMacro" => Topic::Ticket(&[Action::ReadClocks]),
        "listWebhooks"
        | "createWebhook"
        | "getWebhook"
        | "updateWebhook"
        | "deleteWebhook"
        | "rotateWebhookSecret"
        | "retireWebhookSecret"
        | "pingWebhook"
        | "listWebhookDeliveries"
        | "getWebhookDelivery"
        | "replayWebhook" => Topic::Rule(RuleRight::Write, "Administrators have to do with webhooks."),
        "listViews" | "countViews" => Topic::Role(Role::Agent, "Staff see the views that are theirs."),
        "createView" => Topic::Role(
            Role::Agent,
            "Staff save views for themselves, supervisors and leads for their team, administrators for all.",
        ),
        "getView" | "listViewTickets" => Topic::View(ViewAction::Read),
        "updateView" => Topic::View(ViewAction::Change),
        "deleteView" => Topic::View(ViewAction::Delete),
        "bulkChangeTickets" => Topic::Role(
            Role::Agent,
            "Staff change many tickets at once, each as they may change it by itself.",
        ),
        "getJob" | "listJobItems" => Topic::Job(JobAction::Read),
        "cancelJob" => Topic::Job(JobAction::Cancel),
        "undoJob" => Topic::Job(JobAction::Undo),
        "createTicket" => Topic::Role(
            Role::User,
            "Everyone opens tickets for themselves, staff also for others.",
        ),
        "updateMessage" => Topic::Role(
            Role::User,
            "Authors edit their own messages, for a short time, in tickets that they see.",
        ),
        "uploadAttachment" => Topic::Role(Role::User, "Everyone uploads files, for messages of their own."),
        "getAttachment" => Topic::Role(
            Role::User,
            "Whoever reads the message that it hangs on, and its uploader while it hangs on none.",
        ),
        "deleteAttachment" => Topic::Role(
            Role::User,
            "Its uploader while it hangs on no message; from a message, supervisors and leads of the ticket's team and \
             administrators.",
        ),
        "downloadAttachment" => Topic::Role(
            Role::User,
            "Whoever has a link that was made for them, while they may see the file.",
        ),
        "listUsers" => Topic::People(PeopleOperation::ListUsers),
        "createUser" => Topic::People(PeopleOperation::CreateUser),
        "getUser" => Topic::People(PeopleOperation::ReadUser),
        "updateUser" => Topic::People(PeopleOperation::ChangeUser),
        "suspendUser" | "activateUser" | "inviteUser" | "sendPasswordReset" | "resetTwoFactor"
        | "anonymizeUser" => Topic::Role(Role::Admin, "Administrators do this to other people's accounts."),
        "deleteUser" => Topic::People(PeopleOperation::DeleteUser),
        "restoreUser" => Topic::People(PeopleOperation::RestoreUser),
        "listUserSessions" | "endUserSessions" => Topic::People(PeopleOperation::ManageSessions),
        "listTeams" => Topic::People(PeopleOperation::ListTeams),
        "createTeam" => Topic::People(PeopleOperation::CreateTeam),
        "getTeam" => Topic::People(PeopleOperation::ReadTeam),
        "updateTeam" => Topic::People(PeopleOperation::ChangeTeam),
        "deleteTeam" => Topic::People(PeopleOperation::DeleteTeam),
        "getTeamRouting" => Topic::People(PeopleOperation::ReadMembers),
        "updateTeamRouting" => Topic::People(PeopleOperation::ManageMembers),
        "getMyAvailability" | "updateMyAvailability" => Topic::Role(
            Role::Agent,
            "Staff say for themselves whether they are given tickets.",
        ),
        "getAvailability" | "updateAvailability" => Topic::Role(
            Role::Agent,
            "Staff for themselves, supervisors and leads for members of their teams, administrators for all.",
        ),
        "listTeamMembers" => Topic::People(PeopleOperation::ReadMembers),
        "addTeamMember" | "updateTeamMember" | "removeTeamMember" => {
            Topic::People(PeopleOperation::ManageMembers)
        }
        "listNotifications" | "readNotification" | "readAllNotifications" => {
            Topic::Role(Role::User, "Everyone has their own notifications.")
        }
        "listApiKeys" | "getApiKey" | "revokeApiKey" => Topic::Role(
            Role::User,
            "Everyone manages their own API keys, administrators anyone's.",
        ),
        "createApiKey" => Topic::Role(Role::User, "Everyone makes API keys for themselves."),
        "endSession" => Topic::Role(
            Role::User,
            "Everyone ends their own sessions, administrators anyone's.",
        ),
        "logout"
        | "logoutAll"
        | "getMe"
        | "updateMe"
        | "listMySessions"
        | "changePassword"
        | "changeEmail"
        | "getTwoFactor"
        | "enrollTwoFactor"
        | "confirmTwoFactor"
        | "disableTwoFactor"
        | "replaceRecoveryCodes"
        | "listSignOns"
        | "deleteSignOn" => Topic::Role(Role::User, OWN),
        "whyNot" => Topic::Role(
            Role::User,
            "Everyone asks for themselves, administrators also for others.",
        ),
        "register"
        | "login"
        | "verifyTwoFactor"
        | "refresh"
        | "verifyEmail"
        | "resendVerification"
        | "forgotPassword"
        | "resetPassword"
        | "acceptInvitation"
        | "listSignOnProviders"
        | "startSignOn"
        | "finishSignOn"
        | "exchangeSignOn" => Topic::Role(Role::User, OPEN),
        "getSecuritySettings" | "updateSecuritySettings" => {
            Topic::Role(Role::Admin, "Administrators set what holds for the whole desk.")
        }
        "listAuditLog" => Topic::Role(Role::Admin, "Administrators read the audit log."),
        "setup" => Topic::Role(
            Role::User,
            "Whoever has the server's token, while the desk has no administrator.",
        ),
        _ => return None,
    })
}

/// Why something is allowed or refused.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = WhyNot)]
struct WhyNotBody {
    /// The operation that was asked about.
    #[schema(examples("closeTicket"))]
    operation: String,
    /// Whether nothing below stands in its way.
    allowed: bool,
    /// What the operation asks of the session or key through which it is called.
    access: AccessBody,
    /// What the rules say of the person; null when the access does not do, for then nothing more is told.
    #[schema(required = true)]
    decision: Option<DecisionBody>,
}

/// What an operation asks of the session or key through which it is called.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = WhyNotAccess)]
struct AccessBody {
    /// Whether yours does.
    ok: bool,
    /// The code that the operation would answer with.
    #[schema(required = true, examples("auth.scope_missing"))]
    code: Option<String>,
    /// Why, in a sentence.
    #[schema(examples("The API key lacks the scope tickets:write."))]
    reason: String,
}

/// What the rules say of the person.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = WhyNotDecision)]
struct DecisionBody {
    /// Whether they allow it.
    ok: bool,
    /// What is done with a ticket, where the operation can do several things.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(examples("close"))]
    action: Option<&'static str>,
    /// What the person is to the resource. To a ticket: `participant`, `requester`, `agent`, `supervisor`, `lead` or `admin`; to an
    /// account or team: `self`, `customer`, `agent`, `member`, `supervisor`, `lead` or `admin`; `none` to what does not
    /// exist for them; else their role.
    #[schema(examples("requester"))]
    relation: &'static str,
    /// Whether the person asked for the ticket.
    #[serde(skip_serializing_if = "Option::is_none")]
    is_requester: Option<bool>,
    /// Whether the person is to answer the ticket.
    #[serde(skip_serializing_if = "Option::is_none")]
    is_assignee: Option<bool>,
    /// The person's rank in the ticket's team.
    #[serde(skip_serializing_if = "Option::is_none")]
    role_in_team: Option<TeamRoleName>,
    /// Who may, in a sentence.
    rule: String,
    /// The code that the operation would answer with.
    #[schema(required = true, examples("ticket.transition_not_allowed"))]
    code: Option<String>,
    /// Why it would be refused, in a sentence.
    #[schema(
        required = true,
        examples("A ticket that is closed cannot become closed. Allowed now: open.")
    )]
    reason: Option<String>,
}

impl DecisionBody {
    fn of_ticket(explanation: Explanation) -> Self {
        let Explanation {
            action,
            relation,
            is_requester,
            is_assignee,
            rank,
            rule,
            refusal,
        } = explanation;
        Self {
            action: Some(action.as_str()),
            is_requester: Some(is_requester),
            is_assignee: Some(is_assignee),
            role_in_team: rank.map(TeamRoleName::from),
            ..Self::new(relation.as_str(), rule, refusal.map(TicketError::from))
        }
    }

    fn of_people(explained: Explained) -> Self {
        let Explained {
            relation,
            rule,
            refusal,
        } = explained;
        Self::new(relation, rule, refusal.map(ChangeAccountError::from))
    }

    fn new(relation: &'static str, rule: &str, refusal: Option<impl Classify>) -> Self {
        Self {
            ok: refusal.is_none(),
            action: None,
            relation,
            is_requester: None,
            is_assignee: None,
            role_in_team: None,
            rule: rule.to_owned(),
            code: refusal.as_ref().map(|refusal| refusal.code().to_owned()),
            reason: refusal.map(|refusal| refusal.detail()),
        }
    }
}

/// What to explain.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Query, rename_all = "camelCase")]
#[expect(
    dead_code,
    reason = "only its document is used; the parameters are read one by one"
)]
struct WhyNotParams {
    /// The operation, by its `operationId` in this document.
    #[param(max_length = 100, example = "closeTicket")]
    operation: String,
    /// What is done with a ticket, by the names of `allowedActions` and more, where the operation can do several things;
    /// the first thing otherwise.
    #[param(max_length = 100, example = "close")]
    action: Option<String>,
    /// What the operation is about, where it is about something that exists: an id, a ticket's number, or a path.
    #[param(max_length = 300, example = "/api/v1/tickets/TKT-00001")]
    resource: Option<String>,
    /// For whom: you when absent (another: administrators).
    r#as: Option<uuid::Uuid>,
}

/// Ask why something is allowed or refused
///
/// Explains what an operation asks of your session or key, who may carry it out, what you are to the resource, and which
/// state of it stands in the way. What only the content of a request decides is not judged. A resource that you may not
/// know of answers as an unknown one does. Asked for another person, the answer is that of a session of theirs with
/// nothing left to do first.
#[utoipa::path(
    get,
    path = "/auth/why-not",
    operation_id = "whyNot",
    tag = "auth",
    params(WhyNotParams),
    responses(
        (status = 200, description = "The explanation.", body = WhyNotBody),
        (status = 404, description = "There is no such resource for the person.",
            body = crate::problem::ProblemBody, content_type = "application/problem+json"),
    )
)]
async fn why_not(app: Data<AppState>, caller: Caller, mut query: Query) -> Result<Json<WhyNotBody>, Problem> {
    let name = query.text("operation", NAME_CHARS_MAX);
    let action = query.text("action", NAME_CHARS_MAX);
    let resource = query.text("resource", RESOURCE_CHARS_MAX);
    let other = query.id::<UserId>("as");
    let asked = name.as_deref().and_then(|name| find(&app, name));
    let Some((requirement, topic)) = asked else {
        query.refuse(
            "operation",
            "not_allowed",
            "must be the operationId of an operation of this API".to_owned(),
        );
        query.finish()?;
        return Err(Problem::internal("an operation is not known and not refused"));
    };
    let matter = match matter(topic, action.as_deref()) {
        Ok(matter) => Some(matter),
        Err(names) => {
            query.refuse("action", "not_allowed", format!("must be one of {names}"));
            None
        }
    };
    let about = matter.is_some_and(Matter::is_about_something);
    if about && resource.is_none() {
        let message = "must be given for this operation".to_owned();
        query.refuse("resource", "required", message);
    }
    query.finish()?;
    let matter = matter.ok_or_else(|| Problem::internal("an action is not known and not refused"))?;

    let (actor, access) = match other {
        Some(id) => {
            // Whoever asks for others is there in person, and has nothing left to do first.
            caller.0.meets(Requirement::Session)?;
            let person = app.why_not.on_behalf_of(&caller.actor(), id).await?;
            let reason = "Asked for someone else: as through a session of theirs.".to_owned();
            let access = AccessBody {
                ok: true,
                code: None,
                reason,
            };
            (Actor::Person(person), access)
        }
        None => (caller.actor(), access_of(&caller, requirement)),
    };
    let resource = resource.unwrap_or_default();
    let decision = if access.ok {
        let decided = decide(&app, &actor, matter, &resource).await;
        Some(match decided {
            Err(problem) if other.is_some() && problem.status() == actix_web::http::StatusCode::NOT_FOUND => {
                // The administrator may know what the other may not; what is there for neither stays unknown.
                let seen = decide(&app, &caller.actor(), matter, &resource).await?;
                DecisionBody {
                    ok: false,
                    relation: "none",
                    code: Some(problem.code().to_owned()),
                    reason: Some("For them it does not exist: they may not know of it.".to_owned()),
                    is_requester: None,
                    is_assignee: None,
                    role_in_team: None,
                    ..seen
                }
            }
            decided => decided?,
        })
    } else {
        None
    };
    Ok(Json(WhyNotBody {
        operation: name.unwrap_or_default(),
        allowed: access.ok && decision.as_ref().is_some_and(|decision| decision.ok),
        access,
        decision,
    }))
}

/// What the operation of this id asks of the access, and which rule it asks.
fn find(app: &AppState, operation_id: &str) -> Option<(Requirement, Topic)> {
    let operations = app.table.operations();
    let found = operations
        .iter()
        .find(|operation| operation.document.operation_id.as_deref() == Some(operation_id))?;
    let unknown = Topic::Role(Role::User, "Nothing is told here of who may.");
    Some((
        found.requirement.unwrap_or(Requirement::Session),
        topic(operation_id).unwrap_or(unknown),
    ))
}

/// One thing to decide about.
#[derive(Debug, Clone, Copy)]
enum Matter {
    Ticket(Action),
    People(PeopleOperation),
    View(ViewAction),
    Job(JobAction),
    Rule(RuleRight, &'static str),
    Knowledge(Rank, &'static str),
    Role(Role, &'static str),
}

impl Matter {
    fn is_about_something(self) -> bool {
        match self {
            Matter::Ticket(_) | Matter::View(_) | Matter::Job(_) => true,
            Matter::People(operation) => operation.is_about() != About::Nothing,
            Matter::Rule(..) | Matter::Knowledge(..) | Matter::Role(..) => false,
        }
    }
}

/// What is to be decided about; the names that would do when the action is none of the operation's.
fn matter(topic: Topic, action: Option<&str>) -> Result<Matter, String> {
    match (topic, action) {
        (Topic::Ticket(actions), action) => {
            let named = |candidate: &&Action| action.is_none_or(|action| candidate.as_str() == action);
            let found = actions.iter().find(named).copied();
            let names: Vec<_> = actions.iter().map(|action| action.as_str()).collect();
            found.map(Matter::Ticket).ok_or_else(|| names.join(", "))
        }
        (Topic::People(operation), None) => Ok(Matter::People(operation)),
        (Topic::View(action), None) => Ok(Matter::View(action)),
        (Topic::Job(action), None) => Ok(Matter::Job(action)),
        (Topic::Rule(right, rule), None) => Ok(Matter::Rule(right, rule)),
        (Topic::Knowledge(rank, rule), None) => Ok(Matter::Knowledge(rank, rule)),
        (Topic::Role(role, rule), None) => Ok(Matter::Role(role, rule)),
        (
            Topic::People(_)
            | Topic::View(_)
            | Topic::Job(_)
            | Topic::Rule(..)
            | Topic::Knowledge(..)
            | Topic::Role(..),
            Some(_),
        ) => Err("those of operations on tickets".to_owned()),
    }
}

/// Whether the caller's access does for the operation.
fn access_of(caller: &Caller, requirement: Requirement) -> AccessBody {
    match caller.0.meets(requirement) {
        Err(denied) => AccessBody {
            ok: false,
            code: Some(denied.code().to_owned()),
            reason: denied.detail(),
        },
        Ok(()) => AccessBody {
            ok: true,
            code: None,
            reason: match (&caller.0.access, requirement) {
                (_, Requirement::Open) => "It asks for nothing.".to_owned(),
                (Access::ApiKey { .. }, Requirement::Scope(scope)) => {
                    format!("The API key has the scope {scope}.")
                }
                (
                    Access::ApiKey { .. },
                    Requirement::SignedIn | Requirement::OwnAccount | Requirement::Session,
                ) => "Any API key does.".to_owned(),
                (
                    Access::Session(_),
                    Requirement::SignedIn
                    | Requirement::OwnAccount
                    | Requirement::Session
                    | Requirement::Scope(_),
                ) => "The session does.".to_owned(),
            },
        },
    }
}

async fn decide(
    app: &AppState,
    actor: &Actor,
    matter: Matter,
    resource: &str,
) -> Result<DecisionBody, Problem> {
    match matter {
        Matter::Ticket(action) => {
            let key: TicketKey = key_of(resource, "tickets")?;
            let explanation = app.tickets.explain(actor, &key, action).await?;
            Ok(DecisionBody::of_ticket(explanation))
        }
        Matter::People(operation) => {
            let question = match operation.is_about() {
                About::Nothing => Question::General(operation),
                About::Account => Question::Account(operation, key_of::<UserId>(resource, "users")?),
                About::Team => Question::Team(operation, key_of::<TeamId>(resource, "teams")?),
            };
            let explained = app.why_not.explain(actor, question).await?;
            Ok(DecisionBody::of_people(explained))
        }
        Matter::View(action) => {
            let id = key_of::<SavedViewId>(resource, "views")?;
            let ViewExplanation { rule, refusal } = app.saved_views.explain(actor, id, action).await?;
            Ok(DecisionBody::new(role_of(actor).as_str(), rule, refusal))
        }
        Matter::Job(action) => {
            let id = key_of::<JobId>(resource, "jobs")?;
            let refusal = app.jobs.explain(actor, id, action).await?;
            let rule = "Whoever asked for it and administrators may.";
            Ok(DecisionBody::new(role_of(actor).as_str(), rule, refusal))
        }
        Matter::Rule(right, rule) => {
            let refusal = right.require(actor).err();
            Ok(DecisionBody::new(role_of(actor).as_str(), rule, refusal))
        }
        Matter::Knowledge(least, rule) => {
            let rank = Standing::of(Some(actor)).rank;
            let refusal = (rank < least).then_some(KnowledgeError::Forbidden("do this"));
            Ok(DecisionBody::new(role_of(actor).as_str(), rule, refusal))
        }
        Matter::Role(least, rule) => {
            let role = role_of(actor);
            let refusal = (role < least).then_some(ChangeAccountError::Forbidden);
            Ok(DecisionBody::new(role.as_str(), rule, refusal))
        }
    }
}

fn role_of(actor: &Actor) -> Role {
    match actor {
        Actor::Person(person) => person.role,
        Actor::System(_) => Role::Admin,
    }
}

/// The key that a resource names, by itself or as the second segment of a path in `collection`. What is no such thing is
/// answered as the key of nothing.
fn key_of<K: PathKey>(resource: &str, collection: &str) -> Result<K, Problem> {
    let path = resource.strip_prefix(API_BASE).unwrap_or(resource);
    let segment = match path.strip_prefix('/') {
        None => Some(path),
        Some(path) => {
            let mut segments = path.split('/');
            let first = segments.next();
            segments.next().filter(|_| first == Some(collection))
        }
    };
    segment
        .and_then(K::parse)
        .ok_or_else(|| Problem::not_found(K::NOT_FOUND, K::NOT_FOUND_DETAIL))
}
