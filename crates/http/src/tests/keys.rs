//! What each operation asks of its caller's access, read off the route table: declared everywhere, kept everywhere.

use std::collections::BTreeSet;

use actix_web::http::Method;
use actix_web::test::TestRequest;
use identity::{Requirement, Scope};
use serde_json::{Value, json};

use super::{Answer, World, request};
use crate::api::operations;
use crate::api::why_not::topic;
use crate::routes::{Operation, method_of};

const PASSWORD: &str = "seven purple lanterns";

/// Operations that strangers may call.
const OPEN: [&str; 25] = [
    "acceptInvitation",
    "downloadAttachment",
    "exchangeSignOn",
    "finishSignOn",
    "forgotPassword",
    "getKbArticle",
    "getKbCategory",
    "getRating",
    "listKbArticles",
    "listKbCategories",
    "listKbCategoryArticles",
    "listRelatedKbArticles",
    "listSignOnProviders",
    "login",
    "putRating",
    "refresh",
    "register",
    "resendVerification",
    "resetPassword",
    "searchKb",
    "setup",
    "startSignOn",
    "suggestKbArticles",
    "verifyEmail",
    "verifyTwoFactor",
];
/// Operations whose answer holds something to speak with.
const MINTING: [&str; 9] = [
    "createApiKey",
    "createWebhook",
    "enrollTwoFactor",
    "exchangeSignOn",
    "finishSignOn",
    "login",
    "refresh",
    "rotateWebhookSecret",
    "verifyTwoFactor",
];

fn id(operation: &Operation) -> &str {
    operation.document.operation_id.as_deref().unwrap()
}

fn scopes(scopes: &[Scope]) -> Vec<&'static str> {
    scopes.iter().map(|scope| scope.as_str()).collect()
}

/// Makes a key of the administrator.
async fn key(world: &World, of: &[Scope]) -> (String, String) {
    let body = json!({ "name": "k", "scopes": scopes(of), "currentPassword": PASSWORD });
    let made = world
        .send(world.admin(Method::POST, "/api-keys").set_json(body))
        .await;
    assert_eq!(made.status, 201, "{made:?}");
    let made = made.json();
    let text = |name: &str| made[name].as_str().unwrap().to_owned();
    (text("id"), text("key"))
}

fn with_key(method: Method, path: &str, key: &str) -> TestRequest {
    request(method, path).insert_header(("authorization", format!("Bearer {key}")))
}

/// A request to the operation, with ids of nothing in its path.
fn call(operation: &Operation, key: &str) -> TestRequest {
    let path = operation
        .path
        .split('/')
        .map(|part| {
            if part.starts_with('{') {
                "01890a5d-ac96-774b-bcce-b302099a8057"
            } else {
                part
            }
        })
        .collect::<Vec<_>>()
        .join("/");
    with_key(method_of(&operation.method), &path, key)
}

#[test]
fn every_operation_says_what_it_asks_and_strangers_reach_the_listed_ones_alone() {
    let mut open = BTreeSet::new();
    for operation in operations() {
        let requirement = operation
            .requirement
            .unwrap_or_else(|| panic!("{} asks for nothing", id(&operation)));
        if requirement == Requirement::Open {
            open.insert(id(&operation).to_owned());
        }
    }
    assert_eq!(open, OPEN.map(str::to_owned).into());
}

#[test]
fn every_operation_can_be_explained() {
    for operation in operations() {
        assert!(topic(id(&operation)).is_some(), "{}", id(&operation));
    }
}

/// The names of all properties that an answer of a document can have.
fn properties(document: &Value, schema: &Value, seen: &mut BTreeSet<String>, names: &mut BTreeSet<String>) {
    match schema {
        Value::Object(members) => {
            if let Some(Value::String(target)) = members.get("$ref")
                && seen.insert(target.clone())
            {
                let pointer = target.strip_prefix('#').unwrap();
                properties(document, document.pointer(pointer).unwrap(), seen, names);
            }
            if let Some(Value::Object(own)) = members.get("properties") {
                names.extend(own.keys().cloned());
            }
            members
                .values()
                .for_each(|value| properties(document, value, seen, names));
        }
        Value::Array(items) => items
            .iter()
            .for_each(|item| properties(document, item, seen, names)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[actix_web::test]
async fn only_the_listed_operations_give_out_something_to_speak_with() {
    let world = World::new().await;
    let document = world.send(request(Method::GET, "/openapi.json")).await.json();
    let mut minting = BTreeSet::new();
    for item in document["paths"].as_object().unwrap().values() {
        for operation in item.as_object().unwrap().values() {
            let answers = operation["responses"].as_object().unwrap().iter();
            for (_, answer) in answers.filter(|(status, _)| status.starts_with('2')) {
                let (mut seen, mut names) = (BTreeSet::new(), BTreeSet::new());
                properties(&document, answer, &mut seen, &mut names);
                let secret = |name: &String| {
                    let name = name.to_lowercase();
                    name == "key" || name.ends_with("token") || name.contains("secret")
                };
                if names.iter().any(secret) {
                    minting.insert(operation["operationId"].as_str().unwrap().to_owned());
                }
            }
        }
    }
    assert_eq!(minting, MINTING.map(str::to_owned).into());
}

#[actix_web::test]
async fn the_document_says_what_each_operation_asks() {
    let world = World::new().await;
    let document = world.send(request(Method::GET, "/openapi.json")).await.json();
    let schemes = document["components"]["securitySchemes"].as_object().unwrap();
    assert_eq!(schemes.keys().collect::<Vec<_>>(), ["apiKey", "session"]);
    for scheme in schemes.values() {
        assert_eq!(
            (&scheme["type"], &scheme["scheme"]),
            (&json!("http"), &json!("bearer"))
        );
    }
    for operation in operations() {
        let method = method_of(&operation.method).as_str().to_lowercase();
        let shown = &document["paths"][&operation.path][&method];
        let description = shown["description"].as_str().unwrap_or_default();
        let session = json!({ "session": [] });
        let (security, line) = match operation.requirement.unwrap() {
            Requirement::Open => (Value::Null, ""),
            Requirement::SignedIn => (json!([session, { "apiKey": [] }]), "Any session or API key does."),
            Requirement::OwnAccount | Requirement::Session => {
                (json!([session]), "API keys are not accepted.")
            }
            Requirement::Scope(scope) => {
                let line = format!("Scope: `{scope}`.");
                assert!(description.contains(&line), "{}", id(&operation));
                (json!([session, { "apiKey": [scope.as_str()] }]), "")
            }
        };
        assert_eq!(shown["security"], security, "{}", id(&operation));
        assert!(description.ends_with(line) || line.is_empty(), "{description}");
    }
}

#[actix_web::test]
async fn every_operation_refuses_a_key_without_its_scope_and_takes_one_with_it() {
    let world = World::new().await;
    let (_, all) = key(&world, &Scope::ALL).await;
    for operation in operations() {
        let what = id(&operation).to_owned();
        match operation.requirement.unwrap() {
            Requirement::Open => {}
            Requirement::SignedIn => {
                let answer = world.send(call(&operation, &all)).await;
                assert!(
                    ![401, 403].contains(&answer.status.as_u16()),
                    "{what}: {answer:?}"
                );
            }
            Requirement::OwnAccount | Requirement::Session => {
                let answer = world.send(call(&operation, &all)).await;
                assert_eq!(
                    answer.problem(),
                    (403, "auth.session_required".to_owned()),
                    "{what}"
                );
            }
            Requirement::Scope(scope) => {
                let others: Vec<Scope> = Scope::ALL.into_iter().filter(|other| *other != scope).collect();
                let (id, without) = key(&world, &others).await;
                let answer = world.send(call(&operation, &without)).await;
                assert_eq!(answer.problem(), (403, "auth.scope_missing".to_owned()), "{what}");
                let detail = answer.json()["detail"].as_str().unwrap().to_owned();
                assert!(detail.contains(scope.as_str()), "{what}: {detail}");
                let challenge = answer.header("www-authenticate").to_owned();
                let expected = format!("Bearer error=\"insufficient_scope\", scope=\"{scope}\"");
                assert_eq!(challenge, expected, "{what}");
                let revoke = world.admin(Method::DELETE, &format!("/api-keys/{id}"));
                assert_eq!(world.send(revoke).await.status, 204);

                let (id, with) = key(&world, &[scope]).await;
                let answer = world.send(call(&operation, &with)).await;
                assert!(
                    ![401, 403].contains(&answer.status.as_u16()),
                    "{what}: {answer:?}"
                );
                let revoke = world.admin(Method::DELETE, &format!("/api-keys/{id}"));
                assert_eq!(world.send(revoke).await.status, 204);
            }
        }
    }
}

#[actix_web::test]
async fn a_key_that_opens_nothing_gets_one_answer_whatever_is_wrong_with_it() {
    let world = World::new().await;
    let (id, revoked) = key(&world, &[Scope::TeamsRead]).await;
    assert_eq!(
        world.send(with_key(Method::GET, "/teams", &revoked)).await.status,
        200
    );
    let revoke = || world.admin(Method::DELETE, &format!("/api-keys/{id}"));
    assert_eq!(world.send(revoke()).await.status, 204);
    assert_eq!(world.send(revoke()).await.status, 204);
    let essence = |answer: Answer| {
        let (problem, challenge) = (answer.problem(), answer.header("www-authenticate").to_owned());
        let mut body = answer.json();
        body.as_object_mut().unwrap().remove("requestId");
        (problem, challenge, body)
    };
    let gone = essence(world.send(with_key(Method::GET, "/teams", &revoked)).await);
    assert_eq!(gone.0, (401, "auth.key_invalid".to_owned()));
    assert_eq!(gone.1, "Bearer error=\"invalid_token\"");
    let unknown = format!("idk_{}", "A".repeat(43));
    for other in [unknown.as_str(), "idk_", "idk_%00*", &"idk_x".repeat(100)] {
        let answer = world.send(with_key(Method::GET, "/teams", other)).await;
        assert_eq!(essence(answer), gone, "{other}");
    }
}

#[actix_web::test]
async fn a_stored_answer_is_given_to_no_key_that_could_not_have_asked() {
    let world = World::new().await;
    let (_, writer) = key(&world, &[Scope::TeamsWrite]).await;
    let (_, reader) = key(&world, &[Scope::TeamsRead]).await;
    let make = |key: &str| {
        with_key(Method::POST, "/teams", key)
            .insert_header(("idempotency-key", "k-1"))
            .set_json(json!({ "name": "First line" }))
    };
    let first = world.send(make(&writer)).await;
    assert_eq!(first.status, 201, "{first:?}");
    let replayed = world.send(make(&writer)).await;
    assert_eq!(
        (replayed.header("idempotency-replayed"), &replayed.body),
        ("true", &first.body)
    );
    let refused = world.send(make(&reader)).await;
    assert_eq!(refused.problem(), (403, "auth.scope_missing".to_owned()));
    assert!(!String::from_utf8_lossy(&refused.body).contains("First line"));
}

#[actix_web::test]
async fn a_new_key_is_never_a_stored_answer() {
    let world = World::new().await;
    let body = json!({ "name": "k", "scopes": ["teams:read"], "currentPassword": PASSWORD });
    let keyed = world
        .admin(Method::POST, "/api-keys")
        .insert_header(("idempotency-key", "k-1"))
        .set_json(&body);
    let refused = world.send(keyed).await;
    assert_eq!(refused.problem(), (400, "request.invalid_header".to_owned()));
    assert_eq!(refused.json()["errors"][0]["header"], "Idempotency-Key");
    let list = world.send(world.admin(Method::GET, "/api-keys")).await;
    assert_eq!(list.json()["data"], json!([]));
    let made = world
        .send(world.admin(Method::POST, "/api-keys").set_json(&body))
        .await;
    assert_eq!(
        (made.status.as_u16(), made.header("cache-control")),
        (201, "no-store")
    );
}

#[actix_web::test]
async fn every_fault_of_a_key_is_named_and_the_password_is_asked() {
    let world = World::new().await;
    let make = |body: Value| world.admin(Method::POST, "/api-keys").set_json(body);
    let faulty = json!({
        "name": "", "scopes": ["teams:*"], "expiresAt": "2020-01-01T00:00:00Z", "currentPassword": PASSWORD,
    });
    let refused = world.send(make(faulty)).await;
    assert_eq!(refused.problem(), (422, "request.invalid".to_owned()));
    let json = refused.json();
    let pointers: Vec<_> = json["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|fault| fault["pointer"].as_str().unwrap())
        .collect();
    assert_eq!(pointers, ["/name", "/scopes/0", "/expiresAt"]);
    let good = |name: &str, value: Value| {
        let mut body = json!({ "name": "k", "scopes": ["teams:read"], "currentPassword": PASSWORD });
        body[name] = value;
        body
    };
    let timeless = world.send(make(good("expiresAt", json!("tomorrow")))).await;
    assert_eq!(timeless.json()["errors"][0]["code"], "not_a_time");
    let wrong = world.send(make(good("currentPassword", json!("nonsense")))).await;
    assert_eq!(wrong.problem(), (403, "auth.reauthentication_failed".to_owned()));
    let unknown = world.send(make(good("userId", json!("x")))).await;
    assert_eq!(unknown.problem().0, 422);
    let list = world.send(world.admin(Method::GET, "/api-keys")).await;
    assert_eq!(list.json()["data"], json!([]));
}
