//! The life of a cluster, on real server programs: each test has a small cluster of its own, in memory.
//!
//! Tests that need a parent which is killed start this test binary again as that parent (see [`a_parent_to_kill`]).

#![expect(clippy::unwrap_used, reason = "helpers of tests fail as the tests do")]

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use insightdesk_local_postgres::{
    Cluster, ClusterOptions, Durability, FindError, Lifetime, MAJOR_MIN, Programs, Search, Source,
    StartError, cache_dir, find, recorded_major,
};
use tokio::time::{sleep, timeout};
use tokio_postgres::{Client, NoTls};

const PATIENCE: Duration = Duration::from_secs(60);

/// Tells the test binary to be a parent: a data folder, or `scratch`.
const VAR_PARENT_OF: &str = "LOCAL_POSTGRES_TEST_PARENT_OF";

fn programs() -> Programs {
    find(None, cache_dir().as_deref()).unwrap()
}

fn options(data_dir: &Path) -> ClusterOptions {
    ClusterOptions {
        data_dir: data_dir.to_owned(),
        programs: programs(),
        // Only a durable cluster promises that a committed note outlives the kill of its server.
        durability: Durability::Durable,
        lifetime: Lifetime::Kept,
    }
}

/// A folder that PostgreSQL's account may enter, in memory where that is possible.
fn folder() -> tempfile::TempDir {
    use std::os::unix::fs::PermissionsExt;
    let memory = Path::new("/dev/shm");
    let base = if memory.is_dir() {
        memory.to_owned()
    } else {
        std::env::temp_dir()
    };
    let folder = tempfile::Builder::new()
        .prefix("insightdesk-it-")
        .tempdir_in(base)
        .unwrap();
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o711)).unwrap();
    folder
}

async fn connect(cluster: &Cluster, database: &str) -> Result<Client, tokio_postgres::Error> {
    let (client, connection) = tokio_postgres::connect(&cluster.url(database), NoTls).await?;
    #[expect(
        clippy::disallowed_methods,
        reason = "a test's connection ends with its runtime"
    )]
    tokio::spawn(connection);
    Ok(client)
}

async fn count_notes(cluster: &Cluster) -> Result<i64, tokio_postgres::Error> {
    let client = connect(cluster, "desk").await?;
    Ok(client.query_one("SELECT count(*) FROM notes", &[]).await?.get(0))
}

async fn add_note(cluster: &Cluster) {
    cluster.ensure_database("desk").await.unwrap();
    let client = connect(cluster, "desk").await.unwrap();
    client
        .batch_execute("CREATE TABLE IF NOT EXISTS notes (id int); INSERT INTO notes VALUES (1)")
        .await
        .unwrap();
}

/// Waits until `done` says so; polling is the only way to see other processes' doings.
async fn until(what: &str, mut done: impl AsyncFnMut() -> bool) {
    let waited = timeout(PATIENCE, async {
        while !done().await {
            sleep(Duration::from_millis(10)).await;
        }
    });
    assert!(waited.await.is_ok(), "waited in vain until {what}");
}

fn signal(name: &str, pid: u32) {
    assert!(
        Command::new("kill")
            .args([name, &pid.to_string()])
            .status()
            .unwrap()
            .success()
    );
}

fn runs(pid: u32) -> bool {
    // A zombie answers to kill -0, but it has no command line.
    std::fs::read(format!("/proc/{pid}/cmdline")).map_or_else(
        |_| {
            Command::new("kill")
                .args(["-0", &pid.to_string()])
                .stderr(Stdio::null())
                .status()
                .unwrap()
                .success()
        },
        |line| !line.is_empty(),
    )
}

#[tokio::test]
async fn data_is_kept_from_one_start_to_the_next() {
    let folder = folder();
    let data_dir = folder.path().join("data");
    assert_eq!(recorded_major(&data_dir), None);

    let cluster = Cluster::start(options(&data_dir)).await.unwrap();
    add_note(&cluster).await;
    let first = cluster.postmaster_pid().unwrap();
    cluster.stop().await;
    assert!(!runs(first), "stop waits for the end");
    assert_eq!(recorded_major(&data_dir), Some(programs().major));

    let cluster = Cluster::start(options(&data_dir)).await.unwrap();
    cluster.ensure_database("desk").await.unwrap();
    assert_eq!(count_notes(&cluster).await.unwrap(), 1);
    cluster.stop().await;
}

#[tokio::test]
async fn a_database_is_in_utf8_and_utc_and_its_url_suits_psql() {
    let cluster = Cluster::scratch_of(programs()).await.unwrap();
    let name = "a \"strange\" näme";
    cluster.ensure_database(name).await.unwrap();
    let client = connect(&cluster, name).await.unwrap();
    let row = client
        .query_one(
            "SELECT current_setting('server_encoding'), current_setting('TimeZone'), lower('ÄÖÜ'), current_user::text",
            &[],
        )
        .await
        .unwrap();
    let row: Vec<String> = (0..4).map(|column| row.get(column)).collect();
    assert_eq!(row, ["UTF8", "UTC", "äöü", "insightdesk"]);

    // psql comes with most installations, but not with the fetched programs.
    if let Ok(output) = Command::new("psql")
        .args(["-XAtc", "SELECT current_database()", &cluster.url(name)])
        .output()
    {
        assert_eq!(
            String::from_utf8_lossy(&output.stdout).trim_end(),
            name,
            "{output:?}"
        );
    }
    cluster.stop().await;
}

#[tokio::test]
async fn a_killed_server_is_started_again() {
    let folder = folder();
    let cluster = Cluster::start(options(&folder.path().join("data")))
        .await
        .unwrap();
    add_note(&cluster).await;
    // The second kill shows that it is not for once only.
    for _ in 0..2 {
        let old = cluster.postmaster_pid().unwrap();
        signal("-9", old);
        until("another server runs", async || {
            cluster.postmaster_pid().is_some_and(|pid| pid != old)
        })
        .await;
        until("it is usable", async || {
            count_notes(&cluster).await.is_ok_and(|notes| notes == 1)
        })
        .await;
    }
    cluster.stop().await;
}

#[tokio::test]
async fn a_busy_orphan_of_a_killed_server_does_not_stop_the_restart() {
    let folder = folder();
    let cluster = Cluster::start(options(&folder.path().join("data")))
        .await
        .unwrap();
    add_note(&cluster).await;
    let client = connect(&cluster, "desk").await.unwrap();
    let busy = client.batch_execute("DO $$ BEGIN LOOP END LOOP; END $$");
    let old = cluster.postmaster_pid().unwrap();
    let watch = async {
        until("the loop runs", async || {
            let other = connect(&cluster, "desk").await.unwrap();
            let active = "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE 'DO %'";
            other.query_one(active, &[]).await.unwrap().get::<_, i64>(0) == 1
        })
        .await;
        signal("-9", old);
        until("it is usable", async || {
            count_notes(&cluster).await.is_ok_and(|notes| notes == 1)
        })
        .await;
    };
    let (busy, ()) = tokio::join!(busy, watch);
    assert!(busy.is_err(), "the orphan was ended");
    assert_ne!(cluster.postmaster_pid(), Some(old));
    cluster.stop().await;
}

#[tokio::test]
async fn a_second_process_is_refused_on_a_data_folder_in_use() {
    let folder = folder();
    let data_dir = folder.path().join("data");
    let cluster = Cluster::start(options(&data_dir)).await.unwrap();
    let refused = Cluster::start(options(&data_dir)).await.unwrap_err();
    assert!(
        matches!(&refused, StartError::InUse { pid: Some(pid), .. } if *pid == std::process::id()),
        "{refused}"
    );
    assert!(
        refused.to_string().contains("is in use by another process"),
        "{refused}"
    );
    assert_eq!(refused.to_string().lines().count(), 1);
    cluster.stop().await;
    Cluster::start(options(&data_dir)).await.unwrap().stop().await;
}

#[tokio::test]
async fn a_server_left_by_a_killed_parent_is_taken_over_and_stopped() {
    let folder = folder();
    let data_dir = folder.path().join("data");
    let (_url, left) = a_parent_to_kill(data_dir.to_str().unwrap());
    assert!(runs(left), "an untethered server outlives its parent");

    let cluster = Cluster::start(options(&data_dir)).await.unwrap();
    assert_eq!(cluster.postmaster_pid(), Some(left));
    add_note(&cluster).await;
    // It is watched like a child.
    signal("-9", left);
    until("another server runs", async || {
        cluster.postmaster_pid().is_some_and(|pid| pid != left)
    })
    .await;
    until("it is usable", async || {
        count_notes(&cluster).await.is_ok_and(|notes| notes == 1)
    })
    .await;
    cluster.stop().await;

    let (_url, left) = a_parent_to_kill(data_dir.to_str().unwrap());
    let cluster = Cluster::start(options(&data_dir)).await.unwrap();
    assert_eq!(cluster.postmaster_pid(), Some(left));
    cluster.stop().await;
    assert!(!runs(left));
}

#[tokio::test]
async fn a_stale_pid_file_that_names_another_process_is_no_obstacle() {
    let folder = folder();
    let data_dir = folder.path().join("data");
    let cluster = Cluster::start(options(&data_dir)).await.unwrap();
    let pid_file = data_dir.join("postgres/data/postmaster.pid");
    let socket_lock = data_dir.join("run/.s.PGSQL.5432.lock");
    let stale = std::fs::read_to_string(&pid_file).unwrap();
    let (_, rest) = stale.split_once('\n').unwrap();
    let stale = format!("{}\n{rest}", std::process::id());
    cluster.stop().await;
    std::fs::write(&pid_file, &stale).unwrap();
    std::fs::write(&socket_lock, &stale).unwrap();
    std::fs::write(socket_lock.with_extension(""), "").unwrap();

    let cluster = Cluster::start(options(&data_dir)).await.unwrap();
    cluster.ensure_database("desk").await.unwrap();
    cluster.stop().await;
}

#[tokio::test]
async fn a_tethered_cluster_goes_with_its_parent() {
    let (url, left) = a_parent_to_kill("scratch");
    let config: tokio_postgres::Config = url.parse().unwrap();
    let tokio_postgres::config::Host::Unix(run) = &config.get_hosts()[0] else {
        panic!("{url}")
    };
    let data_dir = run.parent().unwrap().to_owned();
    until("the server is gone", async || !runs(left)).await;
    until("its folder is gone", async || !data_dir.exists()).await;
}

#[tokio::test]
async fn a_scratch_cluster_leaves_nothing_and_survives_the_runtime_that_started_it() {
    let start = || {
        tokio::runtime::Runtime::new()
            .unwrap()
            .block_on(Cluster::scratch_of(programs()))
            .unwrap()
    };
    let cluster = std::thread::spawn(start).join().unwrap();
    let data_dir = cluster.data_dir().to_owned();
    cluster.ensure_database("desk").await.unwrap();
    cluster.stop().await;
    assert!(!data_dir.exists());

    // Dropped only: it still goes, in its own time.
    let cluster = Cluster::scratch_of(programs()).await.unwrap();
    let (pid, data_dir) = (cluster.postmaster_pid().unwrap(), cluster.data_dir().to_owned());
    drop(cluster);
    until("server and folder are gone", async || {
        !runs(pid) && !data_dir.exists()
    })
    .await;
}

#[tokio::test]
async fn a_path_too_long_for_a_socket_is_no_obstacle() {
    let folder = folder();
    let data_dir = folder.path().join("a".repeat(60)).join("b, c".repeat(15));
    let cluster = Cluster::start(options(&data_dir)).await.unwrap();
    assert!(
        cluster.socket_dir().starts_with("/tmp"),
        "{}",
        cluster.socket_dir().display()
    );
    add_note(&cluster).await;
    let socket_dir = cluster.socket_dir().to_owned();
    cluster.stop().await;
    assert!(!socket_dir.exists());
}

#[tokio::test]
async fn data_of_another_major_version_is_refused_with_both_named() {
    let folder = folder();
    let data_dir = folder.path().join("data");
    Cluster::start(options(&data_dir)).await.unwrap().stop().await;
    let mut other = options(&data_dir);
    other.programs.major = 99;
    other.programs.version = "99.1".to_owned();
    let refused = Cluster::start(other).await.unwrap_err();
    let made_by = programs().major;
    assert!(
        matches!(refused, StartError::WrongMajor { made_by: major, .. } if major == made_by),
        "{refused}"
    );
    let message = refused.to_string();
    assert!(
        message.contains(&format!("made by PostgreSQL {made_by}")) && message.contains("99.1"),
        "{message}"
    );

    let required = find(Some(99), cache_dir().as_deref()).unwrap_err();
    assert!(
        matches!(required, FindError::WrongMajor { required: 99, .. }),
        "{required}"
    );
}

#[test]
fn without_programs_the_message_says_what_to_install() {
    let empty = folder();
    let nowhere = Search {
        cache_dir: Some(empty.path().to_owned()),
        ..Search::default()
    };
    let missing = nowhere.find(None).unwrap_err();
    assert_eq!(missing, FindError::NotFound { too_old: None });
    let message = missing.to_string();
    assert!(
        message.starts_with(&format!(
            "no PostgreSQL {MAJOR_MIN} or newer was found: install it"
        )),
        "{message}"
    );
    assert_eq!(message.lines().count(), 1);

    let named = Search {
        named: Some(empty.path().join("bin")),
        ..Search::default()
    };
    let missing = named.find(None).unwrap_err().to_string();
    assert!(missing.starts_with("INSIGHTDESK_PG_BIN names"), "{missing}");
}

#[test]
fn fetched_programs_are_found_in_the_cache() {
    let cache = folder();
    let version = cache.path().join("postgres-1.2.3");
    std::fs::create_dir(&version).unwrap();
    std::os::unix::fs::symlink(programs().bin_dir, version.join("bin")).unwrap();
    let search = Search {
        cache_dir: Some(cache.path().to_owned()),
        ..Search::default()
    };
    let found = search.find(Some(programs().major)).unwrap();
    assert_eq!(
        (found.source, found.bin_dir),
        (Source::Cached, programs().bin_dir)
    );
}

/// Starts this binary again as a process that starts a cluster, kills it with -9 when the cluster runs, and returns the
/// cluster's URL and the server's process id.
fn a_parent_to_kill(of: &str) -> (String, u32) {
    let mut parent = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "parent_process", "--nocapture", "--test-threads=1"])
        .env(VAR_PARENT_OF, of)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(parent.stdout.take().unwrap())
        .lines()
        .map_while(Result::ok);
    let line = lines
        .find_map(|line| Some(line.split_once("CLUSTER ")?.1.to_owned()))
        .unwrap();
    parent.kill().unwrap();
    parent.wait().unwrap();
    let (pid, url) = line.split_once(' ').unwrap();
    (url.to_owned(), pid.parse().unwrap())
}

/// Not a test by itself: the other half of [`a_parent_to_kill`]. It waits to be killed.
#[tokio::test]
async fn parent_process() {
    let Some(of) = std::env::var_os(VAR_PARENT_OF) else {
        return;
    };
    let cluster = if of == "scratch" {
        Cluster::scratch_of(programs()).await.unwrap()
    } else {
        Cluster::start(options(&PathBuf::from(of))).await.unwrap()
    };
    println!(
        "CLUSTER {} {}",
        cluster.postmaster_pid().unwrap(),
        cluster.url("postgres")
    );
    sleep(PATIENCE).await;
    panic!("nobody killed this process");
}
