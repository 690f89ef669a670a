//! Writing categories.

use actix_web::HttpResponse;
use actix_web::web::Data;
use identity::Scope;
use kernel::{Guard, Patch, Violations};
use knowledge::{
    Category, CategoryEdit, CategoryId, CategoryName, Description, Icon, KnowledgeError, NewCategory, Place,
};
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{CATEGORY, CategoryBody};
use crate::api::tickets::not_null;
use crate::app::AppState;
use crate::command::{Command, Nothing, Rendered};
use crate::json;
use crate::openapi::IfMatchHeader;
use crate::path::Path;
use crate::problem::Problem;
use crate::routes::{Operation, operation};

pub(super) fn operations() -> Vec<Operation> {
    vec![
        operation(__path_create, create).scope(Scope::KbWrite),
        operation(__path_update, update).scope(Scope::KbWrite),
        operation(__path_delete, delete).scope(Scope::KbWrite),
    ]
}

fn rendered(category: &Category) -> Rendered {
    Rendered::resource(CATEGORY, category.version, &CategoryBody::from(category))
}

/// A category to make.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = NewKbCategory)]
struct CreateBody {
    /// What it is to be called.
    #[schema(min_length = 1, max_length = 100, examples("Accounts"))]
    name: String,
    /// What it is to be called in addresses: small letters and digits with single hyphens between them. Made of the name when absent.
    #[schema(min_length = 1, max_length = 100, examples("accounts"))]
    slug: Option<String>,
    /// What is said of it.
    #[schema(min_length = 1, max_length = 2000)]
    description: Option<String>,
    /// The category that it is to lie in; 8 lie one in the other at the most.
    parent_id: Option<Uuid>,
    /// The name of its icon.
    #[schema(min_length = 1, max_length = 50, examples("key"))]
    icon: Option<String>,
    /// Its place among its siblings; 0 when absent.
    #[schema(value_type = Option<i32>, minimum = 0, maximum = 9999)]
    order: Option<i64>,
}

impl CreateBody {
    fn into_domain(self) -> Result<NewCategory, Problem> {
        let Self {
            name,
            slug,
            description,
            parent_id,
            icon,
            order,
        } = self;
        let mut faults = Violations::new();
        let name = faults.check(CategoryName::parse("/name", &name));
        let slug = slug.map(|slug| faults.check(NewCategory::slug("/slug", &slug)));
        let description = description.map(|text| faults.check(Description::parse("/description", &text)));
        let icon = icon.map(|icon| faults.check(Icon::parse("/icon", &icon)));
        let place = order.map(|order| faults.check(Place::parse("/order", order)));
        faults.into_result().map_err(KnowledgeError::from)?;
        let name = name.ok_or_else(|| Problem::internal("a name is neither good nor bad"))?;
        Ok(NewCategory {
            name,
            slug: slug.flatten(),
            description: description.flatten(),
            parent: parent_id.map(CategoryId),
            icon: icon.flatten(),
            place: place.flatten().unwrap_or_default(),
        })
    }
}

/// Make a category
///
/// For team leads and administrators.
#[utoipa::path(
    post,
    path = "/admin/kb/categories",
    operation_id = "createKbCategory",
    tag = "knowledge-base",
    request_body = CreateBody,
    responses((status = 201, description = "The new category.", body = CategoryBody,
        headers(("ETag" = String, description = "The category's version."),
            ("Location" = String, description = "Where it is."))))
)]
async fn create(
    app: Data<AppState>,
    Command(call, body): Command<CreateBody>,
) -> Result<HttpResponse, Problem> {
    let actor = call.actor();
    let new = body.into_domain()?;
    call.run(
        async |receipt| app.categories.create(&actor, new, receipt).await,
        |category| {
            let location = format!("/api/v1/admin/kb/categories/{}", category.id);
            Rendered::created(
                CATEGORY,
                category.version,
                location,
                &CategoryBody::from(category),
            )
        },
    )
    .await
}

/// What to change of a category.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = KbCategoryUpdate)]
struct UpdateBody {
    /// Another name. The slug stays as it is.
    #[serde(default, deserialize_with = "json::patch")]
    #[schema(value_type = Option<String>, nullable = false, min_length = 1, max_length = 100)]
    name: Patch<String>,
    /// Another slug; addresses with the old one lead nowhere then.
    #[serde(default, deserialize_with = "json::patch")]
    #[schema(value_type = Option<String>, nullable = false, min_length = 1, max_length = 100)]
    slug: Patch<String>,
    /// Another description; null for none.
    #[serde(default, deserialize_with = "json::patch")]
    #[schema(value_type = Option<String>, min_length = 1, max_length = 2000)]
    description: Patch<String>,
    /// The category that it is to lie in, with all that lies in it; null for the top.
    #[serde(default, deserialize_with = "json::patch")]
    #[schema(value_type = Option<Uuid>)]
    parent_id: Patch<Uuid>,
    /// Another icon; null for none.
    #[serde(default, deserialize_with = "json::patch")]
    #[schema(value_type = Option<String>, min_length = 1, max_length = 50)]
    icon: Patch<String>,
    /// Another place among its siblings.
    #[serde(default, deserialize_with = "json::patch")]
    #[schema(value_type = Option<i32>, nullable = false, minimum = 0, maximum = 9999)]
    order: Patch<i64>,
}

impl UpdateBody {
    fn into_domain(self) -> Result<CategoryEdit, Problem> {
        let Self {
            name,
            slug,
            description,
            parent_id,
            icon,
            order,
        } = self;
        let mut faults = Violations::new();
        let name = not_null(&mut faults, "/name", name)
            .and_then(|name| faults.check(CategoryName::parse("/name", &name)));
        let slug = not_null(&mut faults, "/slug", slug)
            .and_then(|slug| faults.check(NewCategory::slug("/slug", &slug)));
        let description =
            description.try_map(|text| faults.check(Description::parse("/description", &text)).ok_or(()));
        let icon = icon.try_map(|icon| faults.check(Icon::parse("/icon", &icon)).ok_or(()));
        let place = not_null(&mut faults, "/order", order)
            .and_then(|order| faults.check(Place::parse("/order", order)));
        faults.into_result().map_err(KnowledgeError::from)?;
        match (description, icon) {
            (Ok(description), Ok(icon)) => Ok(CategoryEdit {
                name,
                slug,
                description,
                parent: match parent_id {
                    Patch::Keep => Patch::Keep,
                    Patch::Set(parent) => Patch::Set(CategoryId(parent)),
                    Patch::Clear => Patch::Clear,
                },
                icon,
                place,
            }),
            _ => Err(Problem::internal("a category is neither good nor bad")),
        }
    }
}

/// Change or move a category
///
/// A JSON merge patch: it can be moved and put into its place in one. For team leads and administrators.
#[utoipa::path(
    patch,
    path = "/admin/kb/categories/{id}",
    operation_id = "updateKbCategory",
    tag = "knowledge-base",
    params(("id" = Uuid, Path, description = "The category."), IfMatchHeader),
    request_body = UpdateBody,
    responses((status = 200, description = "The category after the change.", body = CategoryBody,
        headers(("ETag" = String, description = "The category's version."))))
)]
async fn update(
    app: Data<AppState>,
    Path(id): Path<CategoryId>,
    Command(mut call, body): Command<UpdateBody>,
) -> Result<HttpResponse, Problem> {
    let (actor, expected) = (call.actor(), call.expected(CATEGORY));
    let edit = body.into_domain()?;
    call.run(
        async |receipt| {
            let guard = Guard { expected, receipt };
            app.categories.change(&actor, id, &edit, guard).await
        },
        rendered,
    )
    .await
}

/// Delete a category
///
/// An empty one: nothing may lie in it. For team leads and administrators.
#[utoipa::path(
    delete,
    path = "/admin/kb/categories/{id}",
    operation_id = "deleteKbCategory",
    tag = "knowledge-base",
    params(("id" = Uuid, Path, description = "The category."), IfMatchHeader),
    responses((status = 204, description = "The category is gone."))
)]
async fn delete(
    app: Data<AppState>,
    Path(id): Path<CategoryId>,
    Command(mut call, Nothing {}): Command,
) -> Result<HttpResponse, Problem> {
    let (actor, expected) = (call.actor(), call.expected(CATEGORY));
    call.run(
        async |receipt| {
            let guard = Guard { expected, receipt };
            app.categories.delete(&actor, id, guard).await
        },
        |()| Rendered::no_content(),
    )
    .await
}
