//! Where this desk keeps the files of attachments, and who looks at them: its settings, as the delivery crate wants them.

use std::sync::Arc;

use delivery::{ClamdScanner, FileBlobs, FilePlace, FilePlaceError};
use ticketing::{Blobs, Scanner};

use crate::config::Config;

/// The folder for files in the data folder, while no other place is set.
pub const FILES_FOLDER: &str = "attachments";

/// Where files are kept. A folder is made if it is not there.
///
/// # Errors
/// When they cannot be kept there.
pub fn blobs(config: &Config) -> Result<Arc<dyn Blobs>, FilePlaceError> {
    Ok(Arc::new(FileBlobs::open(&place(config))?))
}

fn place(config: &Config) -> FilePlace {
    match &config.attachments_place {
        Some(place) => place.clone(),
        None => FilePlace::Folder(
            std::path::absolute(&config.data_dir)
                .unwrap_or_default()
                .join(FILES_FOLDER),
        ),
    }
}

/// What looks at files before they are kept, where that is set.
#[must_use]
pub fn scanner(config: &Config) -> Option<Arc<dyn Scanner>> {
    let address = config.virus_scanner.clone()?;
    Some(Arc::new(ClamdScanner::new(address)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_kept_in_the_data_folder_unless_a_place_is_set() {
        let mut config = Config {
            data_dir: "/srv/desk".into(),
            ..Config::default()
        };
        assert_eq!(place(&config).to_string(), "/srv/desk/attachments");
        config.attachments_place = FilePlace::parse("s3://desk/files");
        assert_eq!(place(&config).to_string(), "s3://desk/files");
        assert!(scanner(&config).is_none());
    }
}
