//! `insightdesk admin`: administrators, made by whoever runs the server.

use std::io::{self, BufRead as _, IsTerminal as _};

use clap::Subcommand;
use identity::service::{CreateAccountError, Registration};
use kernel::Classify as _;

use crate::cli::say;
use crate::desk::Desk;
use crate::failure::{Failure, Outcome};

/// What to do with administrators.
#[derive(Debug, Subcommand)]
pub enum AdminCommand {
    /// Make an administrator. Asks for the password, unless --password-stdin is given.
    Create(CreateArgs),
}

/// Whom to make.
#[derive(Debug, clap::Args)]
pub struct CreateArgs {
    /// The address to log in with.
    #[arg(long)]
    email: String,
    /// What the person is called.
    #[arg(long)]
    name: String,
    /// Read the password from the first line of standard input.
    #[arg(long)]
    password_stdin: bool,
}

pub(crate) async fn run(command: AdminCommand, desk: &Desk) -> Outcome {
    match command {
        AdminCommand::Create(args) => create(args, desk).await,
    }
}

async fn create(args: CreateArgs, desk: &Desk) -> Outcome {
    let CreateArgs {
        email,
        name,
        password_stdin,
    } = args;
    let password = tokio::task::spawn_blocking(move || if password_stdin { read() } else { ask() }).await??;
    let registration = Registration {
        email,
        name,
        password,
    };
    let profile = desk
        .accounts
        .create_admin(registration)
        .await
        .map_err(explained)?;
    say(&format!("{} can log in as an administrator now.", profile.email))
}

/// What went wrong, in words for the person at the terminal; with the cause where that is none of theirs.
fn explained(error: CreateAccountError) -> Failure {
    let rules: Vec<String> = error
        .violations()
        .iter()
        .map(|violation| {
            format!(
                "{} {}",
                violation.pointer.trim_start_matches('/'),
                violation.message
            )
        })
        .collect();
    if !rules.is_empty() {
        return Failure::new(format!("no administrator was made: {}", rules.join("; ")));
    }
    match error {
        CreateAccountError::Port(error) => Failure::because("no administrator was made", error),
        other => Failure::new(format!(
            "no administrator was made: {}",
            other.detail().trim_end_matches('.')
        )),
    }
}

fn read() -> Outcome<String> {
    let mut line = String::new();
    let read = io::stdin().lock().read_line(&mut line);
    let bytes =
        read.map_err(|error| Failure::because("the password cannot be read from standard input", error))?;
    if bytes == 0 {
        return Err(Failure::new("--password-stdin was given, but standard input is empty").into());
    }
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

fn ask() -> Outcome<String> {
    if !io::stdin().is_terminal() {
        return Err(
            Failure::new("there is no terminal to ask for the password at: use --password-stdin").into(),
        );
    }
    let prompt = |text: &str| {
        rpassword::prompt_password(text)
            .map_err(|error| Failure::because("the password cannot be asked for", error))
    };
    let password = prompt("Password: ")?;
    if prompt("The same again: ")? != password {
        return Err(Failure::new("the two passwords differ").into());
    }
    Ok(password)
}
