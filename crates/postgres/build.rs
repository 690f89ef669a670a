//! Builds the crate anew when a migration changes, and tells the tests which migrations these are.

use std::path::PathBuf;

fn main() -> std::io::Result<()> {
    const FOLDER: &str = "../../migrations";
    println!("cargo::rerun-if-changed={FOLDER}");
    let mut files: Vec<PathBuf> = Vec::new();
    for folder in std::fs::read_dir(FOLDER)? {
        for file in std::fs::read_dir(folder?.path())? {
            files.push(file?.path());
        }
    }
    files.sort();
    // FNV-1a, which is the same in every build.
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    for file in files {
        println!("cargo::rerun-if-changed={}", file.display());
        let name = file.display().to_string().into_bytes();
        for byte in name.into_iter().chain(std::fs::read(&file)?) {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }
    println!("cargo::rustc-env=INSIGHTDESK_MIGRATIONS_HASH={hash:016x}");
    Ok(())
}
