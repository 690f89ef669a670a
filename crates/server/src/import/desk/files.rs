//! The files of an export, and which types of records are in each.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Map, Value};

use super::super::rows::{Content, Format, Input, ReadError, RowReader, Unreadable, plain};
use super::json::{ENVELOPE, JsonRecord, JsonRecords};
use super::report::Origin;

/// How deep folders are looked into.
const FOLDERS_DEEP_MAX: usize = 3;
/// The most files of an export.
const FILES_MAX: usize = 100_000;

/// Which name a help desk's types of records go by, among those that it has here: `user` and `users` are one.
pub(super) type Canonical = fn(&str) -> Option<&'static str>;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Written {
    Csv,
    Json,
}

#[derive(Debug, Clone)]
struct ExportFile {
    path: PathBuf,
    name: Arc<str>,
    /// The type that the file's own name says.
    stem: Arc<str>,
    written: Written,
    /// How many records of each type there are.
    kinds: BTreeMap<Arc<str>, u64>,
}

/// An export whose files have all been looked through once.
#[derive(Debug)]
pub(super) struct Export {
    files: Vec<ExportFile>,
    canonical: Canonical,
    /// Files that are neither JSON nor CSV.
    pub(super) unread: Vec<String>,
    /// What it holds, in bytes.
    pub(super) bytes: u64,
}

/// A file that cannot be read.
#[derive(Debug)]
pub(super) struct Unread {
    pub(super) file: String,
    pub(super) source: ReadError,
}

/// A record where it was found.
pub(super) struct Found {
    pub(super) origin: Origin,
    pub(super) content: Result<Map<String, Value>, Unreadable>,
}

impl Export {
    /// Looks through a folder, or a single file.
    pub(super) fn open(path: &Path, canonical: Canonical) -> Result<Self, Unread> {
        let unread = |path: &Path, error: io::Error| Unread {
            file: path.display().to_string(),
            source: error.into(),
        };
        let mut paths = Vec::new();
        if path.is_dir() {
            gather(path, 0, &mut paths).map_err(|error| unread(path, error))?;
        } else {
            paths.push(path.to_owned());
        }
        paths.sort();
        let mut export = Self {
            files: Vec::new(),
            canonical,
            unread: Vec::new(),
            bytes: 0,
        };
        for found in paths {
            let name = found
                .strip_prefix(path)
                .ok()
                .filter(|rest| !rest.as_os_str().is_empty())
                .unwrap_or_else(|| found.file_name().map_or(found.as_path(), Path::new))
                .display()
                .to_string();
            let Some(written) = written(&name) else {
                export.unread.push(name);
                continue;
            };
            export.bytes += std::fs::metadata(&found)
                .map_err(|error| unread(&found, error))?
                .len();
            let mut file = ExportFile {
                stem: stem(&found, canonical),
                path: found,
                name: name.into(),
                written,
                kinds: BTreeMap::new(),
            };
            let mut kinds = BTreeMap::new();
            let looked = each(&file, canonical, false, &mut |found| {
                *kinds.entry(found.origin.kind).or_default() += 1;
                Ok(())
            });
            match looked {
                // A table without a row, or a file without a byte, holds nothing.
                Ok(()) | Err(Ended::Read(ReadError::Empty)) => {}
                Err(Ended::Read(source)) => {
                    let file = file.path.display().to_string();
                    return Err(Unread { file, source });
                }
                Err(Ended::Stop(())) => {}
            }
            file.kinds = kinds;
            export.files.push(file);
        }
        if export.files.is_empty() {
            return Err(unread(
                path,
                io::Error::new(io::ErrorKind::NotFound, "there is no JSON or CSV file"),
            ));
        }
        Ok(export)
    }

    /// The types of records that there are, but for those of pages themselves.
    pub(super) fn kinds(&self) -> BTreeMap<Arc<str>, u64> {
        let mut kinds = BTreeMap::new();
        for (kind, count) in self.files.iter().flat_map(|file| &file.kinds) {
            if &**kind != ENVELOPE {
                *kinds.entry(Arc::clone(kind)).or_default() += count;
            }
        }
        kinds
    }

    /// Hands on every record of a type, file by file.
    pub(super) fn records<E: From<Unread>>(
        &self,
        kind: &str,
        mut hand: impl FnMut(Found) -> Result<(), E>,
    ) -> Result<(), E> {
        for file in self.files.iter().filter(|file| file.kinds.contains_key(kind)) {
            let outcome = each(file, self.canonical, true, &mut |found| {
                if &*found.origin.kind == kind {
                    hand(found)
                } else {
                    Ok(())
                }
            });
            match outcome {
                Ok(()) => {}
                Err(Ended::Stop(stop)) => return Err(stop),
                Err(Ended::Read(source)) => {
                    let file = file.path.display().to_string();
                    return Err(Unread { file, source }.into());
                }
            }
        }
        Ok(())
    }
}

enum Ended<E> {
    Stop(E),
    Read(ReadError),
}

fn each<E>(
    file: &ExportFile,
    canonical: Canonical,
    parses: bool,
    hand: &mut impl FnMut(Found) -> Result<(), E>,
) -> Result<(), Ended<E>> {
    let read = |error: io::Error| Ended::Read(error.into());
    let input = Input::file(&file.path).map_err(read)?;
    let mut record = 0;
    let mut found = |kind: &Arc<str>, content| {
        // A page's own facts are no record of it.
        record += u64::from(&**kind != ENVELOPE);
        let (kind, file) = (Arc::clone(kind), Arc::clone(&file.name));
        let origin = Origin { kind, file, record };
        hand(Found { origin, content }).map_err(Ended::Stop)
    };
    match file.written {
        Written::Csv => {
            let mut rows = RowReader::open(input, Format::Csv, b',').map_err(Ended::Read)?;
            let columns = rows.columns().to_vec();
            while let Some(row) = rows.next().map_err(Ended::Read)? {
                let content = row.content.map(|content| fields(&columns, content));
                found(&file.stem, content)?;
            }
        }
        Written::Json => {
            let own = Arc::clone(&file.stem);
            let is_list = move |name: &str| *name == *own || canonical(name).is_some();
            let mut records = JsonRecords::new(plain(input).map_err(read)?, is_list);
            if !parses {
                records = records.unparsed();
            }
            let mut kinds: BTreeMap<String, Arc<str>> = BTreeMap::new();
            while let Some(JsonRecord { list, content }) = records.next().map_err(read)? {
                let kind = match list {
                    None => &file.stem,
                    Some(list) => kinds
                        .entry(list)
                        .or_insert_with_key(|list| Arc::from(canonical(list).unwrap_or(list))),
                };
                found(kind, content)?;
            }
        }
    }
    Ok(())
}

fn fields(columns: &[String], content: Content) -> Map<String, Value> {
    match content {
        Content::Object(Value::Object(map)) => map,
        Content::Object(_) => Map::new(),
        Content::Fields(record) => columns
            .iter()
            .zip(&record)
            .map(|(column, field)| (column.clone(), Value::from(String::from_utf8_lossy(field))))
            .collect(),
    }
}

fn gather(folder: &Path, depth: usize, paths: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            if depth + 1 < FOLDERS_DEEP_MAX {
                gather(&path, depth + 1, paths)?;
            }
        } else if paths.len() < FILES_MAX {
            paths.push(path);
        } else {
            let message = format!("there are more than {FILES_MAX} files");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        }
    }
    Ok(())
}

fn bare(name: &str) -> &str {
    name.strip_suffix(".gz").unwrap_or(name)
}

fn written(name: &str) -> Option<Written> {
    let name = name.to_ascii_lowercase();
    let ends = |ending: &str| bare(&name).ends_with(ending);
    match () {
        () if ends(".csv") => Some(Written::Csv),
        () if ends(".json") || ends(".jsonl") || ends(".ndjson") => Some(Written::Json),
        () => None,
    }
}

/// The type of records that a file's name promises: `tickets-0007.json.gz`, `ticket_data.csv` and `tickets_v2.json` all
/// hold tickets. A file whose name says nothing is known by its folder.
fn stem(path: &Path, canonical: Canonical) -> Arc<str> {
    let name = |path: &Path| {
        let name = path
            .file_name()
            .map(|name| name.to_string_lossy().to_ascii_lowercase());
        name.unwrap_or_default()
    };
    let own = name(path);
    let own = bare(&own).rsplit_once('.').map_or(bare(&own), |(stem, _)| stem);
    let plain = |stem: &str| {
        let without_number = stem
            .trim_end_matches(|c: char| c.is_ascii_digit())
            .trim_end_matches(['-', '_', '.']);
        let without_version = ["-v", "_v"]
            .iter()
            .find_map(|sign| without_number.strip_suffix(sign))
            .unwrap_or(without_number);
        let plain = without_version.strip_suffix("_data").unwrap_or(without_version);
        if plain.is_empty() { stem } else { plain }.to_owned()
    };
    let kind = |stem: &str| canonical(stem).or_else(|| canonical(&plain(stem)));
    match kind(own).or_else(|| kind(&name(path.parent().unwrap_or(path)))) {
        Some(kind) => kind.into(),
        None => plain(own).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_files_name_says_what_is_in_it() {
        let canonical: Canonical = |name| matches!(name, "ticket" | "tickets").then_some("tickets");
        for name in [
            "tickets.json",
            "Tickets-0007.json.gz",
            "ticket_data.csv",
            "ticket_v2.json",
            "x/tickets_v1.jsonl",
            "tickets/0001.json",
        ] {
            assert_eq!(&*stem(Path::new(name), canonical), "tickets", "{name}");
        }
        assert_eq!(&*stem(Path::new("brand_data.csv"), canonical), "brand");
        assert_eq!(&*stem(Path::new("articles_v2.json"), canonical), "articles");
        assert_eq!(&*stem(Path::new("2024.json"), canonical), "2024");
        assert_eq!(&*stem(Path::new("ticket_forms.json"), canonical), "ticket_forms");
    }
}
