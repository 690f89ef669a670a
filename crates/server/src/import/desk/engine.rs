//! Stores what was read of an export: people and teams by identity's intake, tickets by ticketing's import.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, Utc};
use identity::Intake;
use identity::service::{HowReceived, Joined};
use identity::{TeamDescription, TeamName};
use kernel::{Clock, TeamId, UserId};
use serde_json::Value;
use ticketing::{
    Body, Import, ImportRow, Imported, LongSubject, PAST_MESSAGES_MAX, Past, PastMessage, Visibility,
};
use uuid::Uuid;

use super::items::{DeskComment, DeskMembership, DeskPerson, DeskTeam, DeskTicket, Item, Remark};
use super::people::{People, Rules, refusal};
use super::report::{DeskSummary, Entry, Origin, Told};
use super::stream::Batch;
use super::text;
use crate::import::{Fault, ImportError, Mode, import_rows, patiently};

/// What an export's comments and files are counted as.
const COMMENTS: &str = "comments";
const ATTACHMENTS: &str = "attachments";

/// Stores batches.
#[derive(Clone)]
pub(super) struct Engine {
    import: Arc<Import>,
    intake: Arc<Intake>,
    clock: Arc<dyn Clock>,
    source: Arc<str>,
    mode: Mode,
    people: People,
    teams: Arc<Mutex<HashMap<String, TeamId>>>,
    /// In a dry run, which tickets were read: nothing else knows them.
    seen: Arc<Mutex<HashSet<u64>>>,
    hasher: RandomState,
}

/// What is told of a batch.
#[derive(Default)]
pub(super) struct Outcome {
    pub(super) summary: DeskSummary,
    pub(super) entries: Vec<Entry>,
}

impl Outcome {
    fn tell(&mut self, origin: &Origin, id: &str, told: Told, remark: &Remark) {
        self.entries.push(Entry::of(origin, id, told, remark));
    }

    fn adjusted(&mut self, origin: &Origin, id: &str, remarks: &[Remark]) {
        for remark in remarks {
            self.tell(origin, id, Told::Adjusted, remark);
        }
    }

    fn refuse(&mut self, (origin, id): (&Origin, &str), comments: u64, remarks: &[Remark]) {
        self.summary.tally(&origin.kind).refused += 1;
        let tally = self.summary.tally(&Arc::from(COMMENTS));
        tally.read += comments;
        tally.refused += comments;
        for remark in remarks {
            self.tell(origin, id, Told::Refused, remark);
        }
    }
}

/// A ticket that satisfies every rule.
struct Ready {
    origin: Origin,
    row: ImportRow<()>,
    ticket: DeskTicket,
}

/// A ticket whose people are known, with what there is to tell of it.
struct Settled {
    origin: Origin,
    row: ImportRow,
    comments: u64,
    attachments: u64,
    remarks: Vec<Remark>,
}

impl Engine {
    pub(super) fn new(import: Arc<Import>, intake: Arc<Intake>, clock: Arc<dyn Clock>, rules: Rules) -> Self {
        Self {
            import,
            clock,
            source: rules.source.as_str().into(),
            mode: rules.mode,
            people: People::new(Arc::clone(&intake), rules),
            intake,
            teams: Arc::default(),
            seen: Arc::default(),
            hasher: RandomState::new(),
        }
    }

    /// Stores a batch, with patience.
    pub(super) async fn store(&self, batch: Batch) -> Result<Outcome, ImportError> {
        let mut outcome = Outcome {
            summary: batch.summary,
            entries: batch.entries,
        };
        let (mut people, mut tickets) = (Vec::new(), Vec::new());
        for (origin, item) in batch.items {
            match item {
                Item::Team(team) => self.team(&origin, team, &mut outcome).await?,
                Item::Person(person) => people.push((origin, person)),
                Item::Membership(member) => self.membership(&origin, &member, &mut outcome).await?,
                Item::Ticket(ticket) => tickets.push((origin, *ticket)),
            }
        }
        self.persons(people, &mut outcome).await?;
        self.tickets(tickets, &mut outcome).await?;
        Ok(outcome)
    }

    async fn team(&self, origin: &Origin, team: DeskTeam, outcome: &mut Outcome) -> Result<(), ImportError> {
        let DeskTeam {
            id,
            name,
            description,
        } = team;
        let name = match TeamName::parse("/name", &name) {
            Ok(name) => name,
            Err(violation) => {
                let remark = Remark::new("name", violation.code, violation.message);
                outcome.refuse((origin, &id), 0, &[remark]);
                return Ok(());
            }
        };
        let description = description
            .map(|text| text::block(&text))
            .and_then(|text| TeamDescription::parse("/description", &text).ok());
        let made = match self.mode {
            Mode::Import => patiently(|| self.intake.team(name.clone(), description.clone())).await,
            Mode::DryRun => patiently(|| self.intake.teams()).await.map(|teams| {
                let there = teams.get(name.as_str()).copied();
                (there.unwrap_or(TeamId(Uuid::nil())), there.is_none())
            }),
        };
        let (team, is_new) = made.map_err(ImportError::Interrupted)?;
        let tally = outcome.summary.tally(&origin.kind);
        tally.taken += u64::from(is_new);
        tally.already_there += u64::from(!is_new);
        let mut teams = self.teams.lock().unwrap_or_else(PoisonError::into_inner);
        teams.insert(id, team);
        Ok(())
    }

    fn team_of(&self, id: &str) -> Option<TeamId> {
        let teams = self.teams.lock().unwrap_or_else(PoisonError::into_inner);
        teams.get(id).copied()
    }

    async fn persons(
        &self,
        people: Vec<(Origin, DeskPerson)>,
        outcome: &mut Outcome,
    ) -> Result<(), ImportError> {
        let arrivals = self
            .people
            .receive(people.iter().map(|(_, person)| person.clone()).collect())
            .await?;
        for ((origin, person), arrival) in people.into_iter().zip(arrivals) {
            let refused = self.people.get(&person).and_then(|known| known.cannot_ask);
            let tally = outcome.summary.tally(&origin.kind);
            match (refused, arrival.how) {
                (Some(_), _) => tally.refused += 1,
                (None, HowReceived::Made) => tally.taken += 1,
                (None, _) => tally.already_there += 1,
            }
            if let Some(rule) = refused {
                outcome.tell(&origin, &person.id, Told::Refused, &refusal(rule));
            }
            outcome.adjusted(&origin, &person.id, &arrival.remarks);
        }
        Ok(())
    }

    async fn membership(
        &self,
        origin: &Origin,
        member: &DeskMembership,
        outcome: &mut Outcome,
    ) -> Result<(), ImportError> {
        let person = self.people.get(&DeskPerson::known_as(member.person.clone()));
        let team = self.team_of(&member.team);
        let joined = match (person, team) {
            (Some(person), Some(team)) if person.cannot_ask.is_none() => match self.mode {
                Mode::Import => patiently(|| self.intake.join(team, person.user))
                    .await
                    .map_err(ImportError::Interrupted)?,
                Mode::DryRun if person.is_staff => Joined::New,
                Mode::DryRun => Joined::NotStaff,
            },
            _ => Joined::NotStaff,
        };
        let tally = outcome.summary.tally(&origin.kind);
        match joined {
            Joined::New => tally.taken += 1,
            Joined::There => tally.already_there += 1,
            Joined::NotStaff => {
                tally.not_taken += 1;
                let message = "the person is no staff here, or the export has not both person and group";
                let id = format!("{}/{}", member.team, member.person);
                outcome.tell(
                    origin,
                    &id,
                    Told::NotTaken,
                    &Remark::new("user_id", "not_staff", message),
                );
            }
        }
        Ok(())
    }

    async fn tickets(
        &self,
        tickets: Vec<(Origin, DeskTicket)>,
        outcome: &mut Outcome,
    ) -> Result<(), ImportError> {
        let now = self.clock.now();
        let mut ready = Vec::with_capacity(tickets.len());
        for (origin, mut ticket) in tickets {
            let raw = std::mem::take(&mut ticket.raw);
            let id = raw.external_id.as_str().unwrap_or_default().to_owned();
            match ImportRow::parse(raw, Ok(()), LongSubject::Truncate, now) {
                Ok(row) => ready.push(Ready { origin, row, ticket }),
                Err(violations) => {
                    let remarks: Vec<Remark> = Fault::of(&violations).iter().map(remark_of).collect();
                    outcome.refuse((&origin, &id), ticket.comments_read, &remarks);
                }
            }
        }
        let fresh = self.fresh(ready, outcome).await?;
        let missing = self.missing(&fresh);
        let arrivals = self.people.receive(missing.clone()).await?;
        for (person, arrival) in missing.into_iter().zip(arrivals) {
            let origin = Origin {
                kind: "people".into(),
                file: "".into(),
                record: 0,
            };
            let tally = outcome.summary.tally(&origin.kind);
            tally.read += 1;
            match arrival.how {
                HowReceived::Made => tally.taken += 1,
                HowReceived::There | HowReceived::Unproved | HowReceived::Deleted => tally.already_there += 1,
            }
            outcome.adjusted(&origin, &person.id, &arrival.remarks);
        }
        let mut settled = Vec::with_capacity(fresh.len());
        for ready in fresh {
            settled.extend(self.settle(ready, now, outcome));
        }
        let rows: Vec<ImportRow> = settled.iter().map(|settled| settled.row.clone()).collect();
        let outcomes = match self.mode {
            Mode::DryRun => rows.iter().map(|_| Ok(Imported::New)).collect(),
            Mode::Import => import_rows(&self.import, &self.source, rows)
                .await
                .map_err(ImportError::Interrupted)?,
        };
        for (settled, imported) in settled.into_iter().zip(outcomes) {
            tell_of(settled, imported, outcome);
        }
        Ok(())
    }

    /// Those whom tickets name and no record of the export told of.
    fn missing(&self, tickets: &[Ready]) -> Vec<DeskPerson> {
        let mut named = Vec::new();
        for Ready { ticket, .. } in tickets {
            named.push(&ticket.requester);
            named.extend(ticket.comments.iter().map(|comment| &comment.author));
        }
        self.people.missing(named.into_iter())
    }

    /// Those that were not imported before, each once.
    async fn fresh(&self, ready: Vec<Ready>, outcome: &mut Outcome) -> Result<Vec<Ready>, ImportError> {
        let ids: Vec<String> = ready.iter().map(|ready| ready.row.external_id.clone()).collect();
        let mut there = patiently(|| self.import.origins(&self.source, &ids))
            .await
            .map_err(ImportError::Interrupted)?;
        let mut fresh = Vec::with_capacity(ready.len());
        for ready in ready {
            let Ready { origin, row, ticket } = &ready;
            let id = row.external_id.as_str();
            let is_repeated = self.mode == Mode::DryRun && {
                let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
                !seen.insert(self.hasher.hash_one(id))
            };
            let stored = match there.get(id) {
                Some(origin) => origin.get("comments").and_then(Value::as_u64).unwrap_or(0),
                None if is_repeated => ticket.comments_read,
                None => {
                    // Of several with one id the first counts.
                    let first = Value::from_iter([("comments", ticket.comments_read)]);
                    there.insert(id.to_owned(), first);
                    fresh.push(ready);
                    continue;
                }
            };
            outcome.summary.tally(&origin.kind).already_there += 1;
            let later = ticket.comments_read.saturating_sub(stored);
            let tally = outcome.summary.tally(&Arc::from(COMMENTS));
            tally.read += ticket.comments_read;
            tally.already_there += ticket.comments_read - later;
            tally.not_taken += later;
            if later > 0 {
                let message = format!("{later} comments were written since the ticket was imported");
                let remark = Remark::new("messages", "later_comments", message);
                outcome.tell(origin, id, Told::NotTaken, &remark);
            }
        }
        Ok(fresh)
    }

    /// A ticket with its people; none where it is refused for these.
    fn settle(&self, ready: Ready, now: DateTime<Utc>, outcome: &mut Outcome) -> Option<Settled> {
        let Ready { origin, row, ticket } = ready;
        let id = row.external_id.clone();
        let DeskTicket {
            raw: _,
            requester,
            assignee,
            team,
            first_response_at,
            resolved_at,
            updated_at,
            comments,
            comments_read,
            origin: kept,
            attachments,
            mut remarks,
        } = ticket;
        let Some(asks) = self.people.get(&requester) else {
            let remark = Remark::new("requesterEmail", "unknown", "nobody is known to have asked");
            outcome.refuse((&origin, &id), comments_read, &[remark]);
            return None;
        };
        if let Some(rule) = asks.cannot_ask {
            outcome.refuse((&origin, &id), comments_read, &[refusal(rule)]);
            return None;
        }
        let assignee = assignee.and_then(|id| {
            let answers = self.people.get(&DeskPerson::known_as(id.clone()));
            let staff = answers.filter(|known| known.is_staff).map(|known| known.user);
            if staff.is_none() {
                let message = format!("{id} answers no tickets here; the ticket is assigned to nobody");
                remarks.push(Remark::new("assignee", "unknown_assignee", message));
            }
            staff
        });
        let team = team.and_then(|id| {
            let team = self.team_of(&id);
            if team.is_none() {
                let message = format!("the export has no group {id}; the ticket lies with no team");
                remarks.push(Remark::new("team", "unknown_team", message));
            }
            team
        });
        let created_at = row.created_at.unwrap_or(now);
        let mut messages: Vec<PastMessage> = comments
            .into_iter()
            .flat_map(|comment| self.messages(comment, created_at))
            .collect();
        if messages.len() > PAST_MESSAGES_MAX {
            let message = format!(
                "the last {} messages are too many",
                messages.len() - PAST_MESSAGES_MAX
            );
            remarks.push(Remark::new("messages", "too_many", message));
            messages.truncate(PAST_MESSAGES_MAX);
        }
        let past = Past {
            assignee,
            team,
            first_response_at,
            resolved_at,
            updated_at,
            messages,
            origin: kept,
        };
        if let Err(violations) = past.check() {
            let faults: Vec<Remark> = Fault::of(&violations).iter().map(remark_of).collect();
            outcome.refuse((&origin, &id), comments_read, &faults);
            return None;
        }
        let mut row = row.requested_by(asks.user);
        row.past = past;
        Some(Settled {
            origin,
            row,
            comments: comments_read,
            attachments,
            remarks,
        })
    }

    fn messages(&self, comment: DeskComment, created_at: DateTime<Utc>) -> Vec<PastMessage> {
        let DeskComment {
            author,
            by_staff,
            text,
            is_public,
            at,
            id: _,
            attachments: _,
        } = comment;
        let known = self.people.get(&author);
        let sender = known.map_or(UserId(Uuid::nil()), |known| known.user);
        let by_staff = by_staff.unwrap_or_else(|| known.is_some_and(|known| known.was_staff));
        let bodies = text::parts(&text);
        bodies
            .into_iter()
            .filter_map(|text| Body::parse("/message", &text).ok())
            .map(|body| PastMessage {
                sender,
                by_staff,
                body,
                visibility: if is_public {
                    Visibility::Public
                } else {
                    Visibility::Internal
                },
                at: at.unwrap_or(created_at),
            })
            .collect()
    }
}

fn tell_of(settled: Settled, imported: Result<Imported, Fault>, outcome: &mut Outcome) {
    let Settled {
        origin,
        row,
        comments,
        attachments,
        remarks,
    } = settled;
    let id = row.external_id.as_str();
    match imported {
        Err(fault) => {
            outcome.refuse((&origin, id), comments, &[remark_of(&fault)]);
            return;
        }
        Ok(Imported::AlreadyThere) => {
            outcome.summary.tally(&origin.kind).already_there += 1;
            let tally = outcome.summary.tally(&Arc::from(COMMENTS));
            tally.read += comments;
            tally.already_there += comments;
            return;
        }
        Ok(Imported::New) => {}
    }
    outcome.summary.tally(&origin.kind).taken += 1;
    let tally = outcome.summary.tally(&Arc::from(COMMENTS));
    tally.read += comments;
    tally.taken += comments;
    outcome.adjusted(&origin, id, &remarks);
    if attachments > 0 {
        let tally = outcome.summary.tally(&Arc::from(ATTACHMENTS));
        tally.read += attachments;
        tally.not_taken += attachments;
        let message = format!("files are not taken: {attachments}");
        let remark = Remark::new("attachments", "attachments_left_out", message);
        outcome.tell(&origin, id, Told::Adjusted, &remark);
    }
}

fn remark_of(Fault { field, rule, message }: &Fault) -> Remark {
    Remark::new(field, rule, message.as_str())
}
