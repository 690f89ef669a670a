//! The custom fields of tickets, as administrators define them.

use actix_web::web::{Data, Json};
use actix_web::{HttpRequest, HttpResponse};
use identity::Scope;
use kernel::{Patch, Version, Violation, Violations};
use serde::{Deserialize, Serialize};
use ticketing::{
    FIELD_PLACE_MAX, FieldChange, FieldDefinition, FieldError, FieldHelp, FieldId, FieldLabel, FieldName,
    FieldType, FieldValues, Guard, NewField, Options, Pattern,
};
use utoipa::ToSchema;
use uuid::Uuid;

use super::tickets::not_null;
use crate::app::AppState;
use crate::auth::Caller;
use crate::command::{Command, Nothing, Rendered};
use crate::json;
use crate::openapi::IfMatchHeader;
use crate::path::Path;
use crate::problem::Problem;
use crate::query::{ListBody, PageInfo, Query};
use crate::routes::{Operation, operation};
use crate::wire::Timestamp;

/// The kind that entity tags of definitions carry.
const KIND: &str = "ticketField";

pub(crate) fn operations() -> Vec<Operation> {
    vec![
        operation(__path_list, list).scope(Scope::TicketsRead),
        operation(__path_create, create).scope(Scope::TicketsWrite),
        operation(__path_get, get).scope(Scope::TicketsRead),
        operation(__path_update, update).scope(Scope::TicketsWrite),
        operation(__path_delete, delete).scope(Scope::TicketsWrite),
    ]
}

/// What a custom field can hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = TicketFieldType)]
enum TypeName {
    /// A text of at most 1000 characters.
    Text,
    /// A number.
    Number,
    /// Yes or no.
    Boolean,
    /// A day: `2026-12-31`.
    Date,
    /// One of its options.
    Select,
    /// A list of its options, each once.
    MultiSelect,
}

impl From<FieldType> for TypeName {
    fn from(kind: FieldType) -> Self {
        match kind {
            FieldType::Text => Self::Text,
            FieldType::Number => Self::Number,
            FieldType::Boolean => Self::Boolean,
            FieldType::Date => Self::Date,
            FieldType::Select => Self::Select,
            FieldType::MultiSelect => Self::MultiSelect,
        }
    }
}

impl From<TypeName> for FieldType {
    fn from(name: TypeName) -> Self {
        match name {
            TypeName::Text => Self::Text,
            TypeName::Number => Self::Number,
            TypeName::Boolean => Self::Boolean,
            TypeName::Date => Self::Date,
            TypeName::Select => Self::Select,
            TypeName::MultiSelect => Self::MultiSelect,
        }
    }
}

/// The definition of a custom field.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = TicketField)]
struct FieldBody {
    /// The definition.
    id: Uuid,
    /// The member's name in `customFields`.
    #[schema(examples("floor"))]
    name: String,
    /// What forms call it.
    #[schema(examples("Floor"))]
    label: String,
    /// What forms say about it.
    #[schema(required = true)]
    description: Option<String>,
    /// What it can hold.
    r#type: TypeName,
    /// What a select can be; empty for other types.
    options: Vec<String>,
    /// A regular expression that a text must match whole.
    #[schema(required = true, examples("[A-Z]{2}-[0-9]+"))]
    pattern: Option<String>,
    /// Whether a new ticket must have it, and none may lose it.
    required: bool,
    /// Whether requesters may set it.
    user_editable: bool,
    /// Its place among the others.
    #[schema(minimum = 0, maximum = 9999, examples(10))]
    position: i16,
    /// When it was made.
    created_at: Timestamp,
    /// When it last changed.
    updated_at: Timestamp,
}

impl From<FieldDefinition> for FieldBody {
    fn from(field: FieldDefinition) -> Self {
        let FieldDefinition {
            id: FieldId(id),
            name,
            label,
            description,
            values,
            required,
            user_editable,
            place,
            created_at,
            updated_at,
            version: Version(_),
        } = field;
        Self {
            id,
            name: name.as_str().to_owned(),
            label: label.as_str().to_owned(),
            description: description.map(|text| text.as_str().to_owned()),
            r#type: values.kind().into(),
            options: values
                .options()
                .map_or_else(Vec::new, |options| options.as_slice().to_vec()),
            pattern: values.pattern().map(|pattern| pattern.as_str().to_owned()),
            required,
            user_editable,
            position: place,
            created_at: Timestamp(created_at),
            updated_at: Timestamp(updated_at),
        }
    }
}

fn place(raw: i64) -> Result<i16, Violation> {
    let place = i16::try_from(raw)
        .ok()
        .filter(|place| (0..=FIELD_PLACE_MAX).contains(place));
    place.ok_or_else(|| {
        let message = format!("must be between 0 and {FIELD_PLACE_MAX}");
        Violation::new("/position", "out_of_range", message)
    })
}

/// List the custom fields
///
/// All of them, 50 at the most, on one page, by their positions. While there are none, tickets take any.
#[utoipa::path(
    get,
    path = "/ticket-fields",
    operation_id = "listTicketFields",
    tag = "ticket-fields",
    responses((status = 200, description = "The custom fields.", body = ListBody<FieldBody>))
)]
async fn list(
    app: Data<AppState>,
    _caller: Caller,
    query: Query,
) -> Result<Json<ListBody<FieldBody>>, Problem> {
    query.finish()?;
    let fields = app.fields.list().await?;
    Ok(Json(ListBody {
        data: fields.into_iter().map(FieldBody::from).collect(),
        page: PageInfo::whole(),
    }))
}

/// A custom field to define.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = NewTicketField)]
struct CreateFieldBody {
    /// The member's name in `customFields`, for good: small letters, digits and `_`, beginning with a letter.
    #[schema(
        min_length = 1,
        max_length = 50,
        pattern = "^[a-z][a-z0-9_]*$",
        examples("floor")
    )]
    name: String,
    /// What forms call it.
    #[schema(min_length = 1, max_length = 100, examples("Floor"))]
    label: String,
    /// What forms say about it.
    #[schema(min_length = 1, max_length = 500)]
    description: Option<String>,
    /// What it can hold, for good.
    r#type: TypeName,
    /// What a `select` or `multi_select` can be.
    #[schema(min_items = 1, max_items = 100, examples(json!(["Ground", "First"])))]
    options: Option<Vec<String>>,
    /// A regular expression that a `text` must match whole.
    #[schema(min_length = 1, max_length = 200, examples("[A-Z]{2}-[0-9]+"))]
    pattern: Option<String>,
    /// Whether a new ticket must have it, and none may lose it. Customers are asked for it where they may set it.
    #[serde(default)]
    required: bool,
    /// Whether requesters may set it.
    #[serde(default)]
    user_editable: bool,
    /// Its place among the others; 0 when absent.
    #[schema(value_type = Option<i16>, minimum = 0, maximum = 9999, examples(10))]
    position: Option<i64>,
}

impl CreateFieldBody {
    fn into_domain(self) -> Result<NewField, Problem> {
        let Self {
            name,
            label,
            description,
            r#type,
            options,
            pattern,
            required,
            user_editable,
            position,
        } = self;
        let mut faults = Violations::new();
        let name = faults.check(FieldName::parse("/name", &name));
        let label = faults.check(FieldLabel::parse("/label", &label));
        let description = description.map(|text| faults.check(FieldHelp::parse("/description", &text)));
        let options = options.map(|options| faults.check(Options::parse("/options", &options)));
        let pattern = pattern.map(|pattern| faults.check(Pattern::parse("/pattern", &pattern)));
        let place = position.map_or(Some(0), |position| faults.check(place(position)));
        let values = if faults.as_slice().is_empty() {
            faults.check(FieldValues::of(
                r#type.into(),
                options.flatten(),
                pattern.flatten(),
            ))
        } else {
            None
        };
        faults.into_result().map_err(FieldError::from)?;
        match (name, label, values, place) {
            (Some(name), Some(label), Some(values), Some(place)) => Ok(NewField {
                name,
                label,
                description: description.flatten(),
                values,
                required,
                user_editable,
                place,
            }),
            _ => Err(Problem::internal("a field is neither good nor bad")),
        }
    }
}

fn rendered(field: &FieldDefinition) -> Rendered {
    Rendered::resource(KIND, field.version, &FieldBody::from(field.clone()))
}

/// Define a custom field
///
/// From the first on, tickets take no other custom fields; what they have stays. Nodes know of it within three seconds. For
/// administrators.
#[utoipa::path(
    post,
    path = "/ticket-fields",
    operation_id = "createTicketField",
    tag = "ticket-fields",
    request_body = CreateFieldBody,
    responses((status = 201, description = "The new custom field.", body = FieldBody,
        headers(("ETag" = String, description = "The field's version."),
            ("Location" = String, description = "Where it is."))))
)]
async fn create(
    app: Data<AppState>,
    Command(call, body): Command<CreateFieldBody>,
) -> Result<HttpResponse, Problem> {
    let actor = call.actor();
    let new = body.into_domain()?;
    call.run(
        async |receipt| app.fields.create(&actor, new, receipt).await,
        |field| {
            let location = format!("/api/v1/ticket-fields/{}", field.id);
            Rendered::created(KIND, field.version, location, &FieldBody::from(field.clone()))
        },
    )
    .await
}

/// Show a custom field
#[utoipa::path(
    get,
    path = "/ticket-fields/{id}",
    operation_id = "getTicketField",
    tag = "ticket-fields",
    params(("id" = Uuid, Path, description = "The definition.")),
    responses((status = 200, description = "The custom field.", body = FieldBody,
        headers(("ETag" = String, description = "The field's version."))))
)]
async fn get(
    app: Data<AppState>,
    _caller: Caller,
    Path(id): Path<FieldId>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let field = app.fields.show(id).await?;
    rendered(&field).to_get(&request)
}

/// What to change of a custom field.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = TicketFieldUpdate)]
struct UpdateFieldBody {
    /// What forms call it.
    #[serde(default, deserialize_with = "json::patch")]
    #[schema(value_type = Option<String>, nullable = false, min_length = 1, max_length = 100)]
    label: Patch<String>,
    /// What forms say about it; null for nothing.
    #[serde(default, deserialize_with = "json::patch")]
    #[schema(value_type = Option<String>, min_length = 1, max_length = 500)]
    description: Patch<String>,
    /// All options of a select. Tickets keep those that are gone.
    #[serde(default, deserialize_with = "json::patch")]
    #[schema(value_type = Option<Vec<String>>, nullable = false, min_items = 1, max_items = 100)]
    options: Patch<Vec<String>>,
    /// The pattern of a text; null for none.
    #[serde(default, deserialize_with = "json::patch")]
    #[schema(value_type = Option<String>, min_length = 1, max_length = 200)]
    pattern: Patch<String>,
    /// Whether a new ticket must have it.
    #[serde(default, deserialize_with = "json::patch")]
    #[schema(value_type = Option<bool>, nullable = false)]
    required: Patch<bool>,
    /// Whether requesters may set it.
    #[serde(default, deserialize_with = "json::patch")]
    #[schema(value_type = Option<bool>, nullable = false)]
    user_editable: Patch<bool>,
    /// Its place among the others.
    #[serde(default, deserialize_with = "json::patch")]
    #[schema(value_type = Option<i16>, nullable = false, minimum = 0, maximum = 9999)]
    position: Patch<i64>,
}

impl UpdateFieldBody {
    fn into_domain(self) -> Result<FieldChange, Problem> {
        let Self {
            label,
            description,
            options,
            pattern,
            required,
            user_editable,
            position,
        } = self;
        let mut faults = Violations::new();
        let label = not_null(&mut faults, "/label", label)
            .and_then(|text| faults.check(FieldLabel::parse("/label", &text)));
        let description = description
            .try_map(|text| FieldHelp::parse("/description", &text))
            .or_else(|violation| faults.check(Err(violation)).ok_or(()));
        let options = not_null(&mut faults, "/options", options)
            .and_then(|options| faults.check(Options::parse("/options", &options)));
        let pattern = pattern
            .try_map(|text| Pattern::parse("/pattern", &text))
            .or_else(|violation| faults.check(Err(violation)).ok_or(()));
        let required = not_null(&mut faults, "/required", required);
        let user_editable = not_null(&mut faults, "/userEditable", user_editable);
        let place =
            not_null(&mut faults, "/position", position).and_then(|position| faults.check(place(position)));
        faults.into_result().map_err(FieldError::from)?;
        match (description, pattern) {
            (Ok(description), Ok(pattern)) => Ok(FieldChange {
                label,
                description,
                options,
                pattern,
                required,
                user_editable,
                place,
            }),
            _ => Err(Problem::internal("a field is neither good nor bad")),
        }
    }
}

/// Change a custom field
///
/// A JSON merge patch. What tickets have stays as it is, and is checked when it is next set. For administrators.
#[utoipa::path(
    patch,
    path = "/ticket-fields/{id}",
    operation_id = "updateTicketField",
    tag = "ticket-fields",
    params(("id" = Uuid, Path, description = "The definition."), IfMatchHeader),
    request_body = UpdateFieldBody,
    responses((status = 200, description = "The custom field after the change.", body = FieldBody,
        headers(("ETag" = String, description = "The field's version."))))
)]
async fn update(
    app: Data<AppState>,
    Path(id): Path<FieldId>,
    Command(mut call, body): Command<UpdateFieldBody>,
) -> Result<HttpResponse, Problem> {
    let (actor, expected) = (call.actor(), call.expected(KIND));
    let change = body.into_domain()?;
    call.run(
        async |receipt| {
            let guard = Guard { expected, receipt };
            app.fields.change(&actor, id, &change, guard).await
        },
        rendered,
    )
    .await
}

/// Delete a custom field
///
/// Tickets keep their values, which can only be taken away from then on. For administrators.
#[utoipa::path(
    delete,
    path = "/ticket-fields/{id}",
    operation_id = "deleteTicketField",
    tag = "ticket-fields",
    params(("id" = Uuid, Path, description = "The definition."), IfMatchHeader),
    responses((status = 204, description = "The custom field is gone."))
)]
async fn delete(
    app: Data<AppState>,
    Path(id): Path<FieldId>,
    Command(mut call, Nothing {}): Command,
) -> Result<HttpResponse, Problem> {
    let (actor, expected) = (call.actor(), call.expected(KIND));
    call.run(
        async |receipt| app.fields.delete(&actor, id, Guard { expected, receipt }).await,
        |()| Rendered::no_content(),
    )
    .await
}
