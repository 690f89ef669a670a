//! Letters as files, for a desk without a mail server and for whoever wants to read along.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use identity::ports::MailError;
use kernel::EventId;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use crate::letter::Letter;
use crate::settings::SettingsError;
use crate::transport::{Transport, unavailable};

const PORT: &str = "mail folder";

/// Who may do what with a folder that is made: its owner alone, since letters hold tokens.
const FOLDER_MODE: u32 = 0o700;

/// Who may do what with a letter.
const FILE_MODE: u32 = 0o600;

/// The ending of a letter's file.
const ENDING: &str = ".eml";

/// How the time is written in a file's name: names sort as the letters were first written.
const TIME_FORMAT: &str = "%Y%m%dT%H%M%S%6fZ";

/// The bytes of such a time.
const TIME_BYTES: usize = "20260102T030405000006Z".len();

/// Writes each letter into a folder, as a file that mail programs open.
///
/// A file is there whole or not at all. A letter that comes again replaces its file. Only the newest
/// [`FileTransport::FILES_MAX`] are kept; other files in the folder are left alone.
#[derive(Debug, Clone)]
pub struct FileTransport {
    folder: PathBuf,
    /// One writer at a time, so that a letter that comes twice at once gives one file.
    writing: Arc<Mutex<()>>,
}

impl FileTransport {
    /// The most letters that are kept.
    pub const FILES_MAX: usize = 1_000;
    /// The longest that writing one may take, in seconds.
    pub const WRITE_SECS_MAX: u64 = 20;

    /// A transport into `folder`. When it is not there it is made with the first letter, readable to its owner alone.
    ///
    /// # Errors
    /// [`SettingsError::Folder`] when there is something else in its place.
    pub fn open(folder: impl Into<PathBuf>) -> Result<Self, SettingsError> {
        let folder = folder.into();
        let there = folder.ancestors().find(|place| place.exists());
        if there.is_some_and(|place| !place.is_dir()) {
            return Err(SettingsError::Folder {
                path: folder,
                detail: "something else is in its place".to_owned(),
            });
        }
        Ok(Self {
            folder,
            writing: Arc::default(),
        })
    }

    /// Where the letters are.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    fn write(&self, id: EventId, name: &str, bytes: &[u8]) -> io::Result<()> {
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        DirBuilder::new()
            .recursive(true)
            .mode(FOLDER_MODE)
            .create(&self.folder)?;
        let mut letters = self.letters()?;
        let same = letters.iter().find(|letter| letter.ends_with(&ending(id)));
        let name = match same {
            Some(there) => there.clone(),
            None => {
                letters.push(name.to_owned());
                name.to_owned()
            }
        };
        let part = self.folder.join(format!(".{id}.part"));
        let mut file = create(&part)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&part, self.folder.join(name))?;
        letters.sort_unstable();
        let surplus = letters.len().saturating_sub(Self::FILES_MAX);
        for old in letters.iter().take(surplus) {
            fs::remove_file(self.folder.join(old))?;
        }
        Ok(())
    }

    /// The names of the letters in the folder.
    fn letters(&self) -> io::Result<Vec<String>> {
        let mut letters = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            if let Ok(name) = entry?.file_name().into_string()
                && is_letter(&name)
            {
                letters.push(name);
            }
        }
        Ok(letters)
    }
}

/// A new file for its owner alone. One of the same name is left from a try that was cut short.
fn create(path: &Path) -> io::Result<File> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(FILE_MODE)
        .open(path)
}

/// How the name of a letter's file ends.
fn ending(id: EventId) -> String {
    format!("-{id}{ENDING}")
}

/// Whether a name is one that we gave.
fn is_letter(name: &str) -> bool {
    let parts = name.strip_suffix(ENDING).and_then(|name| name.split_once('-'));
    parts.is_some_and(|(time, id)| {
        time.len() == TIME_BYTES && time.starts_with(|c: char| c.is_ascii_digit()) && is_id(id)
    })
}

fn is_id(text: &str) -> bool {
    const ID_BYTES: usize = "00000000-0000-0000-0000-000000000000".len();
    text.len() == ID_BYTES && text.chars().all(|c| c.is_ascii_hexdigit() || c == '-')
}

#[async_trait]
impl Transport for FileTransport {
    async fn deliver(&self, letter: &Letter) -> Result<(), MailError> {
        let this = self.clone();
        let (id, bytes) = (letter.id(), letter.bytes().to_vec());
        let name = format!("{}{}", letter.written_at().format(TIME_FORMAT), ending(id));
        let written = spawn_blocking(move || this.write(id, &name, &bytes));
        match timeout(Duration::from_secs(Self::WRITE_SECS_MAX), written).await {
            Ok(Ok(Ok(()))) => Ok(()),
            Ok(Ok(Err(error))) => Err(unavailable(PORT, error)),
            Ok(Err(error)) => Err(unavailable(PORT, error)),
            Err(late) => Err(unavailable(PORT, late)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use chrono::{DateTime, Duration, Utc};
    use identity::EmailAddress;
    use kernel::PortError;
    use tempfile::TempDir;
    use uuid::Uuid;

    use super::*;
    use crate::letter::Recipient;
    use crate::settings::Sender;
    use crate::templates::Words;

    fn letter(id: u128, minutes: i64) -> Letter {
        let start: DateTime<Utc> = "2026-03-04T05:06:07.000008Z".parse().unwrap();
        let to = EmailAddress::parse("/email", "kim@example.org").unwrap();
        let to = Recipient {
            name: None,
            address: &to,
        };
        let words = Words {
            subject: "Subject".to_owned(),
            text: "Text".to_owned(),
            html: "<p>Text</p>".to_owned(),
        };
        let from = Sender::parse("help@example.com").unwrap();
        let at = start + Duration::minutes(minutes);
        Letter::write(EventId(Uuid::from_u128(id)), at, &from, "Help", to, words).unwrap()
    }

    fn names(transport: &FileTransport) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(transport.folder())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort_unstable();
        names
    }

    fn transport() -> (FileTransport, TempDir) {
        let dir = TempDir::new().unwrap();
        (FileTransport::open(dir.path().join("a/mail")).unwrap(), dir)
    }

    #[tokio::test]
    async fn a_letter_is_a_file_that_only_its_owner_reads() {
        let (transport, _dir) = transport();
        transport.deliver(&letter(7, 0)).await.unwrap();
        let expected = "20260304T050607000008Z-00000000-0000-0000-0000-000000000007.eml";
        assert_eq!(names(&transport), [expected]);
        let path = transport.folder().join(expected);
        assert_eq!(fs::read(&path).unwrap(), letter(7, 0).bytes());
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&path), mode(transport.folder())), (0o600, 0o700));
    }

    #[tokio::test]
    async fn the_same_mail_twice_is_one_file_and_files_sort_by_time() {
        let (transport, _dir) = transport();
        for (id, minutes) in [(9, 0), (8, 1), (9, 2)] {
            transport.deliver(&letter(id, minutes)).await.unwrap();
        }
        let names = names(&transport);
        assert_eq!(names.len(), 2, "{names:?}");
        assert!(
            names[0].ends_with("9.eml") && names[1].ends_with("8.eml"),
            "{names:?}"
        );
        let newest = fs::read(transport.folder().join(&names[0])).unwrap();
        assert_eq!(newest, letter(9, 2).bytes());
    }

    #[tokio::test]
    async fn only_the_newest_are_kept_and_strangers_files_are_left_alone() {
        let (transport, _dir) = transport();
        fs::create_dir_all(transport.folder()).unwrap();
        for id in 0..FileTransport::FILES_MAX {
            let name = format!(
                "20250101T000000{id:06}Z{}",
                ending(EventId(Uuid::from_u128(id as u128)))
            );
            fs::write(transport.folder().join(name), "").unwrap();
        }
        fs::write(transport.folder().join("0-notes.eml"), "").unwrap();
        transport.deliver(&letter(70_000, 0)).await.unwrap();
        transport.deliver(&letter(70_001, 1)).await.unwrap();
        let names = names(&transport);
        assert_eq!(names.len(), FileTransport::FILES_MAX + 1);
        assert_eq!(names[0], "0-notes.eml");
        assert!(names[1].starts_with("20250101T000000000002Z-"), "{}", names[1]);
    }

    #[tokio::test]
    async fn what_a_killed_writer_left_does_not_stand_in_the_way() {
        let (transport, _dir) = transport();
        fs::create_dir_all(transport.folder()).unwrap();
        let part = format!(".{}.part", Uuid::from_u128(7));
        fs::write(transport.folder().join(part), "half").unwrap();
        transport.deliver(&letter(7, 0)).await.unwrap();
        assert_eq!(names(&transport).len(), 1);
    }

    #[tokio::test]
    async fn a_folder_that_cannot_be_written_to_is_a_failure_that_may_pass() {
        let (transport, dir) = transport();
        fs::write(dir.path().join("a"), "in its way").unwrap();
        let outcome = transport.deliver(&letter(7, 0)).await;
        assert!(
            matches!(outcome, Err(MailError::Port(PortError::Unavailable { .. }))),
            "{outcome:?}"
        );
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_told_at_the_start() {
        let dir = TempDir::new().unwrap();
        let file = dir.path().join("file");
        fs::write(&file, "").unwrap();
        let outcome = FileTransport::open(file.join("mail"));
        assert!(
            matches!(outcome, Err(SettingsError::Folder { .. })),
            "{outcome:?}"
        );
    }
}
