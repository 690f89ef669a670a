//! `insightdesk secret`: what a change of the secret key leaves to do.

use clap::Subcommand;
use identity::service::Resealed;

use crate::cli::say;
use crate::desk::Desk;
use crate::failure::{Failure, Outcome};

/// How many secrets are sealed anew between two looks at the table.
const BATCH_ROWS_MAX: i64 = 500;

/// What to do with the secret key.
#[derive(Debug, Subcommand)]
pub enum SecretCommand {
    /// Seal with secret-key all that is still sealed with one of previous-secret-keys. It may be broken off and run
    /// again at any time; once it has ended well, the previous keys can be taken out.
    Rotate,
}

pub(crate) async fn run(command: SecretCommand, desk: &Desk) -> Outcome {
    match command {
        SecretCommand::Rotate => rotate(desk).await,
    }
}

async fn rotate(desk: &Desk) -> Outcome {
    let mut total = Resealed::default();
    let mut after = None;
    loop {
        let Resealed {
            resealed,
            kept,
            unreadable,
            next,
        } = desk.two_factor.reseal(after, BATCH_ROWS_MAX).await?;
        total.resealed += resealed;
        total.kept += kept;
        total.unreadable += unreadable;
        after = next;
        if after.is_none() {
            break;
        }
    }
    let endpoints = desk.webhook_secrets.reseal().await?;
    let Resealed {
        resealed,
        kept,
        unreadable,
        next: _,
    } = total;
    say(&format!(
        "Sealed {resealed} secrets of second factors anew; {kept} were sealed with the present key already. Sealed those of \
         {endpoints} webhook endpoints anew."
    ))?;
    if unreadable > 0 {
        return Err(Failure::new(format!(
            "{unreadable} are sealed with a key that is not among previous-secret-keys: add it and run this again, or \
             reset those people's second factors"
        ))
        .into());
    }
    Ok(())
}
