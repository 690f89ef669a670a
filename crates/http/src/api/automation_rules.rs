//! Rules that change tickets by themselves: writing them, seeing what they did, trying what they would do.

use std::collections::HashSet;

use actix_web::http::StatusCode;
use actix_web::web::{Data, Json};
use actix_web::{HttpRequest, HttpResponse, Responder};
use automation::{
    AutomationError, Carried, Decision, Explanation, Guard, Happening, Listed, Outcome, RateLimit, RowFault,
    Rule, RuleId, RuleRight, RuleRow, Run, RunState, Saved, Simulated, Step, TicketView,
};
use chrono::TimeDelta;
use identity::Scope;
use kernel::{EventId, PageLimit, Role, TicketId, Violation};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use ticketing::{TicketError, TicketFilter, TicketKey, TicketQuery};
use utoipa::ToSchema;
use uuid::Uuid;

use super::users::PageParams;
use crate::app::AppState;
use crate::auth::Caller;
use crate::command::{Command, Nothing, Rendered};
use crate::json::Document;
use crate::openapi::IfMatchHeader;
use crate::path::Path;
use crate::problem::Problem;
use crate::query::{ListBody, PageInfo, Query};
use crate::routes::{Operation, operation};
use crate::wire::Timestamp;

/// The kind that entity tags of rules carry.
const KIND: &str = "automationRule";
/// The most days back that a trial looks.
const TRIAL_MAX_DAYS: u16 = 90;
/// The most tickets of a trial.
const TRIAL_MAX_TICKETS: usize = 200;

pub(crate) fn operations() -> Vec<Operation> {
    vec![
        operation(__path_list, list).scope(Scope::TicketsRead),
        operation(__path_create, create).scope(Scope::TicketsWrite),
        operation(__path_reorder, reorder).scope(Scope::TicketsWrite),
        operation(__path_simulate_draft, simulate_draft).scope(Scope::TicketsRead),
        operation(__path_get, get).scope(Scope::TicketsRead),
        operation(__path_update, update).scope(Scope::TicketsWrite),
        operation(__path_delete, delete).scope(Scope::TicketsWrite),
        operation(__path_enable, enable).scope(Scope::TicketsWrite),
        operation(__path_disable, disable).scope(Scope::TicketsWrite),
        operation(__path_runs, runs).scope(Scope::TicketsRead),
        operation(__path_simulate, simulate).scope(Scope::TicketsRead),
    ]
}

/// Something wrong with a stored rule.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AutomationRuleFault)]
struct FaultBody {
    /// Where, as a JSON pointer into the rule.
    #[schema(examples("/conditions/all/0/field"))]
    pointer: String,
    /// What, for programs.
    #[schema(examples("unknown_field"))]
    code: String,
    /// What, for people.
    message: String,
}

/// How often a rule runs at the most.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = AutomationRateLimit)]
struct RateLimitBody {
    /// For one ticket.
    #[schema(required = true, minimum = 1, maximum = 100_000)]
    per_ticket_per_hour: Option<u32>,
    /// For all.
    #[schema(required = true, minimum = 1, maximum = 100_000)]
    per_rule_per_hour: Option<u32>,
}

/// A rule.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = AutomationRule)]
struct RuleBody {
    /// The rule.
    id: Uuid,
    /// What it is called.
    #[schema(examples("VPN to the network team"))]
    name: String,
    /// What it is for.
    #[schema(required = true)]
    description: Option<String>,
    /// What sets it off.
    #[schema(examples("ticket.created"))]
    trigger: String,
    /// When, and for which tickets, with the trigger `schedule`.
    #[schema(value_type = Object, required = true)]
    schedule: Value,
    /// When it runs, in the filter language with `changed…`; `{}` for always.
    #[schema(value_type = Object)]
    conditions: Value,
    /// What it does, in this order.
    #[schema(value_type = Vec<Object>)]
    actions: Value,
    /// Rules with a lower one run first; those with the same, in the order of their ids.
    priority: i32,
    /// Whether it runs at all.
    enabled: bool,
    /// Whether no rule after it sees an event for which it ran.
    stop_after_match: bool,
    /// How often it runs at the most in an hour.
    rate_limit: RateLimitBody,
    /// Why the server disabled it: `loop`, since it kept setting itself off; `null` where it did not.
    #[schema(required = true)]
    disabled_because: Option<String>,
    /// How often it ran, a few seconds late.
    trigger_count: u32,
    /// The moment of the last event for which it ran.
    #[schema(required = true)]
    last_triggered_at: Option<Timestamp>,
    /// Who made it, and is shown as the author of what it writes.
    created_by_id: Uuid,
    /// When it was made.
    created_at: Timestamp,
    /// When it last changed.
    updated_at: Timestamp,
    /// What keeps it from being a rule, where another program wrote it: it never runs. Empty for a rule.
    faults: Vec<FaultBody>,
    /// After a change: the circles of enabled rules that it is part of, each of which can set itself off.
    #[serde(skip_serializing_if = "Option::is_none")]
    cycles: Option<Vec<Vec<Uuid>>>,
}

impl RuleBody {
    fn of_row(row: RuleRow, rate_limit: RateLimit, faults: Vec<FaultBody>) -> Self {
        let ran = row.ran();
        let RuleRow {
            id,
            name,
            description,
            trigger,
            schedule,
            conditions,
            actions,
            priority,
            enabled,
            stop_after_match,
            rate_limit: _,
            disabled,
            created_by,
            created_at,
            updated_at,
            version: _,
            trigger_count: _,
            last_triggered_at: _,
        } = row;
        Self {
            id,
            name,
            description,
            trigger,
            schedule: schedule.unwrap_or(Value::Null),
            conditions,
            actions,
            priority,
            enabled,
            stop_after_match,
            rate_limit: RateLimitBody {
                per_ticket_per_hour: rate_limit.per_ticket_per_hour,
                per_rule_per_hour: rate_limit.per_rule_per_hour,
            },
            disabled_because: disabled,
            trigger_count: ran.count,
            last_triggered_at: ran.last_at.map(Timestamp),
            created_by_id: created_by,
            created_at: Timestamp(created_at),
            updated_at: Timestamp(updated_at),
            faults,
            cycles: None,
        }
    }
}

impl From<&Rule> for RuleBody {
    fn from(rule: &Rule) -> Self {
        Self::of_row(rule.to_row(), rule.content.rate_limit, Vec::new())
    }
}

impl From<&RowFault> for RuleBody {
    fn from(fault: &RowFault) -> Self {
        let faults = fault.faults.as_slice().iter().map(|one| FaultBody {
            pointer: one.pointer.clone(),
            code: one.code.to_owned(),
            message: one.message.clone(),
        });
        Self::of_row((*fault.row).clone(), RateLimit::default(), faults.collect())
    }
}

impl From<&Listed> for RuleBody {
    fn from(listed: &Listed) -> Self {
        match listed {
            Listed::Rule(rule) => rule.as_ref().into(),
            Listed::Faulty(fault) => fault.into(),
        }
    }
}

impl From<&Saved> for RuleBody {
    fn from(saved: &Saved) -> Self {
        let cycles = saved.cycles.iter();
        Self {
            cycles: Some(
                cycles
                    .map(|cycle| cycle.iter().map(|rule| rule.0).collect())
                    .collect(),
            ),
            ..(&saved.rule).into()
        }
    }
}

fn rendered(saved: &Saved) -> Rendered {
    Rendered::resource(KIND, saved.rule.version, &RuleBody::from(saved))
}

/// A rule to make, or in a merge patch what to change of one.
#[derive(ToSchema)]
#[schema(as = AutomationRuleInput, rename_all = "camelCase")]
#[expect(dead_code, reason = "only its document is used; the domain reads the JSON")]
struct RuleInput {
    /// What it is called; must be given for a new one.
    #[schema(min_length = 1, max_length = 100, examples("VPN to the network team"))]
    name: Option<String>,
    /// What it is for.
    #[schema(max_length = 2000)]
    description: Option<String>,
    /// What sets it off; must be given for a new one: `ticket.created`, `ticket.updated`, `ticket.status_changed`,
    /// `ticket.priority_changed`, `ticket.assigned`, `ticket.message_added`, `ticket.reopened`, `ticket.rated`,
    /// `ticket.sla_warning`, `ticket.sla_breached`, `user.created` or `schedule`.
    #[schema(examples("ticket.created"))]
    trigger: Option<String>,
    /// With the trigger `schedule`: `{ "cron", "timezone", "filter"? }`.
    #[schema(value_type = Option<Object>)]
    schedule: Option<Value>,
    /// When it runs, in the filter language with `changed`, `changed_from`, `changed_to`, `matches_regex` and
    /// `within_business_hours`; always when absent.
    #[schema(value_type = Option<Object>,
        examples(json!({ "field": "subject", "operator": "contains", "value": "vpn" })))]
    conditions: Option<Value>,
    /// What it does, in this order, 1 to 20 things; must be given for a new one.
    #[schema(value_type = Option<Vec<Object>>,
        examples(json!([{ "type": "set_priority", "value": "high" }, { "type": "add_tags", "value": ["vpn"] }])))]
    actions: Option<Value>,
    /// Rules with a lower one run first; 0 when absent.
    #[schema(minimum = -10_000, maximum = 10_000)]
    priority: Option<i32>,
    /// Whether it runs at all; true when absent.
    enabled: Option<bool>,
    /// Whether no rule after it sees an event for which it ran; false when absent.
    stop_after_match: Option<bool>,
    /// `{ "perTicketPerHour"?, "perRulePerHour"? }`.
    #[schema(value_type = Option<Object>)]
    rate_limit: Option<Value>,
}

/// List the automation rules
///
/// All of them, 1000 at the most, on one page, in the order in which they run; also rows of other programs that are no rules.
#[utoipa::path(
    get,
    path = "/automation/rules",
    operation_id = "listAutomationRules",
    tag = "automation",
    responses((status = 200, description = "The rules.", body = ListBody<RuleBody>))
)]
async fn list(
    app: Data<AppState>,
    caller: Caller,
    query: Query,
) -> Result<Json<ListBody<RuleBody>>, Problem> {
    query.finish()?;
    let rules = app.rules.list(&caller.actor()).await?;
    Ok(Json(ListBody {
        data: rules.iter().map(RuleBody::from).collect(),
        page: PageInfo::whole(),
    }))
}

/// Make an automation rule
///
/// It is checked whole: fields, operators, values, people and teams that it names, and texts. Rules that can set each other off are
/// named in `cycles`. It runs from now on, on other nodes within a second. For administrators.
#[utoipa::path(
    post,
    path = "/automation/rules",
    operation_id = "createAutomationRule",
    tag = "automation",
    request_body = RuleInput,
    responses((status = 201, description = "The new rule.", body = RuleBody,
        headers(("ETag" = String, description = "The rule's version."),
            ("Location" = String, description = "Where it is."))))
)]
async fn create(
    app: Data<AppState>,
    Command(call, Document(document)): Command<Document>,
) -> Result<HttpResponse, Problem> {
    let actor = call.actor();
    let document = Value::Object(document);
    call.run(
        async |receipt| app.rules.create(&actor, &document, receipt).await,
        |saved| {
            let location = format!("/api/v1/automation/rules/{}", saved.rule.id);
            Rendered::created(KIND, saved.rule.version, location, &RuleBody::from(saved))
        },
    )
    .await
}

/// Show an automation rule
#[utoipa::path(
    get,
    path = "/automation/rules/{id}",
    operation_id = "getAutomationRule",
    tag = "automation",
    params(("id" = Uuid, Path, description = "The rule.")),
    responses((status = 200, description = "The rule.", body = RuleBody,
        headers(("ETag" = String, description = "The rule's version."))))
)]
async fn get(
    app: Data<AppState>,
    caller: Caller,
    Path(id): Path<RuleId>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let listed = app.rules.show(&caller.actor(), id).await?;
    Rendered::resource(KIND, listed.version(), &RuleBody::from(&listed)).to_get(&request)
}

/// Change an automation rule
///
/// A JSON merge patch of its members, each of which is taken whole. A row that is no rule takes a whole rule alone. For
/// administrators.
#[utoipa::path(
    patch,
    path = "/automation/rules/{id}",
    operation_id = "updateAutomationRule",
    tag = "automation",
    params(("id" = Uuid, Path, description = "The rule."), IfMatchHeader),
    request_body = RuleInput,
    responses((status = 200, description = "The rule after the change.", body = RuleBody,
        headers(("ETag" = String, description = "The rule's version."))))
)]
async fn update(
    app: Data<AppState>,
    Path(id): Path<RuleId>,
    Command(mut call, Document(patch)): Command<Document>,
) -> Result<HttpResponse, Problem> {
    let (actor, expected) = (call.actor(), call.expected(KIND));
    let patch = Value::Object(patch);
    call.run(
        async |receipt| {
            let guard = Guard { expected, receipt };
            app.rules.update(&actor, id, &patch, guard).await
        },
        rendered,
    )
    .await
}

/// Delete an automation rule
///
/// With its runs; what it did stays done. For administrators.
#[utoipa::path(
    delete,
    path = "/automation/rules/{id}",
    operation_id = "deleteAutomationRule",
    tag = "automation",
    params(("id" = Uuid, Path, description = "The rule."), IfMatchHeader),
    responses((status = 204, description = "The rule is gone."))
)]
async fn delete(
    app: Data<AppState>,
    Path(id): Path<RuleId>,
    Command(mut call, Nothing {}): Command,
) -> Result<HttpResponse, Problem> {
    let (actor, expected) = (call.actor(), call.expected(KIND));
    call.run(
        async |receipt| {
            let guard = Guard { expected, receipt };
            app.rules.delete(&actor, id, guard).await
        },
        |()| Rendered::no_content(),
    )
    .await
}

/// Enable an automation rule
///
/// Also one that the server disabled. For administrators.
#[utoipa::path(
    post,
    path = "/automation/rules/{id}/enable",
    operation_id = "enableAutomationRule",
    tag = "automation",
    params(("id" = Uuid, Path, description = "The rule."), IfMatchHeader),
    responses((status = 200, description = "The rule, enabled.", body = RuleBody,
        headers(("ETag" = String, description = "The rule's version."))))
)]
async fn enable(
    app: Data<AppState>,
    Path(id): Path<RuleId>,
    Command(mut call, Nothing {}): Command,
) -> Result<HttpResponse, Problem> {
    let (actor, expected) = (call.actor(), call.expected(KIND));
    call.run(
        async |receipt| {
            let guard = Guard { expected, receipt };
            app.rules.enable(&actor, id, guard).await
        },
        rendered,
    )
    .await
}

/// Disable an automation rule
///
/// For administrators.
#[utoipa::path(
    post,
    path = "/automation/rules/{id}/disable",
    operation_id = "disableAutomationRule",
    tag = "automation",
    params(("id" = Uuid, Path, description = "The rule."), IfMatchHeader),
    responses((status = 200, description = "The rule, disabled.", body = RuleBody,
        headers(("ETag" = String, description = "The rule's version."))))
)]
async fn disable(
    app: Data<AppState>,
    Path(id): Path<RuleId>,
    Command(mut call, Nothing {}): Command,
) -> Result<HttpResponse, Problem> {
    let (actor, expected) = (call.actor(), call.expected(KIND));
    call.run(
        async |receipt| {
            let guard = Guard { expected, receipt };
            app.rules.disable(&actor, id, guard).await
        },
        rendered,
    )
    .await
}

/// An order of all rules.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = AutomationRuleOrder)]
struct OrderBody {
    /// Each rule once.
    #[schema(max_items = 1000)]
    order: Vec<Uuid>,
}

/// Order the automation rules
///
/// Each gets a priority of its own, ten apart. For administrators.
#[utoipa::path(
    post,
    path = "/automation/rules/reorder",
    operation_id = "reorderAutomationRules",
    tag = "automation",
    request_body = OrderBody,
    responses((status = 204, description = "They run in this order."))
)]
async fn reorder(
    app: Data<AppState>,
    Command(call, OrderBody { order }): Command<OrderBody>,
) -> Result<HttpResponse, Problem> {
    let actor = call.actor();
    let order: Vec<_> = order.into_iter().map(RuleId).collect();
    call.run(
        async |receipt| app.rules.reorder(&actor, &order, receipt).await,
        |()| Rendered::no_content(),
    )
    .await
}

/// A condition and what it saw.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = AutomationCondition)]
struct ConditionBody {
    /// Where it stands in the rule.
    #[schema(examples("/conditions/all/0"))]
    pointer: String,
    /// The field.
    #[schema(examples("subject"))]
    field: String,
    /// The operator.
    #[schema(examples("contains"))]
    operator: String,
    /// What was asked for.
    #[schema(value_type = Object, required = true)]
    wanted: Value,
    /// What the field held, cut where it is long; of a change, `from` and `to`.
    #[schema(value_type = Object, required = true)]
    actual: Value,
    /// Whether it holds.
    holds: bool,
}

fn conditions(explanation: &Explanation) -> Vec<ConditionBody> {
    let conditions = explanation.conditions.iter();
    conditions
        .map(|one| ConditionBody {
            pointer: one.pointer.clone(),
            field: one.field.clone(),
            operator: one.operator.clone(),
            wanted: one.wanted.clone(),
            actual: one.actual.clone(),
            holds: one.holds,
        })
        .collect()
}

/// What became, or would become, of an action.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = AutomationAction)]
struct ActionBody {
    /// Which of the rule's actions, from 0.
    index: usize,
    /// Its type.
    #[schema(examples("set_priority"))]
    r#type: String,
    /// `planned`: decided, and not known to be carried out. `done`. `unchanged`: it was so already. `impossible`: the rule cannot do
    /// it here. `refused`: it was not allowed when it came to it.
    #[schema(examples("done"))]
    outcome: &'static str,
    /// Why it was refused or is impossible, for programs.
    #[schema(required = true, examples("ticket.transition_not_allowed"))]
    code: Option<String>,
    /// What it comes to, with texts filled in.
    #[schema(value_type = Object, required = true)]
    change: Value,
}

impl ActionBody {
    fn of(step: &Step, carried: Option<&Carried>) -> Self {
        let (outcome, code) = match (&step.outcome, carried) {
            (Outcome::Unchanged, _) | (Outcome::Do(_), Some(Carried::Unchanged)) => ("unchanged", None),
            (Outcome::Impossible(why), _) => ("impossible", Some(why.as_str().to_owned())),
            (Outcome::Do(_), None) => ("planned", None),
            (Outcome::Do(_), Some(Carried::Done)) => ("done", None),
            (Outcome::Do(_), Some(Carried::Refused(code))) => ("refused", Some(code.clone())),
        };
        let change = step.effect().and_then(|effect| serde_json::to_value(effect).ok());
        Self {
            index: step.index,
            r#type: step.type_name.clone(),
            outcome,
            code,
            change: change.unwrap_or(Value::Null),
        }
    }
}

/// One run of a rule for one event.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = AutomationRun)]
struct RunBody {
    /// The event.
    event_id: Uuid,
    /// The rule's version.
    rule_version: i32,
    /// What the rule was called.
    rule_name: String,
    /// The ticket; null for an event without one, and for one that you do not see.
    #[schema(required = true)]
    ticket_id: Option<Uuid>,
    /// Whether ticket, conditions and actions are left out because you do not see the ticket.
    is_hidden: bool,
    /// The event's moment.
    at: Timestamp,
    /// When it was carried out; null where that is not known yet.
    #[schema(required = true)]
    settled_at: Option<Timestamp>,
    /// What each condition saw.
    conditions: Vec<ConditionBody>,
    /// What became of each action.
    actions: Vec<ActionBody>,
}

impl RunBody {
    fn of(run: &Run, is_hidden: bool) -> Self {
        let (settled_at, results) = match &run.state {
            RunState::Planned => (None, &[][..]),
            RunState::Settled { at, results } => (Some(Timestamp(*at)), results.as_slice()),
        };
        let carried = |step: &Step| {
            let found = results.iter().find(|result| result.index == step.index);
            found.map(|result| &result.result)
        };
        let actions = run.steps.iter().map(|step| ActionBody::of(step, carried(step)));
        Self {
            event_id: run.key.event.0,
            rule_version: run.version.0,
            rule_name: run.name.clone(),
            ticket_id: run.ticket.map(|ticket| ticket.0).filter(|_| !is_hidden),
            is_hidden,
            at: Timestamp(run.at),
            settled_at,
            conditions: if is_hidden {
                Vec::new()
            } else {
                conditions(&run.explanation)
            },
            actions: if is_hidden { Vec::new() } else { actions.collect() },
        }
    }
}

/// Which runs to list.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Query, rename_all = "camelCase")]
#[expect(
    dead_code,
    reason = "only its document is used; the parameters are read one by one"
)]
struct RunParams {
    /// Those for this ticket alone.
    ticket_id: Option<Uuid>,
}

/// List what an automation rule did
///
/// The newest first, for 30 days: each condition's value, and what became of each action. Of tickets that you do not see, only that
/// the rule ran.
#[utoipa::path(
    get,
    path = "/automation/rules/{id}/runs",
    operation_id = "listAutomationRuns",
    tag = "automation",
    params(("id" = Uuid, Path, description = "The rule."), RunParams, PageParams),
    responses((status = 200, description = "A page of runs.", body = ListBody<RunBody>))
)]
async fn runs(
    app: Data<AppState>,
    caller: Caller,
    Path(id): Path<RuleId>,
    mut query: Query,
) -> Result<impl Responder, Problem> {
    let ticket = query.id::<TicketId>("ticketId");
    let page = query.page_uncounted(caller.id());
    query.finish()?;
    let after = page.after()?;
    let actor = caller.actor();
    app.rules.show(&actor, id).await?;
    let found = app.rules.log(&actor, Some(id), ticket, after, page.limit).await?;
    let mut hidden = HashSet::new();
    let sees_all = matches!(&actor, kernel::Actor::Person(person) if person.role == Role::Admin);
    if !sees_all {
        let tickets: HashSet<TicketId> = found.items.iter().filter_map(|run| run.ticket).collect();
        for ticket in tickets {
            match app.tickets.with_clocks(&actor, &TicketKey::Id(ticket)).await {
                Ok(_) => {}
                Err(TicketError::Port(error)) => return Err(error.into()),
                Err(_) => {
                    hidden.insert(ticket);
                }
            }
        }
    }
    page.answer(found, None, |run| {
        let is_hidden = run.ticket.is_some_and(|ticket| hidden.contains(&ticket));
        RunBody::of(&run, is_hidden)
    })
}

/// On what to try a rule: one ticket, or the newest ones.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = AutomationTrial)]
struct TrialBody {
    /// A ticket.
    ticket_id: Option<Uuid>,
    /// The tickets made in the last so many days, the newest 200 of those that you see; 7 when neither is given.
    #[schema(minimum = 1, maximum = 90)]
    days: Option<u16>,
}

/// A rule that is not stored, and on what to try it.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = AutomationDraftTrial)]
struct DraftTrialBody {
    /// The rule; what is not given is as in a new one.
    #[schema(value_type = RuleInput)]
    rule: Document,
    /// A ticket.
    ticket_id: Option<Uuid>,
    /// The tickets made in the last so many days, the newest 200 of those that you see; 7 when neither is given.
    #[schema(minimum = 1, maximum = 90)]
    days: Option<u16>,
}

/// What a rule would do to a ticket, and why.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = AutomationSimulated)]
struct SimulatedBody {
    /// The ticket.
    ticket_id: Uuid,
    /// Its number.
    #[schema(examples("TKT-00001"))]
    ticket_number: String,
    /// Whether it would run.
    runs: bool,
    /// What each condition saw.
    conditions: Vec<ConditionBody>,
    /// What each action would come to; `planned` where it would do something.
    actions: Vec<ActionBody>,
}

impl SimulatedBody {
    fn of(simulated: &Simulated, view: &TicketView) -> Self {
        let Decision { fired, passed, .. } = &simulated.decision;
        let fired = fired.first();
        let explanation = fired
            .map(|fired| &fired.explanation)
            .or_else(|| passed.first().map(|passed| &passed.explanation));
        let steps = fired.map_or(&[][..], |fired| fired.steps.as_slice());
        Self {
            ticket_id: view.ticket.id.0,
            ticket_number: view.ticket.number.clone(),
            runs: fired.is_some(),
            conditions: explanation.map(conditions).unwrap_or_default(),
            actions: steps.iter().map(|step| ActionBody::of(step, None)).collect(),
        }
    }
}

/// What a rule would do.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = AutomationTrialResult)]
struct TrialAnswer {
    /// Each ticket, the newest first.
    tickets: Vec<SimulatedBody>,
    /// For how many of them it would run.
    runs: usize,
    /// Whether there are more tickets than were looked at.
    is_cut: bool,
}

/// Simulate an automation rule
///
/// What it would do, enabled or not, and why: each ticket as it stands now, as if the rule's event came for it at this moment without
/// changing anything. Writes nothing. For leads, on tickets that they see, and administrators.
#[utoipa::path(
    post,
    path = "/automation/rules/{id}/simulate",
    operation_id = "simulateAutomationRule",
    tag = "automation",
    params(("id" = Uuid, Path, description = "The rule.")),
    request_body = TrialBody,
    responses((status = 200, description = "What it would do.", body = TrialAnswer))
)]
async fn simulate(
    app: Data<AppState>,
    Path(id): Path<RuleId>,
    Command(call, TrialBody { ticket_id, days }): Command<TrialBody>,
) -> Result<HttpResponse, Problem> {
    let actor = call.actor();
    RuleRight::Try.require(&actor)?;
    let document = match app.rules.show(&actor, id).await? {
        Listed::Rule(rule) => rule.content.to_json(),
        Listed::Faulty(fault) => return Err(AutomationError::Faulty(fault.faults).into()),
    };
    tried(&app, &actor, &document, ticket_id, days).await
}

/// Simulate an automation rule that is not stored
///
/// As for a stored one; nothing is stored.
#[utoipa::path(
    post,
    path = "/automation/rules/simulate",
    operation_id = "simulateAutomationDraft",
    tag = "automation",
    request_body = DraftTrialBody,
    responses((status = 200, description = "What it would do.", body = TrialAnswer))
)]
async fn simulate_draft(
    app: Data<AppState>,
    Command(call, body): Command<DraftTrialBody>,
) -> Result<HttpResponse, Problem> {
    let actor = call.actor();
    let DraftTrialBody {
        rule: Document(mut document),
        ticket_id,
        days,
    } = body;
    document.entry("name").or_insert_with(|| Value::from("Trial"));
    let document = Value::Object(document);
    tried(&app, &actor, &document, ticket_id, days).await
}

async fn tried(
    app: &AppState,
    actor: &kernel::Actor,
    document: &Value,
    ticket_id: Option<Uuid>,
    days: Option<u16>,
) -> Result<HttpResponse, Problem> {
    // What is wrong with the rule comes before any ticket is looked at.
    let trial = app.rules.trial(actor, document).await?;
    if !trial.kind.has_ticket() {
        let message = "must be one of tickets: there is nothing to try this one on";
        return Err(AutomationError::from(Violation::new("/trigger", "not_allowed", message)).into());
    }
    let (tickets, is_cut) = match (ticket_id, days) {
        (Some(_), Some(_)) => {
            let message = "must not be given with ticketId";
            return Err(AutomationError::from(Violation::new("/days", "conflict", message)).into());
        }
        (Some(ticket), None) => {
            let key = TicketKey::Id(TicketId(ticket));
            let ticket = app.tickets.with_clocks(actor, &key).await?;
            (vec![ticket.id], false)
        }
        (None, days) => newest(app, actor, days.unwrap_or(7)).await?,
    };
    let now = app.clock.now();
    let mut cases = Vec::with_capacity(tickets.len());
    for ticket in tickets {
        if let Some(view) = app.scenes.ticket(ticket).await? {
            let id = EventId::new(app.ids.as_ref());
            cases.push((Happening::new(id, trial.kind, now), Some(view)));
        }
    }
    let surroundings = app.scenes.surroundings().await?;
    let simulated = trial.simulate(&cases, surroundings.as_ref());
    let pairs = simulated.iter().zip(&cases);
    let tickets: Vec<_> = pairs
        .filter_map(|(simulated, (_, view))| Some(SimulatedBody::of(simulated, view.as_ref()?)))
        .collect();
    let answer = TrialAnswer {
        runs: tickets.iter().filter(|one| one.runs).count(),
        tickets,
        is_cut,
    };
    Rendered::of(StatusCode::OK, &answer).into_response()
}

/// The newest tickets of so many days that the caller works on, and whether there are more.
async fn newest(app: &AppState, actor: &kernel::Actor, days: u16) -> Result<(Vec<TicketId>, bool), Problem> {
    if !(1..=TRIAL_MAX_DAYS).contains(&days) {
        let message = format!("must be a whole number from 1 to {TRIAL_MAX_DAYS}");
        return Err(AutomationError::from(Violation::new("/days", "out_of_range", message)).into());
    }
    let mut filter = TicketFilter::default();
    filter.created.from = Some(app.clock.now() - TimeDelta::days(days.into()));
    let mut query = TicketQuery {
        filter,
        limit: PageLimit::new(PageLimit::MAX).unwrap_or_default(),
        ..TicketQuery::default()
    };
    let mut tickets = Vec::new();
    loop {
        let page = app.tickets.list(actor, &query).await?;
        tickets.extend(page.items.iter().map(|view| view.ticket.id));
        query.after = page.next;
        if query.after.is_none() || tickets.len() >= TRIAL_MAX_TICKETS {
            return Ok((tickets, query.after.is_some()));
        }
    }
}
