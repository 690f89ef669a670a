//! What happens at the sample desk, decided before any of it does: each ticket's turns with their times.
//!
//! A turn says who does what, and not what comes of it: the use cases decide that, as they do for people.

use chrono::{DateTime, Datelike as _, Duration, NaiveTime, Utc, Weekday};
use ticketing::{TicketChannel, TicketPriority};

use super::people::{CUSTOMERS, TEAMS, first_name};
use super::random::Random;
use super::texts::{
    AGENT_FAREWELLS, AGENT_GREETINGS, FAREWELLS, GREETINGS, HAND_OVERS, NOTES, REMINDERS, REOPEN_REASONS,
    SECOND_TRY, SPAM, STILL_BROKEN, Story, TOPICS, Topic,
};

/// The days that the sample desk has been at work.
pub(super) const DAYS: i64 = 90;
/// When the desk's people work, in UTC, from Monday to Friday.
const OPENS_AT_HOUR: i64 = 8;
const CLOSES_AT_HOUR: i64 = 18;

/// Someone of the desk: a place in [`TEAMS`] and one among its members.
pub(super) type Staff = (usize, usize);

/// One thing that someone does with a ticket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Turn {
    pub(super) at: DateTime<Utc>,
    /// The ticket, by its place in the plot.
    pub(super) ticket: usize,
    pub(super) act: Act,
}

/// What is done, by whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Act {
    Open {
        /// Someone of the desk who opens it for the customer, on the phone.
        by: Option<Staff>,
        customer: usize,
        subject: String,
        description: String,
        priority: Option<TicketPriority>,
        channel: TicketChannel,
        team: Option<usize>,
        tags: Vec<&'static str>,
    },
    Transfer {
        by: Staff,
        team: usize,
        note: &'static str,
    },
    Claim {
        by: Staff,
    },
    Assign {
        by: Staff,
        to: Staff,
    },
    SetPriority {
        by: Staff,
        priority: TicketPriority,
    },
    AddTags {
        by: Staff,
        tags: Vec<&'static str>,
    },
    Reply {
        by: Staff,
        text: String,
    },
    AskBack {
        by: Staff,
        text: String,
    },
    Internal {
        by: Staff,
        text: String,
    },
    Note {
        by: Staff,
        text: String,
    },
    CustomerReply {
        customer: usize,
        text: String,
    },
    Resolve {
        by: Staff,
        resolution: &'static str,
    },
    CustomerCloses {
        customer: usize,
    },
    CustomerReopens {
        customer: usize,
        reason: &'static str,
    },
    Close {
        by: Staff,
    },
}

/// All turns of so many tickets, in the order of time. `end` is now; what would come after it does not happen.
pub(super) fn plot(tickets: usize, seed: u64, end: DateTime<Utc>) -> Vec<Turn> {
    let first_day = (end - Duration::days(DAYS))
        .date_naive()
        .and_time(NaiveTime::MIN)
        .and_utc();
    // Each ticket has its own chance, so that the time of day changes nothing but what happens today.
    let mut openings: Vec<(DateTime<Utc>, Random)> = (0..tickets)
        .map(|ticket| {
            let mut random = Random::new(seed, u64::try_from(ticket).unwrap_or(0));
            (opening_time(&mut random, first_day, end), random)
        })
        .collect();
    openings.sort_by_key(|(at, _)| *at);
    let mut turns = Vec::new();
    for (ticket, (at, random)) in openings.into_iter().enumerate() {
        let mut course = Course {
            random,
            ticket,
            at,
            turns: Vec::new(),
        };
        course.run();
        turns.extend(course.turns);
    }
    turns.retain(|turn| turn.at < end);
    turns.sort_by_key(|turn| (turn.at, turn.ticket));
    turns
}

/// When a customer writes: mostly on working days, mostly in the morning and after lunch.
fn opening_time(random: &mut Random, first_day: DateTime<Utc>, end: DateTime<Utc>) -> DateTime<Utc> {
    const BY_HOUR: [i64; 24] = [
        1, 1, 0, 0, 0, 1, 3, 8, 18, 26, 24, 18, 11, 16, 20, 18, 14, 10, 6, 5, 4, 4, 3, 2,
    ];
    loop {
        let day = first_day + Duration::days(random.between(0, DAYS));
        let weight = match day.weekday() {
            Weekday::Mon => 100,
            Weekday::Sat => 15,
            Weekday::Sun => 10,
            Weekday::Tue | Weekday::Wed | Weekday::Thu | Weekday::Fri => 80,
        };
        if !random.percent(weight) {
            continue;
        }
        let hour = i64::try_from(random.weighted(&BY_HOUR)).unwrap_or(9);
        let at = day + Duration::seconds(hour * 3_600 + random.between(0, 3_599));
        // What today has not brought yet was a week ago.
        return if at < end { at } else { at - Duration::weeks(1) };
    }
}

/// Moves a time into the desk's working hours.
fn working(at: DateTime<Utc>) -> DateTime<Utc> {
    let midnight = at.date_naive().and_time(NaiveTime::MIN).and_utc();
    let opens = midnight + Duration::hours(OPENS_AT_HOUR);
    match at.weekday() {
        Weekday::Sat => opens + Duration::days(2),
        Weekday::Sun => opens + Duration::days(1),
        Weekday::Fri if at >= midnight + Duration::hours(CLOSES_AT_HOUR) => opens + Duration::days(3),
        _ if at >= midnight + Duration::hours(CLOSES_AT_HOUR) => opens + Duration::days(1),
        _ => at.max(opens),
    }
}

/// So much working time later.
fn after_work(at: DateTime<Utc>, minutes: i64) -> DateTime<Utc> {
    let mut at = working(at);
    let mut left = Duration::minutes(minutes);
    loop {
        let closes = at.date_naive().and_time(NaiveTime::MIN).and_utc() + Duration::hours(CLOSES_AT_HOUR);
        if at + left < closes {
            return at + left;
        }
        left -= closes - at;
        at = working(closes);
    }
}

/// Moves a time out of the night: customers sleep, too.
fn awake(at: DateTime<Utc>) -> DateTime<Utc> {
    let midnight = at.date_naive().and_time(NaiveTime::MIN).and_utc();
    let gets_up = midnight + Duration::hours(7);
    if at < gets_up {
        gets_up + (at - midnight) / 4
    } else {
        at
    }
}

/// What the texts of one ticket are filled with.
struct Names {
    customer: &'static str,
    company: &'static str,
    agent: &'static str,
    colleague: &'static str,
    invoice: String,
    amount: String,
    count: String,
    browser: &'static str,
    code: String,
    project: &'static str,
    weekday: &'static str,
}

impl Names {
    fn new(random: &mut Random, customer: usize) -> Self {
        let (name, company, _) = CUSTOMERS[customer];
        let others = [
            "Nina", "Oscar", "Helen", "Paul", "Simone", "Yusuf", "Greta", "Ian",
        ];
        let projects = [
            "Spring Launch",
            "Warehouse Move",
            "Website 2",
            "Recruiting",
            "Q3 Planning",
            "Fleet Renewal",
        ];
        Self {
            customer: first_name(name),
            company,
            agent: "",
            colleague: random.text(&others),
            invoice: format!("INV-{}", random.between(20_100, 29_900)),
            amount: format!("{}.{:02} EUR", random.between(39, 1_450), random.between(0, 99)),
            count: random.between(12, 180).to_string(),
            browser: random.text(&["Firefox", "Chrome", "Edge", "Safari"]),
            code: format!("{:05X}", random.between(0x1_0000, 0xF_FFFF)),
            project: random.text(&projects),
            weekday: random.text(&["Monday", "Tuesday", "Wednesday", "Thursday", "Friday"]),
        }
    }

    fn fill(&self, text: &str) -> String {
        [
            ("{customer}", self.customer),
            ("{company}", self.company),
            ("{agent}", self.agent),
            ("{colleague}", self.colleague),
            ("{invoice}", &self.invoice),
            ("{amount}", &self.amount),
            ("{count}", &self.count),
            ("{browser}", self.browser),
            ("{code}", &self.code),
            ("{project}", self.project),
            ("{weekday}", self.weekday),
        ]
        .into_iter()
        .fold(text.to_owned(), |text, (slot, value)| text.replace(slot, value))
    }
}

/// One ticket's course while it is thought out.
struct Course {
    random: Random,
    ticket: usize,
    at: DateTime<Utc>,
    turns: Vec<Turn>,
}

impl Course {
    fn act(&mut self, act: Act) {
        self.turns.push(Turn {
            at: self.at,
            ticket: self.ticket,
            act,
        });
    }

    /// The next turn comes so many minutes of working time later.
    fn wait_working(&mut self, low_minutes: i64, high_minutes: i64) {
        let minutes = self.random.between(low_minutes, high_minutes);
        self.at = after_work(self.at, minutes) + Duration::seconds(self.random.between(1, 59));
    }

    /// The next turn is the customer's, so many minutes later or in the morning.
    fn wait_awake(&mut self, low_minutes: i64, high_minutes: i64) {
        let minutes = self.random.between(low_minutes, high_minutes);
        self.at = awake(self.at + Duration::minutes(minutes)) + Duration::seconds(self.random.between(1, 59));
    }

    fn run(&mut self) {
        let customer = self.random.index(CUSTOMERS.len());
        if self.random.percent(2) {
            return self.spam(customer);
        }
        let topic = &TOPICS[self.random.index(TOPICS.len())];
        let mut names = Names::new(&mut self.random, customer);
        let priority = TicketPriority::ALL[self.random.weighted(&topic.priorities)];
        let story = &topic.stories[self.random.index(topic.stories.len())];
        self.open(topic, story, &names, customer, priority);
        if self.random.percent(1) {
            // Nobody ever looks at it.
            return;
        }
        let agent = self.take_up(topic, priority);
        let (team, member) = agent;
        names.agent = first_name(TEAMS[team].members[member].0);
        self.converse(story, &names, customer, agent, priority);
    }

    /// The first words, and how they come in.
    fn open(
        &mut self,
        topic: &Topic,
        story: &Story,
        names: &Names,
        customer: usize,
        priority: TicketPriority,
    ) {
        // The desk answers the phone while it is at work.
        let by_phone = self.random.percent(14) && working(self.at) == self.at;
        let by = by_phone.then(|| (topic.team, self.random.index(TEAMS[topic.team].members.len())));
        let opening = names.fill(story.opening);
        let description = if by_phone {
            format!("{} from {} called:\n\n> {opening}", names.customer, names.company)
        } else {
            let (hello, bye) = (self.random.text(&GREETINGS), self.random.text(&FAREWELLS));
            format!("{hello}\n\n{opening}\n\n{}", names.fill(bye))
        };
        let channels = [
            TicketChannel::Web,
            TicketChannel::Email,
            TicketChannel::Chat,
            TicketChannel::Api,
        ];
        let team = match self.random.between(1, 100) {
            // Someone chose the wrong one, or none.
            ..=8 if !by_phone => Some((topic.team + 1) % TEAMS.len()),
            9..=28 if !by_phone => None,
            _ => Some(topic.team),
        };
        let tags = if self.random.percent(45) {
            topic.tags.to_vec()
        } else {
            Vec::new()
        };
        let act = Act::Open {
            by,
            customer,
            subject: names.fill(self.random.text(story.subjects)),
            description,
            // Most customers leave the priority as it is.
            priority: (by_phone || self.random.percent(40)).then_some(priority),
            channel: channels[self.random.weighted(&[45, 40, 12, 3])],
            team,
            tags,
        };
        self.act(act);
        if let Some(wrong) = team.filter(|team| *team != topic.team) {
            self.wait_working(5, 90);
            let by = (wrong, self.random.index(TEAMS[wrong].members.len()));
            let note = self.random.text(&HAND_OVERS);
            self.act(Act::Transfer {
                by,
                team: topic.team,
                note,
            });
        } else if team.is_none() {
            self.wait_working(5, 60);
            let by = (topic.team, self.random.index(TEAMS[topic.team].members.len()));
            self.act(Act::Transfer {
                by,
                team: topic.team,
                note: "",
            });
        }
    }

    /// Who takes it, and what they put in order first.
    fn take_up(&mut self, topic: &Topic, priority: TicketPriority) -> Staff {
        let members = TEAMS[topic.team].members.len();
        // Lead and supervisor answer now and then; the others do most of it.
        let weights: Vec<i64> = (0..members)
            .map(|member| if member < 2 { 1 } else { 4 })
            .collect();
        let agent = (topic.team, self.random.weighted(&weights));
        match priority {
            TicketPriority::Urgent => self.wait_working(2, 20),
            TicketPriority::High => self.wait_working(5, 90),
            TicketPriority::Medium => self.wait_working(15, 240),
            TicketPriority::Low => self.wait_working(60, 900),
        }
        if self.random.percent(35) {
            let by = (topic.team, self.random.index(2));
            self.act(Act::Assign { by, to: agent });
        } else {
            self.act(Act::Claim { by: agent });
        }
        self.wait_working(1, 6);
        self.act(Act::SetPriority { by: agent, priority });
        if self.random.percent(60) {
            self.act(Act::AddTags {
                by: agent,
                tags: topic.tags.to_vec(),
            });
        }
        agent
    }

    fn letter(&mut self, names: &Names, text: &str) -> String {
        let hello = self.random.text(&AGENT_GREETINGS);
        let bye = self.random.text(&AGENT_FAREWELLS);
        names.fill(&format!("{hello}\n\n{text}\n\n{bye}"))
    }

    fn converse(
        &mut self,
        story: &Story,
        names: &Names,
        customer: usize,
        agent: Staff,
        priority: TicketPriority,
    ) {
        let slow = match priority {
            TicketPriority::Urgent => 1,
            TicketPriority::High => 2,
            TicketPriority::Medium => 4,
            TicketPriority::Low => 8,
        };
        if self.random.percent(60) {
            let text = self.letter(names, story.question);
            self.wait_working(3, 20 * slow);
            self.act(Act::AskBack { by: agent, text });
            if self.random.percent(12) {
                return self.hear_nothing(names, customer, agent);
            }
            self.wait_awake(8, 500 * slow);
            let text = names.fill(story.answer);
            self.act(Act::CustomerReply { customer, text });
        }
        if self.random.percent(45) {
            self.wait_working(5, 40 * slow);
            let text = names.fill(story.internal);
            self.act(Act::Internal { by: agent, text });
        }
        if self.random.percent(20) {
            self.wait_working(2, 60);
            let text = names.fill(self.random.text(&NOTES));
            self.act(Act::Note { by: agent, text });
        }
        if self.random.percent(12) {
            // Waits for someone else, or lies about.
            self.wait_working(600, 4_000);
        }
        self.solve(names, agent, slow, story.solution, story.resolution);
        if self.random.percent(9) {
            self.wait_awake(60, 2_400);
            let text = names.fill(self.random.text(&STILL_BROKEN));
            self.act(Act::CustomerReply { customer, text });
            let second = self.random.text(&SECOND_TRY);
            self.solve(names, agent, slow, second, "Solved at the second try.");
        }
        if self.random.percent(18) {
            self.wait_awake(20, 2_000);
            self.act(Act::CustomerCloses { customer });
        }
        if self.random.percent(4) {
            self.wait_awake(6 * 1_440, 11 * 1_440);
            let reason = self.random.text(&REOPEN_REASONS);
            self.act(Act::CustomerReopens { customer, reason });
            self.wait_awake(1, 4);
            let text = names.fill(self.random.text(&STILL_BROKEN));
            self.act(Act::CustomerReply { customer, text });
            let second = self.random.text(&SECOND_TRY);
            self.solve(
                names,
                agent,
                slow,
                second,
                "Solved after it had been opened again.",
            );
        }
    }

    fn solve(
        &mut self,
        names: &Names,
        agent: Staff,
        slow: i64,
        text: &'static str,
        resolution: &'static str,
    ) {
        self.wait_working(10, 90 * slow);
        let text = self.letter(names, text);
        self.act(Act::Reply { by: agent, text });
        self.at += Duration::seconds(self.random.between(8, 90));
        self.act(Act::Resolve {
            by: agent,
            resolution,
        });
    }

    fn hear_nothing(&mut self, names: &Names, customer: usize, agent: Staff) {
        self.wait_working(1_200, 2_400);
        let reminder = self.random.text(&REMINDERS);
        let text = self.letter(names, reminder);
        self.act(Act::Reply { by: agent, text });
        if self.random.percent(25) {
            self.wait_awake(60, 3_000);
            let text = "Sorry for the silence. It works again, thank you!".to_owned();
            self.act(Act::CustomerReply { customer, text });
        }
        self.wait_working(600, 1_800);
        self.act(Act::Resolve {
            by: agent,
            resolution: "No answer from the customer.",
        });
    }

    fn spam(&mut self, customer: usize) {
        let (subject, description) = SPAM[self.random.index(SPAM.len())];
        let act = Act::Open {
            by: None,
            customer,
            subject: subject.to_owned(),
            description: description.to_owned(),
            priority: None,
            channel: TicketChannel::Email,
            team: None,
            tags: Vec::new(),
        };
        self.act(act);
        self.wait_working(10, 300);
        let by = (self.random.index(TEAMS.len()), 2);
        self.act(Act::AddTags {
            by,
            tags: vec!["spam"],
        });
        self.act(Act::Close { by });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn end() -> DateTime<Utc> {
        "2026-03-18T15:20:00Z".parse().unwrap()
    }

    #[test]
    fn the_same_seed_tells_the_same_story_and_another_one_another() {
        assert_eq!(plot(60, 5, end()), plot(60, 5, end()));
        assert_ne!(plot(60, 5, end()), plot(60, 6, end()));
    }

    #[test]
    fn the_time_of_day_changes_nothing_of_the_past() {
        let midnight = end().date_naive().and_time(NaiveTime::MIN).and_utc();
        let until_today = |end: DateTime<Utc>| {
            let turns = plot(100, 4, end).into_iter();
            turns
                .take_while(|turn| turn.at < midnight - Duration::days(30))
                .collect::<Vec<_>>()
        };
        assert_eq!(until_today(end()), until_today(end() + Duration::hours(5)));
    }

    #[test]
    fn turns_are_in_order_and_in_the_past_and_begin_with_the_opening() {
        let turns = plot(300, 1, end());
        assert!(turns.windows(2).all(|pair| pair[0].at <= pair[1].at));
        assert!(
            turns
                .iter()
                .all(|turn| turn.at < end() && turn.at >= end() - Duration::days(DAYS + 1))
        );
        let mut opened = vec![false; 300];
        for turn in &turns {
            let opens = matches!(turn.act, Act::Open { .. });
            assert_eq!(opens, !opened[turn.ticket], "{turn:?}");
            opened[turn.ticket] = true;
        }
        assert!(opened.iter().all(|opened| *opened));
    }

    #[test]
    fn the_desk_answers_in_its_working_hours() {
        use chrono::Timelike as _;
        for turn in plot(300, 2, end()) {
            let hours = 8..=18;
            let by_desk = !matches!(
                turn.act,
                Act::Open { by: None, .. }
                    | Act::CustomerReply { .. }
                    | Act::CustomerCloses { .. }
                    | Act::CustomerReopens { .. }
            );
            if by_desk {
                assert!(
                    hours.contains(&turn.at.hour()) && turn.at.weekday().number_from_monday() <= 5,
                    "{turn:?}"
                );
            }
        }
    }

    #[test]
    fn no_text_keeps_a_slot_unfilled() {
        for turn in plot(400, 3, end()) {
            let text = format!("{:?}", turn.act);
            let slot = [
                "{customer}",
                "{agent}",
                "{colleague}",
                "{company}",
                "{invoice}",
                "{amount}",
                "{count}",
            ]
            .into_iter()
            .chain(["{browser}", "{code}", "{project}", "{weekday}"])
            .find(|slot| text.contains(slot));
            assert_eq!(slot, None, "{text}");
        }
    }
}
