//! The InsightDesk help desk server.

fn main() -> std::process::ExitCode {
    server::cli::main()
}
