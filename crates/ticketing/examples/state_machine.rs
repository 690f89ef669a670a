//! The state machine by itself, as another service would link it: no store, no server.
#![expect(clippy::print_stdout, reason = "an example talks to whoever runs it")]

use chrono::{DateTime, Duration};
use insightdesk_ticketing::{ClosedBy, Settings, Standing, TicketStatus};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let settings = Settings::default();
    let opened = DateTime::from_timestamp(1_780_000_000, 0).ok_or("no such time")?;
    let resolved = Standing::Open.to(
        TicketStatus::Resolved,
        opened + Duration::hours(2),
        ClosedBy::Person,
        settings.reopen_window,
    )?;
    println!("resolved at {:?}", resolved.resolved_at());

    // A resolved ticket cannot wait for anyone; the refusal says what it can become.
    let now = opened + Duration::hours(3);
    match resolved.to(
        TicketStatus::Pending,
        now,
        ClosedBy::Person,
        settings.reopen_window,
    ) {
        Ok(_) => unreachable!("the machine has no such move"),
        Err(refused) => println!("{refused}; allowed: {:?}", refused.allowed),
    }
    Ok(())
}
