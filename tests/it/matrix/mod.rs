//! Who may do what, as data: `tests/authorization.toml`, every cell of it fired at a whole desk over a real socket.
//!
//! Each cell's status is compared, and the members of what is shown; after every refusal and every reading the whole
//! database is as it was; and nothing written for staff reaches anyone else. An operation of the API that the table lacks fails the
//! test, as does one that the API lacks.

mod table;
mod world;

use std::collections::{BTreeMap, BTreeSet};

use desk::app::{Caller, Reply, TestDesk};
use serde_json::Value;

use table::{Cell, Table, cells, members_of, resources_of};
use world::{CANARY, Places, World};

/// The least number of requests that make a matrix of the whole API.
const REQUESTS_MIN: usize = 1_200;

/// Operations that answer 404 of a ticket that the caller sees and that lacks what is asked for: nothing is hidden.
const ABSENT: &[&str] = &["getDraft", "discardDraft"];

/// What an answer tells: its status and its body without what is each request's own.
fn essence(reply: &Reply) -> (u16, Value) {
    let mut body = reply.json();
    for own in ["instance", "requestId"] {
        body[own] = Value::Null;
    }
    (reply.status, body)
}

/// Where an operation is.
struct Place {
    method: String,
    path: String,
}

/// Every operation of the API, by its id.
async fn operations(desk: &TestDesk) -> BTreeMap<String, Place> {
    let document = desk
        .request("GET", "/api/v1/openapi.json")
        .send()
        .await
        .expect(200)
        .json();
    let mut found = BTreeMap::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let Some(id) = operation["operationId"].as_str() else {
                continue;
            };
            let place = Place {
                method: method.to_uppercase(),
                path: format!("/api/v1{}", path.trim_start_matches("/api/v1")),
            };
            found.insert(id.to_owned(), place);
        }
    }
    found
}

/// A text with its placeholders filled in.
fn filled(text: &str, places: &Places) -> String {
    places.iter().fold(text.to_owned(), |text, (name, value)| {
        text.replace(&format!("{{{name}}}"), value)
    })
}

/// Fires requests and collects all that is wrong, so that one run tells everything.
struct Firing<'a> {
    world: &'a World,
    table: &'a Table,
    requests: usize,
    /// The shapes that an answer had.
    seen: BTreeSet<String>,
    wrong: Vec<String>,
}

impl Firing<'_> {
    async fn fire(
        &mut self,
        place: &Place,
        (query, body): (&str, &str),
        places: &Places,
        caller: Option<&Caller>,
    ) -> Reply {
        let mut path = filled(&place.path, places);
        if !query.is_empty() {
            path = format!("{path}?{}", filled(query, places));
        }
        let mut request = self.world.desk.request(&place.method, &path);
        let token = places.get("token").or(caller.map(|caller| &caller.token));
        if let Some(token) = token {
            request = request.header("authorization", &format!("Bearer {token}"));
        }
        if !body.is_empty() {
            // A body that begins as a form does is one, with what it begins with between its parts.
            if let Some(boundary) = body.strip_prefix("--").and_then(|body| body.lines().next()) {
                let form = format!("multipart/form-data; boundary={boundary}");
                request = request.header("content-type", &form);
            }
            request = request.raw(filled(body, places));
        }
        self.requests += 1;
        request.send().await
    }

    fn compare(&mut self, what: &str, cell: &Cell, reply: &Reply) {
        if reply.status != cell.status {
            let text: String = reply.text.chars().take(300).collect();
            self.wrong.push(format!(
                "{what}: {} instead of {}: {text}",
                reply.status, cell.status
            ));
            return;
        }
        let Some(shape) = &cell.shape else { return };
        for resource in resources_of(&reply.json()) {
            self.compare_resource(what, shape, resource);
        }
    }

    fn compare_resource(&mut self, what: &str, shape: &str, resource: &Value) {
        let (expected, members) = (self.table.members(shape), members_of(resource));
        self.seen.insert(shape.to_owned());
        if members != expected {
            let more: Vec<_> = members.difference(&expected).collect();
            let less: Vec<_> = expected.difference(&members).collect();
            self.wrong.push(format!(
                "{what}: not a {shape}: too many {more:?}, too few {less:?}"
            ));
        }
        for (member, shape) in self.table.inside.get(shape).into_iter().flatten() {
            self.compare_resource(&format!("{what}, its {member}"), shape, &resource[member]);
        }
    }

    /// What is for staff is shown to those alone whom the cell shows the staff's shape of it.
    fn keep_secret(&mut self, what: &str, cell: &Cell, reply: &Reply) {
        let for_staff = cell
            .shape
            .as_deref()
            .is_some_and(|shape| !shape.ends_with(".public"));
        let shown = reply.text.contains(CANARY) || format!("{:?}", reply.headers).contains(CANARY);
        if shown && !for_staff {
            self.wrong
                .push(format!("{what}: shows what is for staff: {}", reply.text));
        }
    }

    /// What is hidden is answered like what does not exist: with another id in place of one that the path names.
    async fn keep_existence(
        &mut self,
        what: &str,
        (place, request): (&Place, (&str, &str)),
        (places, caller): (&Places, Option<&Caller>),
        reply: &Reply,
    ) {
        let mut others = Vec::new();
        for name in places
            .keys()
            .filter(|name| place.path.contains(&format!("{{{name}}}")))
        {
            let mut unknown = places.clone();
            unknown.insert(name.clone(), self.world.desk.desk.ids.next().to_string());
            let other = self.fire(place, request, &unknown, caller).await;
            if essence(&other) == essence(reply) {
                return;
            }
            others.push(other.text);
        }
        if !others.is_empty() {
            self.wrong.push(format!(
                "{what}: tells that there is something: {} and of nothing {}",
                reply.text,
                others.join(" or ")
            ));
        }
    }

    async fn rule(&mut self, place: &Place, rule: &table::Rule) {
        let rounds = [(&rule.cells, false), (&rule.deleted, true)];
        for (text, deleted) in rounds.into_iter().filter(|(text, _)| !text.is_empty()) {
            // What was left untouched serves the next caller too.
            let mut untouched: Option<(Places, String)> = None;
            for (name, cell) in self.table.callers.clone().iter().zip(cells(text)) {
                let what = rule.told(deleted, name);
                let (places, before) = match untouched.take() {
                    Some(kept) => kept,
                    None => {
                        let places = self.world.fixture(&rule.on, name).await;
                        if deleted {
                            self.world.delete(&rule.on, &places).await;
                        }
                        (places, self.world.checksum(rule.recorded).await)
                    }
                };
                let request = (rule.query.as_str(), rule.body.as_str());
                let reply = self.fire(place, request, &places, self.world.caller(name)).await;
                self.compare(&what, &cell, &reply);
                self.keep_secret(&what, &cell, &reply);
                if reply.status == 404 && !ABSENT.contains(&rule.operation.as_str()) {
                    let asked = (place, request);
                    let by = (&places, self.world.caller(name));
                    self.keep_existence(&what, asked, by, &reply).await;
                }
                if !cell.is_refusal() && place.method != "GET" {
                    continue;
                }
                if self.world.checksum(rule.recorded).await != before {
                    self.wrong.push(format!("{what}: changed something"));
                } else if !rule.is_the_callers() {
                    untouched = Some((places, before));
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_operation_answers_every_caller_as_the_table_says() {
    let table = Table::read();
    let world = World::new().await;
    let operations = operations(&world.desk).await;
    let ruled: BTreeSet<_> = table.rules.iter().map(|rule| rule.operation.as_str()).collect();
    let mut firing = Firing {
        world: &world,
        table: &table,
        requests: 0,
        seen: BTreeSet::new(),
        wrong: Vec::new(),
    };
    for id in operations.keys().filter(|id| !ruled.contains(id.as_str())) {
        firing.wrong.push(format!("{id}: no rule"));
    }
    for rule in &table.rules {
        match operations.get(&rule.operation) {
            Some(place) => firing.rule(place, rule).await,
            None => firing
                .wrong
                .push(format!("{}: no such operation", rule.operation)),
        }
    }
    for shape in table.shapes.keys().filter(|shape| !firing.seen.contains(*shape)) {
        firing.wrong.push(format!("{shape}: no answer had this shape"));
    }
    assert!(
        firing.wrong.is_empty(),
        "{} wrong:\n{}",
        firing.wrong.len(),
        firing.wrong.join("\n")
    );
    println!("{} requests", firing.requests);
    assert!(
        firing.requests >= REQUESTS_MIN,
        "only {} requests",
        firing.requests
    );
}

/// What the document says of an operation's access, in the words of the table.
fn documented(operation: &Value) -> &'static str {
    let schemes: Vec<_> = operation["security"].as_array().into_iter().flatten().collect();
    let key = schemes.iter().find_map(|scheme| scheme.get("apiKey"));
    match (schemes.is_empty(), key.and_then(Value::as_array)) {
        (true, _) => "open",
        (false, None) => "session",
        (false, Some(scopes)) if scopes.is_empty() => "signed in",
        (false, Some(_)) => "scope",
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_document_asks_for_the_access_that_the_table_says() {
    let table = Table::read();
    let desk = TestDesk::start().await;
    let document = desk.request("GET", "/api/v1/openapi.json").send().await.json();
    let paths = document["paths"].as_object().unwrap().values();
    for operation in paths.flat_map(|methods| methods.as_object().unwrap().values()) {
        let Some(id) = operation["operationId"].as_str() else {
            continue;
        };
        let access = &table.access;
        let expected = match id {
            id if access.open.contains(id) => "open",
            id if access.own.contains(id) || access.session.contains(id) => "session",
            id if access.signed_in.contains(id) => "signed in",
            _ => "scope",
        };
        assert_eq!(documented(operation), expected, "{id}");
    }
}

/// A bearer who is nobody any more, or not yet anyone.
struct Bearer {
    what: &'static str,
    token: String,
    /// The code of the problem; 403 for those who only lack a step, else 401.
    code: &'static str,
    own_account_is_open: bool,
}

async fn bearers(desk: &TestDesk) -> Vec<Bearer> {
    use kernel::Role;
    let admin = desk.person("root", Role::Admin).await;
    let mut bearers = Vec::new();
    for (what, change) in [("suspended", "suspended"), ("deleted", "")] {
        let person = desk.person(what, Role::Agent).await;
        let path = format!("/api/v1/users/{}", person.id);
        let reply = match change {
            "" => desk.request("DELETE", &path).by(&admin).send().await,
            status => {
                desk.patch(&admin, &path, &serde_json::json!({ "status": status }))
                    .await
            }
        };
        assert!(reply.status < 300, "{}", reply.text);
        bearers.push(Bearer {
            what,
            token: person.token,
            code: "auth.session_revoked",
            own_account_is_open: false,
        });
    }
    let pending = desk.person("pending", Role::Admin).await;
    let body = serde_json::json!({ "status": "pending" });
    let path = format!("/api/v1/users/{}", pending.id);
    let _ = desk.patch(&admin, &path, &body).await.expect(200);
    bearers.push(Bearer {
        what: "not verified",
        token: desk.log_in("pending@example.org").await,
        code: "auth.email_unverified",
        own_account_is_open: true,
    });
    let gone = desk.person("gone", Role::Admin).await;
    let _ = desk
        .request("POST", "/api/v1/auth/logout")
        .by(&gone)
        .send()
        .await
        .expect(204);
    bearers.push(Bearer {
        what: "logged out",
        token: gone.token,
        code: "auth.session_revoked",
        own_account_is_open: false,
    });
    let forged = format!("{}x", &admin.token[..admin.token.len() - 1]);
    bearers.push(Bearer {
        what: "forged",
        token: forged,
        code: "auth.token_invalid",
        own_account_is_open: false,
    });
    bearers
}

#[tokio::test(flavor = "multi_thread")]
async fn an_access_opens_what_the_table_says_and_nothing_else() {
    let table = Table::read();
    let desk = TestDesk::start().await;
    let operations = operations(&desk).await;
    let mut wrong = Vec::new();
    for bearer in bearers(&desk).await {
        for (id, place) in &operations {
            if table.access.open.contains(id) {
                continue;
            }
            // What would end the session is for those whom it lets in anyway.
            if bearer.own_account_is_open && id.starts_with("logout") {
                continue;
            }
            let request = desk.request(&place.method, &nowhere(place));
            let bearing = format!("Bearer {}", bearer.token);
            let reply = request.header("authorization", &bearing).raw("{}").send().await;
            let is_open_to_all = table.access.own.contains(id) || table.access.signed_in.contains(id);
            if bearer.own_account_is_open && is_open_to_all {
                if matches!(reply.status, 401 | 403) && reply.text_of("/code") == bearer.code {
                    wrong.push(format!("{id} is shut to one who is {}", bearer.what));
                }
                continue;
            }
            if !matches!(reply.status, 401 | 403) || reply.text_of("/code") != bearer.code {
                wrong.push(format!(
                    "{id} by one who is {}: {} {}",
                    bearer.what, reply.status, reply.text
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The path with an id in it that is nothing's.
fn nowhere(place: &Place) -> String {
    let nothing = uuid::Uuid::nil().to_string();
    let parts = place.path.split('/').map(|part| match part.starts_with('{') {
        true => nothing.as_str(),
        false => part,
    });
    parts.collect::<Vec<_>>().join("/")
}

#[tokio::test(flavor = "multi_thread")]
async fn where_nobody_can_be_known_nobody_is_let_in() {
    let table = Table::read();
    let desk = TestDesk::start().await;
    let admin = desk.person("root", kernel::Role::Admin).await;
    let operations = operations(&desk).await;
    desk.database
        .batch("ALTER TABLE sessions RENAME TO gone_away")
        .await;
    let mut tried = 0;
    for (id, place) in &operations {
        if table.access.open.contains(id) {
            continue;
        }
        let request = desk.request(&place.method, &nowhere(place)).by(&admin);
        let reply = request.raw("{}").send().await;
        reply.problem(500, "server.internal");
        tried += 1;
    }
    assert!(tried > 60, "only {tried} operations");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_operation_takes_a_member_that_it_does_not_know() {
    let desk = TestDesk::start().await;
    let admin = desk.person("root", kernel::Role::Admin).await;
    let document = desk.request("GET", "/api/v1/openapi.json").send().await.json();
    let with_a_body = operations(&desk).await.into_iter().filter(|(id, _)| {
        let paths = document["paths"].as_object().unwrap().values();
        paths
            .flat_map(|methods| methods.as_object().unwrap().values())
            .any(|operation| {
                let body = &operation["requestBody"]["content"]["application/json"];
                operation["operationId"] == id.as_str() && body.is_object()
            })
    });
    let mut tried = 0;
    let mut wrong = Vec::new();
    for (id, place) in with_a_body {
        let request = desk.request(&place.method, &nowhere(&place)).by(&admin);
        let reply = request.raw(r#"{"noSuchMember":1}"#).send().await;
        if reply.status != 422 || !reply.text.contains("/noSuchMember") {
            wrong.push(format!("{id}: {} {}", reply.status, reply.text));
        }
        tried += 1;
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(tried > 30, "only {tried} operations");
}

/// The operations that write a row of a table, by what is tried on; a body that would do without the further member.
const WRITES: [(&str, &str, &str, &str); 8] = [
    (
        "tickets",
        "createTicket",
        "",
        r#"{"subject":"s","description":"d"}"#,
    ),
    ("tickets", "updateTicket", "ticket", "{}"),
    ("ticket_messages", "createMessage", "ticket", r#"{"message":"m"}"#),
    (
        "users",
        "createUser",
        "",
        r#"{"email":"{fresh}@example.org","name":"n","role":"user","password":"{password}"}"#,
    ),
    ("users", "updateUser", "user", "{}"),
    ("users", "updateMe", "", "{}"),
    (
        "users",
        "register",
        "",
        r#"{"email":"{fresh}@example.org","name":"n","password":"{password}"}"#,
    ),
    ("teams", "updateTeam", "team", "{}"),
];

#[tokio::test(flavor = "multi_thread")]
async fn no_column_can_be_written_that_is_not_a_member_of_the_body() {
    let table = Table::read();
    let world = World::new().await;
    let operations = operations(&world.desk).await;
    let document = world
        .desk
        .request("GET", "/api/v1/openapi.json")
        .send()
        .await
        .json();
    let mut firing = Firing {
        world: &world,
        table: &table,
        requests: 0,
        seen: BTreeSet::new(),
        wrong: Vec::new(),
    };
    for (relation, operation, on, body) in WRITES {
        let place = &operations[operation];
        let members = body_members(&document, operation);
        let places = world.fixture(on, "admin").await;
        let columns = world.columns(relation).await;
        let before = world.checksum(false).await;
        for column in columns.iter().filter(|column| !members.contains(*column)) {
            for name in ["owner", "agent", "lead", "admin"] {
                let mut body: Value = serde_json::from_str(&filled(body, &places)).unwrap();
                body[column] = Value::from("1");
                let reply = firing
                    .fire(place, ("", &body.to_string()), &places, world.caller(name))
                    .await;
                let refused = match reply.status {
                    422 => reply.text.contains(column.as_str()),
                    status => matches!(status, 403 | 404),
                };
                if !refused {
                    firing.wrong.push(format!(
                        "{operation} {column} by {name}: {} {}",
                        reply.status, reply.text
                    ));
                }
            }
        }
        if world.checksum(false).await != before {
            firing
                .wrong
                .push(format!("{operation}: wrote a column that its body lacks"));
        }
    }
    assert!(firing.wrong.is_empty(), "{}", firing.wrong.join("\n"));
    assert!(firing.requests > 200, "only {} requests", firing.requests);
}

/// The members that the document gives an operation's body.
fn body_members(document: &Value, operation: &str) -> BTreeSet<String> {
    let paths = document["paths"].as_object().unwrap();
    let mut operations = paths
        .values()
        .flat_map(|methods| methods.as_object().unwrap().values());
    let found = operations
        .find(|found| found["operationId"] == operation)
        .unwrap();
    let schema = &found["requestBody"]["content"]["application/json"]["schema"]["$ref"];
    let name = schema.as_str().unwrap().rsplit('/').next().unwrap();
    let properties = document["components"]["schemas"][name]["properties"]
        .as_object()
        .unwrap();
    properties.keys().cloned().collect()
}
