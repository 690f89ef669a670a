//! How this desk sends mail: its settings, as the delivery crate wants them.

use delivery::{MailSettings, Sender, SettingsError, SmtpSettings, Way};

use crate::config::{Config, Secret};

/// The folder for mail in the data folder, while no mail server is set.
pub const MAIL_FOLDER: &str = "mail";
/// Who mail comes from while nothing else is set.
const SENDER_LOCAL_PART: &str = "insightdesk";

/// The settings of this desk's mail. Links in it lead to the public URL, and never to what a request names.
///
/// # Errors
/// When a setting cannot be used.
pub fn settings(config: &Config) -> Result<MailSettings, SettingsError> {
    let url = config.url_at(config.listen);
    let desk = delivery::Desk::new(&config.desk_name, &url)?;
    let from = match &config.mail_from {
        Some(from) => from.clone(),
        None => Sender::parse(&format!("{SENDER_LOCAL_PART}@{}", host_of(&url)))?,
    };
    let way = match &config.mail_url {
        Some(url) => way(url, config)?,
        None => Way::Folder(
            std::path::absolute(&config.data_dir)
                .unwrap_or_default()
                .join(MAIL_FOLDER),
        ),
    };
    Ok(MailSettings { desk, from, way })
}

fn way(url: &Secret, config: &Config) -> Result<Way, SettingsError> {
    match (Way::parse(url.expose())?, &config.mail_ca_file) {
        (Way::Smtp(_), Some(file)) => Ok(Way::Smtp(SmtpSettings::parse(url.expose())?.with_ca_file(file))),
        (way, _) => Ok(way),
    }
}

/// The host of a URL as a domain of mail: an address without a name is this machine.
fn host_of(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let host = rest.rsplit_once(':').map_or(rest, |(host, _)| host);
    let named = host.chars().any(char::is_alphabetic) && !host.starts_with('[');
    if named { host } else { "localhost" }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> Config {
        Config {
            data_dir: "/srv/desk".into(),
            ..Config::default()
        }
    }

    #[test]
    fn without_settings_mail_is_written_into_a_folder() {
        let settings = settings(&config()).unwrap();
        assert!(matches!(&settings.way, Way::Folder(folder) if folder.ends_with("desk/mail")));
        assert_eq!(settings.from.to_string(), "insightdesk@localhost");
        assert_eq!(settings.desk.origin(), "http://127.0.0.1:8080");
    }

    #[test]
    fn mail_comes_from_the_public_host_unless_something_else_is_set() {
        let public = Config {
            public_url: Some("https://help.example.com".to_owned()),
            mail_url: Some(Secret::new("smtps://u:p@mail.example.com")),
            ..config()
        };
        let of_public = settings(&public).unwrap();
        assert_eq!(of_public.from.to_string(), "insightdesk@help.example.com");
        assert!(matches!(of_public.way, Way::Smtp(_)));
        let set = Config {
            mail_from: Sender::parse("Help <help@example.com>").ok(),
            ..public
        };
        assert_eq!(
            settings(&set).unwrap().from.address().as_str(),
            "help@example.com"
        );
    }
}
