//! Whether searches find what people mean: articles of a real help centre as tickets, and the index entries that its authors
//! wrote for them as queries.
//!
//! The data lies beside the repository where it is developed; without it, nothing is measured.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio_postgres::Client;

use super::desk::{Desk, text_of};
use super::population::{BENCH_TEAM, Population};
use super::report::{Budget, Sense, ms, short};
use super::searchable;
use crate::Outcome;

/// Every n-th query is asked.
const EVERY: usize = 8;
/// The tag of the articles.
const TAG: &str = "quality";
/// A description has 64 KiB at the most.
const DESCRIPTION_MAX_BYTES: usize = 64 * 1024;
/// A search has 16 terms at the most, and the tag is one.
const WORDS_MAX: usize = 14;

/// What was found, over all queries.
#[derive(Default)]
struct Quality {
    queries: usize,
    reciprocal_ranks: f64,
    first: usize,
    recall: f64,
    times: Vec<Duration>,
}

/// The figures beside the floors that they are to keep, and a line of circumstances.
pub(super) async fn measure(
    desk: &Desk,
    client: &Client,
    population: Population,
) -> Outcome<(Vec<Budget>, Vec<String>)> {
    let Some(folder) = folder() else {
        let remark = "No judged queries beside the repository: the quality of searches is not measured.";
        return Ok((Vec::new(), vec![remark.to_owned()]));
    };
    let token = desk.login_agent()?;
    let team = population.team(BENCH_TEAM);
    let articles = lines(&folder.join("articles.en-US.jsonl.gz"))?;
    let mut slugs = std::collections::HashMap::new();
    for article in &articles {
        let markdown = text_of(article, "/markdown")?;
        let mut end = markdown.len().min(DESCRIPTION_MAX_BYTES);
        while !markdown.is_char_boundary(end) {
            end -= 1;
        }
        // A few pages have no title.
        let slug = text_of(article, "/slug")?;
        let title = text_of(article, "/title")?;
        let title = if title.trim().is_empty() { &slug } else { &title };
        let subject: String = title.chars().take(200).collect();
        let description = markdown.get(..end).unwrap_or_default();
        let body = json!({ "subject": subject, "description": description, "teamId": team, "tags": [TAG] });
        let made = desk.call("POST", "/api/v1/tickets", Some(&token), Some(&body))?;
        slugs.insert(text_of(&made, "/id")?, slug);
    }
    searchable(client).await?;
    let mut quality = Quality::default();
    for query in lines(&folder.join("queries.en-US.jsonl.gz"))?
        .iter()
        .step_by(EVERY)
    {
        let words = words(&text_of(query, "/query")?);
        let relevant: Vec<&str> = query["relevant"]
            .as_array()
            .map(|slugs| slugs.iter().filter_map(Value::as_str).collect())
            .unwrap_or_default();
        if words.is_empty() || relevant.is_empty() {
            continue;
        }
        let target = format!(
            "/api/v1/tickets/search?limit=10&fields=id&q={}%20tag:{TAG}",
            words.join("%20")
        );
        let start = Instant::now();
        let answer = desk.call("GET", &target, Some(&token), None)?;
        quality.times.push(start.elapsed());
        let found: Vec<&str> = answer["data"]
            .as_array()
            .map(|rows| {
                let ids = rows.iter().filter_map(|row| row["id"].as_str());
                ids.filter_map(|id| slugs.get(id).map(String::as_str)).collect()
            })
            .unwrap_or_default();
        quality.count(&found, &relevant);
    }
    Ok(quality.told(articles.len()))
}

impl Quality {
    fn count(&mut self, found: &[&str], relevant: &[&str]) {
        self.queries += 1;
        if let Some(rank) = found.iter().position(|slug| relevant.contains(slug)) {
            self.reciprocal_ranks += 1.0 / (rank + 1) as f64;
            self.first += usize::from(rank == 0);
        }
        let hits = relevant.iter().filter(|slug| found.contains(slug)).count();
        self.recall += hits as f64 / relevant.len() as f64;
    }

    fn told(mut self, articles: usize) -> (Vec<Budget>, Vec<String>) {
        self.times.sort_unstable();
        let at = |hundredths: usize| {
            let index = self.times.len() * hundredths / 100;
            self.times.get(index).copied().map_or(0.0, ms)
        };
        let remark = format!(
            "search quality: {} queries about {articles} articles as tickets among all others, the best 10 each; p50 {} ms, p99 {} ms.",
            self.queries,
            short(at(50)),
            short(at(99))
        );
        let each = |sum: f64| Some(sum / (self.queries.max(1) as f64));
        let floor = |what: &str, value, floor| Budget::new(what, value, Sense::AtLeast, floor, "");
        let budgets = vec![
            floor("search quality: MRR@10", each(self.reciprocal_ranks), MRR_FLOOR),
            floor("search quality: P@1", each(self.first as f64), FIRST_FLOOR),
            floor("search quality: recall@10", each(self.recall), RECALL_FLOOR),
        ];
        (budgets, vec![remark])
    }
}

/// What the searches of today reach, rounded down: they are not to get worse. Each word of a query must be in what is found,
/// as people who look for a ticket mean it; plain BM25, which takes any of the words, has 0.583, 0.473 and 0.801 here.
const MRR_FLOOR: f64 = 0.50;
const FIRST_FLOOR: f64 = 0.40;
const RECALL_FLOOR: f64 = 0.70;

/// Where the data lies, if it is there.
fn folder() -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/kb/libreoffice-help");
    beside.join("queries.en-US.jsonl.gz").exists().then_some(beside)
}

/// The lines of a compressed file of JSON lines.
fn lines(file: &Path) -> Outcome<Vec<Value>> {
    let told = |error: String| format!("{}: {error}", file.display());
    let read = Command::new("gzip").arg("-dc").arg(file).output();
    let read = read.map_err(|error| told(error.to_string()))?;
    if !read.status.success() {
        return Err(told(String::from_utf8_lossy(&read.stderr).into_owned()));
    }
    let text = String::from_utf8(read.stdout).map_err(|error| told(error.to_string()))?;
    let parsed = text.lines().map(serde_json::from_str);
    parsed
        .collect::<Result<_, _>>()
        .map_err(|error: serde_json::Error| told(error.to_string()))
}

/// A query's words as someone would type them, percent-encoded.
fn words(query: &str) -> Vec<String> {
    let words = query
        .split(|one: char| !one.is_alphanumeric())
        .filter(|word| !word.is_empty());
    let encoded = words.map(|word| word.bytes().map(|byte| format!("%{byte:02X}")).collect());
    encoded.take(WORDS_MAX).collect()
}
