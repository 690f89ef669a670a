//! The README's walk through the API, run as it is written.

use std::process::Command;

use desk::app::TestDesk;

#[tokio::test(flavor = "multi_thread")]
async fn the_readmes_walkthrough_works_as_written() {
    let readme = include_str!("../../README.md");
    let (_, rest) = readme.split_once("<!-- walkthrough").unwrap();
    let (_, rest) = rest.split_once("```sh\n").unwrap();
    let (script, _) = rest.split_once("\n```").unwrap();

    let desk = TestDesk::start().await;
    let token = desk.desk.accounts.open_setup().await.unwrap().unwrap();
    let (api, token) = (format!("{}/api/v1", desk.url), token.expose().to_owned());
    let script = format!("set -eu\n{script}");
    let run = move || {
        Command::new("bash")
            .arg("-c")
            .arg(script)
            .env("API", api)
            .env("SETUP_TOKEN", token)
            .output()
    };
    let output = tokio::task::spawn_blocking(run).await.unwrap().unwrap();
    let (said, errors) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(output.status.success(), "{said}\n{errors}");
    assert!(said.contains("opened TKT-00001"), "{said}");
    let (_, seen_by_kim) = said.split_once("\"remark\"").unwrap_or(("", &said));
    assert!(said.contains("<strong>unplug</strong>"), "{said}");
    let status = desk.database.rows("SELECT status::text FROM tickets").await;
    assert_eq!(status, [[Some("resolved".to_owned())]]);
    let last = seen_by_kim.rsplit("\"data\":").next().unwrap_or_default();
    assert!(
        last.contains("status_changed") && !last.contains("note"),
        "{last}"
    );
}
