//! The import as a process that is killed.

use std::io::Read as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::desk::TestDesk;

const ROWS: usize = 20_000;

#[tokio::test(flavor = "multi_thread")]
async fn an_import_that_was_killed_goes_on_where_it_ended() {
    let desk = TestDesk::new().await;
    let mut text = "subject,description\n".to_owned();
    for row in 0..ROWS {
        text += &format!("Row {row},text\n");
    }
    let file = desk.file("rows.csv", text);
    let begin = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_insightdesk"));
        command
            .args(["import", "tickets"])
            .arg(&file)
            .args([
                "--requester",
                "a@example.org",
                "--database-url",
                desk.test.url(),
                "--data-dir",
            ])
            .arg(desk.folder.path().join("data"))
            .stdin(Stdio::null())
            .stderr(Stdio::piped());
        command.spawn().unwrap()
    };
    let mut first = begin();
    let patience = Instant::now() + Duration::from_secs(60);
    while desk.tickets().await == 0 {
        assert!(Instant::now() < patience, "nothing is imported");
        tokio::task::yield_now().await;
    }
    first.kill().unwrap();
    first.wait().unwrap();
    // A batch whose process is gone may still be at work in the database.
    let mut second = begin();
    let mut told = String::new();
    second.stderr.take().unwrap().read_to_string(&mut told).unwrap();
    assert!(second.wait().unwrap().success(), "{told}");
    assert_eq!(desk.tickets().await, i64::try_from(ROWS).unwrap(), "{told}");
    let distinct = desk
        .test
        .number("SELECT count(DISTINCT subject) FROM tickets")
        .await;
    assert_eq!(distinct, i64::try_from(ROWS).unwrap());
}
