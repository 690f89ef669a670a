//! `insightdesk import`: brings tickets in from files of other help desks, and, in [`desk`], takes whole desks over.
//!
//! A thread reads ([`rows`]), maps ([`mapping`]) and parses rows and hands them on in batches; a few batches at a time
//! are stored, each whole or not at all, after their requesters were found or made ([`requesters`]). A row that is
//! refused goes to the [`report`] with all that is wrong with it, and never ends the import. Memory is bounded whatever
//! the file's size: [`rows::ROW_MAX_BYTES`] and [`BATCH_MAX_BYTES`] bound what is held.
//!
//! What was imported is remembered by source and external id in the transaction that imports it. So an import that was
//! ended half way, by whatever, is simply run again, and two at once make no ticket twice.

mod desk;
mod mapping;
mod progress;
mod report;
mod requesters;
mod rows;

use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, Subcommand};
use credentials::Argon2Hasher;
use identity::EmailAddress;
use identity::ports::{PasswordHasher, UserStore};
use kernel::{Clock, IdSource, PortError, Violation};
use serde_json::Value;
use ticketing::{Import, ImportRow, Imported, LongSubject};
use tokio::sync::mpsc;
use tokio::task::{Id, JoinSet};

use crate::Desk;
use crate::failure::Outcome;
use mapping::{Mapping, Requester};
use progress::{Progress, rate};
use report::Report;
use requesters::{Found, Ports, Requesters};
use rows::{Content, Input, Row, RowReader};

pub use desk::{DeskArgs, DeskPorts, DeskSummary, System, Tally, take_over};
pub use mapping::{Assignment, MappingError, Translation};
pub use progress::Visibility;
pub use report::{Fault, Refusal};
pub use rows::{Format, ReadError};

/// The most rows of a batch; a batch is stored whole or not at all.
const BATCH_MAX_ROWS: usize = 500;
/// The most bytes of a batch's rows, as the file holds them, but for the last row.
const BATCH_MAX_BYTES: usize = 4 * 1024 * 1024;
/// So many batches are stored at once.
const BATCHES_AT_ONCE_MAX: usize = 3;
/// So many batches wait, parsed, to be stored.
const BATCHES_READY_MAX: usize = 2;
/// How often a batch is sent while the database is out of reach: for about a minute in all.
const TRIES_UNAVAILABLE_MAX: u32 = 16;
/// How often a batch is sent that the database refuses, before its rows are sent one by one.
const TRIES_REFUSED_MAX: u32 = 3;
/// The pause after a first failure; it doubles up to the longest.
const PAUSE_FIRST: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(5);
/// What a process ends with when rows were refused and that was not to be.
pub const EXIT_CODE_REFUSED: u8 = 3;

/// `insightdesk import …`
#[derive(Debug, Clone, Args)]
pub struct ImportArgs {
    /// What to bring in.
    #[command(subcommand)]
    pub what: ImportWhat,
}

/// What can be brought in.
#[derive(Debug, Clone, Subcommand)]
pub enum ImportWhat {
    /// Import tickets from a CSV or JSON lines file, gzipped or not.
    ///
    /// Fields: externalId, subject, description, priority (low, medium, high, urgent), status (open, pending, resolved,
    /// closed), channel (web, email, chat, api), tags (with commas or semicolons between, or a JSON array),
    /// requesterEmail, requesterName, createdAt, endedAt (RFC 3339, or YYYY-MM-DD HH:MM[:SS] in UTC) and
    /// customFields.NAME. A column with a field's own name fills it. Rows that are refused are reported with the
    /// reason, and the others imported. Run it again at any time: what is there already is skipped.
    Tickets(TicketsArgs),
    /// Take over a Zendesk account: people, groups and tickets with their conversations.
    ///
    /// PATH is a folder of JSON files as the API gives them ({"tickets": [...]}, one type a file or several, any
    /// number of pages, gzipped or not), of the incremental ticket export, or of the tables of a data warehouse as CSV.
    /// Nobody is written to. Run it again at any time: what is there already is skipped. docs/import.md says what
    /// becomes of what.
    ///
    /// Examples:
    ///   insightdesk import zendesk export/ --dry-run
    ///   insightdesk import zendesk export/ --source "old desk" --value "status:awaiting parts=pending"
    #[command(verbatim_doc_comment)]
    Zendesk(DeskArgs),
    /// Take over a Freshdesk account: people, groups and tickets with their conversations.
    ///
    /// PATH is a folder of JSON files as the API gives them, version 1 or 2: agents, contacts, groups, companies,
    /// tickets (also with include=conversations,requester,stats) and conversations, gzipped or not. Nobody is written
    /// to. Run it again at any time: what is there already is skipped. docs/import.md says what becomes of what.
    ///
    /// Examples:
    ///   insightdesk import freshdesk export/ --dry-run
    ///   insightdesk import freshdesk export/ --value status:12=pending
    #[command(verbatim_doc_comment)]
    Freshdesk(DeskArgs),
}

/// `insightdesk import tickets …`
#[derive(Debug, Clone, Args)]
pub struct TicketsArgs {
    /// The file, or - for the standard input
    pub file: PathBuf,
    /// How the file is written; known by its name when that ends with .csv, .jsonl or .ndjson, with or without .gz
    #[arg(long, value_enum)]
    pub format: Option<Format>,
    /// What stands between the fields of a CSV file
    #[arg(long, value_name = "CHARACTER", default_value = ",")]
    pub delimiter: char,
    /// Fill a field from a column; of JSON lines a member, or a JSON pointer such as /requester/email. Without
    /// a column for externalId the row's line stands for it: the file must then not be reordered before it is imported
    /// again
    #[arg(long = "map", value_name = "FIELD=COLUMN")]
    pub maps: Vec<Assignment>,
    /// Give a field this value where a row has none
    #[arg(long = "set", value_name = "FIELD=VALUE")]
    pub sets: Vec<Assignment>,
    /// Say what a value of the file means: priority:0=urgent
    #[arg(long = "value", value_name = "FIELD:FROM=TO")]
    pub values: Vec<Translation>,
    /// A name for where the tickets come from; a ticket is known by it and its externalId. The file's name without
    /// folders when not given
    #[arg(long, value_name = "NAME")]
    pub source: Option<String>,
    /// Who asked, for rows that do not say; an unknown address becomes a customer
    #[arg(long, value_name = "EMAIL")]
    pub requester: Option<String>,
    /// Cut subjects to 200 characters, and put the whole before the description
    #[arg(long)]
    pub truncate_subject: bool,
    /// Where to report refused rows [default: FILE.refused.csv]
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
    /// Read and check everything, write nothing but the report
    #[arg(long)]
    pub dry_run: bool,
    /// End with exit code 3 when any row was refused
    #[arg(long)]
    pub strict: bool,
}

/// Why an import did not begin, or did not come to its end.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The command line asks for something impossible.
    #[error("{0}")]
    Usage(String),
    /// A rule does not fit the file.
    #[error(transparent)]
    Mapping(#[from] MappingError),
    /// The file cannot be opened, or read further.
    #[error("{file} cannot be imported any further")]
    Read {
        /// The file.
        file: String,
        /// Why.
        #[source]
        source: ReadError,
    },
    /// The report cannot be written.
    #[error("the report {file} cannot be written")]
    Report {
        /// The file.
        file: String,
        /// Why.
        #[source]
        source: csv::Error,
    },
    /// The report of an export cannot be written.
    #[error("the report {file} cannot be written")]
    DeskReport {
        /// The file.
        file: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The database failed for too long.
    #[error("the import was interrupted; run it again, and it goes on where it ended")]
    Interrupted(#[source] PortError),
    /// The system failed.
    #[error("the import failed")]
    System(#[from] io::Error),
}

/// Rows were refused, and that was not to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0} rows were refused")]
pub struct RowsRefused(pub u64);

/// What became of the rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Summary {
    /// Rows read. The sum of the others.
    pub read: u64,
    /// Rows that are tickets now; in a dry run, that would be.
    pub imported: u64,
    /// Rows that were imported before, or whose external id an earlier row had.
    pub already_there: u64,
    /// Rows that are in the report.
    pub refused: u64,
}

impl Summary {
    fn add(&mut self, other: Summary) {
        let Summary {
            read,
            imported,
            already_there,
            refused,
        } = other;
        self.read += read;
        self.imported += imported;
        self.already_there += already_there;
        self.refused += refused;
    }
}

/// Whether anything is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    Import,
    DryRun,
}

/// What an import works with.
#[derive(Clone)]
pub struct ImportPorts {
    /// Makes tickets of rows.
    pub import: Arc<Import>,
    /// Keeps the requesters.
    pub users: Arc<dyn UserStore>,
    /// Hashes the password that nobody knows.
    pub hasher: Arc<dyn PasswordHasher>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Where ids come from.
    pub ids: Arc<dyn IdSource>,
}

/// Runs `insightdesk import`.
///
/// # Errors
/// [`ImportError`], or [`RowsRefused`] when that was asked for.
pub async fn run(args: ImportArgs, desk: &Desk) -> Outcome {
    let args = match args.what {
        ImportWhat::Tickets(args) => args,
        ImportWhat::Zendesk(args) => return run_desk(System::Zendesk, args, desk).await,
        ImportWhat::Freshdesk(args) => return run_desk(System::Freshdesk, args, desk).await,
    };
    let ports = ImportPorts {
        import: Arc::clone(&desk.import),
        users: Arc::clone(&desk.users),
        hasher: Arc::new(Argon2Hasher::new()?),
        clock: Arc::clone(&desk.clock),
        ids: Arc::clone(&desk.ids),
    };
    let strict = args.strict;
    let summary = tickets(args, ports, Visibility::Shown).await?;
    match summary.refused {
        refused if refused > 0 && strict => Err(RowsRefused(refused).into()),
        _ => Ok(()),
    }
}

async fn run_desk(system: System, args: DeskArgs, desk: &Desk) -> Outcome {
    let ports = DeskPorts {
        import: Arc::clone(&desk.import),
        intake: Arc::clone(&desk.intake),
        clock: Arc::clone(&desk.clock),
    };
    let strict = args.strict;
    let summary = take_over(system, args, ports, Visibility::Shown).await?;
    match summary.refused() {
        refused if refused > 0 && strict => Err(RowsRefused(refused).into()),
        _ => Ok(()),
    }
}

/// Imports tickets. With [`Visibility::Shown`], tells on the standard error how far it is and what came of it.
///
/// # Errors
/// See [`ImportError`]. What was imported until then stays.
pub async fn tickets(
    args: TicketsArgs,
    ports: ImportPorts,
    visibility: Visibility,
) -> Result<Summary, ImportError> {
    let plan = Plan::of(&args)?;
    let Opened {
        reader,
        mapping,
        input_length,
        consumed,
    } = tokio::task::spawn_blocking(move || open(&args))
        .await
        .map_err(|error| ImportError::System(error.into()))??;
    let report_fault = |source| ImportError::Report {
        file: plan.report.display().to_string(),
        source,
    };
    let mut report = Report::create(&plan.report).map_err(report_fault)?;
    let parser = Parser {
        reader,
        mapping,
        clock: Arc::clone(&ports.clock),
        long_subject: plan.long_subject,
    };
    let mut progress = Progress::begin(input_length, consumed, visibility);
    let mut summary = Summary::default();
    let mut ended = store_all(&plan, parser, ports, |settled, refusals| {
        summary.add(settled);
        progress.show(&summary);
        report.add(refusals).map_err(report_fault)
    })
    .await;
    let time = progress.end();
    let reported = report.finish().map_err(report_fault);
    let reported = match reported {
        Ok(place) => place,
        Err(error) => {
            ended = ended.and(Err(error));
            None
        }
    };
    if visibility == Visibility::Shown {
        tell(&plan, &summary, time, reported.as_deref());
    }
    ended.map(|()| summary)
}

fn tell(plan: &Plan, summary: &Summary, time: Duration, report: Option<&Path>) {
    let Summary {
        read,
        imported,
        already_there,
        refused,
    } = summary;
    let imported_word = match plan.mode {
        Mode::Import => "imported",
        Mode::DryRun => "could be imported (this was a dry run)",
    };
    eprintln!(
        "{read} rows read from {} as the source {:?}:",
        plan.file, plan.source
    );
    eprintln!("  {imported} {imported_word}");
    eprintln!("  {already_there} already there");
    eprintln!("  {refused} refused");
    eprintln!("{:.1} s, {} rows a second", time.as_secs_f64(), rate(*read, time));
    if let Some(report) = report {
        eprintln!("The refused rows, and why, are in {}", report.display());
    }
}

/// What the command line asks for, as far as it can be told without the file.
#[derive(Debug, Clone)]
struct Plan {
    file: String,
    source: String,
    report: PathBuf,
    long_subject: LongSubject,
    mode: Mode,
}

impl Plan {
    fn of(args: &TicketsArgs) -> Result<Self, ImportError> {
        let usage = |violation: Violation| {
            ImportError::Usage(format!(
                "{} {}",
                violation.pointer.trim_start_matches('/'),
                violation.message
            ))
        };
        let is_stdin = args.file == Path::new("-");
        let name = args
            .file
            .file_name()
            .map(|name| name.to_string_lossy().into_owned());
        let source = match (&args.source, name) {
            (Some(source), _) => source.clone(),
            (None, Some(name)) if !is_stdin => name,
            (None, _) => {
                let message = "the standard input has no name: give --source NAME, the same one each time";
                return Err(ImportError::Usage(message.to_owned()));
            }
        };
        if let Some(requester) = &args.requester {
            EmailAddress::parse("/--requester", requester).map_err(usage)?;
        }
        let report = match &args.report {
            Some(report) => report.clone(),
            None if is_stdin => PathBuf::from("stdin.refused.csv"),
            None => {
                let mut path = args.file.clone().into_os_string();
                path.push(".refused.csv");
                path.into()
            }
        };
        if report == args.file {
            return Err(ImportError::Usage(
                "the report would overwrite the file".to_owned(),
            ));
        }
        Ok(Self {
            file: if is_stdin {
                "the standard input".to_owned()
            } else {
                args.file.display().to_string()
            },
            source: Import::parse_source("/--source", &source).map_err(usage)?,
            report,
            long_subject: if args.truncate_subject {
                LongSubject::Truncate
            } else {
                LongSubject::Refuse
            },
            mode: if args.dry_run { Mode::DryRun } else { Mode::Import },
        })
    }
}

struct Opened {
    reader: RowReader,
    mapping: Mapping,
    input_length: Option<u64>,
    consumed: Arc<std::sync::atomic::AtomicU64>,
}

/// Opens the file and holds the rules against its columns. Waits for the file, so not on a runtime's own thread.
fn open(args: &TicketsArgs) -> Result<Opened, ImportError> {
    let file = args.file.display().to_string();
    let is_stdin = args.file == Path::new("-");
    let format = args.format.or_else(|| Format::of_name(&file)).ok_or_else(|| {
        ImportError::Usage(format!(
            "what {file} is cannot be told by its name: give --format csv or --format jsonl"
        ))
    })?;
    let delimiter = u8::try_from(args.delimiter)
        .ok()
        .filter(|byte| !matches!(byte, b'"' | b'\n' | b'\r' | 0x80..))
        .ok_or_else(|| {
            ImportError::Usage("the delimiter must be one ASCII character, no quotation mark".to_owned())
        })?;
    let unreadable = |source| ImportError::Read {
        file: file.clone(),
        source,
    };
    let input = if is_stdin {
        Ok(Input::stdin())
    } else {
        Input::file(&args.file)
    };
    let input = input.map_err(|error| unreadable(error.into()))?;
    let (input_length, consumed) = (input.length, Arc::clone(&input.consumed));
    let reader = RowReader::open(input, format, delimiter).map_err(unreadable)?;
    let mut sets = args.sets.clone();
    if let Some(requester) = &args.requester {
        sets.push(Assignment {
            field: mapping::Field::RequesterEmail,
            text: requester.clone(),
        });
    }
    let is_json = format == Format::Jsonl;
    let mapping = Mapping::bind(&args.maps, &sets, &args.values, reader.columns(), is_json)?;
    Ok(Opened {
        reader,
        mapping,
        input_length,
        consumed,
    })
}

/// A row that satisfies every rule, and where it was.
struct Parsed {
    line: u64,
    row: ImportRow<Requester>,
}

/// Rows that are stored together, and those among them that were refused.
#[derive(Default)]
struct Batch {
    read: u64,
    bytes: usize,
    rows: Vec<Parsed>,
    refusals: Vec<Refusal>,
}

impl Batch {
    fn is_full(&self) -> bool {
        self.read >= BATCH_MAX_ROWS as u64 || self.bytes >= BATCH_MAX_BYTES
    }
}

/// Makes batches of a file.
struct Parser {
    reader: RowReader,
    mapping: Mapping,
    clock: Arc<dyn Clock>,
    long_subject: LongSubject,
}

impl Parser {
    /// Hands batches on until the file, or the interest in them, ends.
    fn run(mut self, batches: &mpsc::Sender<Batch>) -> Result<(), ReadError> {
        loop {
            let mut batch = Batch::default();
            let more = self.fill(&mut batch);
            if batch.read > 0 && batches.blocking_send(batch).is_err() {
                return Ok(());
            }
            if !more? {
                return Ok(());
            }
        }
    }

    /// Fills a batch; gives whether there may be more.
    fn fill(&mut self, batch: &mut Batch) -> Result<bool, ReadError> {
        while !batch.is_full() {
            let Some(Row { line, bytes, content }) = self.reader.next()? else {
                return Ok(false);
            };
            batch.read += 1;
            batch.bytes += bytes;
            match content
                .map_err(|unreadable| Refusal {
                    line,
                    external_id: String::new(),
                    faults: vec![unreadable.into()],
                })
                .and_then(|content| self.parse(line, &content))
            {
                Ok(row) => batch.rows.push(Parsed { line, row }),
                Err(refusal) => batch.refusals.push(refusal),
            }
        }
        Ok(true)
    }

    fn parse(&self, line: u64, content: &Content) -> Result<ImportRow<Requester>, Refusal> {
        let (raw, requester) = self.mapping.raw(line, content);
        let external_id = raw.external_id.clone();
        ImportRow::parse(raw, requester, self.long_subject, self.clock.now()).map_err(|violations| {
            let external_id = match external_id {
                Value::String(text) => text,
                Value::Number(number) => number.to_string(),
                Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => String::new(),
            };
            Refusal {
                line,
                external_id,
                faults: Fault::of(&violations),
            }
        })
    }
}

/// Reads, and stores what is read, some batches at once; `settled` hears of each batch in the order of their ends.
async fn store_all(
    plan: &Plan,
    parser: Parser,
    ports: ImportPorts,
    mut settled: impl FnMut(Summary, &[Refusal]) -> Result<(), ImportError>,
) -> Result<(), ImportError> {
    let (sender, mut batches) = mpsc::channel(BATCHES_READY_MAX);
    // A thread of its own, which no runtime waits for: a standard input may be silent for ever.
    let reading = std::thread::Builder::new()
        .name("import-reader".to_owned())
        .spawn(move || parser.run(&sender))?;
    let storing = Storing::new(plan, ports);
    let mut running: JoinSet<Result<(Summary, Vec<Refusal>), PortError>> = JoinSet::new();
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
            .flat_map(|batch| &batch.rows)
            .map(|parsed| parsed.row.external_id.clone())
            .collect();
        // Of rows with the same id the first is to count: one that has gone ahead must have arrived.
        while !running.is_empty()
            && (batch.is_none()
                || running.len() >= BATCHES_AT_ONCE_MAX
                || ids_running.iter().any(|(_, others)| !others.is_disjoint(&ids)))
        {
            let Some(joined) = running.join_next_with_id().await else {
                break;
            };
            let outcome = match joined {
                Ok((id, outcome)) => {
                    ids_running.retain(|(other, _)| *other != id);
                    outcome.map_err(ImportError::Interrupted)
                }
                Err(error) => Err(ImportError::System(error.into())),
            };
            let outcome = outcome.and_then(|(summary, refusals)| settled(summary, &refusals));
            failed = failed.or(outcome.err());
        }
        match batch {
            Some(batch) if failed.is_none() => {
                let storing = Arc::clone(&storing);
                let handle = running.spawn(async move { storing.store(batch).await });
                ids_running.push((handle.id(), ids));
            }
            Some(_) => {}
            None => break,
        }
    }
    if let Some(error) = failed {
        return Err(error);
    }
    let read = reading
        .join()
        .map_err(|_| ImportError::System(io::Error::other("the reading thread panicked")))?;
    read.map_err(|source| ImportError::Read {
        file: plan.file.clone(),
        source,
    })
}

/// Stores batches.
struct Storing {
    source: String,
    mode: Mode,
    import: Arc<Import>,
    requesters: Requesters,
}

/// Rows ready to become tickets, with their lines.
type Ready = Vec<(u64, ImportRow)>;

impl Storing {
    fn new(plan: &Plan, ports: ImportPorts) -> Arc<Self> {
        let ImportPorts {
            import,
            users,
            hasher,
            clock,
            ids,
        } = ports;
        let requesters = Requesters::new(
            Ports {
                users,
                hasher,
                clock,
                ids,
            },
            plan.mode,
        );
        Arc::new(Self {
            source: plan.source.clone(),
            mode: plan.mode,
            import,
            requesters,
        })
    }

    /// Stores a batch, with patience.
    async fn store(&self, batch: Batch) -> Result<(Summary, Vec<Refusal>), PortError> {
        let Batch {
            read,
            bytes: _,
            rows,
            mut refusals,
        } = batch;
        let ids: Vec<String> = rows.iter().map(|parsed| parsed.row.external_id.clone()).collect();
        let mut seen = patiently(|| self.import.known(&self.source, &ids)).await?;
        let fresh = rows
            .into_iter()
            .filter(|parsed| seen.insert(parsed.row.external_id.clone()))
            .collect();
        let ready = self.with_requesters(fresh, &mut refusals).await?;
        let mut imported = 0;
        let outcomes = match self.mode {
            Mode::DryRun => ready.iter().map(|_| Ok(Imported::New)).collect(),
            Mode::Import => self.import(ready.clone()).await?,
        };
        for ((line, row), outcome) in ready.into_iter().zip(outcomes) {
            match outcome {
                Ok(Imported::New) => imported += 1,
                Ok(Imported::AlreadyThere) => {}
                Err(fault) => refusals.push(Refusal {
                    line,
                    external_id: row.external_id,
                    faults: vec![fault],
                }),
            }
        }
        refusals.sort_by_key(|refusal| refusal.line);
        let refused = refusals.len() as u64;
        let summary = Summary {
            read,
            imported,
            already_there: read - imported - refused,
            refused,
        };
        Ok((summary, refusals))
    }

    /// The same rows with the accounts of their requesters.
    async fn with_requesters(
        &self,
        rows: Vec<Parsed>,
        refusals: &mut Vec<Refusal>,
    ) -> Result<Ready, PortError> {
        let found = patiently(|| {
            self.requesters
                .find(rows.iter().map(|parsed| &parsed.row.requester))
        })
        .await?;
        let mut ready = Vec::with_capacity(rows.len());
        for Parsed { line, row } in rows {
            match found.get(&row.requester.email) {
                Some(Found::Account(user)) => ready.push((line, row.requested_by(*user))),
                Some(Found::Nobody) | None if self.mode == Mode::DryRun => {
                    ready.push((line, row.requested_by(kernel::UserId(uuid::Uuid::nil()))));
                }
                Some(Found::Nobody) | None => {
                    return Err(requesters::bug("a requester was neither found nor made".into()));
                }
                Some(Found::Deleted) => {
                    let fault = Fault {
                        field: "requesterEmail".to_owned(),
                        rule: "deleted_account".to_owned(),
                        message: "belongs to an account that was deleted; restore it first".to_owned(),
                    };
                    refusals.push(Refusal {
                        line,
                        external_id: row.external_id,
                        faults: vec![fault],
                    });
                }
            }
        }
        Ok(ready)
    }

    /// Imports rows together; where the database refuses them again and again, one by one, so that it is clear which
    /// it is, and the others are not held up.
    async fn import(&self, rows: Ready) -> Result<Vec<Result<Imported, Fault>>, PortError> {
        let rows = rows.into_iter().map(|(_, row)| row).collect();
        import_rows(&self.import, &self.source, rows).await
    }
}

/// Imports rows together, or else one by one.
async fn import_rows(
    import: &Import,
    source: &str,
    rows: Vec<ImportRow>,
) -> Result<Vec<Result<Imported, Fault>>, PortError> {
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    match patiently(|| import.import(source, rows.clone())).await {
        Ok(outcomes) => return Ok(outcomes.into_iter().map(Ok).collect()),
        Err(error @ PortError::Unavailable { .. }) => return Err(error),
        Err(PortError::Bug { .. } | PortError::Corrupt { .. }) => {}
    }
    let mut outcomes = Vec::with_capacity(rows.len());
    for row in rows {
        match patiently(|| import.import(source, vec![row.clone()])).await {
            Ok(outcome) => outcomes.extend(outcome.into_iter().map(Ok)),
            Err(error @ PortError::Unavailable { .. }) => return Err(error),
            Err(error @ (PortError::Bug { .. } | PortError::Corrupt { .. })) => {
                let message = format!("the database refuses it: {}", crate::failure::one_line(&error));
                outcomes.push(Err(Fault {
                    field: String::new(),
                    rule: "not_stored".to_owned(),
                    message,
                }));
            }
        }
    }
    Ok(outcomes)
}

/// Does something again that failed, after a while: the database may come back, and a number that another program
/// took is not given twice.
async fn patiently<T, F: Future<Output = Result<T, PortError>>>(
    work: impl Fn() -> F,
) -> Result<T, PortError> {
    let (mut tries, mut pause) = (0, PAUSE_FIRST);
    loop {
        tries += 1;
        let error = match work().await {
            Ok(value) => return Ok(value),
            Err(error) => error,
        };
        let tries_max = match error {
            PortError::Unavailable { .. } => TRIES_UNAVAILABLE_MAX,
            PortError::Bug { .. } | PortError::Corrupt { .. } => TRIES_REFUSED_MAX,
        };
        if tries >= tries_max {
            return Err(error);
        }
        tracing::debug!(tries, error = &error as &dyn std::error::Error, "tries again");
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(PAUSE_MAX);
    }
}
