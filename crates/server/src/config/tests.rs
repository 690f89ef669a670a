use std::fs;

use super::show::{effective, markdown};
use super::*;

/// What is given, in a data folder of its own, so that no file of the machine is found.
struct World {
    dir: tempfile::TempDir,
    given: Given,
}

impl World {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut given = Given::default();
        given
            .flags
            .insert(table::DATA_DIR, dir.path().to_str().unwrap().to_owned());
        Self { dir, given }
    }

    fn flag(mut self, name: &'static str, value: &str) -> Self {
        self.given.flags.insert(name, value.to_owned());
        self
    }

    fn variable(mut self, name: &str, value: &str) -> Self {
        self.given.variables.insert(name.to_owned(), value.to_owned());
        self
    }

    fn file(self, text: &str) -> Self {
        fs::write(self.dir.path().join(CONFIG_FILE), text).unwrap();
        self
    }

    fn load(&self) -> Result<Loaded, ConfigError> {
        load(&self.given)
    }

    fn refusal(&self) -> String {
        self.load().unwrap_err().to_string()
    }
}

#[test]
fn a_flag_comes_before_a_variable_that_before_the_file_and_that_before_the_default() {
    let workers = |world: &World| world.load().unwrap().config.workers;
    let world = World::new();
    assert_eq!(workers(&world), None);
    let world = world.file("workers = 3\nbehind-tls = true\n");
    assert_eq!(workers(&world), Some(3));
    let world = world.variable("INSIGHTDESK_WORKERS", "4");
    assert_eq!(workers(&world), Some(4));
    let world = world.flag("workers", "5");
    let loaded = world.load().unwrap();
    assert_eq!(loaded.config.workers, Some(5));
    assert!(loaded.config.behind_tls);
    let source = |name| loaded.sources.get(name);
    assert_eq!(source("workers"), Some(&Source::Flag));
    assert_eq!(
        source("behind-tls"),
        Some(&Source::File(world.dir.path().join(CONFIG_FILE)))
    );
    assert_eq!(source("listen"), None);
}

#[test]
fn the_database_has_two_variables_and_an_empty_one_is_none() {
    let url = |world: &World| world.load().unwrap().config.database_url;
    let world = World::new().variable("DATABASE_URL", "");
    assert_eq!(url(&world), None);
    let world = world.variable("DATABASE_URL", "postgres://one");
    assert_eq!(url(&world), Some(Secret::new("postgres://one")));
    let world = world.variable("INSIGHTDESK_DATABASE_URL", "postgresql://two");
    assert_eq!(url(&world), Some(Secret::new("postgresql://two")));
}

#[test]
fn a_bad_value_is_refused_with_its_name_its_source_and_the_rule() {
    assert_eq!(
        World::new().variable("INSIGHTDESK_LISTEN", "8080").refusal(),
        "the setting listen from the environment variable INSIGHTDESK_LISTEN cannot be \"8080\": it must be an IP \
         address and a port, such as 0.0.0.0:8080 or [::]:8080"
    );
    let refusal = World::new().flag("auto-close-hours", "0").refusal();
    assert!(
        refusal.contains("auto-close-hours from the command line cannot be \"0\""),
        "{refusal}"
    );
    let world = World::new().file("trusted-proxies = [\"10.0.0.0/8\", \"proxy\"]");
    let refusal = world.refusal();
    assert!(refusal.contains("trusted-proxies from"), "{refusal}");
    assert!(refusal.contains(CONFIG_FILE), "{refusal}");
}

#[test]
fn each_setting_keeps_to_its_rule() {
    let cases: &[(&'static str, &[&str], &[&str])] = &[
        (
            "listen",
            &["0.0.0.0:0", "[::1]:8080"],
            &["", "localhost:8080", "1.2.3.4"],
        ),
        (
            "public-url",
            &["https://a.example", "http://[::1]:8080/"],
            &[
                "",
                "a.example",
                "https://",
                "https://a/desk",
                "ftp://a",
                "https://a b",
            ],
        ),
        ("profile", &["standard", "production"], &["", "prod"]),
        ("workers", &["1", "256"], &["0", "257", "-1", "x", "1.5"]),
        ("trusted-proxies", &["", "10.0.0.0/8, ::1"], &["10.0.0.0/33", "x"]),
        ("behind-tls", &["true", "false"], &["", "yes", "1"]),
        ("api-docs", &["true", "false"], &["", "off"]),
        ("public-knowledge-base", &["true", "false"], &["", "yes"]),
        ("knowledge-four-eyes", &["true", "false"], &["", "yes"]),
        (
            "knowledge-synonyms",
            &["", "pc, computer; log in, sign in"],
            &["pc", "pc, a b c d e"],
        ),
        (
            "requests-in-flight-max",
            &["1", "1000000"],
            &["0", "1000001", "-1"],
        ),
        (
            "cors-origins",
            &["", "https://app.example.com, http://localhost:5173"],
            &[
                "*",
                "null",
                "https://*.example.com",
                "https://app.example.com/",
                "app.example.com",
                "https://app.example.com, *",
            ],
        ),
        (
            "oidc-scopes",
            &["openid", "openid, email"],
            &["", "email", "openid,a b"],
        ),
        (
            "oidc-return-urls",
            &[
                "https://a.example/x",
                "http://localhost:3000/,https://a.example/?x=1",
            ],
            &[
                "",
                "/x",
                "//a.example",
                "http://a.example",
                "https://a.example/#x",
            ],
        ),
        ("database-url", &["postgres://h/d"], &["", "mysql://h/d", "h"]),
        (
            "secret-key",
            &["+/9hY2RlZmdoaWprbG1ub3BxcnN0dXZ3eHl6MDEyMzQ="],
            &["", "short", "not base64 at all, although it is long enough"],
        ),
        ("password-min-length", &["8", "128"], &["7", "129"]),
        ("rate-login", &["0", "1000000"], &["-1", "1000001"]),
        ("rate-login-account", &["0", "1000000"], &["-1", "1000001"]),
        ("totp-skew-steps", &["0", "1"], &["-1", "2", ""]),
        (
            "previous-secret-keys",
            &[
                "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=",
                "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=, MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY",
            ],
            &["short", ",", "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=,x"],
        ),
        (
            "log-level",
            &["info", "info,insightdesk_http=debug"],
            &["", "info,=,="],
        ),
        (
            "metrics-token",
            &["sixteen-letters-"],
            &["short", "with white space in it"],
        ),
    ];
    for (name, good, bad) in cases {
        for value in *good {
            let mut world = World::new().flag(name, value);
            if *value == "production" {
                world = world.variable("DATABASE_URL", "postgres://h/d");
            }
            let loaded = world.load();
            assert!(loaded.is_ok(), "{name} {value:?}: {loaded:?}");
        }
        for value in *bad {
            assert!(World::new().flag(name, value).load().is_err(), "{name} {value:?}");
        }
    }
}

#[test]
fn a_secret_is_neither_in_a_refusal_nor_in_what_is_shown() {
    let refusal = World::new()
        .variable("DATABASE_URL", "mysql://u:hunter2@h")
        .refusal();
    assert!(
        refusal.contains("DATABASE_URL") && !refusal.contains("hunter2"),
        "{refusal}"
    );
    let world = World::new()
        .variable("DATABASE_URL", "postgres://u:hunter2@h/d")
        .variable("INSIGHTDESK_METRICS_TOKEN", "hunter2hunter2hunter2");
    let loaded = world.load().unwrap();
    assert!(!effective(&loaded).contains("hunter2"));
    assert!(!format!("{loaded:?}").contains("hunter2"));
}

#[test]
fn an_unknown_key_is_refused_with_what_was_probably_meant() {
    let refusal = World::new().file("lisen = \"127.0.0.1:80\"").refusal();
    assert!(
        refusal.contains("\"lisen\", which is no setting (perhaps listen?)"),
        "{refusal}"
    );
    let refusal = World::new().file("[tickets]\nauto-close-hours = 1").refusal();
    assert!(refusal.contains("\"tickets\", which is no setting;"), "{refusal}");
}

#[test]
fn a_file_that_is_no_toml_is_refused_with_its_line() {
    let refusal = World::new().file("workers = 3\nlisten = \n").refusal();
    assert!(
        refusal.contains("insightdesk.toml, line 2, is not TOML"),
        "{refusal}"
    );
    assert!(!refusal.contains('\n'), "{refusal}");
}

#[test]
fn a_file_that_was_named_must_be_there() {
    let mut world = World::new();
    let missing = world.dir.path().join("missing.toml");
    world.given.config_file = Some(missing.clone());
    assert!(world.refusal().contains("missing.toml cannot be read"));
    world.given.config_file = None;
    let world = world.variable(CONFIG_VARIABLE, missing.to_str().unwrap());
    assert!(world.refusal().contains("missing.toml cannot be read"));
    fs::write(missing, "workers = 7").unwrap();
    assert_eq!(world.load().unwrap().config.workers, Some(7));
}

#[test]
fn settings_that_do_not_go_together_are_refused() {
    let refusal = World::new().flag("profile", "production").refusal();
    assert!(refusal.contains("needs the setting database-url"), "{refusal}");
    let issuer = || World::new().flag("oidc-issuer", "https://login.example.com/realms/a");
    let refusal = issuer().flag("oidc-client-id", "desk").refusal();
    assert!(refusal.contains("needs the setting public-url"), "{refusal}");
    let refusal = issuer().flag("public-url", "https://help.example.com").refusal();
    assert!(refusal.contains("needs the setting oidc-client-id"), "{refusal}");
    let refusal = World::new().flag("session-idle-days", "91").refusal();
    assert!(
        refusal.contains("session-idle-days must not be more than"),
        "{refusal}"
    );
}

#[test]
fn a_variable_that_is_nearly_ours_is_told_of() {
    let world = World::new()
        .variable("INSIGHTDESK_WORKER", "4")
        .variable("INSIGHTDESK_PG_BIN", "/opt/pg")
        .variable("INSIGHTDESK_LISTEN", "127.0.0.1:1")
        .variable("HOME", "/");
    assert_eq!(world.load().unwrap().unknown_variables, ["INSIGHTDESK_WORKER"]);
}

#[test]
fn what_is_shown_can_be_read_back_and_means_the_same() {
    let shown = effective(
        &World::new()
            .flag("trusted-proxies", "10.0.0.0/8,::1")
            .flag("cors-origins", "https://app.example.com,http://localhost:5173")
            .flag("api-docs", "false")
            .flag("public-url", "https://help.example.com/")
            .flag("log-level", "info,insightdesk_http=debug")
            .load()
            .unwrap(),
    );
    // The data folder is given again by a flag.
    let loaded = World::new().file(&shown).load();
    let loaded = loaded.unwrap_or_else(|error| panic!("{error}\n{shown}"));
    let values = |text: &str| -> Vec<String> {
        let lines = text
            .lines()
            .filter(|line| !line.starts_with('#') && !line.starts_with("data-dir"));
        lines.map(str::to_owned).collect()
    };
    assert_eq!(values(&effective(&loaded)), values(&shown));
}

#[test]
fn every_setting_is_documented_and_its_default_keeps_its_own_rule() {
    let mut names: Vec<&str> = SETTINGS.iter().map(|setting| setting.name).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), SETTINGS.len(), "two settings of one name");
    let table = markdown();
    for setting in SETTINGS {
        let name = setting.name;
        assert!(table.contains(&format!("`{name}`")), "{name}");
        assert!(
            setting.help.ends_with('.') && !setting.rule.ends_with('.'),
            "{name}"
        );
        match (setting.show)(&Config::default()) {
            Some(default) => {
                let mut config = Config::default();
                assert_eq!((setting.set)(&mut config, &default), Some(()), "{name}");
                assert_eq!((setting.show)(&config), Some(default), "{name}");
            }
            None => assert!(
                !setting.unset.is_empty(),
                "{name}: what holds while it is not set?"
            ),
        }
    }
}

#[test]
fn people_are_given_an_address_that_they_can_reach() {
    let url = |public: Option<&str>, address: &str| {
        let config = Config {
            public_url: public.map(str::to_owned),
            ..Config::default()
        };
        config.url_at(address.parse().unwrap())
    };
    assert_eq!(url(None, "127.0.0.1:80"), "http://127.0.0.1:80");
    assert_eq!(url(None, "0.0.0.0:81"), "http://localhost:81");
    assert_eq!(url(None, "[::]:82"), "http://localhost:82");
    assert_eq!(
        url(Some("https://desk.example"), "0.0.0.0:1"),
        "https://desk.example"
    );
}

#[test]
fn the_readme_has_the_table_of_all_settings() {
    let readme = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../README.md");
    let readme = fs::read_to_string(readme).unwrap();
    assert!(
        readme.contains(&markdown()),
        "the README's table is not what `insightdesk config --markdown` prints"
    );
}
