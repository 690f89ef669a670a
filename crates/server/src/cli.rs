//! The command line.
//!
//! To add a command: a variant of [`Command`] whose doc comment is its help, and an arm in [`run`]. A command that works
//! on the desk opens it as a guest, so that it also works beside a running server.

use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{Parser, Subcommand};
use kernel::failure::BoxError;

use crate::config::flags::Flags;
use crate::config::{self, Config, Loaded, show};
use crate::embedded::Company;
use crate::failure::{Failure, Outcome, one_line};
use crate::stop::Stop;
use crate::{admin, demo, import, logging, rotate, serve, verify};

/// What is logged of work that goes on by itself. Of what strangers send that is no request, the API has a
/// line of its own; the framework would call it an error of ours.
const LEVEL_OF_SERVERS: &str = "info,actix_server=warn,actix_http::h1::dispatcher=off";
/// What is logged of a command that someone waits for.
const LEVEL_OF_COMMANDS: &str = "warn";

/// InsightDesk, a help desk server.
#[derive(Debug, Parser)]
#[command(
    name = "insightdesk",
    version,
    about = "InsightDesk, a self-hosted help desk server",
    after_help = "`insightdesk help serve` shows the settings, and `insightdesk config` what they are now."
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    flags: Flags,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the help desk: the API, and the background work.
    Serve(serve::ServeArgs),
    /// Run the background work alone, beside servers that run with --http-only.
    Work,
    /// Bring the database up to date and stop. `serve` and `work` do it at their start, too.
    Migrate,
    /// Manage the desk's administrators.
    Admin {
        #[command(subcommand)]
        command: admin::AdminCommand,
    },
    /// Check what is stored.
    Verify {
        #[command(subcommand)]
        command: verify::VerifyCommand,
    },
    /// Manage the desk's secret key.
    Secret {
        #[command(subcommand)]
        command: rotate::SecretCommand,
    },
    /// Bring data in from elsewhere.
    Import(import::ImportArgs),
    /// Fill the desk with sample data.
    Demo(demo::DemoArgs),
    /// Print the OpenAPI document of the API.
    Openapi,
    /// Print the configuration in force; secrets are masked.
    Config(ConfigArgs),
    /// Print the version.
    Version,
}

#[derive(Debug, clap::Args)]
struct ConfigArgs {
    /// Print a Markdown table of all settings instead.
    #[arg(long)]
    markdown: bool,
}

/// Runs the command line of this process.
#[must_use]
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            return match error.kind() {
                ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => ExitCode::SUCCESS,
                _ => ExitCode::from(2),
            };
        }
    };
    match run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "insightdesk: {}", one_line(error.as_ref()));
            if error.is::<import::RowsRefused>() {
                return ExitCode::from(import::EXIT_CODE_REFUSED);
            }
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> Outcome {
    let Cli { command, flags } = cli;
    match command {
        Command::Version => return say(&format!("insightdesk {}", env!("CARGO_PKG_VERSION"))),
        Command::Openapi => return openapi(),
        Command::Config(ConfigArgs { markdown: true }) => return say(show::markdown().trim_end()),
        Command::Config(ConfigArgs { markdown: false }) => {
            return say(show::effective(&config::load(&flags.given())?).trim_end());
        }
        Command::Serve(_)
        | Command::Work
        | Command::Migrate
        | Command::Admin { .. }
        | Command::Verify { .. }
        | Command::Secret { .. }
        | Command::Import(_)
        | Command::Demo(_) => {}
    }
    let loaded = config::load(&flags.given())?;
    let usual_level = match command {
        Command::Serve(_) | Command::Work => LEVEL_OF_SERVERS,
        _ => LEVEL_OF_COMMANDS,
    };
    logging::begin(&loaded.config, usual_level);
    for name in &loaded.unknown_variables {
        tracing::warn!(
            name,
            "this environment variable is no setting; `insightdesk config` lists them all"
        );
    }
    // Made by hand: actix's own would have a single thread, and connections live on this one.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_name("insightdesk")
        .build()
        .map_err(|error| Failure::because("the system gives no threads", error))?;
    let outcome = runtime.block_on(on_runtime(command, loaded));
    // Nothing that still runs here may hold the process up.
    runtime.shutdown_background();
    outcome
}

fn there_is_a_desk(config: &Config) -> Outcome {
    let has_own = local_postgres::recorded_major(&config.data_dir).is_some();
    if config.database_url.is_some() || has_own {
        return Ok(());
    }
    let message = format!(
        "there is no desk in {}: give the --data-dir or database-url of the one that is meant",
        config.data_dir.display()
    );
    Err(Failure::new(message).into())
}

async fn on_runtime(command: Command, loaded: Loaded) -> Outcome {
    let config = loaded.config;
    match command {
        Command::Serve(args) => return serve::serve(config, args).await,
        Command::Work => return serve::work(config).await,
        _ => {}
    }
    if let Command::Verify { .. } | Command::Secret { .. } = command {
        // These ask about a desk that is there; an empty one made for the purpose would have no faults.
        there_is_a_desk(&config)?;
    }
    let stop = Stop::at_signals().map_err(serve::no_signals)?;
    let Some(desk) = serve::open(&config, Company::Guest, &stop).await? else {
        return Err(interrupted());
    };
    let work = async {
        match command {
            Command::Migrate => say("The database is up to date."),
            Command::Admin { command } => admin::run(command, &desk).await,
            Command::Verify { command } => verify::run(command, &desk).await,
            Command::Secret { command } => rotate::run(command, &desk).await,
            Command::Import(args) => import::run(args, &desk).await,
            Command::Demo(args) => demo::run(args, &desk).await,
            Command::Serve(_) | Command::Work | Command::Openapi | Command::Config(_) | Command::Version => {
                Ok(())
            }
        }
    };
    // Also a command that is interrupted does not leave a PostgreSQL behind.
    let outcome = tokio::select! {
        outcome = work => outcome,
        () = stop.asked() => Err(interrupted()),
    };
    desk.close().await;
    outcome
}

fn interrupted() -> BoxError {
    Failure::new("interrupted by a signal").into()
}

fn openapi() -> Outcome {
    let document = http::openapi::document(&http::api::operations());
    say(&serde_json::to_string_pretty(&document)?)
}

/// Puts a line on standard output. A reader that went away early is none of our concern.
pub(crate) fn say(line: &str) -> Outcome {
    let mut out = io::stdout().lock();
    match writeln!(out, "{line}").and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::because("standard output cannot be written", error).into())
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_well_made() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_setting_is_taken_before_and_after_the_command() {
        for words in [
            ["insightdesk", "--listen", "127.0.0.1:1", "serve", "--behind-tls"],
            ["insightdesk", "serve", "--listen", "127.0.0.1:1", "--behind-tls"],
        ] {
            let given = Cli::try_parse_from(words).unwrap().flags.given();
            assert_eq!(given.flags.get("listen").unwrap(), "127.0.0.1:1");
            assert_eq!(given.flags.get("behind-tls").unwrap(), "true");
            assert_eq!(given.flags.len(), 2);
        }
    }
}
