//! Which versions of other people's crates may come in: `floors.toml` compared with `Cargo.lock`. It needs no
//! network, so it holds on every machine and in every build; `cargo xtask arch` runs it, and it is also a
//! test.

use semver::Version;
use serde::Deserialize;

use crate::{Outcome, read};

/// What may not come in.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Floors {
    floor: Vec<Floor>,
    banned: Vec<Banned>,
}

/// No version of the crate below `lowest`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Floor {
    name: String,
    lowest: Version,
    reason: String,
}

/// No version of the crate at all.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Banned {
    name: String,
    reason: String,
}

/// What is locked.
#[derive(Debug, Deserialize)]
pub(crate) struct Lock {
    pub(crate) package: Vec<Locked>,
}

/// One version of a crate.
#[derive(Debug, Deserialize)]
pub(crate) struct Locked {
    pub(crate) name: String,
    pub(crate) version: Version,
    /// SHA-256 of what the registry gave, in hexadecimal; none for crates of this workspace.
    pub(crate) checksum: Option<String>,
}

/// What the workspace's `Cargo.lock` says.
pub(crate) fn lock() -> Outcome<Lock> {
    toml::from_str(&read("Cargo.lock")?).map_err(|error| format!("Cargo.lock is not understood: {error}"))
}

/// One sentence for each crate that should not be there as it is.
pub(crate) fn breaches() -> Outcome<Vec<String>> {
    let floors = toml::from_str(&read("floors.toml")?)
        .map_err(|error| format!("floors.toml is not understood: {error}"))?;
    Ok(compare(&floors, &lock()?))
}

fn compare(floors: &Floors, lock: &Lock) -> Vec<String> {
    let locked = |name: &str| {
        let name = name.to_owned();
        lock.package.iter().filter(move |package| package.name == name)
    };
    let too_low = floors.floor.iter().flat_map(|floor| {
        let Floor { name, lowest, reason } = floor;
        let low = locked(name).filter(|package| package.version < *lowest);
        low.map(move |package| {
            let version = &package.version;
            format!("{name} {version} is in Cargo.lock, but it must be {lowest} or newer: {reason}")
        })
    });
    let banned = floors.banned.iter().flat_map(|banned| {
        let Banned { name, reason } = banned;
        locked(name).map(move |package| {
            format!(
                "{name} {} is in Cargo.lock, but it must not come in: {reason}",
                package.version
            )
        })
    });
    too_low.chain(banned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_crate_is_below_its_floor_and_none_is_banned() {
        let breaches = breaches().unwrap();
        assert!(breaches.is_empty(), "{}", breaches.join("\n"));
    }

    #[test]
    fn the_floors_hold_for_crates_that_are_really_used() {
        let floors: Floors = toml::from_str(&read("floors.toml").unwrap()).unwrap();
        let lock = lock().unwrap();
        let used = |floor: &&Floor| lock.package.iter().any(|package| package.name == floor.name);
        assert!(floors.floor.iter().filter(used).count() >= 6);
        // The other tool that reads such a list agrees.
        let deny = read("deny.toml").unwrap();
        for banned in &floors.banned {
            assert!(
                deny.contains(&format!("name = \"{}\"", banned.name)),
                "{}",
                banned.name
            );
        }
    }

    #[test]
    fn a_breach_is_told_with_its_reason() {
        let floors: Floors = toml::from_str(
            "[[floor]]\nname = \"a\"\nlowest = \"1.10.0\"\nreason = \"b\"\n\
             [[banned]]\nname = \"c\"\nreason = \"d\"",
        )
        .unwrap();
        let told = |packages: &str| {
            let lock: Lock = toml::from_str(&format!("package = [{packages}]")).unwrap();
            compare(&floors, &lock).join("\n")
        };
        let package = |name: &str, version: &str| format!("{{ name = \"{name}\", version = \"{version}\" }}");
        assert_eq!(told(&package("a", "1.10.0")), "");
        assert_eq!(told(&package("aa", "0.1.0")), "");
        // Numbers and not texts are compared, and what leads to a version is below it.
        for low in ["1.9.0", "0.99.0", "1.10.0-rc.1"] {
            let expected = format!("a {low} is in Cargo.lock, but it must be 1.10.0 or newer: b");
            // A good one beside it does not help.
            assert_eq!(
                told(&format!("{}, {}", package("a", "2.0.0"), package("a", low))),
                expected
            );
        }
        assert_eq!(
            told(&package("c", "9.0.0")),
            "c 9.0.0 is in Cargo.lock, but it must not come in: d"
        );
    }
}
