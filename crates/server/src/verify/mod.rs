//! `insightdesk verify`: whether what is stored is what was stored.
//!
//! To add a check: a variant of [`VerifyCommand`] whose doc comment is its help, and a module beside [`audit`].

pub mod audit;

use clap::Subcommand;

use crate::desk::Desk;
use crate::failure::Outcome;

/// What to check.
#[derive(Debug, Subcommand)]
pub enum VerifyCommand {
    /// Check that no entry of the audit log was changed, taken out or put in, and print its head.
    Audit(audit::AuditArgs),
}

pub(crate) async fn run(command: VerifyCommand, desk: &Desk) -> Outcome {
    match command {
        VerifyCommand::Audit(args) => audit::run(args, desk).await,
    }
}
