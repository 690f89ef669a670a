//! `cargo xtask sbom`: what the program is made of, as a bill of materials in CycloneDX 1.5.
//!
//! It lists every crate that is compiled into `insightdesk` on this platform, with version, licence, package
//! URL and checksum, and what depends on what. What only helps to build or to test is left out. The same
//! sources give the same file: it names no time and no machine.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use serde::Deserialize;
use serde_json::{Value, json};

use crate::{Outcome, cargo, floors};

/// The package whose program it is.
const PROGRAM: &str = "insightdesk";

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Where the file goes.
    #[arg(default_value = "target/insightdesk.cdx.json")]
    path: PathBuf,
}

#[derive(Debug, Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    resolve: Resolve,
}

#[derive(Debug, Deserialize)]
struct Package {
    id: String,
    name: String,
    version: String,
    license: Option<String>,
    description: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Resolve {
    nodes: Vec<Node>,
}

#[derive(Debug, Deserialize)]
struct Node {
    id: String,
    deps: Vec<Dependency>,
}

#[derive(Debug, Deserialize)]
struct Dependency {
    pkg: String,
    dep_kinds: Vec<DependencyKind>,
}

#[derive(Debug, Deserialize)]
struct DependencyKind {
    /// None for an ordinary one, else `dev` or `build`.
    kind: Option<String>,
}

impl Package {
    /// Its package URL. A plus sign stands for a blank in one.
    fn purl(&self) -> String {
        format!("pkg:cargo/{}@{}", self.name, self.version.replace('+', "%2B"))
    }
}

/// What is compiled into the program, as `name vVersion`. Cargo's metadata is no help there: it has the
/// features that tests turn on, too.
struct Compiled(HashSet<String>);

impl Compiled {
    fn has(&self, package: &Package) -> bool {
        self.0.contains(&format!("{} v{}", package.name, package.version))
    }
}

pub(crate) fn run(args: Args) -> Outcome<ExitCode> {
    let document = made()?;
    let path = args.path;
    let text = serde_json::to_string_pretty(&document).map_err(|error| error.to_string())?;
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)
            .map_err(|error| format!("{} cannot be made: {error}", folder.display()))?;
    }
    std::fs::write(&path, text + "\n")
        .map_err(|error| format!("{} cannot be written: {error}", path.display()))?;
    let count = document["components"].as_array().map_or(0, Vec::len);
    println!("sbom: {count} components in {}", path.display());
    Ok(ExitCode::SUCCESS)
}

/// The bill of materials of the workspace as it is.
fn made() -> Outcome<Value> {
    let platform = platform()?;
    document(&metadata(&platform)?, &compiled(&platform)?, &floors::lock()?)
}

/// What cargo resolves for a platform, by the lock file as it is.
fn metadata(platform: &str) -> Outcome<Metadata> {
    let mut command = cargo();
    command.args([
        "metadata",
        "--format-version",
        "1",
        "--locked",
        "--filter-platform",
        platform,
    ]);
    command.current_dir(env!("CARGO_MANIFEST_DIR"));
    serde_json::from_slice(&output(command)?)
        .map_err(|error| format!("cargo metadata is not understood: {error}"))
}

/// What cargo compiles into the program for a platform.
fn compiled(platform: &str) -> Outcome<Compiled> {
    let mut command = cargo();
    command.args(["tree", "--locked", "--package", PROGRAM, "--target", platform]);
    command.args([
        "--edges",
        "normal,no-proc-macro",
        "--prefix",
        "none",
        "--format",
        "{p}",
    ]);
    command.current_dir(env!("CARGO_MANIFEST_DIR"));
    let text = String::from_utf8_lossy(&output(command)?).into_owned();
    let package = |line: &str| {
        let mut words = line.split(' ');
        Some(format!("{} {}", words.next()?, words.next()?))
    };
    Ok(Compiled(text.lines().filter_map(package).collect()))
}

/// The platform that this compiler builds for: `x86_64-unknown-linux-gnu`.
fn platform() -> Outcome<String> {
    let mut command = Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
    command.arg("-vV");
    let said = String::from_utf8_lossy(&output(command)?).into_owned();
    let host = said.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned)
        .ok_or_else(|| format!("rustc does not say what it builds for: {said}"))
}

fn output(mut command: Command) -> Outcome<Vec<u8>> {
    let output = command
        .output()
        .map_err(|error| format!("{command:?} does not run: {error}"))?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(format!("{command:?} failed: {}", said.trim()))
}

/// The bill of materials.
fn document(metadata: &Metadata, compiled: &Compiled, lock: &floors::Lock) -> Outcome<Value> {
    let packages: BTreeMap<&str, &Package> = metadata
        .packages
        .iter()
        .map(|package| (package.id.as_str(), package))
        .collect();
    let nodes: BTreeMap<&str, &Node> = metadata
        .resolve
        .nodes
        .iter()
        .map(|node| (node.id.as_str(), node))
        .collect();
    let root = metadata.packages.iter().find(|package| package.name == PROGRAM);
    let root = root.ok_or_else(|| format!("the workspace has no package {PROGRAM}"))?;

    // What an id needs in the program.
    let needs = |id: &str| -> Vec<&Package> {
        let deps = nodes.get(id).into_iter().flat_map(|node| &node.deps);
        let ordinary = deps.filter(|dep| dep.dep_kinds.iter().any(|kind| kind.kind.is_none()));
        ordinary
            .filter_map(|dep| packages.get(dep.pkg.as_str()).copied())
            .filter(|package| compiled.has(package))
            .collect()
    };
    let mut found = BTreeSet::from([root.id.as_str()]);
    let mut left = vec![root];
    while let Some(package) = left.pop() {
        left.extend(
            needs(&package.id)
                .into_iter()
                .filter(|package| found.insert(&package.id)),
        );
    }
    let mut parts: Vec<&Package> = found.iter().filter_map(|id| packages.get(id).copied()).collect();
    parts.sort_by_key(|package| package.purl());

    let components = parts.iter().filter(|package| package.id != root.id);
    let components: Outcome<Vec<Value>> = components
        .map(|package| component(package, "library", lock))
        .collect();
    let dependencies: Vec<Value> = parts
        .iter()
        .map(|package| {
            let on: BTreeSet<String> = needs(&package.id).into_iter().map(Package::purl).collect();
            json!({ "ref": package.purl(), "dependsOn": on })
        })
        .collect();
    Ok(json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": { "component": component(root, "application", lock)? },
        "components": components?,
        "dependencies": dependencies,
    }))
}

fn component(package: &Package, kind: &str, lock: &floors::Lock) -> Outcome<Value> {
    let Package { name, version, .. } = package;
    let license = package.license.as_ref();
    let license = license.ok_or_else(|| format!("{name} {version} names no licence"))?;
    let purl = package.purl();
    let mut component = json!({
        "type": kind,
        "bom-ref": purl,
        "name": name,
        "version": version,
        "purl": purl,
        // An older way to write the choice.
        "licenses": [{ "expression": license.replace('/', " OR ") }],
    });
    if let Some(description) = &package.description {
        component["description"] = description.trim().into();
    }
    let locked = lock
        .package
        .iter()
        .find(|locked| locked.name == *name && locked.version.to_string() == *version);
    if let Some(checksum) = locked.and_then(|locked| locked.checksum.as_ref()) {
        component["hashes"] = json!([{ "alg": "SHA-256", "content": checksum }]);
    }
    Ok(component)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bill_names_all_that_the_program_is_made_of_and_nothing_else() {
        let document = made().unwrap();
        assert_eq!(
            (&document["bomFormat"], &document["specVersion"]),
            (&json!("CycloneDX"), &json!("1.5"))
        );
        let program = &document["metadata"]["component"];
        assert_eq!(
            program["purl"],
            format!("pkg:cargo/insightdesk@{}", env!("CARGO_PKG_VERSION"))
        );
        let components = document["components"].as_array().unwrap();
        let mut refs = BTreeSet::new();
        for component in components.iter().chain([program]) {
            for member in ["type", "bom-ref", "name", "version", "purl"] {
                assert!(
                    component[member].as_str().is_some_and(|text| !text.is_empty()),
                    "{component}"
                );
            }
            let license = component["licenses"][0]["expression"].as_str().unwrap();
            assert!(!license.is_empty() && !license.contains('/'), "{component}");
            let name = component["name"].as_str().unwrap();
            let ours = name.starts_with("insightdesk");
            assert_eq!(component["hashes"].is_array(), !ours, "{component}");
            assert!(
                refs.insert(component["bom-ref"].as_str().unwrap()),
                "{name} twice"
            );
        }
        let names: BTreeSet<_> = components
            .iter()
            .filter_map(|component| component["name"].as_str())
            .collect();
        for in_it in [
            "actix-web",
            "tokio-postgres",
            "diesel",
            "rustls",
            "insightdesk-ticketing",
            "ammonia",
        ] {
            assert!(names.contains(in_it), "{in_it}");
        }
        for not_in_it in [
            "proptest",
            "mockall",
            "mailin",
            "serde_derive",
            "cc",
            "xtask",
            "insightdesk-tests",
        ] {
            assert!(!names.contains(not_in_it), "{not_in_it}");
        }
        for dependency in document["dependencies"].as_array().unwrap() {
            assert!(refs.contains(dependency["ref"].as_str().unwrap()), "{dependency}");
            for on in dependency["dependsOn"].as_array().unwrap() {
                assert!(refs.contains(on.as_str().unwrap()), "{dependency}");
            }
        }
        assert_eq!(document["dependencies"].as_array().unwrap().len(), refs.len());
    }

    #[test]
    fn the_file_is_written_where_it_is_asked_for() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/bill.json");
        run(Args { path: path.clone() }).unwrap();
        let text = std::fs::read_to_string(path).unwrap();
        let document: Value = serde_json::from_str(&text).unwrap();
        assert!(document["components"].as_array().unwrap().len() > 100);
    }
}
