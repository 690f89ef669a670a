//! `cargo xtask bench`: what a request costs, beside the bare SQL of the same work.
//!
//! A cluster of its own is filled with a desk ([`population`]), the release server is started on it ([`desk`]) and driven
//! over HTTP as an agent of one team ([`load`]), and pgbench does the same work by itself ([`pgbench`]) while the server
//! stands still. What publishes events is measured twice: as it is, with their delivery going on in the same process, and
//! with `--http-only`, where the request alone is left. What can be compared from machine to machine is the CPU time for each request ([`process`]), of the
//! server and of PostgreSQL apart; the budgets ([`report`]) are therefore mostly about that. With `--import` it measures
//! the import instead ([`import`]).
//!
//! The figures are a report: a missed budget is no failure. A request that is not answered as it should be is.
//!
//! To measure something more, add it to [`works`].

mod automation;
mod bulk;
mod client;
mod desk;
mod import;
mod load;
mod logins;
mod pgbench;
mod population;
mod process;
mod quality;
mod report;
mod uniform;

use std::num::NonZeroUsize;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::value_parser;
use local_postgres::{Cluster, ClusterOptions, Durability, Lifetime, Programs};
use rustix::process::Signal;
use tempfile::TempDir;
use tokio::signal::unix::{SignalKind, signal};
use tokio_postgres::{Client, NoTls};

use crate::Outcome;
use crate::postgres::made_sure;
use desk::{Desk, Extent, Program, text_of};
use load::{Make, Random, Work, drive};
use pgbench::Pgbench;
use population::{BENCH_TEAM, COMMON_WORD, CUSTOMERS, MIDDLE_WORD, Population, RARE_WORD, describe};
use report::{
    ApiFigures, BareFigures, Budget, Cpu, Delivery, Earlier, Growth, Report, Row, Sense, ms, short,
};

/// The page that is compared with the first one.
const DEEP_PAGE: u32 = 10_000;
/// How many tickets a page of that comparison has: few, so that there are so many pages.
const DEEP_PAGE_LIMIT: u32 = 10;
/// How many times the server is started to see how long that takes.
const STARTS: usize = 5;
/// How long a started server is left alone before its memory is looked at.
const IDLE_TIME: Duration = Duration::from_secs(3);
/// How long the delivery of events may go on after the last request.
const DELIVERY_TIME_MAX: Duration = Duration::from_secs(60);
/// How long the search index may take to take up the texts of the work before.
const TAKE_UP_TIME_MAX: Duration = Duration::from_secs(300);
/// Fewer events than this, left at the end, say nothing about what their delivery costs.
const DELIVERY_TOLD_FROM: i64 = 500;
const DATABASE: &str = "bench";

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// How many tickets the desk has.
    #[arg(long, default_value_t = 100_000, value_parser = value_parser!(u64).range(1_000..=10_000_000))]
    tickets: u64,
    /// How many messages each ticket has.
    #[arg(long, default_value_t = 5, value_parser = value_parser!(u32).range(0..=20))]
    messages: u32,
    /// How long each kind of request is measured.
    #[arg(long, default_value_t = 10, value_parser = value_parser!(u64).range(1..=600))]
    seconds: u64,
    /// At how many connections.
    #[arg(long, value_delimiter = ',', default_value = "1,8,32")]
    connections: Vec<NonZeroUsize>,
    /// Write the figures to this file as JSON, too.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Hold the figures beside those of this earlier report of a desk of another size: a file that `--json` wrote.
    #[arg(long, value_name = "FILE")]
    beside: Option<PathBuf>,
    /// Settings of PostgreSQL for the server's own connections, to try what they change: "-c enable_seqscan=off".
    #[arg(long, value_name = "OPTIONS", allow_hyphen_values = true)]
    database_options: Option<String>,
    /// Leave the database's folder and the server's log where they are.
    #[arg(long)]
    keep: bool,
    /// Measure the import of tickets instead.
    #[arg(long)]
    import: bool,
    /// Measure only what has one of these in its name: the lines of the report, "logins", "uniform", "bulk", "quality", "automation".
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    only: Vec<String>,
}

impl Args {
    fn wants(&self, name: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| name.contains(only.as_str()))
    }
}

pub(crate) fn run(args: Args) -> Outcome<ExitCode> {
    if !process::is_supported() {
        return Err("the bench reads /proc, which only Linux has".to_owned());
    }
    let programs = made_sure(None)?;
    let binary = desk::build()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("no async runtime: {error}"))?;
    runtime.block_on(async {
        let failed = |error| format!("signals cannot be listened to: {error}");
        let mut interrupts = signal(SignalKind::interrupt()).map_err(failed)?;
        let mut terminations = signal(SignalKind::terminate()).map_err(failed)?;
        let mut hangups = signal(SignalKind::hangup()).map_err(failed)?;
        let ground = Ground::prepare(programs, args.keep).await?;
        // What is dropped half way kills the processes that it started.
        let outcome = tokio::select! {
            outcome = on_ground(&args, &ground, binary) => outcome,
            _ = interrupts.recv() => Err("interrupted".to_owned()),
            _ = terminations.recv() => Err("terminated".to_owned()),
            _ = hangups.recv() => Err("hung up".to_owned()),
        };
        ground.clear().await;
        let report = outcome?;
        println!("\n{}", report.text().trim_end());
        if let Some(file) = &args.json {
            let json = serde_json::to_string_pretty(&report).map_err(|error| error.to_string())?;
            std::fs::write(file, json + "\n")
                .map_err(|error| format!("{} cannot be written: {error}", file.display()))?;
        }
        Ok(ExitCode::SUCCESS)
    })
}

async fn on_ground(args: &Args, ground: &Ground, binary: PathBuf) -> Outcome<Report> {
    let program = Program {
        binary,
        database_url: url_with(ground.cluster.url(DATABASE), args.database_options.as_deref()),
        folder: ground.folder.clone(),
    };
    tell("migrating");
    program.migrate().await?;
    if args.import {
        return import::measure(&program, ground).await;
    }
    requests(args, ground, program).await
}

/// The URL with options for each connection's start.
fn url_with(url: String, options: Option<&str>) -> String {
    let Some(options) = options else { return url };
    let encoded: String = options.bytes().map(|byte| format!("%{byte:02X}")).collect();
    format!("{url}?options={encoded}")
}

/// Says what goes on.
fn tell(what: &str) {
    eprintln!("bench: {what}");
}

/// A cluster, and a folder for everything else.
struct Ground {
    cluster: Cluster,
    programs: Programs,
    folder: PathBuf,
    /// None when the folder is to stay.
    temporary: Option<TempDir>,
}

/// So much memory must be free for the data to lie there.
const MEMORY_BYTES_MIN: u64 = 6 * 1024 * 1024 * 1024;

impl Ground {
    /// The settings are those of data that matters, as an installation has them; only the place is another.
    async fn prepare(programs: Programs, keep: bool) -> Outcome<Self> {
        let failed = |error: std::io::Error| format!("no folder for the bench: {error}");
        let memory = Path::new("/dev/shm");
        let free_bytes =
            rustix::fs::statvfs(memory).map_or(0, |stat| stat.f_bavail.saturating_mul(stat.f_frsize));
        let base = if free_bytes >= MEMORY_BYTES_MIN {
            memory.to_owned()
        } else {
            std::env::temp_dir()
        };
        let temporary = tempfile::Builder::new()
            .prefix("insightdesk-bench-")
            .tempdir_in(base)
            .map_err(failed)?;
        // The account that runs PostgreSQL, which is another one for root, must come through.
        std::fs::set_permissions(temporary.path(), std::fs::Permissions::from_mode(0o711)).map_err(failed)?;
        let (folder, temporary) = if keep {
            (temporary.keep(), None)
        } else {
            (temporary.path().to_owned(), Some(temporary))
        };
        let options = ClusterOptions {
            data_dir: folder.join("postgres"),
            programs: programs.clone(),
            durability: Durability::Durable,
            lifetime: if keep { Lifetime::Kept } else { Lifetime::Tethered },
        };
        let cluster = Cluster::start(options).await.map_err(|error| error.to_string())?;
        cluster
            .ensure_database(DATABASE)
            .await
            .map_err(|error| error.to_string())?;
        Ok(Self {
            cluster,
            programs,
            folder,
            temporary,
        })
    }

    async fn clear(self) {
        let Self {
            cluster,
            programs: _,
            folder,
            temporary,
        } = self;
        cluster.stop().await;
        if temporary.is_none() {
            tell(&format!("{} stays", folder.display()));
        }
    }

    fn postmaster(&self) -> Outcome<u32> {
        self.cluster
            .postmaster_pid()
            .ok_or_else(|| "PostgreSQL does not run".to_owned())
    }

    /// A connection of the bench's own.
    async fn connect(&self) -> Outcome<Client> {
        let (client, connection) = tokio_postgres::connect(&self.cluster.url(DATABASE), NoTls)
            .await
            .map_err(|error| format!("no connection to the database: {}", describe(&error)))?;
        // Ends with the client.
        tokio::runtime::Handle::current().spawn(connection);
        Ok(client)
    }

    fn circumstances(&self) -> Vec<String> {
        let cores = std::thread::available_parallelism().map_or(0, usize::from);
        let place = if self.folder.starts_with("/dev/shm") {
            "its data in memory, so that a sync costs next to nothing"
        } else {
            "its data on the disk"
        };
        vec![
            format!("{cores} cores, shared by server, PostgreSQL and load generator"),
            format!(
                "PostgreSQL {} with the settings of durable data, {place}",
                self.programs.version
            ),
        ]
    }
}

/// Waits until every text that was written can be found.
async fn searchable(client: &Client) -> Outcome<()> {
    let start = Instant::now();
    while one_number(client, "SELECT count(*) FROM ticket_search_queue").await? > 0 {
        if start.elapsed() > TAKE_UP_TIME_MAX {
            return Err(format!("texts are not searchable after {TAKE_UP_TIME_MAX:?}"));
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    Ok(())
}

async fn one_number(client: &Client, sql: &str) -> Outcome<i64> {
    let row = client.query_one(sql, &[]).await;
    row.and_then(|row| row.try_get(0))
        .map_err(|error| format!("{sql}: {}", describe(&error)))
}

async fn requests(args: &Args, ground: &Ground, program: Program) -> Outcome<Report> {
    let earlier = args.beside.as_deref().map(earlier).transpose()?;
    let client = ground.connect().await?;
    let now_ms = one_number(&client, "SELECT (extract(epoch FROM now()) * 1000)::bigint").await?;
    let population = Population::new(args.tickets, args.messages, now_ms);
    tell(&format!(
        "filling {} tickets with {} messages each",
        args.tickets, args.messages
    ));
    let start = Instant::now();
    population.fill(&client).await?;
    let filling_secs = start.elapsed().as_secs_f64();
    let size_mib = one_number(&client, "SELECT pg_database_size(current_database()) / 1048576").await?;
    let mut circumstances = ground.circumstances();
    if let Some(options) = &args.database_options {
        circumstances.push(format!("the server's connections with {options}"));
    }
    circumstances.push(format!(
        "{} tickets with {} messages each, {size_mib} MiB, filled in {filling_secs:.0} s; {} s for each line",
        args.tickets, args.messages, args.seconds
    ));

    tell("starting the server");
    program.create_admin().await?;
    let (desk, ready_ms) = started(&program).await?;
    tokio::time::sleep(IDLE_TIME).await;
    let idle_mib = mib(process::memory_bytes(desk.pid)?);

    let agent = desk.make_agent(&population.team(BENCH_TEAM))?;
    let (client_url, bin_dir) = (ground.cluster.url(DATABASE), &ground.programs.bin_dir);
    let mut remarks = Vec::new();
    let pgbench = Pgbench::beside(bin_dir, client_url, &ground.folder);
    if pgbench.is_none() {
        remarks.push(format!(
            "No pgbench in {}: nothing to compare with.",
            bin_dir.display()
        ));
    }
    let mut bench = Bench {
        ground,
        desk,
        extent: Extent::Whole,
        client,
        pgbench,
        time: Duration::from_secs(args.seconds),
        rows: Vec::new(),
    };
    let mut connections: Vec<usize> = args.connections.iter().map(|count| count.get()).collect();
    connections.sort_unstable();
    connections.dedup();
    let token = bench.desk.login_agent()?;
    save_views(&bench.desk, &token, &population.team(BENCH_TEAM))?;
    let cursor = deep_cursor(&bench.desk, &token)?;
    let deep_page = cursor.page;
    let mut plans = works(population, &agent, cursor);
    plans.retain(|plan| args.wants(&plan.name));
    for plan in &plans {
        let counts = if plan.at_fewest {
            connections.get(..1).unwrap_or_default()
        } else {
            &connections
        };
        for count in counts {
            bench.measure(plan, *count).await?;
        }
    }
    if args.wants("logins") {
        tell("logins");
        let list = list_target(population, 25);
        remarks.push(logins::measure(&bench.desk, &list, bench.time)?);
    }
    if args.wants("uniform") {
        tell("uniform");
        remarks.extend(uniform::measure(&bench.desk, desk::AGENT, population)?);
    }
    if args.wants("bulk") {
        tell("claims and bulk changes");
        let pids = bench.pids()?;
        let (rows, told) = bulk::measure(&bench, population, pids).await?;
        bench.rows.extend(rows);
        remarks.push(told);
    }
    let mut floors = Vec::new();
    if args.wants("quality") {
        tell("search quality");
        let (figures, told) = quality::measure(&bench.desk, &bench.client, population).await?;
        floors = figures;
        remarks.extend(told);
    }
    if args.wants("automation") {
        tell("automation");
        let (measured, told, figures) = automation::measure(bench, &program).await?;
        bench = measured;
        remarks.extend(told);
        floors.extend(figures);
    }
    let mut bench = bench.restarted(&program, Extent::HttpOnly).await?;
    for plan in plans.iter().filter(|plan| plan.publishes) {
        for count in &connections {
            bench.measure(plan, *count).await?;
        }
    }
    let Bench { desk, mut rows, .. } = bench;
    desk.stop().await?;

    merge_conversation(&mut rows);
    remarks.extend(rows.iter().filter_map(|row| {
        let delivery = row.delivery.as_ref().filter(|delivery| delivery.events_left >= DELIVERY_TOLD_FROM)?;
        Some(format!(
            "{} at {}: {} events were still to be delivered at the end; that took {:.1} s and, for each, {} ms of the \
             server's CPU and {} of PostgreSQL's.",
            row.work,
            row.connections,
            delivery.events_left,
            delivery.seconds,
            short(delivery.server_cpu_ms_per_event),
            short(delivery.postgres_cpu_ms_per_event)
        ))
    }));
    let judged_at = connections.iter().copied().max().unwrap_or(1);
    let mut budgets = budgets(&rows, judged_at, deep_page);
    budgets.push(Budget::new(
        "start to ready, on an existing database",
        Some(ready_ms),
        Sense::AtMost,
        300.0,
        "ms",
    ));
    budgets.push(Budget::new(
        "idle memory (PSS)",
        Some(idle_mib),
        Sense::AtMost,
        40.0,
        "MiB",
    ));
    budgets.extend(floors);
    let growth = earlier.map(|earlier| (earlier.tickets, Growth::between(&earlier.rows, &rows)));
    if let Some((earlier, lines)) = &growth {
        budgets.extend(growth_budgets(*earlier, lines));
    }
    Ok(Report {
        tickets: args.tickets,
        growth,
        circumstances,
        rows,
        remarks,
        budgets,
    })
}

fn earlier(file: &Path) -> Outcome<Earlier> {
    let told = |error: String| format!("{}: {error}", file.display());
    let text = std::fs::read_to_string(file).map_err(|error| told(error.to_string()))?;
    serde_json::from_str(&text).map_err(|error| told(error.to_string()))
}

/// What a desk of ten times the tickets may cost more.
fn growth_budgets(earlier: u64, lines: &[Growth]) -> Vec<Budget> {
    let deep = |work: &str| {
        work.strip_prefix("page ")
            .is_some_and(|page| page.chars().all(|one| one.is_ascii_digit()))
    };
    let kept = lines.iter().filter_map(|line| {
        let bound = match line.work.as_str() {
            LIST_25
            | LIST_50
            | FILTERED
            | TICKET
            | MESSAGES
            | CONVERSATION
            | COUNT
            | VIEWS
            | CREATE
            | REPLY
            | bulk::CLAIM => 1.5,
            work if deep(work) => 1.5,
            COMMON_SEARCH => 2.0,
            _ => return None,
        };
        let what = format!("{}: CPU to that at {earlier} tickets", line.work);
        Some(Budget::new(
            what,
            Some(line.by_cpu()),
            Sense::AtMost,
            bound,
            "times",
        ))
    });
    kept.collect()
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / (1024.0 * 1024.0)
}

/// A server that runs, and how long a start took: the middle of several, after a first one that makes files.
async fn started(program: &Program) -> Outcome<(Desk, f64)> {
    program.serve(Extent::Whole).await?.stop().await?;
    let mut times = Vec::new();
    loop {
        let desk = program.serve(Extent::Whole).await?;
        times.push(desk.ready_after);
        if times.len() < STARTS {
            desk.stop().await?;
            continue;
        }
        times.sort_unstable();
        let middle = times.get(STARTS / 2).copied().unwrap_or_default();
        return Ok((desk, ms(middle)));
    }
}

/// Where a page far down begins.
struct DeepCursor {
    page: u32,
    cursor: String,
}

/// Goes down the list page by page, to [`DEEP_PAGE`] or the last one.
fn deep_cursor(desk: &Desk, token: &str) -> Outcome<DeepCursor> {
    let mut found = DeepCursor {
        page: 1,
        cursor: String::new(),
    };
    while found.page < DEEP_PAGE {
        let target = page_target(&found.cursor);
        let list = desk.call("GET", &target, Some(token), None)?;
        let Ok(cursor) = text_of(&list, "/page/nextCursor") else {
            break;
        };
        found.cursor = cursor;
        found.page += 1;
    }
    Ok(found)
}

fn page_target(cursor: &str) -> String {
    if cursor.is_empty() {
        format!("/api/v1/tickets?limit={DEEP_PAGE_LIMIT}")
    } else {
        format!("/api/v1/tickets?limit={DEEP_PAGE_LIMIT}&cursor={cursor}")
    }
}

/// Saves ten views of an agent's, from those that have most of the desk to those that have little of it.
fn save_views(desk: &Desk, token: &str, team: &str) -> Outcome<()> {
    use serde_json::{Value, json};
    let term = |field: &str, operator: &str, value: Value| json!({ "field": field, "operator": operator, "value": value });
    let unset = |field: &str| json!({ "field": field, "operator": "is_not_set" });
    let open = || term("status", "in", json!(["open", "pending"]));
    let all = |conditions: Vec<Value>| json!({ "all": conditions });
    let filters = [
        Value::Null,
        open(),
        term("status", "equals", json!("resolved")),
        all(vec![open(), term("assignedToId", "equals", json!("me"))]),
        all(vec![open(), unset("assignedToId")]),
        all(vec![open(), term("teamId", "equals", json!(team))]),
        all(vec![open(), unset("teamId")]),
        all(vec![open(), term("priority", "equals", json!("urgent"))]),
        all(vec![open(), term("updatedAt", "less_than", json!("-7d"))]),
        all(vec![open(), term("subject", "contains", json!("printer"))]),
    ];
    for (position, filter) in filters.into_iter().enumerate() {
        let body = json!({ "name": format!("View {position}"), "filter": filter, "position": position });
        desk.call("POST", "/api/v1/views", Some(token), Some(&body))?;
    }
    Ok(())
}

/// A condition of the filter language that most of the team's open tickets meet. Its statement is made anew each time.
fn filter_target(population: Population) -> String {
    let condition = serde_json::json!({ "all": [
        { "field": "teamId", "operator": "equals", "value": population.team(BENCH_TEAM) },
        { "field": "status", "operator": "equals", "value": "open" },
        { "any": [{ "field": "priority", "operator": "not_equals", "value": "low" },
                  { "field": "customFields.floor", "operator": "less_than", "value": 3 }] },
        { "none": [{ "field": "subject", "operator": "starts_with", "value": "printer" }] },
    ] });
    let encoded: String = condition
        .to_string()
        .bytes()
        .map(|byte| format!("%{byte:02X}"))
        .collect();
    format!("/api/v1/tickets?limit=25&include=createdBy,assignedTo&filter={encoded}")
}

fn list_target(population: Population, limit: u32) -> String {
    let team = population.team(BENCH_TEAM);
    format!("/api/v1/tickets?teamId={team}&status=open&limit={limit}&include=createdBy,assignedTo")
}

type MakeRequest = Arc<dyn Fn(&mut Random, &str) -> Vec<u8> + Send + Sync>;

/// A kind of request, and the bare SQL of the same work.
struct Plan {
    name: String,
    status: u16,
    /// The request for a token.
    request: MakeRequest,
    script: Option<String>,
    /// Whether it publishes events.
    publishes: bool,
    /// Whether the fewest connections are enough.
    at_fewest: bool,
}

const LIST_25: &str = "list 25";
const LIST_50: &str = "list 50";
const FILTERED: &str = "list 25, filter";
const TICKET: &str = "show ticket";
const MESSAGES: &str = "show messages";
const CONVERSATION: &str = "show, both";
const SEARCHES: [(&str, &str); 3] = [
    ("search, rare word", RARE_WORD),
    ("search, middle word", MIDDLE_WORD),
    (COMMON_SEARCH, COMMON_WORD),
];
const COMMON_SEARCH: &str = "search, common word";
const SEARCH_COUNT: &str = "search, counted";
const PAGE_1: &str = "page 1";
const COUNT: &str = "count open";
const VIEWS: &str = "count 10 views";
const CREATE: &str = "create";
const REPLY: &str = "reply";

/// The name of a kind of request where nobody delivers its events.
fn without_delivery(name: &str) -> String {
    format!("{name}, http-only")
}

fn deep_page_name(page: u32) -> String {
    format!("page {page}")
}

const TEXT: &str = "Thank you for your message. We have looked at the second printer on the third floor, and it seems \
    that its *fuser unit* is worn out. A new one was ordered today and will arrive within two working days; until then \
    please use the printer beside the kitchen, which takes the same paper.\\n\\nShould it be urgent, tell us, and we \
    bring you a small one for your desk.";

fn works(population: Population, agent: &str, deep: DeepCursor) -> Vec<Plan> {
    let get = |name: &str, script: Option<String>, target: Make<String>| Plan {
        name: name.to_owned(),
        status: 200,
        request: Arc::new(move |random, token| client::request("GET", &target(random), Some(token), None)),
        script,
        publishes: false,
        at_fewest: false,
    };
    let fixed = |target: String| Box::new(move |_: &mut Random| target.clone());
    let team = population.team(BENCH_TEAM);
    let list = |limit: u32| list_target(population, limit);
    let at_fewest = |plan: Plan| Plan {
        at_fewest: true,
        ..plan
    };
    let post = |name: &str, script: String, parts: Make<(String, String)>| Plan {
        name: name.to_owned(),
        status: 201,
        request: Arc::new(move |random, token| {
            let (target, body) = parts(random);
            client::request("POST", &target, Some(token), Some(&body))
        }),
        script: Some(script),
        publishes: true,
        at_fewest: false,
    };
    // A text for SQL: Markdown's marks mean nothing there.
    let bare_text = TEXT.replace("\\n", " ");
    let create_team = team.clone();
    let search = |name: &str, rest: String| {
        at_fewest(get(name, None, fixed(format!("/api/v1/tickets/search?q={rest}"))))
    };
    let mut plans: Vec<Plan> = SEARCHES.map(|(name, word)| search(name, word.to_owned())).into();
    plans.push(search(SEARCH_COUNT, format!("{MIDDLE_WORD}&count=true")));
    plans.extend([
        get(LIST_25, Some(pgbench::list(&population, 25)), fixed(list(25))),
        get(LIST_50, Some(pgbench::list(&population, 50)), fixed(list(50))),
        at_fewest(get(FILTERED, None, fixed(filter_target(population)))),
        get(
            TICKET,
            Some(pgbench::ticket(&population)),
            Box::new(move |random| format!("/api/v1/tickets/{}", population.any(random))),
        ),
        get(
            MESSAGES,
            Some(pgbench::messages(&population)),
            Box::new(move |random| format!("/api/v1/tickets/{}/messages", population.any(random))),
        ),
        at_fewest(get(PAGE_1, None, fixed(page_target("")))),
        at_fewest(get(
            &deep_page_name(deep.page),
            None,
            fixed(page_target(&deep.cursor)),
        )),
        at_fewest(get(
            COUNT,
            None,
            fixed(format!(
                "/api/v1/tickets?teamId={team}&status=open&limit=1&count=true"
            )),
        )),
        at_fewest(get(VIEWS, None, fixed("/api/v1/views/counts".to_owned()))),
        post(
            CREATE,
            pgbench::create(&population, agent, &bare_text),
            Box::new(move |random| {
                let customer = population.customer(random.below(CUSTOMERS));
                let body = format!(
                    "{{\"subject\":\"The bench asks\",\"description\":\"{TEXT}\",\"teamId\":\"{create_team}\",\
                     \"createdById\":\"{customer}\"}}"
                );
                ("/api/v1/tickets".to_owned(), body)
            }),
        ),
        post(
            REPLY,
            pgbench::reply(&population, agent, &bare_text),
            Box::new(move |random| {
                let target = format!("/api/v1/tickets/{}/messages", population.any_unclosed(random));
                (target, format!("{{\"message\":\"{TEXT}\"}}"))
            }),
        ),
    ]);
    plans
}

struct Bench<'a> {
    ground: &'a Ground,
    desk: Desk,
    extent: Extent,
    client: Client,
    pgbench: Option<Pgbench>,
    time: Duration,
    rows: Vec<Row>,
}

impl Bench<'_> {
    /// With another server, whose memory of the work before is gone.
    async fn restarted(self, program: &Program, extent: Extent) -> Outcome<Self> {
        self.desk.stop().await?;
        let desk = program.serve(extent).await?;
        Ok(Self { desk, extent, ..self })
    }

    async fn measure(&mut self, plan: &Plan, connections: usize) -> Outcome<()> {
        let name = match self.extent {
            Extent::Whole => plan.name.clone(),
            Extent::HttpOnly => without_delivery(&plan.name),
        };
        tell(&format!("{name} at {connections}"));
        // Anew for each, so that none ends meanwhile.
        let token = self.desk.login_agent()?;
        let request = Arc::clone(&plan.request);
        let work = Work {
            name: name.clone(),
            status: plan.status,
            request: Box::new(move |random| request(random, &token)),
        };
        let (address, time) = (self.desk.address, self.time);
        let pids = self.pids()?;
        let driven = tokio::task::spawn_blocking(move || {
            let mut costs = Vec::new();
            let load = drive(address, &work, connections, time, || {
                costs.push(pids.cpu()?);
                Ok(())
            })?;
            match costs.as_slice() {
                [before, after] => Ok((load, before.to(*after))),
                _ => Err("the load was not measured".to_owned()),
            }
        });
        let driven = driven
            .await
            .map_err(|error| format!("the load generator: {error}"))?;
        let (load, cpu) = driven.map_err(|message| match self.desk.last_words() {
            words if words.is_empty() => message,
            words => format!("{message} (the server's log ends with: {words})"),
        })?;
        let server_mib = mib(process::memory_bytes(pids.server)?);
        let (delivery, bare) = match self.extent {
            Extent::Whole if plan.publishes => {
                let delivery = self.delivery(pids).await?;
                (Some(delivery), self.bare(plan, connections).await?)
            }
            Extent::Whole => (None, self.bare(plan, connections).await?),
            Extent::HttpOnly => {
                self.settle().await?;
                let same = |row: &&Row| row.work == plan.name && row.connections == connections;
                (None, self.rows.iter().find(same).and_then(|row| row.bare.clone()))
            }
        };
        self.rows.push(Row {
            work: name,
            connections,
            api: ApiFigures::of(&load, cpu, server_mib),
            bare,
            delivery,
        });
        Ok(())
    }

    fn pids(&self) -> Outcome<Pids> {
        Ok(Pids {
            server: self.desk.pid,
            postmaster: self.ground.postmaster()?,
        })
    }

    async fn events_left(&self) -> Outcome<i64> {
        one_number(
            &self.client,
            "SELECT count(*) FROM outbox WHERE done_at IS NULL AND buried_at IS NULL",
        )
        .await
    }

    /// Waits until nothing is done in the background any more: no event to deliver, no text to make searchable.
    async fn rest(&self, pids: Pids) -> Outcome<()> {
        self.delivery(pids).await?;
        searchable(&self.client).await
    }

    /// Waits until the events of the work before are delivered.
    async fn delivery(&self, pids: Pids) -> Outcome<Delivery> {
        let (start, before) = (Instant::now(), pids.cpu()?);
        let events_left = self.events_left().await?;
        while self.events_left().await? > 0 {
            if start.elapsed() > DELIVERY_TIME_MAX {
                let left = self.events_left().await?;
                return Err(format!(
                    "{left} events are not delivered after {DELIVERY_TIME_MAX:?}"
                ));
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let (seconds, cpu) = (start.elapsed().as_secs_f64(), before.to(pids.cpu()?));
        let each = |time: Duration| ms(time) / (events_left.max(1) as f64);
        Ok(Delivery {
            events_left,
            seconds,
            server_cpu_ms_per_event: each(cpu.server),
            postgres_cpu_ms_per_event: each(cpu.postgres),
        })
    }

    /// Takes all events for delivered.
    async fn settle(&self) -> Outcome<()> {
        let settle = "UPDATE outbox SET done_at = now() WHERE done_at IS NULL AND buried_at IS NULL";
        let settled = self.client.batch_execute(settle).await;
        settled.map_err(|error| format!("{settle}: {}", describe(&error)))
    }

    /// The same by pgbench, while the server stands still.
    async fn bare(&self, plan: &Plan, connections: usize) -> Outcome<Option<BareFigures>> {
        let (Some(pgbench), Some(script)) = (&self.pgbench, &plan.script) else {
            return Ok(None);
        };
        self.desk.signal(Signal::STOP);
        let pids = self.pids()?;
        let before = pids.cpu()?;
        let rate = pgbench.run(script, connections, self.time).await;
        let cpu = before.to(pids.cpu()?);
        if plan.publishes {
            // They are no events of a server's, and it is not to take them for some.
            self.settle().await?;
        }
        self.desk.signal(Signal::CONT);
        let rate = rate.map_err(|message| format!("{}: {message}", plan.name))?;
        Ok(Some(BareFigures {
            transactions_per_second: rate.per_second,
            postgres_cpu_ms: ms(cpu.postgres) / (rate.transactions.max(1) as f64),
        }))
    }
}

/// Whose CPU time is counted, beside this process' own.
#[derive(Debug, Clone, Copy)]
struct Pids {
    server: u32,
    postmaster: u32,
}

impl Pids {
    fn cpu(self) -> Outcome<Cpu> {
        Ok(Cpu {
            server: process::cpu(self.server)?,
            postgres: process::cpu_of_tree(self.postmaster)?,
            generator: process::cpu(std::process::id())?,
        })
    }
}

impl Cpu {
    fn to(self, later: Self) -> Self {
        Self {
            server: later.server.saturating_sub(self.server),
            postgres: later.postgres.saturating_sub(self.postgres),
            generator: later.generator.saturating_sub(self.generator),
        }
    }
}

/// Adds the lines of a ticket together with its messages, after those of the messages.
fn merge_conversation(rows: &mut Vec<Row>) {
    let merged: Vec<Row> = rows
        .iter()
        .filter(|row| row.work == TICKET)
        .filter_map(|ticket| {
            let same = |row: &&Row| row.work == MESSAGES && row.connections == ticket.connections;
            let messages = rows.iter().find(same)?;
            let bare = ticket.bare.as_ref().zip(messages.bare.as_ref());
            Some(Row {
                work: CONVERSATION.to_owned(),
                connections: ticket.connections,
                api: ticket.api.and(&messages.api),
                bare: bare.map(|(ticket, messages)| ticket.and(messages)),
                delivery: None,
            })
        })
        .collect();
    let place = rows
        .iter()
        .rposition(|row| row.work == MESSAGES)
        .map_or(rows.len(), |index| index + 1);
    rows.splice(place..place, merged);
}

/// Each budget with its figure, at this number of connections.
fn budgets(rows: &[Row], connections: usize, deep_page: u32) -> Vec<Budget> {
    let row = |work: &str| {
        rows.iter()
            .find(|row| row.work == work && row.connections == connections)
    };
    let any = |work: &str| rows.iter().find(|row| row.work == work);
    let mut budgets = Vec::new();
    let (create_alone, reply_alone) = (without_delivery(CREATE), without_delivery(REPLY));
    let server_bounds = [
        (LIST_25, 0.5),
        (LIST_50, 0.5),
        (TICKET, 0.3),
        (MESSAGES, 0.3),
        (CONVERSATION, 0.3),
        (CREATE, 0.5),
        (&create_alone, 0.5),
        (REPLY, 0.5),
        (&reply_alone, 0.5),
    ];
    for (work, bound) in server_bounds {
        let value = row(work).map(|row| row.api.server_cpu_ms);
        let what = format!("{work}: server's CPU a request, at {connections}");
        budgets.push(Budget::new(what, value, Sense::AtMost, bound, "ms"));
    }
    for (work, _) in server_bounds {
        let value = row(work).and_then(Row::postgres_ratio);
        let what = format!("{work}: PostgreSQL's CPU to the bare SQL's, at {connections}");
        budgets.push(Budget::new(what, value, Sense::AtMost, 1.5, "times"));
    }
    for (work, _) in server_bounds {
        let value = row(work)
            .and_then(Row::throughput_ratio)
            .map(|ratio| ratio * 100.0);
        let what = format!("{work}: throughput to pgbench's, at {connections}");
        budgets.push(Budget::new(what, value, Sense::AtLeast, 50.0, "%"));
    }
    let deep = any(&deep_page_name(deep_page)).zip(any(PAGE_1));
    let by = |get: fn(&Row) -> Option<f64>| deep.and_then(|(deep, first)| Some(get(deep)? / get(first)?));
    let what = format!("page {deep_page} to page 1, by CPU of server and PostgreSQL");
    let cpu = by(|row| Some(row.api.cpu_ms()));
    budgets.push(Budget::new(what, cpu, Sense::AtMost, 1.5, "times"));
    let what = format!("page {deep_page} to page 1, by p50");
    budgets.push(Budget::new(
        what,
        by(|row| row.api.p50_ms),
        Sense::AtMost,
        1.5,
        "times",
    ));
    budgets
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The migrations' own SQL, as the server would run it.
    async fn migrate(client: &Client) {
        let migrations = Path::new(env!("CARGO_MANIFEST_DIR")).join("../migrations");
        let mut folders: Vec<PathBuf> = std::fs::read_dir(migrations)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        folders.sort();
        for folder in folders {
            let up = std::fs::read_to_string(folder.join("up.sql")).unwrap();
            client.batch_execute(&up).await.unwrap();
        }
    }

    #[tokio::test]
    async fn the_desk_is_whole_and_the_scripts_run_on_it() {
        let programs = local_postgres::find(None, local_postgres::cache_dir().as_deref()).unwrap();
        let ground = Ground::prepare(programs, false).await.unwrap();
        let client = ground.connect().await.unwrap();
        migrate(&client).await;
        let indexes = "SELECT count(*) FROM pg_indexes WHERE schemaname = 'public'";
        let indexes_before = one_number(&client, indexes).await.unwrap();
        let population = Population::new(2_000, 5, 1_800_000_000_000);
        population.fill(&client).await.unwrap();
        assert_eq!(one_number(&client, indexes).await.unwrap(), indexes_before);

        for (sql, expected) in [
            ("SELECT count(*) FROM tickets", 2_000),
            ("SELECT count(*) FROM tickets WHERE status = 'closed'", 1_400),
            ("SELECT count(*) FROM tickets WHERE status = 'open'", 240),
            ("SELECT sum(message_count)::bigint FROM tickets", 10_000),
            (
                "SELECT count(*) FROM ticket_messages m JOIN tickets t ON t.id = m.ticket_id JOIN users u ON u.id = m.sender_id",
                10_000,
            ),
            (
                "SELECT count(*) FROM ticket_activities a JOIN tickets t ON t.id = a.ticket_id JOIN users u ON u.id = a.actor_id",
                12_000,
            ),
            (
                "SELECT count(*) FROM tickets t JOIN users u ON u.id = t.created_by AND u.role = 'user'",
                2_000,
            ),
            (
                "SELECT count(*) FROM tickets t LEFT JOIN users u ON u.id = t.assigned_to WHERE t.assigned_to IS NOT NULL AND u.role IS DISTINCT FROM 'agent'",
                0,
            ),
            (
                "SELECT count(*) FROM tickets t LEFT JOIN teams m ON m.id = t.team_id WHERE t.team_id IS NOT NULL AND m.id IS NULL",
                0,
            ),
            ("SELECT count(*) FROM tickets WHERE team_id IS NULL", 100),
            (
                "SELECT count(*) FROM ticket_messages WHERE length(message) NOT BETWEEN 290 AND 620",
                0,
            ),
        ] {
            assert_eq!(one_number(&client, sql).await.unwrap(), expected, "{sql}");
        }
        let team = population.team(BENCH_TEAM);
        let mut random = Random::new(5);
        for _ in 0..50 {
            let (any, unclosed) = (population.any(&mut random), population.any_unclosed(&mut random));
            let sql = format!(
                "SELECT count(*) FROM tickets WHERE team_id = '{team}' \
                 AND (id = '{any}' OR (id = '{unclosed}' AND status <> 'closed'))"
            );
            assert_eq!(
                one_number(&client, &sql).await.unwrap(),
                if any == unclosed { 1 } else { 2 }
            );
        }

        let url = ground.cluster.url(DATABASE);
        if let Some(pgbench) = Pgbench::beside(&ground.programs.bin_dir, url, &ground.folder) {
            let agent = population.customer(CUSTOMERS);
            let deep = DeepCursor {
                page: 1,
                cursor: String::new(),
            };
            let before = one_number(&client, "SELECT count(*) FROM outbox").await.unwrap();
            for plan in works(population, &agent, deep) {
                if let Some(script) = &plan.script {
                    let rate = pgbench.run(script, 2, Duration::from_secs(1)).await.unwrap();
                    assert!(rate.transactions > 0, "{}", plan.name);
                }
            }
            let after = one_number(&client, "SELECT count(*) FROM outbox").await.unwrap();
            assert!(after > before);
        }
        ground.clear().await;
    }
}
