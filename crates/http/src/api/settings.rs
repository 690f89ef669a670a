//! What administrators set for the whole desk while it runs.

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use identity::service::UpdateSecurity;
use identity::{SecuritySettings, TwoFactorRule};
use kernel::Patch;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::app::AppState;
use crate::auth::Caller;
use crate::command::{Command, Rendered};
use crate::json;
use crate::openapi::IfMatchHeader;
use crate::problem::Problem;
use crate::routes::{Operation, operation};

/// The kind that entity tags of the security settings carry.
const KIND: &str = "security";

pub(crate) fn operations() -> Vec<Operation> {
    vec![
        operation(__path_security, security).session(),
        operation(__path_update_security, update_security).session(),
    ]
}

/// Of whom the desk asks a second factor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = TwoFactorRule)]
enum RuleName {
    /// Of nobody: each person chooses.
    None,
    /// Of administrators.
    Admins,
    /// Of agents and administrators.
    Staff,
}

impl From<TwoFactorRule> for RuleName {
    fn from(rule: TwoFactorRule) -> Self {
        match rule {
            TwoFactorRule::Nobody => RuleName::None,
            TwoFactorRule::Admins => RuleName::Admins,
            TwoFactorRule::Staff => RuleName::Staff,
        }
    }
}

impl From<RuleName> for TwoFactorRule {
    fn from(name: RuleName) -> Self {
        match name {
            RuleName::None => TwoFactorRule::Nobody,
            RuleName::Admins => TwoFactorRule::Admins,
            RuleName::Staff => TwoFactorRule::Staff,
        }
    }
}

/// The security settings.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = SecuritySettings)]
struct SecurityBody {
    /// Of whom the desk asks a second factor. Who has none reaches their own account alone until they set one up; those
    /// who came through single sign-on are left to what its provider asks.
    require_two_factor: RuleName,
}

impl From<SecuritySettings> for SecurityBody {
    fn from(settings: SecuritySettings) -> Self {
        let SecuritySettings {
            require_two_factor,
            version: _,
        } = settings;
        Self {
            require_two_factor: require_two_factor.into(),
        }
    }
}

fn rendered(settings: &SecuritySettings) -> Rendered {
    Rendered::resource(KIND, settings.version, &SecurityBody::from(*settings))
}

/// Show the security settings
///
/// Administrators only.
#[utoipa::path(
    get,
    path = "/settings/security",
    operation_id = "getSecuritySettings",
    tag = "settings",
    responses((status = 200, description = "The settings.", body = SecurityBody,
        headers(("ETag" = String, description = "The settings' version.")))),
    security(("bearer" = []))
)]
async fn security(
    app: Data<AppState>,
    caller: Caller,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let settings = app.security.get(&caller.actor()).await?;
    rendered(&settings).to_get(&request)
}

/// What an administrator changes of the security settings.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = SecuritySettingsUpdate)]
struct UpdateSecurityBody {
    /// Of whom the desk asks a second factor; null is nobody.
    #[serde(default, deserialize_with = "json::patch")]
    #[schema(value_type = Option<RuleName>, examples("staff"))]
    require_two_factor: Patch<RuleName>,
}

/// Change the security settings
///
/// They hold for sessions that go on, within three seconds on every node, also for the administrator who changes them.
#[utoipa::path(
    patch,
    path = "/settings/security",
    operation_id = "updateSecuritySettings",
    tag = "settings",
    params(IfMatchHeader),
    request_body = UpdateSecurityBody,
    responses((status = 200, description = "The settings after the change.", body = SecurityBody,
        headers(("ETag" = String, description = "The settings' version.")))),
    security(("bearer" = []))
)]
async fn update_security(
    app: Data<AppState>,
    Command(mut call, body): Command<UpdateSecurityBody>,
) -> Result<HttpResponse, Problem> {
    let update = UpdateSecurity {
        require_two_factor: match body.require_two_factor {
            Patch::Keep => Patch::Keep,
            Patch::Clear => Patch::Clear,
            Patch::Set(rule) => Patch::Set(rule.into()),
        },
    };
    let (actor, expected) = (call.actor(), call.expected(KIND));
    call.run(
        async |receipt| {
            app.security
                .update(&actor, update.clone(), expected, receipt)
                .await
        },
        rendered,
    )
    .await
}
