//! `cargo xtask arch`: which crate may depend on what, and what [floors](crate::floors) hold. It is also a
//! test.
//!
//! The workspace is hexagonal: pure domain crates in the middle that know nothing of databases or HTTP, adapters
//! around them that do not know each other, and the server that wires them. [`TABLE`] says so as an allow-list, one
//! row for each crate, and [`RESERVED`] says which outside packages belong to one crate alone. A crate or a dependency
//! that the table does not have fails with a sentence that says which rule; whoever adds one adds it here too, which is
//! the moment to ask whether the arrow is right.
//!
//! What is checked are the manifests (`cargo metadata`), with optional dependencies and all targets. Dependencies of tests
//! (`[dev-dependencies]`) have lists of their own.

use std::process::ExitCode;

use serde::Deserialize;

use crate::{Outcome, cargo, floors};

/// What a domain crate is made of, besides the crates of ours in its row.
const DOMAIN: &[&str] = &[
    "async-trait",
    "chrono",
    "chrono-tz",
    "regex-lite",
    "serde",
    "serde_json",
    "thiserror",
    "uuid",
];

/// Identity brings addresses into one form.
const IDENTITY: &[&str] = &[
    "async-trait",
    "chrono",
    "idna",
    "serde",
    "serde_json",
    "thiserror",
    "unicode-normalization",
    "uuid",
];

/// The knowledge base makes slugs of titles, tells texts apart and forgives misspelt words.
const KNOWLEDGE: &[&str] = &[
    "async-trait",
    "chrono",
    "serde",
    "similar",
    "strsim",
    "thiserror",
    "unicode-normalization",
    "uuid",
];

/// Automation reads cron lines, fills templates, and signs and checks what webhooks are sent to: all of it computation.
const AUTOMATION: &[&str] = &[
    "async-trait",
    "base64",
    "chrono",
    "chrono-tz",
    "croner",
    "hmac",
    "minijinja",
    "regex-lite",
    "serde",
    "serde_json",
    "sha2",
    "thiserror",
    "url",
    "uuid",
];

/// The kernel admits even less: a domain that needs time zones brings them itself.
const KERNEL: &[&str] = &[
    "async-trait",
    "chrono",
    "serde",
    "serde_json",
    "thiserror",
    "unicode-normalization",
    "uuid",
];

/// What the tests of a domain crate may use besides. Nothing that does I/O.
const DOMAIN_TESTS: &[&str] = &["mockall", "proptest", "tokio"];

/// Allowed in a domain crate when it is optional, that is, behind the feature `testing`.
const DOMAIN_OPTIONAL: &[&str] = &["mockall"];

/// Outside packages, by the beginning of their name, that only one crate may name, be it in its tests or not.
const RESERVED: &[(&str, &str)] = &[
    ("diesel", "insightdesk-postgres"),
    ("deadpool", "insightdesk-postgres"),
    ("ipnetwork", "insightdesk-postgres"),
    ("actix", "insightdesk-http"),
    ("utoipa", "insightdesk-http"),
    ("lettre", "insightdesk-delivery"),
    ("object_store", "insightdesk-delivery"),
];

/// Outside packages that a crate may name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outside {
    /// These only.
    Only(&'static [&'static str]),
    /// All that are not reserved for another crate.
    Unreserved,
}

#[derive(Debug)]
struct Row {
    package: &'static str,
    /// Packages of this workspace that it may name.
    ours: &'static [&'static str],
    /// Packages of this workspace that its tests may name besides. Itself, for its feature `testing`, is always allowed.
    tests_ours: &'static [&'static str],
    outside: Outside,
}

const KERNEL_AND_EVENTS: &[&str] = &["insightdesk-kernel", "insightdesk-events"];

const DOMAINS: &[&str] = &[
    "insightdesk-kernel",
    "insightdesk-events",
    "insightdesk-identity",
    "insightdesk-ticketing",
    "insightdesk-notifications",
    "insightdesk-sla",
    "insightdesk-automation",
    "insightdesk-knowledge",
];

const ALL: &[&str] = &[
    "insightdesk-kernel",
    "insightdesk-events",
    "insightdesk-identity",
    "insightdesk-ticketing",
    "insightdesk-notifications",
    "insightdesk-sla",
    "insightdesk-automation",
    "insightdesk-knowledge",
    "insightdesk-postgres",
    "insightdesk-credentials",
    "insightdesk-openid",
    "insightdesk-markdown",
    "insightdesk-delivery",
    "insightdesk-http",
    "insightdesk-worker",
    "insightdesk-local-postgres",
];

const TABLE: &[Row] = &[
    // The middle: pure.
    Row {
        package: "insightdesk-kernel",
        ours: &[],
        tests_ours: &[],
        outside: Outside::Only(KERNEL),
    },
    Row {
        package: "insightdesk-events",
        ours: &["insightdesk-kernel"],
        tests_ours: &[],
        outside: Outside::Only(DOMAIN),
    },
    // The domains: never one another.
    Row {
        outside: Outside::Only(IDENTITY),
        ..domain("insightdesk-identity")
    },
    domain("insightdesk-ticketing"),
    domain("insightdesk-notifications"),
    domain("insightdesk-sla"),
    Row {
        outside: Outside::Only(KNOWLEDGE),
        ..domain("insightdesk-knowledge")
    },
    Row {
        outside: Outside::Only(AUTOMATION),
        ..domain("insightdesk-automation")
    },
    // The adapters: never one another.
    Row {
        package: "insightdesk-postgres",
        ours: DOMAINS,
        tests_ours: &["insightdesk-local-postgres"],
        outside: Outside::Unreserved,
    },
    Row {
        package: "insightdesk-credentials",
        ours: &["insightdesk-kernel", "insightdesk-identity"],
        tests_ours: &[],
        outside: Outside::Unreserved,
    },
    Row {
        package: "insightdesk-openid",
        ours: &["insightdesk-kernel", "insightdesk-identity"],
        tests_ours: &[],
        outside: Outside::Unreserved,
    },
    Row {
        package: "insightdesk-markdown",
        ours: &[],
        tests_ours: &[],
        outside: Outside::Unreserved,
    },
    Row {
        package: "insightdesk-delivery",
        ours: &[
            "insightdesk-kernel",
            "insightdesk-automation",
            "insightdesk-identity",
            "insightdesk-ticketing",
        ],
        tests_ours: &[],
        outside: Outside::Unreserved,
    },
    Row {
        package: "insightdesk-local-postgres",
        ours: &[],
        tests_ours: &[],
        outside: Outside::Unreserved,
    },
    Row {
        package: "insightdesk-http",
        ours: DOMAINS,
        tests_ours: &[],
        outside: Outside::Unreserved,
    },
    Row {
        package: "insightdesk-worker",
        ours: DOMAINS,
        tests_ours: &[],
        outside: Outside::Unreserved,
    },
    // The outermost: wiring, and what looks at the whole.
    Row {
        package: "insightdesk",
        ours: ALL,
        tests_ours: &[],
        outside: Outside::Unreserved,
    },
    Row {
        package: "insightdesk-tests",
        ours: ALL,
        tests_ours: &[],
        outside: Outside::Unreserved,
    },
    Row {
        package: "xtask",
        ours: &["insightdesk-local-postgres"],
        tests_ours: &[],
        outside: Outside::Unreserved,
    },
];

/// Named by `insightdesk-tests` alone, beside [`ALL`].
const SERVER: &str = "insightdesk";

const fn domain(package: &'static str) -> Row {
    Row {
        package,
        ours: KERNEL_AND_EVENTS,
        tests_ours: &[],
        outside: Outside::Only(DOMAIN),
    }
}

#[derive(Debug, Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Debug, Deserialize)]
struct Package {
    name: String,
    dependencies: Vec<Dependency>,
}

#[derive(Debug, Deserialize)]
struct Dependency {
    name: String,
    /// None for an ordinary one, else `dev` or `build`.
    kind: Option<String>,
    optional: bool,
    /// Set for packages of this workspace.
    path: Option<String>,
}

pub(crate) fn run() -> Outcome<ExitCode> {
    let metadata = metadata()?;
    let mut breaches = breaches(&metadata);
    breaches.extend(floors::breaches()?);
    for breach in &breaches {
        eprintln!("arch: {breach}");
    }
    if breaches.is_empty() {
        println!(
            "arch: the dependencies of {} crates are as they should be",
            metadata.packages.len()
        );
        return Ok(ExitCode::SUCCESS);
    }
    Ok(ExitCode::FAILURE)
}

fn metadata() -> Outcome<Metadata> {
    let mut command = cargo();
    command.args(["metadata", "--no-deps", "--format-version", "1", "--offline"]);
    // Given by cargo when it runs this; else the current folder decides.
    if let Some(dir) = std::env::var_os("CARGO_MANIFEST_DIR") {
        command.current_dir(dir);
    }
    let output = command
        .output()
        .map_err(|error| format!("cargo metadata does not run: {error}"))?;
    if !output.status.success() {
        return Err(format!(
            "cargo metadata failed: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        ));
    }
    serde_json::from_slice(&output.stdout)
        .map_err(|error| format!("cargo metadata is not understood: {error}"))
}

/// One sentence for each dependency that should not be.
fn breaches(metadata: &Metadata) -> Vec<String> {
    metadata.packages.iter().flat_map(breaches_of).collect()
}

fn breaches_of(package: &Package) -> Vec<String> {
    let name = &*package.name;
    let Some(row) = TABLE.iter().find(|row| row.package == name) else {
        return vec![format!(
            "the crate {name} is not in the table of xtask/src/arch.rs; say there what it may depend on"
        )];
    };
    package
        .dependencies
        .iter()
        .filter_map(|dependency| breach(row, dependency))
        .collect()
}

fn breach(row: &Row, dependency: &Dependency) -> Option<String> {
    let (package, name) = (row.package, &*dependency.name);
    let in_tests = dependency.kind.as_deref() == Some("dev");
    if dependency.path.is_some() {
        let allowed = row.ours.contains(&name)
            || (in_tests && (name == package || row.tests_ours.contains(&name)))
            || (package == "insightdesk-tests" && name == SERVER);
        return (!allowed).then(|| match row.ours {
            [] => format!(
                "{package} depends on {name}, but it stands alone: it may name no crate of this workspace"
            ),
            ours => format!(
                "{package} depends on {name}, but of this workspace it may name only {}",
                ours.join(", ")
            ),
        });
    }
    let reserved = RESERVED.iter().find(|(prefix, owner)| {
        // `diesel` stands for `diesel`, `diesel-async` and `diesel_migrations`.
        *owner != package
            && name
                .strip_prefix(prefix)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with(['-', '_']))
    });
    if let Some((prefix, owner)) = reserved {
        return Some(format!(
            "{package} depends on {name}, but only {owner} may name {prefix} and what belongs to it"
        ));
    }
    match row.outside {
        Outside::Unreserved => None,
        Outside::Only(few) => {
            let allowed = few.contains(&name)
                || (in_tests && DOMAIN_TESTS.contains(&name))
                || (dependency.optional && DOMAIN_OPTIONAL.contains(&name));
            (!allowed).then(|| {
                format!(
                    "{package} depends on {name}, but a domain crate is pure: it may name only {} (and, behind the \
                     feature `testing`, {}; in tests {})",
                    few.join(", "),
                    DOMAIN_OPTIONAL.join(", "),
                    DOMAIN_TESTS.join(", ")
                )
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_crates_depend_on_what_they_may() {
        let metadata = metadata().unwrap();
        assert!(!metadata.packages.is_empty());
        let breaches = breaches(&metadata);
        assert!(breaches.is_empty(), "{}", breaches.join("\n"));
    }

    #[test]
    fn the_table_has_each_crate_once_and_names_no_unknown_one() {
        for row in TABLE {
            assert_eq!(
                TABLE.iter().filter(|other| other.package == row.package).count(),
                1,
                "{}",
                row.package
            );
            for name in row.ours.iter().chain(row.tests_ours) {
                assert!(
                    TABLE.iter().any(|other| other.package == *name),
                    "{} names {name}",
                    row.package
                );
            }
        }
    }

    fn ours(name: &str) -> Dependency {
        Dependency {
            path: Some(format!("crates/{name}")),
            ..outside(name)
        }
    }

    fn outside(name: &str) -> Dependency {
        Dependency {
            name: name.to_owned(),
            kind: None,
            optional: false,
            path: None,
        }
    }

    fn said(package: &str, dependency: Dependency) -> String {
        breaches_of(&Package {
            name: package.to_owned(),
            dependencies: vec![dependency],
        })
        .join("\n")
    }

    #[test]
    fn a_breach_is_told_with_its_rule() {
        let told = said("insightdesk-ticketing", ours("insightdesk-identity"));
        assert!(
            told.contains("may name only insightdesk-kernel, insightdesk-events"),
            "{told}"
        );
        let told = said("insightdesk-kernel", ours("insightdesk-events"));
        assert!(told.contains("it stands alone"), "{told}");
        let told = said("insightdesk-kernel", outside("chrono-tz"));
        assert!(told.contains("a domain crate is pure"), "{told}");
        let told = said("insightdesk", outside("diesel_migrations"));
        assert!(
            told.contains("only insightdesk-postgres may name diesel"),
            "{told}"
        );
        let told = said("insightdesk-worker", ours("insightdesk-postgres"));
        assert!(
            told.contains("insightdesk-worker depends on insightdesk-postgres"),
            "{told}"
        );
        let told = said("insightdesk-chat", outside("chrono"));
        assert!(told.contains("insightdesk-chat is not in the table"), "{told}");
    }

    #[test]
    fn what_is_only_for_tests_is_treated_so() {
        let dev = |dependency| Dependency {
            kind: Some("dev".to_owned()),
            ..dependency
        };
        let optional = Dependency {
            optional: true,
            ..outside("mockall")
        };
        assert_eq!(said("insightdesk-identity", optional), "");
        assert_ne!(said("insightdesk-identity", outside("mockall")), "");
        assert_eq!(said("insightdesk-identity", dev(outside("tokio"))), "");
        assert_eq!(
            said("insightdesk-identity", dev(ours("insightdesk-identity"))),
            ""
        );
        assert_eq!(
            said("insightdesk-postgres", dev(ours("insightdesk-local-postgres"))),
            ""
        );
        assert_ne!(
            said("insightdesk-postgres", ours("insightdesk-local-postgres")),
            ""
        );
        assert_ne!(said("insightdesk-http", dev(ours("insightdesk-postgres"))), "");
        assert_ne!(said("insightdesk-worker", dev(outside("diesel"))), "");
    }
}
