//! The knowledge base over HTTP: how articles come to be read, what is left of each text, and what readers say.

use desk::app::{Caller, Reply, TestDesk, encoded};
use kernel::{Role, TeamRole};
use serde_json::{Value, json};

const ARTICLES: &str = "/api/v1/admin/kb/articles";
const CATEGORIES: &str = "/api/v1/admin/kb/categories";
const READ: &str = "/api/v1/kb/articles";

struct World {
    desk: TestDesk,
    admin: Caller,
    agent: Caller,
    editor: Caller,
    customer: Caller,
    category: String,
}

impl World {
    async fn new() -> Self {
        Self::on(TestDesk::start().await).await
    }

    async fn on(desk: TestDesk) -> Self {
        let admin = desk.person("ada", Role::Admin).await;
        let agent = desk.person("age", Role::Agent).await;
        let editor = desk.person("edi", Role::Agent).await;
        let team = [(&agent, TeamRole::Agent), (&editor, TeamRole::Supervisor)];
        desk.team(&admin, "Front", &team).await;
        let category = desk
            .post(&admin, CATEGORIES, &json!({ "name": "Accounts" }))
            .await;
        Self {
            customer: desk.person("kim", Role::User).await,
            category: category.expect(201).text_of("/id"),
            admin,
            agent,
            editor,
            desk,
        }
    }

    async fn written(&self, title: &str, content: &str) -> Value {
        let body = json!({ "title": title, "content": content, "categoryId": self.category });
        self.desk
            .post(&self.agent, ARTICLES, &body)
            .await
            .expect(201)
            .json()
    }

    async fn act(&self, by: &Caller, article: &Value, action: &str, body: Value) -> Reply {
        let path = format!("{ARTICLES}/{}/{action}", id(article));
        self.desk.post(by, &path, &body).await
    }

    async fn published(&self, title: &str, content: &str) -> Value {
        let article = self.written(title, content).await;
        self.act(&self.editor, &article, "publish", json!({}))
            .await
            .expect(200)
            .json()
    }

    async fn stranger(&self, path: &str) -> Reply {
        self.desk.request("GET", path).send().await
    }
}

fn id(of: &Value) -> &str {
    of["id"].as_str().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_article_is_written_reviewed_published_read_and_archived() {
    let world = World::new().await;
    let draft = world
        .written("Reset your password", "# Before\n\nYou *need* it.\n\n- [ ] one\n")
        .await;
    assert_eq!(
        (&draft["status"], &draft["slug"], &draft["excerpt"]),
        (
            &json!("draft"),
            &json!("reset-your-password"),
            &json!("Before You need it. one")
        )
    );
    assert_eq!(
        draft["tableOfContents"],
        json!([{ "level": 1, "text": "Before", "anchor": "s-before" }])
    );
    let read = format!("{READ}/reset-your-password");
    world.stranger(&read).await.problem(404, "article.not_found");
    world
        .act(&world.agent, &draft, "publish", json!({}))
        .await
        .problem(403, "access.forbidden");
    let review = world
        .act(&world.agent, &draft, "submit", json!({}))
        .await
        .expect(200)
        .json();
    assert_eq!(review["status"], "review");
    world
        .act(&world.agent, &draft, "submit", json!({}))
        .await
        .problem(409, "article.transition_not_allowed");
    let published = world
        .act(&world.editor, &draft, "publish", json!({}))
        .await
        .expect(200)
        .json();
    assert!(published["publishedAt"].is_string());

    let shown = world.stranger(&read).await.expect(200);
    let html = shown.text_of("/contentHtml");
    assert!(
        html.contains("<h1 id=\"s-before\">Before</h1>") && html.contains("<em>need</em>"),
        "{html}"
    );
    // The same is not sent twice.
    let again = world
        .desk
        .request("GET", &read)
        .header("if-none-match", &shown.header("etag"));
    assert_eq!(again.send().await.status, 304);
    for path in [
        READ.to_owned(),
        "/api/v1/kb/categories/accounts/articles".to_owned(),
    ] {
        let list = world.stranger(&path).await.expect(200).json();
        assert_eq!(id(&list["data"][0]), id(&draft), "{path}");
        assert!(list["data"][0].get("content").is_none());
    }
    let archived = world
        .act(&world.editor, &draft, "archive", json!({}))
        .await
        .expect(200)
        .json();
    assert_eq!(archived["status"], "archived");
    world.stranger(&read).await.problem(404, "article.not_found");
    // Each of them is told of once.
    let told =
        "SELECT payload->'data'->>'change' FROM outbox WHERE kind = 'article.changed' ORDER BY position";
    let told = world.desk.database.rows(told).await.concat();
    let told: Vec<_> = told.iter().flatten().map(String::as_str).collect();
    assert_eq!(told, ["created", "submitted", "published", "archived"]);
    // And no subscriber stumbles over it.
    let _ = world.desk.mails().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_text_is_kept_and_what_an_article_was_called_leads_to_it() {
    let world = World::new().await;
    let article = world.published("Größe ändern", "one\ntwo\n").await;
    assert_eq!(article["slug"], "große-andern");
    let path = format!("{ARTICLES}/{}", id(&article));
    let change = json!({ "content": "one\n2\n", "slug": "размер" });
    let changed = world
        .desk
        .patch(&world.editor, &path, &change)
        .await
        .expect(200)
        .json();
    assert_eq!(
        (&changed["textNumber"], &changed["slug"]),
        (&json!(2), &json!("размер"))
    );
    let moved = world
        .stranger(&format!("{READ}/{}", encoded("große-andern")))
        .await;
    assert_eq!(moved.status, 301, "{}", moved.text);
    let found = world.stranger(&moved.header("location")).await.expect(200).json();
    assert_eq!(id(&found), id(&article));

    let versions = format!("{path}/versions");
    let list = world
        .desk
        .get(&world.agent, &format!("{versions}?limit=1"))
        .await
        .expect(200)
        .json();
    assert_eq!(
        (&list["data"][0]["number"], &list["data"][0]["editorId"]),
        (&json!(2), &json!(world.editor.id.to_string()))
    );
    let next = format!(
        "{versions}?limit=1&cursor={}",
        list["page"]["nextCursor"].as_str().unwrap()
    );
    let list = world.desk.get(&world.agent, &next).await.expect(200).json();
    assert_eq!(list["data"][0]["number"], 1);
    let whole = world
        .desk
        .get(&world.agent, &format!("{versions}/2"))
        .await
        .expect(200)
        .json();
    assert_eq!(
        whole["changes"],
        json!([{ "kind": "same", "text": "one\n" }, { "kind": "removed", "text": "two" }, { "kind": "added", "text": "2" }])
    );
    for none in ["3", "0", "01", "x", "99999999999"] {
        let reply = world.desk.get(&world.agent, &format!("{versions}/{none}")).await;
        reply.problem(404, "article.version_not_found");
    }
    let back = world
        .act(&world.editor, &article, "revert", json!({ "number": 1 }))
        .await;
    let back = back.expect(200).json();
    assert_eq!(
        (&back["textNumber"], &back["content"]),
        (&json!(3), &json!("one\ntwo"))
    );
    // One who saw another version is told so.
    let stale = world
        .desk
        .request("PATCH", &path)
        .by(&world.editor)
        .json(&json!({ "title": "X" }));
    let stale = stale
        .header("if-match", "\"article-1-0000000000000000\"")
        .send()
        .await;
    assert!([400, 412].contains(&stale.status), "{}", stale.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_is_told_with_its_place_and_slugs_are_one_things_each() {
    let world = World::new().await;
    let _ = world.written("Same", "x").await;
    let second = world.written("Same", "x").await;
    assert_eq!(second["slug"], "same-2");
    let reserved = world.written("Search", "x").await;
    assert_eq!(reserved["slug"], "search-1");
    let unnamed = world.written("🎉🎉", "x").await;
    assert_eq!(unnamed["slug"], "untitled");
    let body =
        |slug: &str| json!({ "title": "t", "content": "c", "categoryId": world.category, "slug": slug });
    let taken = world.desk.post(&world.agent, ARTICLES, &body("same")).await;
    taken.problem(409, "slug.taken");
    let nowhere =
        json!({ "title": "", "content": "", "excerpt": "a\nb", "categoryId": world.category, "slug": "A B" });
    let refused = world
        .desk
        .post(&world.agent, ARTICLES, &nowhere)
        .await
        .expect(422)
        .json();
    let mut places: Vec<_> = refused["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|fault| {
            (
                fault["pointer"].as_str().unwrap(),
                fault["code"].as_str().unwrap(),
            )
        })
        .collect();
    places.sort_unstable();
    assert_eq!(
        places,
        [
            ("/content", "too_short"),
            ("/excerpt", "bad_character"),
            ("/slug", "bad_slug"),
            ("/title", "too_short")
        ]
    );
    let mut unknown = body("else");
    unknown["categoryId"] = json!("01890a5d-ac96-774b-bcce-b302099a8057");
    let refused = world
        .desk
        .post(&world.agent, ARTICLES, &unknown)
        .await
        .expect(422)
        .json();
    assert_eq!(refused["errors"][0]["pointer"], "/categoryId");
    let long = json!({ "title": "t", "content": "x".repeat(65_537), "categoryId": world.category });
    let refused = world
        .desk
        .post(&world.agent, ARTICLES, &long)
        .await
        .expect(422)
        .json();
    assert_eq!(refused["errors"][0]["code"], "too_long");
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_vote_once_and_are_counted() {
    let world = World::new().await;
    let article = world.published("Read", "x").await;
    let vote = format!("{READ}/{}/vote", id(&article));
    let say =
        async |by: &Caller, helpful: Value| world.desk.post(by, &vote, &json!({ "helpful": helpful })).await;
    let counts = |reply: Reply| {
        let said = reply.expect(200).json();
        (
            said["helpfulCount"].as_i64().unwrap(),
            said["notHelpfulCount"].as_i64().unwrap(),
        )
    };
    // A thousand of one reader are one.
    for _ in 0..20 {
        let votes = futures_util::future::join_all((0..50).map(|_| say(&world.customer, json!(true)))).await;
        for reply in votes {
            assert!([200, 503].contains(&reply.status), "{}", reply.text);
        }
    }
    assert_eq!(counts(say(&world.customer, json!(true)).await), (1, 0));
    assert_eq!(counts(say(&world.agent, json!(false)).await), (1, 1));
    assert_eq!(counts(say(&world.customer, json!(false)).await), (0, 2));
    assert_eq!(counts(say(&world.customer, Value::Null).await), (0, 1));
    let refused = world.desk.post(&world.customer, &vote, &json!({})).await;
    assert!([400, 422].contains(&refused.status), "{}", refused.text);

    let read = format!("{READ}/read");
    for _ in 0..3 {
        let _ = world.stranger(&read).await.expect(200);
    }
    let _ = world.desk.get(&world.customer, &read).await.expect(200);
    let _ = world.desk.get(&world.agent, &read).await.expect(200);
    world.desk.desk.articles.store_views().await.unwrap();
    let shown = world
        .desk
        .get(&world.agent, &format!("{ARTICLES}/{}", id(&article)))
        .await;
    assert_eq!(shown.expect(200).json()["views"], 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn categories_make_a_tree_and_no_race_makes_it_a_circle() {
    let world = World::new().await;
    let make = async |name: &str, parent: Value| {
        let body = json!({ "name": name, "parentId": parent });
        world.desk.post(&world.admin, CATEGORIES, &body).await
    };
    let mut chain = vec![world.category.clone()];
    for level in 2..=8 {
        chain.push(
            make(&format!("Level {level}"), json!(chain.last()))
                .await
                .expect(201)
                .text_of("/id"),
        );
    }
    let deep = make("Too deep", json!(chain.last())).await.expect(422).json();
    assert_eq!(
        (&deep["errors"][0]["pointer"], &deep["errors"][0]["code"]),
        (&json!("/parentId"), &json!("too_deep"))
    );
    let circle = json!({ "parentId": chain[5] });
    let circle = world
        .desk
        .patch(&world.admin, &format!("{CATEGORIES}/{}", chain[0]), &circle)
        .await;
    assert_eq!(circle.expect(422).json()["errors"][0]["code"], "cycle");
    let gone = world
        .desk
        .request("DELETE", &format!("{CATEGORIES}/{}", chain[0]))
        .by(&world.admin)
        .send()
        .await;
    gone.problem(409, "category.not_empty");
    // One with an article in it stays, too.
    let _ = world.written("Here", "x").await;
    let (one, two) = (
        make("One", Value::Null).await.text_of("/id"),
        make("Two", Value::Null).await.text_of("/id"),
    );
    let _ = world
        .desk
        .post(
            &world.agent,
            ARTICLES,
            &json!({ "title": "There", "content": "c", "categoryId": one }),
        )
        .await
        .expect(201);
    let gone = world
        .desk
        .request("DELETE", &format!("{CATEGORIES}/{one}"))
        .by(&world.admin)
        .send()
        .await;
    gone.problem(409, "category.not_empty");
    let (of_one, of_two) = (format!("{CATEGORIES}/{one}"), format!("{CATEGORIES}/{two}"));
    for _ in 0..30 {
        let (into_two, into_one) = (json!({ "parentId": two }), json!({ "parentId": one }));
        let (first, second) = tokio::join!(
            world.desk.patch(&world.admin, &of_one, &into_two),
            world.desk.patch(&world.admin, &of_two, &into_one),
        );
        let mut statuses = [first.status, second.status];
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 422], "{} {}", first.text, second.text);
        for path in [&of_one, &of_two] {
            let _ = world
                .desk
                .patch(&world.admin, path, &json!({ "parentId": null }))
                .await
                .expect(200);
        }
    }
    // Each behind the one it lies in.
    let list = world.stranger("/api/v1/kb/categories").await.expect(200).json();
    let names: Vec<_> = list["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["name"].as_str().unwrap())
        .collect();
    assert_eq!(names[..3], ["Accounts", "Level 2", "Level 3"]);
    assert_eq!(names[8..], ["One", "Two"]);
}

/// What another program wrote as HTML is never shown: what is shown is made of the Markdown.
#[tokio::test(flavor = "multi_thread")]
async fn html_of_others_is_never_shown() {
    let world = World::new().await;
    let article = world.published("Safe", "x <script>alert(1)</script> **x**").await;
    let foul = format!(
        "UPDATE kb_articles SET content_html = '<script>alert(2)</script>', excerpt = NULL WHERE id = '{}'",
        id(&article)
    );
    world.desk.database.batch(&foul).await;
    let html = world
        .stranger(&format!("{READ}/safe"))
        .await
        .expect(200)
        .text_of("/contentHtml");
    assert!(
        !html.contains("<script") && html.contains("&lt;script&gt;") && html.contains("<strong>"),
        "{html}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_desk_can_keep_its_knowledge_to_those_who_are_signed_in() {
    let world = World::on(TestDesk::start_with(|config| config.public_knowledge_base = false).await).await;
    let _ = world.published("Inside", "x").await;
    for path in [READ, "/api/v1/kb/articles/inside", "/api/v1/kb/categories"] {
        assert_eq!(world.stranger(path).await.status, 401, "{path}");
        let _ = world.desk.get(&world.customer, path).await.expect(200);
    }
    // A token that is no good is not taken for none.
    let open = World::new().await;
    let bad = open
        .desk
        .request("GET", READ)
        .header("authorization", "Bearer nonsense")
        .send()
        .await;
    assert_eq!(bad.status, 401);
}
