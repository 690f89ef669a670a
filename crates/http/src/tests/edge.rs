//! What every answer has, whatever becomes of the request.

use std::time::Duration;

use actix_web::http::Method;
use actix_web::test::TestRequest;
use actix_web::{HttpResponse, Responder};
use kernel::Rate;

use super::{World, request, settings};
use crate::app::{Deadlines, HttpSettings};
use crate::auth::Caller;
use crate::json::Json;
use crate::problem::Problem;
use crate::rate::RateSettings;
use crate::routes::operation;

#[utoipa::path(get, path = "/panics", responses((status = 200)))]
async fn panics() -> HttpResponse {
    panic!("the secret of the handler")
}

#[utoipa::path(get, path = "/hangs", responses((status = 200)))]
async fn hangs() -> HttpResponse {
    std::future::pending().await
}

#[utoipa::path(post, path = "/hangs", responses((status = 200)))]
async fn hangs_changing() -> HttpResponse {
    std::future::pending().await
}

#[utoipa::path(get, path = "/fails", responses((status = 200)))]
async fn fails() -> Result<HttpResponse, Problem> {
    Err(Problem::internal("the secret of the handler"))
}

#[utoipa::path(get, path = "/strange", responses((status = 200)))]
async fn strange() -> HttpResponse {
    HttpResponse::BadGateway().body("<html>the secret of the handler</html>")
}

#[utoipa::path(get, path = "/whoami", responses((status = 200)))]
async fn whoami(caller: Caller) -> impl Responder {
    caller.id().to_string()
}

#[utoipa::path(post, path = "/echo", responses((status = 200)))]
async fn echo(Json(value): Json<serde_json::Value>) -> impl Responder {
    actix_web::web::Json(value)
}

async fn odd_world() -> World {
    let deadlines = Deadlines {
        request_deadline: Duration::from_millis(20),
        ..Deadlines::default()
    };
    let settings = HttpSettings {
        deadlines,
        behind_tls: true,
        ..settings()
    };
    let operations = vec![
        operation(__path_panics, panics),
        operation(__path_hangs, hangs),
        operation(__path_hangs_changing, hangs_changing),
        operation(__path_fails, fails),
        operation(__path_strange, strange),
        operation(__path_whoami, whoami),
        operation(__path_echo, echo),
    ];
    World::with(settings, operations).await
}

#[actix_web::test]
async fn whatever_goes_wrong_ends_in_a_problem_without_its_cause() {
    let world = odd_world().await;
    for (method, path, status, code) in [
        (Method::GET, "/panics", 500, "server.internal"),
        (Method::GET, "/fails", 500, "server.internal"),
        (Method::GET, "/strange", 500, "server.internal"),
        (Method::GET, "/hangs", 503, "server.deadline"),
        (Method::POST, "/hangs", 504, "server.outcome_unknown"),
        (Method::GET, "/whoami", 401, "auth.required"),
        (Method::DELETE, "/whoami", 405, "request.method_not_allowed"),
        (Method::TRACE, "/whoami", 405, "request.method_not_allowed"),
        (Method::GET, "/nowhere", 404, "request.unknown_path"),
        (Method::GET, "//nowhere", 404, "request.unknown_path"),
        (Method::GET, "//.env", 404, "request.unknown_path"),
        (Method::POST, "//healthz", 405, "request.method_not_allowed"),
        (Method::GET, "//metrics", 404, "request.unknown_path"),
        (Method::GET, "/whoami?debug=1", 401, "auth.required"),
    ] {
        let answer = world.send(request(method.clone(), path)).await;
        assert_eq!(answer.problem(), (status, code.to_owned()), "{method} {path}");
        assert!(
            !String::from_utf8_lossy(&answer.body).contains("secret"),
            "{answer:?}"
        );
        let headers = [
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "no-referrer"),
            ("cache-control", "no-store"),
            (
                "content-security-policy",
                "default-src 'none'; frame-ancestors 'none'; base-uri 'none'",
            ),
            ("strict-transport-security", "max-age=31536000; includeSubDomains"),
        ];
        for (name, value) in headers {
            assert_eq!(answer.header(name), value, "{method} {path}");
        }
    }
}

#[actix_web::test]
async fn a_405_says_what_would_do() {
    let answer = odd_world().await.send(request(Method::PATCH, "/hangs")).await;
    assert_eq!(answer.header("allow"), "GET, POST, HEAD");
}

#[actix_web::test]
async fn the_request_id_is_the_clients_if_it_is_fit_to_be_logged() {
    let world = odd_world().await;
    let with = |id: &str| request(Method::GET, "/nowhere").insert_header(("x-request-id", id));
    assert_eq!(
        world.send(with("trace-1")).await.header("x-request-id"),
        "trace-1"
    );
    for bad in ["two words", "", &"x".repeat(129)] {
        let answer = world.send(with(bad)).await;
        assert!(
            answer.header("x-request-id").parse::<uuid::Uuid>().is_ok(),
            "{bad:?}: {answer:?}"
        );
    }
}

#[actix_web::test]
async fn a_token_that_is_no_good_is_told_so() {
    let world = odd_world().await;
    let with = |value: &str| request(Method::GET, "/whoami").insert_header(("authorization", value));
    for bad in ["Basic abc", "Bearer", "Bearer ", "", "x"] {
        let answer = world.send(with(bad)).await;
        assert_eq!(answer.problem(), (401, "auth.required".to_owned()), "{bad}");
        assert_eq!(answer.header("www-authenticate"), "Bearer");
    }
    let answer = world.send(with("Bearer abc")).await;
    assert_eq!(answer.problem(), (401, "auth.token_invalid".to_owned()));
    assert_eq!(
        answer.header("www-authenticate"),
        "Bearer error=\"invalid_token\""
    );
    assert_eq!(world.send(world.agent(Method::GET, "/whoami")).await.status, 200);
    assert_eq!(world.send(world.agent(Method::HEAD, "/whoami")).await.status, 200);
}

#[actix_web::test]
async fn routes_without_parameters_refuse_any() {
    let world = odd_world().await;
    let answer = world.send(world.agent(Method::GET, "/whoami?debug=1")).await;
    assert_eq!(answer.problem(), (400, "request.invalid_parameter".to_owned()));
    assert_eq!(answer.json()["errors"][0]["parameter"], "debug");
}

fn json(body: &'static str, media_type: &str) -> TestRequest {
    request(Method::POST, "/echo")
        .insert_header(("content-type", media_type))
        .set_payload(body)
}

#[actix_web::test]
async fn bodies_are_json_or_nothing() {
    let world = odd_world().await;
    for good in [
        "application/json",
        "application/json; charset=utf-8",
        "Application/JSON;charset=\"UTF-8\"",
    ] {
        assert_eq!(world.send(json("{\"a\":1}", good)).await.json()["a"], 1, "{good}");
    }
    for bad in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "application/json; charset=utf-16",
        "",
    ] {
        let answer = world.send(json("{}", bad)).await;
        assert_eq!(
            answer.problem(),
            (415, "request.unsupported_media_type".to_owned()),
            "{bad}"
        );
    }
    // Merge patch is for PATCH alone.
    assert_eq!(
        world
            .send(json("{}", "application/merge-patch+json"))
            .await
            .status,
        415
    );
    assert_eq!(
        world.send(request(Method::POST, "/echo")).await.json(),
        serde_json::json!({})
    );
}

#[actix_web::test]
async fn bodies_have_an_end() {
    let world = odd_world().await;
    let whole = format!("{{\"a\":\"{}\"}}", "x".repeat(1024 * 1024));
    let request = json("", "application/json").set_payload(whole);
    let answer = world.send(request).await;
    assert_eq!(answer.problem(), (413, "request.too_large".to_owned()));
    let announced = json("{}", "application/json").insert_header(("content-length", "99999999999999999999"));
    assert_eq!(world.send(announced).await.status, 400);
    let announced = json("{}", "application/json").insert_header(("content-length", "2000000"));
    assert_eq!(world.send(announced).await.status, 413);
}

#[actix_web::test]
async fn strangers_wait_when_they_come_too_often() {
    let rates = RateSettings {
        login_per_address: Rate::per_minute(2),
        ..RateSettings::lifted()
    };
    let world = World::with(HttpSettings { rates, ..settings() }, crate::api::operations()).await;
    let login = |forwarded: &str| {
        request(Method::POST, "/auth/login")
            .insert_header(("content-type", "application/json"))
            .insert_header(("x-forwarded-for", forwarded))
            .set_payload("{\"email\":\"ada@example.com\",\"password\":\"wrong\"}")
    };
    for address in ["198.51.100.1", "198.51.100.2"] {
        let answer = world.send(login(address)).await;
        assert_eq!(answer.problem(), (401, "auth.invalid_credentials".to_owned()));
        assert_eq!(answer.header("ratelimit-policy"), "\"login\";q=2;w=60");
    }
    let answer = world.send(login("198.51.100.3")).await;
    assert_eq!(answer.problem(), (429, "request.rate_limited".to_owned()));
    assert!(
        answer.header("retry-after").parse::<u32>().unwrap() <= 30,
        "{answer:?}"
    );
}

#[actix_web::test]
async fn operators_learn_whether_the_server_lives_and_is_ready() {
    let world = World::new().await;
    assert_eq!(world.send(request(Method::GET, "//healthz")).await.status, 200);
    assert_eq!(world.send(request(Method::GET, "//readyz")).await.status, 200);
    world.state.begin_draining();
    assert_eq!(
        world.send(request(Method::GET, "//readyz")).await.problem(),
        (503, "server.draining".to_owned())
    );
    assert_eq!(world.send(request(Method::GET, "//healthz")).await.status, 200);
}

#[actix_web::test]
async fn every_code_of_the_catalogue_has_a_page() {
    let world = World::new().await;
    for entry in crate::problem::CATALOGUE {
        let answer = world
            .send(request(Method::GET, &format!("//problems/{}", entry.code)))
            .await;
        assert_eq!(answer.status, 200, "{}", entry.code);
        assert!(String::from_utf8_lossy(&answer.body).contains(entry.title));
    }
    assert_eq!(
        world.send(request(Method::GET, "//problems/x.y")).await.status,
        404
    );
}
