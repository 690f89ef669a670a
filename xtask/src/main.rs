//! Development tasks of InsightDesk, run as `cargo xtask <command>`.
//!
//! Each command is a module with a `run` function and, when it takes arguments, an `Args` for them. A new one gets a
//! module, a variant of [`Task`], and an arm in [`main`].

#![expect(clippy::print_stdout, reason = "a command line tool")]

use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod arch;
mod bench;
mod fetch;
mod floors;
mod postgres;
mod run;
mod sbom;
mod schema;
mod test;

/// What went wrong, as one line for the person at the terminal.
type Outcome<T> = Result<T, String>;

#[derive(Debug, Parser)]
#[command(
    name = "cargo xtask",
    about = "Development tasks of InsightDesk",
    disable_version_flag = true
)]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Start the help desk, with a PostgreSQL of its own unless DATABASE_URL is set.
    Run(run::Args),
    /// Run all tests on one throwaway PostgreSQL.
    Test(test::Args),
    /// Make sure of PostgreSQL's programs and print their folder.
    Postgres,
    /// Make `crates/postgres/src/schema.rs` anew from what the migrations make.
    Schema(schema::Args),
    /// Check which crate may depend on what, and which versions of others may come in.
    Arch,
    /// Write what the program is made of, as CycloneDX JSON.
    Sbom(sbom::Args),
    /// Measure what requests cost, beside the bare SQL of the same work.
    Bench(bench::Args),
}

fn main() -> ExitCode {
    let outcome = match Cli::parse().task {
        Task::Run(args) => run::run(args),
        Task::Test(args) => test::run(args),
        Task::Postgres => postgres::run(),
        Task::Schema(args) => schema::run(args),
        Task::Arch => arch::run(),
        Task::Sbom(args) => sbom::run(args),
        Task::Bench(args) => bench::run(args),
    };
    outcome.unwrap_or_else(|message| {
        eprintln!("error: {message}");
        ExitCode::FAILURE
    })
}

/// Reads a file of the workspace, named from its root.
fn read(name: &str) -> Outcome<String> {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("..")
        .join(name);
    std::fs::read_to_string(&path).map_err(|error| format!("{} cannot be read: {error}", path.display()))
}

/// The cargo that runs this.
fn cargo() -> std::process::Command {
    std::process::Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}
