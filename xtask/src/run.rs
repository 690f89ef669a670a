//! `cargo xtask run`: the help desk, with a PostgreSQL made sure of.
//!
//! This process becomes cargo, and cargo becomes the server, so Ctrl-C and the exit code are the server's.

use std::os::unix::process::CommandExt;
use std::process::ExitCode;

use local_postgres::Source;

use crate::postgres::made_sure;
use crate::{Outcome, cargo};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Build with optimisations.
    #[arg(long)]
    release: bool,
    /// Arguments of `insightdesk serve`.
    #[arg(last = true)]
    serve: Vec<String>,
}

pub(crate) fn run(args: Args) -> Outcome<ExitCode> {
    let mut command = cargo();
    command.args(["run", "--package", "insightdesk"]);
    if args.release {
        command.arg("--release");
    }
    command.args(["--", "serve"]).args(args.serve);
    if std::env::var_os("DATABASE_URL").is_none_or(|url| url.is_empty()) {
        let required_major = local_postgres::recorded_major(&local_postgres::default_data_dir());
        let programs = made_sure(required_major)?;
        if programs.source == Source::Cached {
            command.env("INSIGHTDESK_PG_BIN", &programs.bin_dir);
        }
    }
    Err(format!("cargo does not run: {}", command.exec()))
}
