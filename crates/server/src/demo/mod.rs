//! `insightdesk demo`: fills an empty desk with sample data that looks like ninety days of work.
//!
//! [`plot`] decides what happens, by chance that a seed determines; this module lets it happen, turn by turn, through
//! the same use cases that the API calls, on a desk of its own whose clock is moved along. So states, histories, events
//! and automatic closings are what they would have been. Who there is, is in [`people`]; what they write, in [`texts`].

mod people;
mod plot;
mod random;
mod texts;

use std::collections::HashMap;
use std::sync::Arc;

use chrono::{DateTime, Duration, Utc};
use clap::Args;
use credentials::MasterSecret;
use identity::service::{
    ChangeTeamError, CreateAccountError, CreateTeam, CreateUser, MemberWish, Registration,
};
use identity::{EmailAddress, User};
use indicatif::ProgressBar;
use kernel::receipt::no_receipt;
use kernel::{
    Actor, ManualClock, Membership, PageLimit, Person, Role, SystemActor, TeamId, TicketId, UserId, Violation,
};
use ring::rand::{SecureRandom as _, SystemRandom};
use ticketing::{
    AutoClose, Body, Count, Description, Edit, Guard, NewTicket, Remark, Reply, Subject, Tags, TicketError,
    TicketKey, TicketQuery, TicketStatus, Visibility,
};

use crate::Desk;
use crate::bridges::NoMail;
use crate::cli::say;
use crate::desk::Basis;
use crate::failure::{Failure, Outcome};
use crate::webhooks;
use people::{ADMIN, CUSTOMERS, DESK_DOMAIN, TEAMS, address};
use plot::{Act, DAYS, Staff, Turn};

/// The fewest characters of a password that is made up here.
const PASSWORD_MIN_CHARS: usize = 16;
/// No letters or digits that look alike.
const PASSWORD_ALPHABET: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
/// How often the sample desk looks for silent tickets, in its own time.
const AUTO_CLOSE_EVERY: Duration = Duration::hours(3);
/// Accounts are this much older than the first ticket.
const ACCOUNTS_BEFORE: Duration = Duration::days(30);

/// `insightdesk demo`
#[derive(Debug, Clone, Args)]
pub struct DemoArgs {
    /// So many tickets
    #[arg(long, default_value_t = 400, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub tickets: u32,
    /// The same number gives the same sample data again
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// The password of all sample accounts; made up and printed when not given
    #[arg(long)]
    pub password: Option<String>,
    /// Add the sample data to a desk that has tickets
    #[arg(long)]
    pub force: bool,
}

/// What was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// Tickets.
    pub tickets: u32,
    /// What was done with them, by people.
    pub turns: usize,
    /// Turns that the use cases refused, because of what had happened by then.
    pub skipped: usize,
    /// The accounts: address, what they are, and whether they were made now.
    pub accounts: Vec<Account>,
    /// Their password.
    pub password: String,
}

/// A sample account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Where to log in.
    pub email: String,
    /// What the account is, in words.
    pub part: String,
    /// Whether it was there before; then its password is what it was.
    pub was_there: bool,
}

/// Runs `insightdesk demo`.
///
/// # Errors
/// When the desk has tickets, or a use case fails.
pub async fn run(args: DemoArgs, desk: &Desk) -> Outcome {
    let Sample {
        tickets,
        turns,
        skipped: _,
        accounts,
        password,
    } = fill(&args, desk).await?;
    say(&format!(
        "Made {tickets} tickets of the last {DAYS} days, by {turns} steps. Log in with any of these:\n"
    ))?;
    let (staff, customers): (Vec<Account>, Vec<Account>) = accounts
        .into_iter()
        .partition(|account| account.part != Role::User.as_str());
    let shown = staff.iter().chain(customers.iter().take(3));
    for Account {
        email,
        part,
        was_there,
    } in shown
    {
        let mark = if *was_there {
            "  (was there before; its password is unchanged)"
        } else {
            ""
        };
        say(&format!("  {email:<40} {part}{mark}"))?;
    }
    let others = customers.len().saturating_sub(3);
    say(&format!(
        "  and {others} other customers like the last ones.\n\nTheir password: {password}"
    ))
}

/// Fills the desk.
///
/// # Errors
/// When the desk has tickets and that is not allowed, or a use case fails.
pub async fn fill(args: &DemoArgs, desk: &Desk) -> Outcome<Sample> {
    let all = TicketQuery {
        include_deleted: true,
        ..TicketQuery::default()
    };
    let before = desk
        .tickets
        .count(&Actor::System(SystemActor::Import), &all)
        .await?;
    let is_empty = before == Count::Exact(0);
    if !is_empty && !args.force {
        let message = "this desk has tickets already; sample data belongs on an empty one (--force adds it all the same)";
        return Err(Failure::new(message).into());
    }
    let end = desk.clock.now();
    let clock = Arc::new(ManualClock::at(end - Duration::days(DAYS) - ACCOUNTS_BEFORE));
    // A desk of the same database in another time. It signs no tokens, so that any secret will do.
    let basis = Basis {
        database: desk.database.clone(),
        secret: MasterSecret::generate()
            .map_err(|error| Failure::because("no secret can be made", error))?
            .into(),
        clock: Arc::clone(&clock) as _,
        ids: Arc::clone(&desk.ids),
        mailer: Arc::new(NoMail),
        blobs: Arc::clone(&desk.blobs),
        caller: webhooks::caller(&desk.config),
    };
    let past = Desk::assemble(basis, &desk.config)?;
    let password = match &args.password {
        Some(password) => password.clone(),
        None => made_up_password(desk.config.accounts.password.min_chars())?,
    };
    let cast = Cast::assemble(&past, &clock, &password).await?;
    let turns = plot::plot(usize::try_from(args.tickets)?, args.seed, end);
    // On a desk with tickets of others, none of theirs may be closed in the past.
    let auto_close = is_empty.then(|| AutoClose::new(Arc::clone(&past.tickets)));
    let mut stage = Stage {
        desk: &past,
        clock,
        cast: &cast,
        auto_close,
        swept_at: None,
        tickets: HashMap::new(),
    };
    let bar = ProgressBar::new(u64::try_from(turns.len())?);
    let mut skipped = 0;
    for turn in &turns {
        skipped += usize::from(stage.play(turn).await? == Played::Skipped);
        bar.inc(1);
    }
    stage.move_to(end).await?;
    bar.finish_and_clear();
    Ok(Sample {
        tickets: args.tickets,
        turns: turns.len(),
        skipped,
        accounts: cast.accounts,
        password,
    })
}

fn made_up_password(min_chars: usize) -> Outcome<String> {
    let mut random = vec![0_u8; min_chars.max(PASSWORD_MIN_CHARS)];
    SystemRandom::new()
        .fill(&mut random)
        .map_err(|_| Failure::new("the system gives no randomness"))?;
    let letter = |byte: &u8| char::from(PASSWORD_ALPHABET[usize::from(byte % 32)]);
    Ok(random.iter().map(letter).collect())
}

/// The people of the sample desk, with their accounts.
struct Cast {
    teams: Vec<TeamId>,
    staff: Vec<Vec<Actor>>,
    customers: Vec<Actor>,
    accounts: Vec<Account>,
}

impl Cast {
    async fn assemble(desk: &Desk, clock: &ManualClock, password: &str) -> Outcome<Self> {
        let mut accounts = Vec::new();
        let admin = hire(
            desk,
            &mut accounts,
            None,
            ADMIN,
            DESK_DOMAIN,
            Role::Admin,
            "admin".to_owned(),
            password,
        )
        .await?;
        let admin = actor(admin, Role::Admin, Vec::new());
        let (mut teams, mut staff) = (Vec::new(), Vec::new());
        for sketch in &TEAMS {
            clock.advance(Duration::minutes(20));
            let team = ensure_team(desk, &admin, sketch.name, sketch.description).await?;
            let mut members = Vec::new();
            for (name, role) in sketch.members {
                clock.advance(Duration::minutes(7));
                let part = format!("agent, {} of {}", role.as_str(), sketch.name);
                let user = hire(
                    desk,
                    &mut accounts,
                    Some(&admin),
                    name,
                    DESK_DOMAIN,
                    Role::Agent,
                    part,
                    password,
                )
                .await?;
                desk.teams
                    .set_member(&admin, team, user, MemberWish::Join(*role), &no_receipt)
                    .await?;
                members.push(actor(user, Role::Agent, vec![Membership { team, role: *role }]));
            }
            teams.push(team);
            staff.push(members);
        }
        let mut customers = Vec::new();
        for (name, _, domain) in CUSTOMERS {
            clock.advance(Duration::hours(20));
            let part = Role::User.as_str().to_owned();
            let user = hire(
                desk,
                &mut accounts,
                Some(&admin),
                name,
                domain,
                Role::User,
                part,
                password,
            )
            .await?;
            customers.push(actor(user, Role::User, Vec::new()));
        }
        Ok(Self {
            teams,
            staff,
            customers,
            accounts,
        })
    }

    fn of_desk(&self, (team, member): Staff) -> &Actor {
        &self.staff[team][member]
    }
}

fn actor(id: UserId, role: Role, teams: Vec<Membership>) -> Actor {
    Actor::Person(Person {
        id,
        role,
        teams,
        origin: None,
    })
}

/// The account of a person of the sample: made, or as it is.
#[expect(
    clippy::too_many_arguments,
    reason = "it writes down one person, in one place"
)]
async fn hire(
    desk: &Desk,
    accounts: &mut Vec<Account>,
    admin: Option<&Actor>,
    name: &str,
    domain: &str,
    role: Role,
    part: String,
    password: &str,
) -> Outcome<UserId> {
    let email = address(name, domain);
    let (name, password) = (name.to_owned(), password.to_owned());
    let made = match admin {
        Some(admin) => {
            let command = CreateUser {
                email: email.clone(),
                name,
                role,
                password: Some(password),
            };
            desk.accounts.create_user(admin, command, &no_receipt).await
        }
        None => {
            desk.accounts
                .create_admin(Registration {
                    email: email.clone(),
                    name,
                    password,
                })
                .await
        }
    };
    let (id, was_there) = match made {
        Ok(profile) => (profile.id, false),
        Err(CreateAccountError::EmailTaken) => (present(desk, &email, role).await?, true),
        Err(error) => return Err(error.into()),
    };
    accounts.push(Account {
        email,
        part,
        was_there,
    });
    Ok(id)
}

async fn present(desk: &Desk, email: &str, role: Role) -> Outcome<UserId> {
    let address = EmailAddress::parse("/email", email).map_err(broken)?;
    let user = desk.users.user_by_email(&address).await?;
    match user.filter(|user: &User| user.role == role && user.is_usable()) {
        Some(user) => Ok(user.id),
        None => Err(Failure::new(format!("{email} is an account that the sample data cannot use")).into()),
    }
}

async fn ensure_team(desk: &Desk, admin: &Actor, name: &str, description: &str) -> Outcome<TeamId> {
    let command = CreateTeam {
        name: name.to_owned(),
        description: Some(description.to_owned()),
    };
    match desk.teams.create(admin, command, &no_receipt).await {
        Ok(team) => Ok(team.id),
        Err(ChangeTeamError::NameTaken) => {
            let mut after = None;
            loop {
                let page = desk.teams.list(admin, after, PageLimit::default()).await?;
                if let Some(team) = page.items.iter().find(|team| team.name.as_str() == name) {
                    return Ok(team.id);
                }
                after = page.next;
                if after.is_none() {
                    return Err(
                        Failure::new(format!("the team {name} is neither there nor can it be made")).into(),
                    );
                }
            }
        }
        Err(error) => Err(error.into()),
    }
}

/// A text of the sample that breaks a rule: a fault of ours.
fn broken(violation: Violation) -> Failure {
    Failure::new(format!(
        "the sample data is wrong at {}: {}",
        violation.pointer, violation.message
    ))
}

/// What came of a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Played {
    Done,
    /// What had happened by then did not allow it.
    Skipped,
}

/// Where turns happen.
struct Stage<'a> {
    desk: &'a Desk,
    clock: Arc<ManualClock>,
    cast: &'a Cast,
    auto_close: Option<AutoClose>,
    swept_at: Option<DateTime<Utc>>,
    tickets: HashMap<usize, TicketId>,
}

impl Stage<'_> {
    /// Lets time pass; on its way, silent tickets close.
    async fn move_to(&mut self, at: DateTime<Utc>) -> Outcome {
        use kernel::Clock as _;
        let swept_at = *self.swept_at.get_or_insert(at);
        let mut sweep_at = swept_at + AUTO_CLOSE_EVERY;
        while sweep_at <= at {
            self.clock.advance(sweep_at - self.clock.now());
            if let Some(auto_close) = &self.auto_close {
                while auto_close.run_once().await? > 0 {}
            }
            self.swept_at = Some(sweep_at);
            sweep_at += AUTO_CLOSE_EVERY;
        }
        self.clock.advance(at - self.clock.now());
        Ok(())
    }

    async fn play(&mut self, turn: &Turn) -> Outcome<Played> {
        self.move_to(turn.at).await?;
        let outcome = match &turn.act {
            Act::Open { .. } => self.open(turn).await?,
            act => match self.tickets.get(&turn.ticket) {
                Some(id) => self.act(&TicketKey::Id(*id), act).await?,
                None => return Ok(Played::Skipped),
            },
        };
        match outcome {
            Ok(()) => Ok(Played::Done),
            Err(
                TicketError::Transition(_)
                | TicketError::Closed
                | TicketError::AlreadyClaimed(_)
                | TicketError::Forbidden(_)
                | TicketError::NotFound,
            ) => Ok(Played::Skipped),
            Err(error) => Err(error.into()),
        }
    }

    async fn open(&mut self, turn: &Turn) -> Outcome<Result<(), TicketError>> {
        let Act::Open {
            by,
            customer,
            subject,
            description,
            priority,
            channel,
            team,
            tags,
        } = &turn.act
        else {
            return Ok(Ok(()));
        };
        let requester = &self.cast.customers[*customer];
        let opener = by.map_or(requester, |staff| self.cast.of_desk(staff));
        let settings = self.desk.tickets.settings();
        let new = NewTicket {
            subject: Subject::parse("/subject", subject).map_err(broken)?,
            description: Description::parse("/description", description).map_err(broken)?,
            priority: priority.filter(|_| by.is_some() || settings.requester_sets_priority),
            channel: *channel,
            team: team.map(|team| self.cast.teams[team]),
            tags: parse_tags(tags)?,
            custom_fields: ticketing::CustomFields::default(),
            requester: by.and_then(|_| requester.user_id()),
        };
        Ok(self
            .desk
            .tickets
            .create(opener, new, &no_receipt)
            .await
            .map(|written| {
                self.tickets.insert(turn.ticket, written.view.ticket.id);
            }))
    }

    async fn act(&self, key: &TicketKey, act: &Act) -> Outcome<Result<(), TicketError>> {
        let (tickets, cast) = (&self.desk.tickets, self.cast);
        let outcome = match act {
            Act::Open { .. } => Ok(()),
            Act::Transfer { by, team, note } => {
                let note = (!note.is_empty()).then(|| body(note)).transpose()?;
                let by = cast.of_desk(*by);
                tickets
                    .transfer(by, key, cast.teams[*team], note.as_ref(), Guard::none())
                    .await
                    .map(drop)
            }
            Act::Claim { by } => tickets
                .claim(cast.of_desk(*by), key, Guard::none())
                .await
                .map(drop),
            Act::Assign { by, to } => match cast.of_desk(*to).user_id() {
                Some(to) => tickets
                    .assign(cast.of_desk(*by), key, to, Guard::none())
                    .await
                    .map(drop),
                None => Ok(()),
            },
            Act::SetPriority { by, priority } => {
                let edit = Edit {
                    priority: Some(*priority),
                    ..Edit::default()
                };
                tickets
                    .edit(cast.of_desk(*by), key, &edit, Guard::none())
                    .await
                    .map(drop)
            }
            Act::AddTags { by, tags } => {
                let edit = Edit {
                    tags: Some(parse_tags(tags)?),
                    ..Edit::default()
                };
                tickets
                    .edit(cast.of_desk(*by), key, &edit, Guard::none())
                    .await
                    .map(drop)
            }
            Act::Reply { by, text } => self.say(cast.of_desk(*by), key, text, Visibility::Public).await?,
            Act::AskBack { by, text } => {
                let by = cast.of_desk(*by);
                match self.say(by, key, text, Visibility::Public).await? {
                    Ok(()) => {
                        let edit = Edit {
                            status: Some(TicketStatus::Pending),
                            ..Edit::default()
                        };
                        tickets.edit(by, key, &edit, Guard::none()).await.map(drop)
                    }
                    Err(error) => Err(error),
                }
            }
            Act::Internal { by, text } => {
                self.say(cast.of_desk(*by), key, text, Visibility::Internal)
                    .await?
            }
            Act::Note { by, text } => tickets
                .add_note(cast.of_desk(*by), key, &body(text)?, &[], Guard::none())
                .await
                .map(drop),
            Act::CustomerReply { customer, text } => {
                self.say(&cast.customers[*customer], key, text, Visibility::Public)
                    .await?
            }
            Act::Resolve { by, resolution } => {
                let remark = remark(resolution)?;
                tickets
                    .resolve(cast.of_desk(*by), key, Some(&remark), Guard::none())
                    .await
                    .map(drop)
            }
            Act::CustomerCloses { customer } => tickets
                .close(&cast.customers[*customer], key, Guard::none())
                .await
                .map(drop),
            Act::CustomerReopens { customer, reason } => {
                let remark = remark(reason)?;
                tickets
                    .reopen(&cast.customers[*customer], key, Some(&remark), Guard::none())
                    .await
                    .map(drop)
            }
            Act::Close { by } => tickets
                .close(cast.of_desk(*by), key, Guard::none())
                .await
                .map(drop),
        };
        Ok(outcome)
    }

    async fn say(
        &self,
        actor: &Actor,
        key: &TicketKey,
        text: &str,
        visibility: Visibility,
    ) -> Outcome<Result<(), TicketError>> {
        let reply = Reply {
            body: body(text)?,
            visibility,
            attachments: Vec::new(),
            mentions: Vec::new(),
        };
        Ok(self
            .desk
            .tickets
            .reply(actor, key, &reply, Guard::none())
            .await
            .map(drop))
    }
}

fn body(text: &str) -> Result<Body, Failure> {
    Body::parse("/message", text).map_err(broken)
}

fn remark(text: &str) -> Result<Remark, Failure> {
    Remark::parse("/remark", text).map_err(broken)
}

fn parse_tags(tags: &[&str]) -> Result<Tags, Failure> {
    let tags: Vec<String> = tags.iter().map(|tag| (*tag).to_owned()).collect();
    Tags::parse("/tags", &tags).map_err(broken)
}
