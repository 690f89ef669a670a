//! The documents name what there is.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// The least number of names that make a document of all promises.
const NAMES_MIN: usize = 150;

/// The names of all functions in the Rust sources below a folder.
fn functions(folder: &Path) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(&folder) else {
            continue;
        };
        for entry in entries {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(path).unwrap();
                let names = text.split("fn ").skip(1).filter_map(|rest| rest.split_once('('));
                found.extend(names.map(|(name, _)| name.to_owned()));
            }
        }
    }
    found
}

#[test]
fn every_test_that_the_security_checks_name_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let text = fs::read_to_string(root.join("docs/security-checks.md")).unwrap();
    let quoted = text.split('`').skip(1).step_by(2);
    let names: BTreeSet<_> = quoted.filter(|quoted| quoted.contains("::")).collect();
    assert!(names.len() >= NAMES_MIN, "only {} names", names.len());
    let mut known = BTreeMap::new();
    let mut is_there = |name: &str| {
        let (home, rest) = name.split_once("::").unwrap();
        let folder = match home {
            "it" => "tests".to_owned(),
            "xtask" => "xtask".to_owned(),
            of_crate => format!("crates/{of_crate}"),
        };
        let there = known
            .entry(folder)
            .or_insert_with_key(|folder| functions(&root.join(folder)));
        there.contains(rest.rsplit("::").next().unwrap_or_default())
    };
    let missing: Vec<_> = names.into_iter().filter(|name| !is_there(name)).collect();
    assert!(missing.is_empty(), "no such tests: {missing:#?}");
}
