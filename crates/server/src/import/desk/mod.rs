//! Takes over whole desks: people, teams and tickets with their conversations, out of the exports of other help desks.
//!
//! A thread reads an export ([`files`], [`json`]) and turns records into [`items`], each help desk's by a module of pure
//! functions ([`zendesk`], [`freshdesk`]); what belongs to a ticket but stands elsewhere waits on disk ([`spool`]). Items
//! go on in batches ([`stream`]) to the [`engine`], which stores them: people first, then tickets, each with its whole
//! conversation in one statement. Every record that is not taken, or not as it was, is in the [`report`].
//!
//! To take over another help desk, write its module, and give it a variant of [`System`].

mod engine;
mod files;
mod freshdesk;
mod items;
mod json;
mod people;
mod record;
mod report;
mod spool;
mod stream;
mod terms;
mod text;
mod zendesk;

use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use identity::Intake;
use kernel::Clock;
use ticketing::Import;
use tokio::sync::mpsc;
use tokio::task::{Id, JoinSet};

use super::progress::Progress;
use super::rows::Unreadable;
use super::{BATCHES_AT_ONCE_MAX, BATCHES_READY_MAX, ImportError, Mode, Translation, Visibility};
use engine::{Engine, Outcome};
use files::{Canonical, Export, Found, Unread};
use items::{Item, Remark};
use people::Rules;
use record::Record;
use report::{Entry, Origin, Report, Told};
use stream::{Batch, Sink, Stop};
use terms::Meanings;

pub use report::{DeskSummary, Tally};

/// `insightdesk import zendesk …` and `insightdesk import freshdesk …`
#[derive(Debug, Clone, Args)]
pub struct DeskArgs {
    /// The folder with the export's files, or a single one
    pub path: PathBuf,
    /// A name for the account that the export is of; a ticket is known by it and its id there. The name of the help desk
    /// when not given
    #[arg(long, value_name = "NAME")]
    pub source: Option<String>,
    /// Say what a value of the export means: status, priority or channel
    #[arg(long = "value", value_name = "FIELD:FROM=TO")]
    pub values: Vec<Translation>,
    /// Make administrators of administrators; they become agents when not given
    #[arg(long)]
    pub keep_admins: bool,
    /// Give tickets also to accounts that are here already and whose address nobody proved; whoever registered one could
    /// then read what another has written
    #[arg(long)]
    pub trust_addresses: bool,
    /// Where to report what is not taken, and why [default: PATH.report.jsonl]
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
    /// Read and check everything, write nothing but the report
    #[arg(long)]
    pub dry_run: bool,
    /// End with exit code 3 when anything was refused
    #[arg(long)]
    pub strict: bool,
}

/// A help desk that can be taken over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum System {
    /// Zendesk.
    Zendesk,
    /// Freshdesk.
    Freshdesk,
}

impl System {
    fn name(self) -> &'static str {
        match self {
            System::Zendesk => "zendesk",
            System::Freshdesk => "freshdesk",
        }
    }

    fn canonical(self) -> Canonical {
        match self {
            System::Zendesk => zendesk::canonical,
            System::Freshdesk => freshdesk::canonical,
        }
    }

    fn read(self, export: &Export, meanings: Meanings, sink: &mut Sink) -> Result<(), Stop> {
        for name in &export.unread {
            let message = format!("{name} is neither JSON nor CSV");
            sink.tell(Entry::of_all("files", 1, "not_read", &message))?;
        }
        match self {
            System::Zendesk => zendesk::read(export, meanings, sink),
            System::Freshdesk => freshdesk::read(export, &meanings, sink),
        }
    }
}

/// What taking a desk over works with.
#[derive(Clone)]
pub struct DeskPorts {
    /// Makes tickets.
    pub import: Arc<Import>,
    /// Makes accounts and teams.
    pub intake: Arc<Intake>,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

/// Takes a desk over. With [`Visibility::Shown`], tells on the standard error how far it is and what came of it.
///
/// # Errors
/// See [`ImportError`]. What was stored until then stays.
pub async fn take_over(
    system: System,
    args: DeskArgs,
    ports: DeskPorts,
    visibility: Visibility,
) -> Result<DeskSummary, ImportError> {
    let usage = ImportError::Usage;
    let source = args.source.as_deref().unwrap_or(system.name());
    let source = Import::parse_source("/--source", source)
        .map_err(|violation| usage(format!("--source {}", violation.message)))?;
    let meanings = Meanings::of(&args.values).map_err(usage)?;
    let report_path = args.report.clone().unwrap_or_else(|| beside(&args.path));
    if report_path == args.path {
        return Err(usage("the report would overwrite the export".to_owned()));
    }
    let path = args.path.clone();
    let export = tokio::task::spawn_blocking(move || Export::open(&path, system.canonical()))
        .await
        .map_err(|error| ImportError::System(error.into()))?
        .map_err(unread)?;
    let rules = Rules {
        system: system.name(),
        source: source.clone(),
        keeps_admins: args.keep_admins,
        trusts_addresses: args.trust_addresses,
        mode: if args.dry_run { Mode::DryRun } else { Mode::Import },
    };
    let report_fault = |source| ImportError::DeskReport {
        file: report_path.display().to_string(),
        source,
    };
    let mut report = Report::create(&report_path).map_err(report_fault)?;
    let mut progress = Progress::of_records(export.kinds().values().sum(), visibility);
    let mut summary = DeskSummary::default();
    let engine = Engine::new(ports.import, ports.intake, ports.clock, rules);
    let ended = store_all(system, export, meanings, engine, |outcome| {
        summary.add(outcome.summary);
        let (mut read, mut taken, mut refused) = (0, 0, 0);
        for tally in summary.types.values() {
            read += tally.read;
            taken += tally.taken;
            refused += tally.refused;
        }
        progress.show_records(read, &format!(": {taken} taken, {refused} refused"));
        report.add(&outcome.entries).map_err(report_fault)
    })
    .await;
    let time = progress.end();
    let place = report.finish(&summary).map_err(report_fault);
    if visibility == Visibility::Shown {
        let dry = if args.dry_run { " (this was a dry run)" } else { "" };
        eprintln!("{} as the source {source:?}{dry}:", args.path.display());
        eprint!("{}", summary.table());
        eprintln!("{:.1} s", time.as_secs_f64());
        if let Ok(place) = &place {
            eprintln!("What was not taken, or not as it was, is in {}", place.display());
        }
    }
    ended?;
    place.map(|_| summary)
}

fn beside(path: &Path) -> PathBuf {
    // A folder named `.` or `/` has no name to put something behind.
    match path.file_name() {
        Some(name) => {
            let mut name = name.to_owned();
            name.push(".report.jsonl");
            path.with_file_name(name)
        }
        None => PathBuf::from("import.report.jsonl"),
    }
}

fn unread(Unread { file, source }: Unread) -> ImportError {
    ImportError::Read { file, source }
}

/// Reads, and stores what is read: people and teams in order, of tickets some batches at once.
async fn store_all(
    system: System,
    export: Export,
    meanings: Meanings,
    engine: Engine,
    mut settled: impl FnMut(Outcome) -> Result<(), ImportError>,
) -> Result<(), ImportError> {
    let (sender, mut batches) = mpsc::channel::<Batch>(BATCHES_READY_MAX);
    let reading = std::thread::Builder::new()
        .name("import-reader".to_owned())
        .spawn(move || {
            let mut sink = Sink::new(sender);
            system
                .read(&export, meanings, &mut sink)
                .and_then(|()| sink.end())
        })?;
    let mut running: JoinSet<Result<Outcome, ImportError>> = JoinSet::new();
    let mut ids_running: Vec<(Id, HashSet<String>)> = Vec::new();
    let mut failed = None;
    loop {
        let batch = if failed.is_none() {
            batches.recv().await
        } else {
            None
        };
        let ids: HashSet<String> = batch
            .iter()
            .flat_map(|batch| &batch.items)
            .filter_map(id)
            .collect();
        let is_of_tickets = !ids.is_empty();
        // Of tickets with one id the first is to count: one that has gone ahead must have arrived.
        while !running.is_empty()
            && (!is_of_tickets
                || running.len() >= BATCHES_AT_ONCE_MAX
                || ids_running.iter().any(|(_, others)| !others.is_disjoint(&ids)))
        {
            let Some(joined) = running.join_next_with_id().await else {
                break;
            };
            let outcome = match joined {
                Ok((id, outcome)) => {
                    ids_running.retain(|(other, _)| *other != id);
                    outcome
                }
                Err(error) => Err(ImportError::System(error.into())),
            };
            failed = failed.or(outcome.and_then(&mut settled).err());
        }
        match batch {
            Some(_) if failed.is_some() => {}
            Some(batch) if is_of_tickets => {
                let engine = engine.clone();
                let handle = running.spawn(async move { engine.store(batch).await });
                ids_running.push((handle.id(), ids));
            }
            Some(batch) => failed = engine.store(batch).await.and_then(&mut settled).err(),
            None => break,
        }
    }
    // The reader ends when nobody listens any more.
    drop(batches);
    let read = reading
        .join()
        .map_err(|_| ImportError::System(io::Error::other("the reading thread panicked")))?;
    match (failed, read) {
        (Some(error), _) => Err(error),
        (None, Ok(()) | Err(Stop::Gone)) => Ok(()),
        (None, Err(Stop::Unread(fault))) => Err(unread(fault)),
        (None, Err(Stop::System(error))) => Err(ImportError::System(error)),
    }
}

fn id((_, item): &(Origin, Item)) -> Option<String> {
    match item {
        Item::Ticket(ticket) => Some(ticket.raw.external_id.as_str().unwrap_or_default().to_owned()),
        Item::Team(_) | Item::Person(_) | Item::Membership(_) => None,
    }
}

/// A record that could be read; of one that could not it is told.
fn sound<'a>(found: &'a Found, sink: &mut Sink) -> Result<Option<Record<'a>>, Stop> {
    match &found.content {
        Ok(map) => Ok(Some(Record(map))),
        Err(Unreadable { field, rule, message }) => {
            let remark = Remark::new(field, rule, message.as_str());
            sink.pass_over(&found.origin, "", Told::Refused, &remark)?;
            Ok(None)
        }
    }
}

/// Hands a record on as the item that `make` makes of it, if it has an id.
fn hand_on(found: Found, sink: &mut Sink, make: impl Fn(Record<'_>) -> Option<Item>) -> Result<(), Stop> {
    let Some(record) = sound(&found, sink)? else {
        return Ok(());
    };
    match make(record) {
        Some(item) => sink.store(found.origin, item, 0),
        None => refuse_nameless(&found.origin, sink),
    }
}

fn refuse_nameless(origin: &Origin, sink: &mut Sink) -> Result<(), Stop> {
    let remark = Remark::new("id", "required", "must be given");
    sink.pass_over(origin, "", Told::Refused, &remark)
}

/// Tells of a type of records for which there is no place.
fn pass_over_all(sink: &mut Sink, kind: &Arc<str>, count: u64) -> Result<(), Stop> {
    let tally = sink.tally(kind);
    tally.read += count;
    tally.not_taken += count;
    sink.tell(Entry::of_all(
        kind,
        count,
        "no_such_thing",
        "there is no such thing here",
    ))
}
