//! The document says what the router does.

use std::collections::BTreeSet;

use actix_web::http::Method;
use serde_json::Value;

use super::{World, request};
use crate::api::operations;

async fn document(world: &World) -> Value {
    let answer = world.send(request(Method::GET, "/openapi.json")).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()
}

fn documented(document: &Value) -> Vec<(String, String, Value)> {
    let mut found = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            found.push((method.to_uppercase(), path.clone(), operation.clone()));
        }
    }
    found
}

#[actix_web::test]
async fn every_documented_operation_answers_and_no_other_does() {
    let world = World::new().await;
    let document = document(&world).await;
    assert_eq!(document["openapi"], "3.1.0");
    let documented = documented(&document);
    assert_eq!(documented.len(), operations().len());
    let paths: BTreeSet<_> = documented.iter().map(|(_, path, _)| path.clone()).collect();
    for path in paths {
        let concrete = path
            .split('/')
            .map(|part| if part.starts_with('{') { "x" } else { part })
            .collect::<Vec<_>>()
            .join("/");
        for method in [
            Method::GET,
            Method::POST,
            Method::PUT,
            Method::PATCH,
            Method::DELETE,
            Method::OPTIONS,
        ] {
            let answer = world.send(request(method.clone(), &concrete)).await;
            let is_documented = documented
                .iter()
                .any(|(m, p, _)| *p == path && m == method.as_str());
            let is_routed = answer.status != 405;
            assert_eq!(is_documented, is_routed, "{method} {path}: {answer:?}");
            assert!(answer.headers.contains_key("x-request-id"));
            if is_routed && answer.status == 404 {
                assert_ne!(answer.problem().1, "request.unknown_path", "{method} {path}");
            }
        }
    }
}

#[test]
fn every_handler_stands_beside_its_own_document() {
    for operation in operations() {
        let (document, handler) = operation.names;
        assert_eq!(document.replace("__path_", ""), handler);
    }
}

#[actix_web::test]
async fn every_operation_is_named_explained_and_says_how_it_fails() {
    let document = document(&World::new().await).await;
    let mut ids = BTreeSet::new();
    for (method, path, operation) in documented(&document) {
        let place = format!("{method} {path}");
        let id = operation["operationId"]
            .as_str()
            .unwrap_or_else(|| panic!("{place} has no id"));
        assert!(ids.insert(id.to_owned()), "{id} twice");
        assert!(
            operation["summary"].as_str().is_some_and(|text| !text.is_empty()),
            "{place}"
        );
        let tags = operation["tags"].as_array().unwrap();
        let known = document["tags"]
            .as_array()
            .unwrap()
            .iter()
            .any(|tag| tag["name"] == tags[0]);
        assert!(tags.len() == 1 && known, "{place}: {tags:?}");
        let responses = operation["responses"].as_object().unwrap();
        let secured = operation["security"]
            .as_array()
            .is_some_and(|security| !security.is_empty());
        // Strangers who come from a provider may be turned away, too.
        let admits = ["/auth/sso/callback", "/auth/sso/exchange"].contains(&path.as_str());
        assert_eq!(secured || admits, responses.contains_key("403"), "{place}");
        for always in ["400", "429", "500", "503"] {
            assert!(responses.contains_key(always), "{place}: {always}");
        }
        let has = |name: &str| {
            operation["parameters"]
                .as_array()
                .is_some_and(|p| p.iter().any(|p| p["name"] == name))
        };
        assert_eq!(has("If-Match"), responses.contains_key("412"), "{place}");
        // What is unknown there is named in the body or the query.
        let elsewhere = [
            "/auth/setup",
            "/auth/why-not",
            "/auth/verify-email",
            "/auth/reset-password",
            "/auth/accept-invitation",
        ];
        assert_eq!(
            path.contains('{'),
            responses.contains_key("404") && !elsewhere.contains(&path.as_str()),
            "{place}"
        );
        assert_eq!(
            has("Idempotency-Key"),
            secured
                && ["POST", "PATCH"].contains(&method.as_str())
                && !["/logout", "/change-", "/anonymize", "/api-keys", "/auth/2fa/"]
                    .iter()
                    .any(|part| path.contains(part))
                && !path.starts_with("/notifications"),
            "{place}"
        );
    }
}

#[actix_web::test]
async fn no_operation_takes_a_secret_in_its_path_or_query() {
    let document = document(&World::new().await).await;
    for (method, path, operation) in documented(&document) {
        // The code and the state of OpenID Connect come that way (RFC 6749, 4.1.2); both are good once, in one browser.
        let from_a_provider = path == "/auth/sso/callback";
        for parameter in operation["parameters"].as_array().into_iter().flatten() {
            let name = parameter["name"].as_str().unwrap().to_lowercase();
            let is_secret = ["password", "token", "secret", "code", "apikey", "totp", "state"]
                .iter()
                .any(|word| name.contains(word));
            let in_url = parameter["in"] == "path" || parameter["in"] == "query";
            assert!(
                !(in_url && is_secret) || from_a_provider,
                "{method} {path}: {name}"
            );
        }
    }
}

#[actix_web::test]
async fn every_reference_within_the_document_leads_somewhere() {
    let document = document(&World::new().await).await;
    let mut left = vec![&document];
    let mut seen = 0;
    while let Some(value) = left.pop() {
        match value {
            Value::Object(members) => {
                if let Some(Value::String(target)) = members.get("$ref") {
                    seen += 1;
                    let pointer = target.strip_prefix('#').unwrap();
                    assert!(document.pointer(pointer).is_some(), "{target}");
                }
                left.extend(members.values());
            }
            Value::Array(items) => left.extend(items),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    assert!(seen > 50, "{seen}");
}

#[actix_web::test]
async fn the_reference_loads_nothing_from_elsewhere() {
    let world = World::new().await;
    assert_eq!(
        world
            .send(request(Method::GET, "//api/docs"))
            .await
            .header("location"),
        "/api/docs/"
    );
    let page = world.send(request(Method::GET, "//api/docs/")).await;
    assert_eq!(
        (page.status.as_u16(), page.header("content-type")),
        (200, "text/html; charset=utf-8"),
        "{page:?}"
    );
    assert!(
        page.header("content-security-policy")
            .contains("script-src 'self';")
    );
    let html = String::from_utf8_lossy(&page.body).into_owned();
    assert!(!html.contains("http://") && !html.contains("https://"), "{html}");
    let files = html.split(['"', '\'']).filter_map(|text| text.strip_prefix("./"));
    let mut count = 0;
    for file in files {
        count += 1;
        let answer = world
            .send(request(Method::GET, &format!("//api/docs/{file}")))
            .await;
        assert_eq!(answer.status, 200, "{file}");
    }
    assert!(count >= 4, "{html}");
    assert_eq!(
        world
            .send(request(Method::GET, "//api/docs/nothing.js"))
            .await
            .problem()
            .0,
        404
    );
}
