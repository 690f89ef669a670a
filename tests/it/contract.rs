//! The data contract: its own checker, where it can be had.

use std::path::Path;
use std::process::Command;

use desk::database::test_database;

#[tokio::test(flavor = "multi_thread")]
async fn the_contracts_checker_finds_no_difference() {
    let checker = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/contract/check");
    let psql = Command::new("psql").arg("--version").output();
    if !checker.exists() || psql.is_err() {
        eprintln!("skipped: the contract's checker or psql is not here");
        return;
    }
    let test = test_database().await;
    let output = Command::new(checker).arg(test.owner_url()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && said.contains("308 of 308 items match"),
        "{said}"
    );
}
