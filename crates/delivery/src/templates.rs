//! The texts of the mails, in `templates/`: for each mail a text and an HTML part, with one layout for each
//! kind.
//!
//! They are MiniJinja templates. The text part also has the subject, in a block of that name. A template may
//! use what [`Filling`] has, `desk` (its name) and `site` (its URL); a name that is not there is an error,
//! which a test finds. In the HTML part everything is escaped but links and the site's URL, which are built
//! of safe characters alone.

use kernel::PortError;
use minijinja::syntax::SyntaxConfig;
use minijinja::value::Value;
use minijinja::{Environment, Error, UndefinedBehavior, context};

use crate::content::Filling;
use crate::desk::Desk;
use crate::transport::bug;

/// What the operator reads when a template fails.
pub(crate) const PORT: &str = "mail templates";

/// Defines the pairs of templates, a variant and a file name each.
macro_rules! pairs {
    ($($variant:ident: $file:literal),+ $(,)?) => {
        /// The two templates of a mail.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum Pair {
            $($variant),+
        }

        impl Pair {
            /// The names of the text and the HTML template.
            fn names(self) -> (&'static str, &'static str) {
                match self {
                    $(Pair::$variant => (concat!($file, ".txt"), concat!($file, ".html"))),+
                }
            }
        }

        /// Each file with its text. A name's ending decides about escaping.
        static FILES: &[(&str, &str)] = &[
            ("layout.txt", include_str!("../templates/layout.txt")),
            ("layout.html", include_str!("../templates/layout.html")),
            $(
                (concat!($file, ".txt"), include_str!(concat!("../templates/", $file, ".txt"))),
                (concat!($file, ".html"), include_str!(concat!("../templates/", $file, ".html"))),
            )+
        ];
    };
}

pairs! {
    VerifyEmail: "verify_email",
    ConfirmNewEmail: "confirm_new_email",
    ResetPassword: "reset_password",
    Invitation: "invitation",
    AlreadyRegistered: "already_registered",
    PasswordChanged: "password_changed",
    EmailChanged: "email_changed",
    TwoFactorEnabled: "two_factor_enabled",
    TwoFactorDisabled: "two_factor_disabled",
    RecoveryCodeUsed: "recovery_code_used",
    ApiKeyCreated: "api_key_created",
    SignOnLinked: "sign_on_linked",
    RateTicket: "rate_ticket",
    Written: "written",
}

/// What a mail says.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Words {
    pub(crate) subject: String,
    pub(crate) text: String,
    pub(crate) html: String,
}

/// All templates, parsed.
pub(crate) struct Templates(Environment<'static>);

impl Templates {
    /// Parses them.
    ///
    /// # Errors
    /// [`PortError::Bug`] when one does not parse, which a test finds first.
    pub(crate) fn new() -> Result<Self, PortError> {
        Self::parse().map_err(|error| bug(PORT, error))
    }

    fn parse() -> Result<Self, Error> {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_syntax(
            SyntaxConfig::builder()
                .trim_blocks(true)
                .lstrip_blocks(true)
                .build()?,
        );
        for (name, source) in FILES {
            environment.add_template(name, source)?;
        }
        Ok(Self(environment))
    }

    /// Fills a pair of templates.
    ///
    /// # Errors
    /// [`PortError::Bug`] when a template uses what is not there.
    pub(crate) fn fill(&self, pair: Pair, filling: &Filling, desk: &Desk) -> Result<Words, PortError> {
        self.render(pair, filling, desk).map_err(|error| bug(PORT, error))
    }

    fn render(&self, pair: Pair, filling: &Filling, desk: &Desk) -> Result<Words, Error> {
        let (text, html) = pair.names();
        let words = context! {
            desk => desk.name(),
            site => Value::from_safe_string(desk.origin().to_owned()),
            name => filling.name.as_deref(),
            link => filling.link.clone().map(Value::from_safe_string),
            life => filling.life.as_deref(),
            label => filling.label.as_deref(),
            ticket => filling.ticket.as_deref(),
            left => filling.left,
            text => filling.text.as_deref(),
        };
        let mut text = self.0.get_template(text)?.render_captured(words.clone())?;
        let subject = text.with_state_mut(|state| state.render_block("subject"))?;
        let subject = subject.trim().to_owned();
        let html = self
            .0
            .get_template(html)?
            .render(context! { subject => subject.as_str(), ..words })?;
        Ok(Words {
            subject,
            text: text.into_output(),
            html,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_file_of_the_folder_is_a_template_that_parses() {
        assert!(Templates::new().is_ok());
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/templates");
        let on_disk: BTreeSet<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        let embedded: BTreeSet<String> = FILES.iter().map(|(name, _)| (*name).to_owned()).collect();
        assert_eq!(on_disk, embedded);
    }

    #[test]
    fn a_name_that_nothing_defines_is_an_error() {
        let templates = Templates::new().unwrap();
        assert!(
            templates
                .0
                .render_str("{{ nmae }}", context! { name => "Kim" })
                .is_err()
        );
    }

    #[test]
    fn html_is_escaped_and_text_is_not() {
        let templates = Templates::new().unwrap();
        let desk = Desk::new("<b>Bücher & Co.</b>", "https://help.example.com").unwrap();
        let filling = Filling {
            label: Some("<script>".to_owned()),
            ..Filling::default()
        };
        let words = templates.fill(Pair::ApiKeyCreated, &filling, &desk).unwrap();
        assert!(words.subject.contains("<b>Bücher & Co.</b>"), "{}", words.subject);
        assert!(words.text.contains("\"<script>\""), "{}", words.text);
        assert!(
            !words.html.contains("<b>") && !words.html.contains("<script>"),
            "{}",
            words.html
        );
        assert!(words.html.contains("&lt;script&gt;"), "{}", words.html);
    }
}
