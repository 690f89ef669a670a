//! Everyone who calls, and what they call about.

use std::cell::Cell;
use std::collections::{BTreeMap, HashMap};

use desk::app::{Caller, PASSWORD, TestDesk, rating_keys};
use kernel::{Role, TeamId, TeamRole, TicketId};
use serde_json::{Value, json};
use ticketing::{RatingClaim, RatingLinks as _};
use tokio_postgres::{Client, NoTls, Statement};
use uuid::Uuid;

/// Stands in every text for staff, and must never reach anyone else.
pub(super) const CANARY: &str = "CANARY-INT-51c2";

/// The placeholders of a request's path and body.
pub(super) type Places = HashMap<String, String>;

pub(super) struct World {
    pub(super) desk: TestDesk,
    people: BTreeMap<String, Caller>,
    team: TeamId,
    other_team: TeamId,
    made: Cell<u32>,
    database: Client,
    everything: Statement,
    models: Models,
}

/// Tickets that others are copied from.
struct Models {
    of_team: Uuid,
    triage: Uuid,
    copy: Statement,
}

impl World {
    pub(super) async fn new() -> Self {
        let desk = TestDesk::start().await;
        let mut people = BTreeMap::new();
        for (name, role) in [
            ("admin", Role::Admin),
            ("owner", Role::User),
            ("stranger", Role::User),
            ("agent", Role::Agent),
            ("outsider", Role::Agent),
            ("supervisor", Role::Agent),
            ("lead", Role::Agent),
            // Only ever named in requests; they do not call.
            ("colleague", Role::Agent),
            ("newcomer", Role::Agent),
        ] {
            people.insert(name.to_owned(), desk.person(name, role).await);
        }
        let admin = people["admin"].clone();
        let members = [
            (&people["agent"], TeamRole::Agent),
            (&people["colleague"], TeamRole::Agent),
            (&people["supervisor"], TeamRole::Supervisor),
            (&people["lead"], TeamRole::Lead),
        ];
        let team = desk.team(&admin, "Front", &members).await;
        let other_team = desk
            .team(&admin, "Back", &[(&people["outsider"], TeamRole::Lead)])
            .await;
        let proved = "UPDATE users SET email_verified_at = now() WHERE email = 'owner@example.org'";
        desk.database.batch(proved).await;
        // So that there is something on record.
        let _ = desk.mails().await;
        let (database, everything) = observer(&desk).await;
        let copy = database.prepare(&copy_statement(&database).await).await.unwrap();
        let models = Models {
            of_team: Uuid::nil(),
            triage: Uuid::nil(),
            copy,
        };
        let mut world = Self {
            desk,
            people,
            team,
            other_team,
            made: Cell::new(0),
            database,
            everything,
            models,
        };
        let id = |path: String| path.rsplit('/').next().and_then(|id| id.parse().ok()).unwrap();
        world.models.of_team = id(world.ticket(Some(team)).await);
        world.models.triage = id(world.ticket(None).await);
        world
    }

    /// Someone of the table's callers; nobody for `anonymous`.
    pub(super) fn caller(&self, name: &str) -> Option<&Caller> {
        self.people.get(name)
    }

    /// A text that has not been used yet.
    fn fresh(&self, what: &str) -> String {
        self.made.set(self.made.get() + 1);
        format!("{what}{}", self.made.get())
    }

    /// What every request may name.
    fn places(&self, caller: &str) -> Places {
        let mut places: Places = self
            .people
            .iter()
            .map(|(name, person)| (name.clone(), person.id.to_string()))
            .collect();
        places.insert("team".to_owned(), self.team.to_string());
        places.insert("otherTeam".to_owned(), self.other_team.to_string());
        places.insert("password".to_owned(), PASSWORD.to_owned());
        places.insert("fresh".to_owned(), self.fresh("fresh"));
        if let Some(caller) = self.caller(caller) {
            places.insert("self".to_owned(), caller.id.to_string());
        }
        places
    }

    async fn done(&self, method: &str, path: &str, body: Value) -> Value {
        let mut request = self.desk.request(method, path).by(&self.people["admin"]);
        if !body.is_null() {
            request = request.json(&body);
        }
        let reply = request.send().await;
        assert!(reply.status < 300, "{method} {path}: {}", reply.text);
        serde_json::from_str(&reply.text).unwrap_or_default()
    }

    fn id(value: &Value) -> String {
        value["id"].as_str().unwrap_or_default().to_owned()
    }

    /// A ticket of the owner with something in it that staff alone may read; its path.
    async fn ticket(&self, team: Option<TeamId>) -> String {
        let path = self.desk.ticket(&self.people["owner"], team).await;
        let secret = json!({ "message": format!("{CANARY} message"), "isInternal": true });
        self.done("POST", &format!("{path}/messages"), secret).await;
        let note = json!({ "message": format!("{CANARY} note") });
        self.done("POST", &format!("{path}/notes"), note).await;
        self.done("PATCH", &path, json!({ "metadata": { "secret": CANARY } }))
            .await;
        path
    }

    /// Another ticket like that, by one statement instead of four requests; its path.
    async fn another_ticket(&self, triage: bool) -> String {
        let model = if triage {
            &self.models.triage
        } else {
            &self.models.of_team
        };
        let id = self.desk.desk.ids.next();
        let number = self.fresh("TKT-9");
        let copied = self
            .database
            .execute(&self.models.copy, &[&id, &number, model])
            .await
            .unwrap();
        assert_eq!(copied, 1);
        format!("/api/v1/tickets/{id}")
    }

    /// Makes what a rule is tried on, and says what its placeholders are.
    pub(super) async fn fixture(&self, on: &str, caller: &str) -> Places {
        let mut places = self.places(caller);
        let (kind, state) = on.split_once('.').unwrap_or((on, ""));
        match kind {
            "" => {}
            "nowhere" => {
                places.insert("provider".to_owned(), "nowhere".to_owned());
            }
            "ticket" => {
                let path = self.another_ticket(state == "triage").await;
                let id = path.rsplit('/').next().unwrap_or_default().to_owned();
                places.insert("id".to_owned(), id);
                self.bring_ticket_to(&path, state, caller, &mut places).await;
            }
            "attachment" => self.attachment(state, caller, &mut places).await,
            "user" => {
                let made = self.user(state).await;
                places.insert("id".to_owned(), made);
            }
            "self" => {
                let id = places
                    .get("self")
                    .cloned()
                    .unwrap_or_else(|| Uuid::nil().to_string());
                places.insert("id".to_owned(), id);
            }
            "team" => {
                let id = match state {
                    "empty" => {
                        let name = self.fresh("Team ");
                        Self::id(&self.done("POST", "/api/v1/teams", json!({ "name": name })).await)
                    }
                    _ => self.team.to_string(),
                };
                if state == "candidate" {
                    places.insert("candidate".to_owned(), self.user("agent").await);
                }
                places.insert("id".to_owned(), id);
            }
            // A member of the team who is there for being changed and removed.
            "member" => {
                let id = self.user("agent").await;
                let path = format!("/api/v1/teams/{}/members", self.team);
                let body = json!({ "userId": id, "roleInTeam": "agent" });
                self.done("POST", &path, body).await;
                // By the membership, or by the account.
                let of = if state == "person" {
                    id.clone()
                } else {
                    self.team.to_string()
                };
                places.insert("id".to_owned(), of);
                places.insert("userId".to_owned(), id);
            }
            // One that the owner has.
            "notification" => {
                places.insert("id".to_owned(), self.notification(&places["owner"]).await);
            }
            "key" => {
                let body = json!({ "name": "k", "scopes": ["tickets:read"], "currentPassword": PASSWORD });
                let made = self
                    .desk
                    .post(&self.people["owner"], "/api/v1/api-keys", &body)
                    .await;
                places.insert("id".to_owned(), made.expect(201).text_of("/id"));
            }
            // One more of the owner's.
            "session" => {
                let _ = self.desk.log_in("owner@example.org").await;
                let last = "SELECT s.id FROM sessions s JOIN users u ON u.id = s.user_id \
                    WHERE u.email = 'owner@example.org' ORDER BY s.created_at DESC LIMIT 1";
                let id: Uuid = self.database.query_one(last, &[]).await.unwrap().get(0);
                places.insert("id".to_owned(), id.to_string());
            }
            // One that is there, or none: what there is decides about tickets, and must not outlive the rule.
            "field" | "nofield" => {
                self.desk.database.batch("DELETE FROM ticket_fields").await;
                if kind == "field" {
                    let body = json!({ "name": "floor", "label": "Floor", "type": "number" });
                    let made = self.done("POST", "/api/v1/ticket-fields", body).await;
                    places.insert("id".to_owned(), Self::id(&made));
                }
            }
            // One that is not the default, and the default.
            "policy" => {
                self.desk.database.batch("DELETE FROM sla_policies").await;
                self.desk.desk.ticket_sla.forget();
                for name in ["other", "id"] {
                    let body = json!({ "name": name, "firstResponseTime": 60, "resolutionTime": 480,
                        "businessHoursOnly": false });
                    let made = self.done("POST", "/api/v1/sla-policies", body).await;
                    places.insert(name.to_owned(), Self::id(&made));
                }
            }
            // Two that are not set off here, one of which ran.
            "rule" => {
                self.desk.database.batch("DELETE FROM automation_rules").await;
                for name in ["other", "id"] {
                    let body = json!({ "name": name, "trigger": "ticket.rated",
                        "actions": [{ "type": "add_note", "value": "x" }] });
                    let made = self.done("POST", "/api/v1/automation/rules", body).await;
                    places.insert(name.to_owned(), Self::id(&made));
                }
                let run = format!(
                    "INSERT INTO automation_runs (rule_id, event_id, log_id, rule_version, name, happened_at, place, \
                     explanation, plan_version, steps, chain) VALUES ('{}', gen_random_uuid(), gen_random_uuid(), 1, 'id', \
                     now(), 0, '{{\"holds\": true, \"conditions\": []}}', 1, '[]', '{{}}')",
                    places["id"]
                );
                self.desk.database.batch(&run).await;
            }
            // One of all staff, or of the team.
            "macro" => {
                let made = self.macro_of(state).await;
                places.insert("id".to_owned(), made);
            }
            // One that was sent something.
            "webhook" => {
                self.desk.database.batch("DELETE FROM webhook_endpoints").await;
                let body = json!({ "name": "id", "url": "https://example.org/hook",
                    "currentPassword": desk::app::PASSWORD });
                let made = self.done("POST", "/api/v1/webhooks", body).await;
                places.insert("id".to_owned(), Self::id(&made));
                let delivery = "01890a5d-ac96-774b-bcce-b302099a8057";
                places.insert("deliveryId".to_owned(), delivery.to_owned());
                let sent = format!(
                    "INSERT INTO webhook_calls (endpoint_id, id, event, body, created_at, state, began_at, ended_at) \
                     VALUES ('{}', '{delivery}', 'ticket.created', '{{}}', now(), 'delivered', now(), now())",
                    places["id"]
                );
                self.desk.database.batch(&sent).await;
            }
            // A category of its own, and in it, unless that is what it is about, an article of the agent's or the admin's. The slug is that
            // of the one or the other.
            "kb" | "kbarticle" => {
                let made = self
                    .done(
                        "POST",
                        "/api/v1/admin/kb/categories",
                        json!({ "name": self.fresh("Category ") }),
                    )
                    .await;
                places.insert(
                    "slug".to_owned(),
                    made["slug"].as_str().unwrap_or_default().to_owned(),
                );
                places.insert("id".to_owned(), Self::id(&made));
                places.insert("categoryId".to_owned(), Self::id(&made));
                if state != "category" {
                    let article = self.article(state, &mut places).await;
                    if kind == "kbarticle" {
                        places.insert("slug".to_owned(), article);
                    }
                }
            }
            "job" => {
                places.insert("id".to_owned(), self.job(state).await);
            }
            "view" => {
                places.insert("id".to_owned(), self.view(state).await);
            }
            // Someone like the caller, who leaves in the caller's stead.
            "passing" => {
                if let Some(caller) = self.caller(caller) {
                    let name = self.fresh("passing");
                    let passing = self.desk.person(&name, caller.role).await;
                    places.insert("token".to_owned(), passing.token);
                }
            }
            other => panic!("no fixture {other}"),
        }
        places
    }

    /// A macro for `all` staff, or for the `team`; its id.
    async fn macro_of(&self, visibility: &str) -> String {
        self.desk.database.batch("DELETE FROM macros").await;
        let team = (visibility == "team").then_some(self.team);
        let body = json!({ "name": "m", "visibility": visibility, "teamId": team,
            "actions": [{ "type": "add_note", "value": "x" }] });
        Self::id(&self.done("POST", "/api/v1/macros", body).await)
    }

    /// An article in the fixture's category; its slug.
    async fn article(&self, state: &str, places: &mut Places) -> String {
        let author = if state == "mine" { "agent" } else { "admin" };
        let body = json!({ "title": self.fresh("Article "), "content": "# One\n\ntwo", "categoryId": places["categoryId"] });
        let path = "/api/v1/admin/kb/articles";
        let made = self
            .desk
            .post(&self.people[author], path, &body)
            .await
            .expect(201)
            .json();
        places.insert("id".to_owned(), Self::id(&made));
        places.insert("number".to_owned(), "1".to_owned());
        let steps: &[&str] = match state {
            "review" => &["submit"],
            "published" => &["publish"],
            "archived" => &["publish", "archive"],
            _ => &[],
        };
        for step in steps {
            let path = format!("{path}/{}/{step}", places["id"]);
            self.done("POST", &path, json!({})).await;
        }
        made["slug"].as_str().unwrap_or_default().to_owned()
    }

    async fn bring_ticket_to(&self, path: &str, state: &str, caller: &str, places: &mut Places) {
        match state {
            "" | "triage" => {}
            "macro" => {
                let made = self.macro_of("all").await;
                places.insert("macroId".to_owned(), made);
            }
            "begun" => {
                let body = json!({ "message": CANARY, "isInternal": true });
                let request = self
                    .desk
                    .request("PUT", &format!("{path}/draft"))
                    .by(&self.people["agent"]);
                let _ = request.json(&body).send().await.expect(200);
            }
            "copied" => {
                for name in ["stranger", "outsider"] {
                    let body = json!({ "userId": self.people[name].id });
                    self.done("POST", &format!("{path}/cc"), body).await;
                }
            }
            "followed" => {
                let body = json!({ "userId": self.people["colleague"].id });
                self.done("POST", &format!("{path}/followers"), body).await;
            }
            "gone" => {
                self.done("DELETE", path, Value::Null).await;
            }
            "resolved" => {
                self.done("POST", &format!("{path}/resolve"), json!({})).await;
            }
            // With the link that the owner was mailed.
            "asked" => {
                let resolved = self.done("POST", &format!("{path}/resolve"), json!({})).await;
                let at = resolved["resolvedAt"].as_str().and_then(|at| at.parse().ok());
                let claim = RatingClaim {
                    ticket: Self::id(&resolved).parse().map(TicketId).unwrap(),
                    requester: self.people["owner"].id,
                    resolved_at: at.unwrap(),
                };
                places.insert("link".to_owned(), rating_keys().link(&claim));
            }
            "closed" => {
                self.done("POST", &format!("{path}/close"), json!({})).await;
            }
            // The caller's own, or someone else's where the caller has none.
            "assigned" => {
                let to = match caller {
                    "agent" | "supervisor" | "lead" => caller,
                    _ => "agent",
                };
                let body = json!({ "agentId": self.people[to].id });
                self.done("POST", &format!("{path}/assign"), body).await;
            }
            "upload" | "foreign" => {
                let uploader = match (state, caller) {
                    ("upload", "anonymous") | ("foreign", _) => "colleague",
                    (_, caller) => caller,
                };
                places.insert("upload".to_owned(), self.upload(uploader, "a.txt").await);
            }
            "answered" => {
                let body = json!({ "message": "An answer" });
                self.done("POST", &format!("{path}/messages"), body).await;
            }
            "message" | "mine" => {
                let author = match (state, self.people.get(caller)) {
                    ("mine", Some(person)) if !matches!(caller, "stranger" | "outsider") => person,
                    _ => &self.people["owner"],
                };
                let reply = self
                    .desk
                    .post(author, &format!("{path}/messages"), &json!({ "message": "m" }))
                    .await
                    .expect(201);
                places.insert("messageId".to_owned(), reply.text_of("/id"));
            }
            // Beside another one of the team.
            "pair" | "linked" | "merged" | "movable" => {
                let other = self.another_ticket(false).await;
                let other = other.rsplit('/').next().unwrap_or_default();
                match state {
                    "linked" => {
                        let body = json!({ "ticketId": other, "kind": "relates" });
                        self.done("POST", &format!("{path}/links"), body).await;
                    }
                    "merged" => {
                        let body = json!({ "sourceTicketId": other });
                        self.done("POST", &format!("{path}/merge"), body).await;
                    }
                    "movable" => {
                        let body = json!({ "message": "m" });
                        let made = self.done("POST", &format!("{path}/messages"), body).await;
                        places.insert("messageId".to_owned(), Self::id(&made));
                    }
                    _ => {}
                }
                places.insert("other".to_owned(), other.to_owned());
            }
            "internal" => {
                let body = json!({ "message": CANARY, "isInternal": true });
                let made = self.done("POST", &format!("{path}/messages"), body).await;
                places.insert("messageId".to_owned(), Self::id(&made));
            }
            other => panic!("no state {other}"),
        }
    }

    /// An upload of somebody's that hangs on no message; its id.
    async fn upload(&self, uploader: &str, name: &str) -> String {
        let form = format!(
            "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{name}\"\r\n\r\n{name}\r\n--b--\r\n"
        );
        let request = self.desk.request("POST", "/api/v1/attachments");
        let request = request.by(&self.people[uploader]);
        let request = request.header("content-type", "multipart/form-data; boundary=b");
        request.raw(form).send().await.expect(201).text_of("/id")
    }

    /// An attachment: on a public message of the owner's, on an internal one, or on none.
    async fn attachment(&self, state: &str, caller: &str, places: &mut Places) {
        let (uploader, name, message) = match state {
            "" | "followed" => ("owner", "a.txt", Some(json!({ "message": "m" }))),
            "internal" => (
                "agent",
                CANARY,
                Some(json!({ "message": CANARY, "isInternal": true })),
            ),
            "loose" => ("owner", "a.txt", None),
            "mine" if caller == "anonymous" => ("owner", "a.txt", None),
            "mine" => (caller, "a.txt", None),
            other => panic!("no state {other}"),
        };
        let id = self.upload(uploader, name).await;
        if let Some(mut body) = message {
            let ticket = self.another_ticket(false).await;
            body["attachmentIds"] = json!([id]);
            let written = self
                .desk
                .post(&self.people[uploader], &format!("{ticket}/messages"), &body)
                .await;
            let _ = written.expect(201);
            places.insert("ticket".to_owned(), ticket);
        }
        if state == "followed" {
            let link = match self.caller(caller) {
                Some(caller) => {
                    let shown = self.desk.get(caller, &format!("/api/v1/attachments/{id}")).await;
                    let url = serde_json::from_str::<Value>(&shown.text).unwrap_or_default();
                    let url = url["url"].as_str().unwrap_or_default().to_owned();
                    url.rsplit('=').next().map(str::to_owned)
                }
                None => None,
            };
            let link = link.filter(|link| !link.is_empty());
            places.insert("link".to_owned(), link.unwrap_or_else(|| "none".to_owned()));
        }
        places.insert("id".to_owned(), id);
    }

    /// A new account; its id.
    async fn user(&self, state: &str) -> String {
        let role = if state == "agent" { "agent" } else { "user" };
        let name = self.fresh("person");
        let mut body = json!({
            "email": format!("{name}@example.org"), "name": name, "role": role, "password": PASSWORD,
        });
        if state == "invited" {
            body["password"] = Value::Null;
        }
        let id = Self::id(&self.done("POST", "/api/v1/users", body).await);
        let path = format!("/api/v1/users/{id}");
        match state {
            "" | "agent" | "invited" => {}
            "deleted" => {
                self.done("DELETE", &path, Value::Null).await;
            }
            "suspended" => {
                self.done("PATCH", &path, json!({ "status": "suspended" })).await;
            }
            other => panic!("no state {other}"),
        }
        id
    }

    /// A saved view of the agent's own, of the team's or shared with all staff; its id.
    async fn view(&self, visibility: &str) -> String {
        let team = (visibility == "team").then_some(self.team);
        let by = &self.people[if visibility == "own" { "agent" } else { "admin" }];
        let body = json!({ "name": "View", "visibility": visibility, "teamId": team });
        let made = self.desk.post(by, "/api/v1/views", &body).await;
        made.expect(201).text_of("/id")
    }

    /// A job of the agent's, which waits or is done; its id.
    async fn job(&self, state: &str) -> String {
        // Of those that others left behind, there can be few.
        while self.desk.desk.jobs.run_once().await.unwrap() > 0 {}
        let ticket = self.another_ticket(false).await;
        let ids = ticket.rsplit('/').next().map(str::to_owned);
        let body = json!({ "ids": [ids], "change": { "priority": "low" } });
        let begun = self
            .desk
            .post(&self.people["agent"], "/api/v1/tickets/bulk", &body)
            .await;
        if state == "done" {
            while self.desk.desk.jobs.run_once().await.unwrap() > 0 {}
        }
        begun.expect(202).text_of("/id")
    }

    /// Something that the owner is told; its id.
    async fn notification(&self, owner: &str) -> String {
        let told = format!(
            "INSERT INTO notifications (user_id, type, title, message) VALUES ('{owner}', 'replied', 't', 'm') \
             RETURNING id::text"
        );
        let rows = self.desk.database.rows(&told).await;
        rows.concat().into_iter().flatten().collect()
    }

    /// Deletes what a fixture made.
    pub(super) async fn delete(&self, on: &str, places: &Places) {
        let kind = on.split('.').next().unwrap_or_default();
        if let ("attachment", Some(ticket)) = (kind, places.get("ticket")) {
            self.done("DELETE", ticket, Value::Null).await;
            return;
        }
        let collection = match kind {
            "ticket" => "tickets",
            "user" => "users",
            other => panic!("no deleted {other}"),
        };
        let path = format!("/api/v1/{collection}/{}", places["id"]);
        self.done("DELETE", &path, Value::Null).await;
    }

    /// The columns of a table by the names that they would have in JSON.
    pub(super) async fn columns(&self, relation: &str) -> Vec<String> {
        let names = "SELECT column_name FROM information_schema.columns WHERE table_schema = 'public' AND table_name = $1";
        let rows = self.database.query(names, &[&relation]).await.unwrap();
        rows.iter().map(|row| camel_case(row.get(0))).collect()
    }

    /// Everything that is stored, as one text that differs when anything does; with `recorded`, the events left out.
    pub(super) async fn checksum(&self, recorded: bool) -> String {
        let but = if recorded { "outbox" } else { "" };
        let row = self.database.query_one(&self.everything, &[&but]).await.unwrap();
        row.get(0)
    }
}

/// A connection of the database's owner, and the statement that reads a sum over every table.
#[expect(
    clippy::disallowed_methods,
    reason = "the connection's driver ends with the test"
)]
async fn observer(desk: &TestDesk) -> (Client, Statement) {
    let (client, connection) = tokio_postgres::connect(desk.database.url(), NoTls).await.unwrap();
    tokio::spawn(connection);
    let sums = client
        .query_one(
            "SELECT string_agg(format('SELECT %L || count(*) || '':'' || coalesce(sum(hashtextextended(x::text, 0)\
             ::numeric), 0) AS line FROM %I x', relname || ' ', relname), ' UNION ALL ' ORDER BY relname) \
             FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace \
             AND relname <> 'rate_buckets'",
            &[],
        )
        .await
        .unwrap();
    let sums: String = sums.get(0);
    let everything = format!(
        "SELECT string_agg(line, ' ' ORDER BY line) FROM ({sums}) lines WHERE split_part(line, ' ', 1) <> $1::text"
    );
    let everything = client.prepare(&everything).await.unwrap();
    (client, everything)
}

fn camel_case(column: &str) -> String {
    let mut parts = column.split('_');
    let mut name = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (first, rest) = part.split_at(1);
        name.push_str(&first.to_uppercase());
        name.push_str(rest);
    }
    name
}

/// Copies the ticket `$3` with its messages and notes under the id `$1` and the number `$2`.
async fn copy_statement(database: &Client) -> String {
    let columns = async |relation: &str| -> String {
        let names = "SELECT string_agg(quote_ident(attname), ', ') FROM pg_attribute WHERE attrelid = $1::text::regclass \
             AND attnum > 0 AND NOT attisdropped AND attgenerated = '' \
             AND attname NOT IN ('id', 'ticket_number', 'ticket_id')";
        database.query_one(names, &[&relation]).await.unwrap().get(0)
    };
    let (ticket, message, note) = (
        columns("tickets").await,
        columns("ticket_messages").await,
        columns("ticket_notes").await,
    );
    format!(
        "WITH messages AS (INSERT INTO ticket_messages (ticket_id, {message}) \
           SELECT $1, {message} FROM ticket_messages WHERE ticket_id = $3), \
         notes AS (INSERT INTO ticket_notes (ticket_id, {note}) \
           SELECT $1, {note} FROM ticket_notes WHERE ticket_id = $3) \
         INSERT INTO tickets (id, ticket_number, {ticket}) SELECT $1, $2, {ticket} FROM tickets WHERE id = $3"
    )
}
