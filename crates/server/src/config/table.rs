//! Every setting: its name, what it means, what it may be, and how it is read and shown.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use chrono::TimeDelta;
use delivery::{FilePlace, ScannerAddress};
use identity::{PasswordPolicy, TwoFactorLimits, VerifiedEmail};
use kernel::Rate;
use tracing_subscriber::EnvFilter;
use url::Url;

use super::{Config, LogFormat, PREFIX, Profile, Secret};
use crate::secret;

/// The setting that is read before the configuration file, since it says where that lies.
pub(super) const DATA_DIR: &str = "data-dir";

/// How a value is written in the configuration file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// In quotes.
    Text,
    /// Bare.
    Number,
    /// `true` or `false`; as a flag alone it means `true`.
    Switch,
    /// A list of quoted texts; separated by commas elsewhere.
    List,
    /// In quotes, and never shown.
    Secret,
}

/// One setting.
pub struct Setting {
    /// The flag and the key.
    pub name: &'static str,
    /// The heading under which it is documented.
    pub group: &'static str,
    /// How it is written.
    pub kind: Kind,
    /// What it means, in a sentence.
    pub help: &'static str,
    /// What it must be; goes on from "it must be".
    pub rule: &'static str,
    /// What holds while it is not set, for those without a default value.
    pub unset: &'static str,
    /// Reads a value; `None` when it breaks the rule.
    pub(super) set: fn(&mut Config, &str) -> Option<()>,
    /// The value as text.
    pub(super) show: fn(&Config) -> Option<String>,
}

impl Setting {
    /// The default as text, for a setting that has one.
    #[must_use]
    pub fn default_value(&self) -> Option<String> {
        (self.show)(&Config::default()).filter(|_| self.unset.is_empty())
    }

    /// Its environment variables, the one that counts first.
    #[must_use]
    pub fn variables(&self) -> Vec<String> {
        let own = format!("{PREFIX}{}", self.name.to_uppercase().replace('-', "_"));
        match self.name {
            // The name that every hoster sets.
            "database-url" => vec![own, "DATABASE_URL".to_owned()],
            _ => vec![own],
        }
    }
}

const SERVER: &str = "Server";
const DATABASE: &str = "Database";
const MAIL: &str = "Mail";
const SECURITY: &str = "Security";
const SIGN_ON: &str = "Single sign-on";
const RATES: &str = "Rate limits";
const TICKETS: &str = "Tickets";
const ATTACHMENTS: &str = "Attachments";
const WEBHOOKS: &str = "Webhooks";
const WATCHING: &str = "Logs and metrics";

/// The bytes of a mebibyte.
const MIB_BYTES: u64 = 1 << 20;

const SWITCH: &str = "true or false";
const ADDRESS: &str = "an IP address and a port, such as 0.0.0.0:8080 or [::]:8080";
const RATE: &str = "a whole number from 0 to 1000000";

/// All of them, in the order in which they are documented.
pub static SETTINGS: &[Setting] = &[
    Setting {
        name: "listen",
        group: SERVER,
        kind: Kind::Text,
        help: "Where the API listens. Port 0 takes any free one.",
        rule: ADDRESS,
        unset: "",
        set: |config, value| put(&mut config.listen, value),
        show: |config| Some(config.listen.to_string()),
    },
    Setting {
        name: "public-url",
        group: SERVER,
        kind: Kind::Text,
        help: "How clients reach the desk.",
        rule: "a URL such as https://help.example.com, without a path",
        unset: "the address that it listens on",
        set: |config, value| set_some(&mut config.public_url, public_url(value)),
        show: |config| config.public_url.clone(),
    },
    Setting {
        name: "desk-name",
        group: SERVER,
        kind: Kind::Text,
        help: "What the desk is called in mail and in authenticator apps.",
        rule: "a line of 1 to 60 characters",
        unset: "",
        set: |config, value| {
            delivery::Desk::new(value, "http://localhost").ok()?;
            config.desk_name = value.to_owned();
            Some(())
        },
        show: |config| Some(config.desk_name.clone()),
    },
    Setting {
        name: DATA_DIR,
        group: SERVER,
        kind: Kind::Text,
        help: "Where the desk keeps files of its own: its PostgreSQL, its secret key.",
        rule: "the path of a folder",
        unset: "insightdesk-data in the current folder; for root, when PostgreSQL's account cannot enter that, \
                /var/lib/insightdesk",
        set: |config, value| {
            let path = Some(value).filter(|value| !value.is_empty()).map(PathBuf::from);
            path.map(|path| config.data_dir = path)
        },
        show: |config| Some(config.data_dir.display().to_string()),
    },
    Setting {
        name: "profile",
        group: SERVER,
        kind: Kind::Text,
        help: "With production, the desk does not start a PostgreSQL of its own and refuses to run without database-url.",
        rule: "standard or production",
        unset: "",
        set: |config, value| {
            config.profile = choice(
                value,
                &[
                    ("standard", Profile::Standard),
                    ("production", Profile::Production),
                ],
            )?;
            Some(())
        },
        show: |config| {
            let name = match config.profile {
                Profile::Standard => "standard",
                Profile::Production => "production",
            };
            Some(name.to_owned())
        },
    },
    Setting {
        name: "workers",
        group: SERVER,
        kind: Kind::Number,
        help: "Threads that answer requests.",
        rule: "a whole number from 1 to 256",
        unset: "one for each core",
        set: |config, value| set_some(&mut config.workers, within(value, 1, 256)),
        show: |config| config.workers.map(|workers| workers.to_string()),
    },
    Setting {
        name: "drain-seconds",
        group: SERVER,
        kind: Kind::Number,
        help: "How long, once told to stop, /readyz answers 503 before new connections are refused, so that a load \
               balancer can look elsewhere. Behind one, 2 to 10 are usual.",
        rule: "a whole number from 0 to 60",
        unset: "",
        set: |config, value| within(value, 0, 60).map(|secs| config.drain = Duration::from_secs(secs)),
        show: |config| Some(config.drain.as_secs().to_string()),
    },
    Setting {
        name: "trusted-proxies",
        group: SERVER,
        kind: Kind::List,
        help: "Proxies whose X-Forwarded-For tells the client's address.",
        rule: "IP addresses or blocks such as 10.0.0.0/8, separated by commas",
        unset: "none",
        set: |config, value| put(&mut config.trusted_proxies, value),
        show: |config| Some(config.trusted_proxies.to_string()).filter(|text| !text.is_empty()),
    },
    Setting {
        name: "behind-tls",
        group: SERVER,
        kind: Kind::Switch,
        help: "Whether clients reach the desk by HTTPS alone; browsers are then told to stay with it.",
        rule: SWITCH,
        unset: "",
        set: |config, value| put(&mut config.behind_tls, value),
        show: |config| Some(config.behind_tls.to_string()),
    },
    Setting {
        name: "requests-in-flight-max",
        group: SERVER,
        kind: Kind::Number,
        help: "The most requests that are worked on at once; those beyond are answered 503 with Retry-After \
               at once. /healthz, /readyz and /metrics are always answered.",
        rule: "a whole number from 1 to 1000000",
        unset: "",
        set: |config, value| within(value, 1, 1_000_000).map(|number| config.requests_in_flight_max = number),
        show: |config| Some(config.requests_in_flight_max.to_string()),
    },
    Setting {
        name: "api-docs",
        group: SERVER,
        kind: Kind::Switch,
        help: "Whether the server gives out its API's document (/api/v1/openapi.json) and reference \
               (/api/docs).",
        rule: SWITCH,
        unset: "",
        set: |config, value| put(&mut config.api_docs, value),
        show: |config| Some(config.api_docs.to_string()),
    },
    Setting {
        name: "public-knowledge-base",
        group: SERVER,
        kind: Kind::Switch,
        help: "Whether published articles can be read without signing in.",
        rule: SWITCH,
        unset: "",
        set: |config, value| put(&mut config.public_knowledge_base, value),
        show: |config| Some(config.public_knowledge_base.to_string()),
    },
    Setting {
        name: "knowledge-four-eyes",
        group: SERVER,
        kind: Kind::Switch,
        help: "Whether an article is published by another person than the one who began it.",
        rule: SWITCH,
        unset: "",
        set: |config, value| put(&mut config.knowledge_four_eyes, value),
        show: |config| Some(config.knowledge_four_eyes.to_string()),
    },
    Setting {
        name: "knowledge-synonyms",
        group: SERVER,
        kind: Kind::Text,
        help: "What means the same to those who search the knowledge base: sets with semicolons between them, of words with commas between \
               them, as in `pc, computer; log in, sign in`.",
        rule: "sets of 2 to 12 names, of up to four words and 60 characters each; 2000 sets at the most",
        unset: "none",
        set: |config, value| {
            let synonyms = knowledge::Synonyms::parse(value).ok()?;
            config.knowledge_synonyms = synonyms;
            Some(())
        },
        show: |config| Some(config.knowledge_synonyms.to_string()).filter(|text| !text.is_empty()),
    },
    Setting {
        name: "database-url",
        group: DATABASE,
        kind: Kind::Secret,
        help: "The PostgreSQL (15 or newer) to use, as postgresql://user:password@host/name?sslmode=verify-full. Rather \
               set the variable than the flag, which others on the machine can see.",
        rule: "a postgresql:// URL",
        unset: "the desk looks after a PostgreSQL of its own in the data folder",
        set: |config, value| set_some(&mut config.database_url, database_url(value)),
        show: |config| config.database_url.as_ref().map(masked),
    },
    Setting {
        name: "database-owner-url",
        group: DATABASE,
        kind: Kind::Secret,
        help: "The same database for the owner of its schema, who migrates it and then grants the user of database-url \
               what the server needs and no more. By `CREATE ROLE insightdesk_owner LOGIN PASSWORD '…'; CREATE ROLE \
               insightdesk_app LOGIN PASSWORD '…'; CREATE DATABASE insightdesk OWNER insightdesk_owner;` a superuser \
               makes the two.",
        rule: "a postgresql:// URL",
        unset: "the user of database-url owns the schema and migrates it",
        set: |config, value| set_some(&mut config.database_owner_url, database_url(value)),
        show: |config| config.database_owner_url.as_ref().map(masked),
    },
    Setting {
        name: "database-connections",
        group: DATABASE,
        kind: Kind::Number,
        help: "The most connections that requests and background work share; a few more serve health checks and wake-ups.",
        rule: "a whole number from 2 to 1000",
        unset: "",
        set: |config, value| within(value, 2, 1000).map(|number| config.database_connections = number),
        show: |config| Some(config.database_connections.to_string()),
    },
    Setting {
        name: "mail-url",
        group: MAIL,
        kind: Kind::Secret,
        help: "The mail server, as smtp://user:password@host:587 (STARTTLS, required) or smtps://user:password@host:465. \
               With ?tls=none, for a server on the same machine, nothing is encrypted.",
        rule: "an smtp:// or smtps:// URL, or file:/// and the absolute path of a folder",
        unset: "mail is not sent but written as .eml files into the folder mail of the data folder",
        set: |config, value| {
            delivery::Way::parse(value).ok()?;
            set_some(&mut config.mail_url, Some(Secret::new(value)))
        },
        show: |config| config.mail_url.as_ref().map(masked),
    },
    Setting {
        name: "mail-from",
        group: MAIL,
        kind: Kind::Text,
        help: "Who mail comes from.",
        rule: "an address, or a name and an address: Example Support <help@example.com>",
        unset: "the desk's name and insightdesk@ the host of public-url",
        set: |config, value| set_some(&mut config.mail_from, delivery::Sender::parse(value).ok()),
        show: |config| config.mail_from.as_ref().map(ToString::to_string),
    },
    Setting {
        name: "mail-ca-file",
        group: MAIL,
        kind: Kind::Text,
        help: "A file of PEM certificates of authorities that the mail server's certificate may come from, beside the \
               public ones.",
        rule: "the path of a file",
        unset: "the public authorities alone",
        set: |config, value| {
            let path = Some(value).filter(|value| !value.is_empty()).map(PathBuf::from);
            set_some(&mut config.mail_ca_file, path)
        },
        show: |config| {
            config
                .mail_ca_file
                .as_ref()
                .map(|path| path.display().to_string())
        },
    },
    Setting {
        name: "secret-key",
        group: SECURITY,
        kind: Kind::Secret,
        help: "The secret that signing keys are derived from; the same on all nodes. `openssl rand -base64 32` makes one.",
        rule: "32 random bytes in base64 (43 or 44 characters)",
        unset: "secret.key in the data folder, which is made at the first start",
        set: |config, value| {
            let secret = secret::parse(value).is_ok().then(|| Secret::new(value));
            set_some(&mut config.secret_key, secret)
        },
        show: |config| config.secret_key.as_ref().map(masked),
    },
    Setting {
        name: "cors-origins",
        group: SECURITY,
        kind: Kind::List,
        help: "Origins of web applications elsewhere that may use the API from a browser.",
        rule: "origins as browsers write them, such as https://app.example.com, separated by commas; \
               no wildcard, no path",
        unset: "none",
        set: |config, value| put(&mut config.cors_origins, value),
        show: |config| Some(config.cors_origins.to_string()).filter(|text| !text.is_empty()),
    },
    Setting {
        name: "require-verified-email",
        group: SECURITY,
        kind: Kind::Switch,
        help: "Whether people who register must prove their address before anything but their own account is open to \
               them.",
        rule: SWITCH,
        unset: "",
        set: |config, value| {
            let required: bool = value.parse().ok()?;
            config.accounts.verified_email = if required {
                VerifiedEmail::Required
            } else {
                VerifiedEmail::Optional
            };
            Some(())
        },
        show: |config| Some((config.accounts.verified_email == VerifiedEmail::Required).to_string()),
    },
    Setting {
        name: "previous-secret-keys",
        group: SECURITY,
        kind: Kind::Secret,
        help: "The secrets before secret-key, after a change of it: what they signed and sealed is still accepted.",
        rule: "secret keys, separated by commas",
        unset: "none",
        set: |config, value| {
            let secrets = secret::parse_list(value)
                .ok()
                .filter(|secrets| !secrets.is_empty());
            set_some(
                &mut config.previous_secret_keys,
                secrets.map(|_| Secret::new(value)),
            )
        },
        show: |config| config.previous_secret_keys.as_ref().map(masked),
    },
    Setting {
        name: "password-min-length",
        group: SECURITY,
        kind: Kind::Number,
        help: "The fewest characters of a new password.",
        rule: "a whole number from 8 to 128",
        unset: "",
        set: |config, value| {
            within(value, 8, 128).map(|chars| config.accounts.password = PasswordPolicy::at_least(chars))
        },
        show: |config| Some(config.accounts.password.min_chars().to_string()),
    },
    Setting {
        name: "access-token-minutes",
        group: SECURITY,
        kind: Kind::Number,
        help: "How long an access token is good before it must be refreshed.",
        rule: "a whole number from 1 to 60",
        unset: "",
        set: |config, value| {
            within(value, 1, 60).map(|n| config.sessions.access_life = TimeDelta::minutes(n))
        },
        show: |config| Some(config.sessions.access_life.num_minutes().to_string()),
    },
    Setting {
        name: "session-idle-days",
        group: SECURITY,
        kind: Kind::Number,
        help: "How long a session lasts without being used.",
        rule: "a whole number from 1 to 365",
        unset: "",
        set: |config, value| within(value, 1, 365).map(|n| config.sessions.idle = TimeDelta::days(n)),
        show: |config| Some(config.sessions.idle.num_days().to_string()),
    },
    Setting {
        name: "session-absolute-days",
        group: SECURITY,
        kind: Kind::Number,
        help: "How long a session lasts at most, counted from the login.",
        rule: "a whole number from 1 to 3650",
        unset: "",
        set: |config, value| within(value, 1, 3650).map(|n| config.sessions.absolute = TimeDelta::days(n)),
        show: |config| Some(config.sessions.absolute.num_days().to_string()),
    },
    Setting {
        name: "totp-skew-steps",
        group: SECURITY,
        kind: Kind::Number,
        help: "How many steps of 30 seconds a code of the second factor may lie beside the present one.",
        rule: "0 or 1",
        unset: "",
        set: |config, value| {
            let steps = within(value, 0, TwoFactorLimits::SKEW_STEPS_MAX)?;
            config.two_factor = TwoFactorLimits::with_skew(steps);
            Some(())
        },
        show: |config| Some(config.two_factor.skew_steps().to_string()),
    },
    Setting {
        name: "oidc-issuer",
        group: SIGN_ON,
        kind: Kind::Text,
        help: "The provider of OpenID Connect, by its own name of itself, to the letter. Its redirect address is \
               {public-url}/api/v1/auth/sso/callback.",
        rule: "an https:// URL (http:// only of this machine) without a query",
        unset: "there is no single sign-on",
        set: |config, value| {
            let url = Url::parse(value).ok();
            let url = url.filter(|url| openid::is_safe_address(url) && url.query().is_none());
            set_some(&mut config.oidc.issuer, url.map(|_| value.to_owned()))
        },
        show: |config| config.oidc.issuer.clone(),
    },
    Setting {
        name: "oidc-client-id",
        group: SIGN_ON,
        kind: Kind::Text,
        help: "What the provider calls the desk.",
        rule: "a text of 1 to 255 characters",
        unset: "needed with oidc-issuer",
        set: |config, value| set_some(&mut config.oidc.client_id, line(value, 255)),
        show: |config| config.oidc.client_id.clone(),
    },
    Setting {
        name: "oidc-client-secret",
        group: SIGN_ON,
        kind: Kind::Secret,
        help: "The secret that the provider gave to the desk.",
        rule: "a text of 1 to 1000 characters",
        unset: "the desk is a public client, by PKCE alone",
        set: |config, value| set_some(&mut config.oidc.client_secret, line(value, 1000).map(Secret::new)),
        show: |config| config.oidc.client_secret.as_ref().map(masked),
    },
    Setting {
        name: "oidc-name",
        group: SIGN_ON,
        kind: Kind::Text,
        help: "What people call the provider: the text of the button.",
        rule: "a text of 1 to 100 characters",
        unset: "the issuer's host",
        set: |config, value| set_some(&mut config.oidc.name, line(value, 100)),
        show: |config| config.oidc.name.clone(),
    },
    Setting {
        name: "oidc-scopes",
        group: SIGN_ON,
        kind: Kind::List,
        help: "What is asked of the provider.",
        rule: "scopes, openid among them, separated by commas",
        unset: "",
        set: |config, value| {
            let scopes = list(value)?;
            let fit = scopes.iter().any(|scope| scope == "openid")
                && scopes
                    .iter()
                    .all(|scope| scope.bytes().all(|b| b.is_ascii_graphic()));
            fit.then(|| config.oidc.scopes = scopes)
        },
        show: |config| Some(config.oidc.scopes.join(",")),
    },
    Setting {
        name: "oidc-verified-claim",
        group: SIGN_ON,
        kind: Kind::Text,
        help: "The claim by which the provider says that it checked that an address is the person's. Name another only \
               if the provider promises the same of it.",
        rule: "a claim's name of 1 to 255 characters",
        unset: "",
        set: |config, value| line(value, 255).map(|claim| config.oidc.verified_claim = claim),
        show: |config| Some(config.oidc.verified_claim.clone()),
    },
    Setting {
        name: "oidc-role-claim",
        group: SIGN_ON,
        kind: Kind::Text,
        help: "The claim that roles come from at every sign-on, such as groups, or realm_access.roles inside of another.",
        rule: "a claim's name of 1 to 255 characters",
        unset: "roles are given on the desk, and new people are customers",
        set: |config, value| set_some(&mut config.oidc.role_claim, line(value, 255)),
        show: |config| config.oidc.role_claim.clone(),
    },
    Setting {
        name: "oidc-admin-values",
        group: SIGN_ON,
        kind: Kind::List,
        help: "Values of that claim that make an administrator.",
        rule: "texts separated by commas",
        unset: "none",
        set: |config, value| list(value).map(|values| config.oidc.admin_values = values),
        show: |config| Some(config.oidc.admin_values.join(",")).filter(|text| !text.is_empty()),
    },
    Setting {
        name: "oidc-agent-values",
        group: SIGN_ON,
        kind: Kind::List,
        help: "Values of that claim that make an agent.",
        rule: "texts separated by commas",
        unset: "none",
        set: |config, value| list(value).map(|values| config.oidc.agent_values = values),
        show: |config| Some(config.oidc.agent_values.join(",")).filter(|text| !text.is_empty()),
    },
    Setting {
        name: "oidc-create-accounts",
        group: SIGN_ON,
        kind: Kind::Switch,
        help: "Whether people whom the desk does not know get an account when they sign on.",
        rule: SWITCH,
        unset: "",
        set: |config, value| put(&mut config.oidc.create_accounts, value),
        show: |config| Some(config.oidc.create_accounts.to_string()),
    },
    Setting {
        name: "oidc-return-urls",
        group: SIGN_ON,
        kind: Kind::List,
        help: "Front ends that may send people to sign on and get them back, each by the exact address that they come \
               back to.",
        rule: "https:// URLs (http:// only of this machine) without a fragment, separated by commas",
        unset: "none",
        set: |config, value| {
            let urls = list(value)?;
            let fit = |url: &String| {
                url.bytes().all(|b| b.is_ascii_graphic())
                    && Url::parse(url).is_ok_and(|url| openid::is_safe_address(&url))
            };
            urls.iter().all(fit).then(|| config.oidc.return_urls = urls)
        },
        show: |config| Some(config.oidc.return_urls.join(",")).filter(|text| !text.is_empty()),
    },
    Setting {
        name: "rate-login",
        group: RATES,
        kind: Kind::Number,
        help: "Logins from one address in a minute; 0 lifts this limit, as it does the others.",
        rule: RATE,
        unset: "",
        set: |config, value| rate(&mut config.rates.login_per_address, value),
        show: |config| shown_rate(config.rates.login_per_address),
    },
    Setting {
        name: "rate-login-account",
        group: RATES,
        kind: Kind::Number,
        help: "Wrong passwords for one account from one address in a minute; ten times as many from everywhere, and then \
               none but from where the account was signed in to before.",
        rule: RATE,
        unset: "",
        set: |config, value| {
            let logins = within(value, 0, 1_000_000)?;
            config.throttle = config.throttle.with_logins_per_minute(logins);
            Some(())
        },
        show: |config| {
            let rate = config.throttle.login_per_client;
            Some(rate.map_or(0, |rate| rate.requests.get()).to_string())
        },
    },
    Setting {
        name: "rate-register",
        group: RATES,
        kind: Kind::Number,
        help: "Registrations from one address in a minute.",
        rule: RATE,
        unset: "",
        set: |config, value| rate(&mut config.rates.register_per_address, value),
        show: |config| shown_rate(config.rates.register_per_address),
    },
    Setting {
        name: "rate-verify-code",
        group: RATES,
        kind: Kind::Number,
        help: "Codes of second factors from one address in a minute.",
        rule: RATE,
        unset: "",
        set: |config, value| rate(&mut config.rates.verify_code_per_address, value),
        show: |config| shown_rate(config.rates.verify_code_per_address),
    },
    Setting {
        name: "rate-sign-on",
        group: RATES,
        kind: Kind::Number,
        help: "Single sign-ons from one address in a minute.",
        rule: RATE,
        unset: "",
        set: |config, value| rate(&mut config.rates.sign_on_per_address, value),
        show: |config| shown_rate(config.rates.sign_on_per_address),
    },
    Setting {
        name: "rate-refresh",
        group: RATES,
        kind: Kind::Number,
        help: "Refreshes of access tokens from one address in a minute.",
        rule: RATE,
        unset: "",
        set: |config, value| rate(&mut config.rates.refresh_per_address, value),
        show: |config| shown_rate(config.rates.refresh_per_address),
    },
    Setting {
        name: "rate-setup",
        group: RATES,
        kind: Kind::Number,
        help: "Tries at making the first administrator from one address in a minute.",
        rule: RATE,
        unset: "",
        set: |config, value| rate(&mut config.rates.setup_per_address, value),
        show: |config| shown_rate(config.rates.setup_per_address),
    },
    Setting {
        name: "rate-caller",
        group: RATES,
        kind: Kind::Number,
        help: "All requests of one person in a minute, whatever sessions and keys they come through.",
        rule: RATE,
        unset: "",
        set: |config, value| rate(&mut config.rates.caller, value),
        show: |config| shown_rate(config.rates.caller),
    },
    Setting {
        name: "rate-tickets",
        group: RATES,
        kind: Kind::Number,
        help: "Tickets that one person opens in a minute.",
        rule: RATE,
        unset: "",
        set: |config, value| rate(&mut config.rates.tickets_per_caller, value),
        show: |config| shown_rate(config.rates.tickets_per_caller),
    },
    Setting {
        name: "rate-mailed-links",
        group: RATES,
        kind: Kind::Number,
        help: "Mails with links that are asked for, and links that are used, from one IP address in a minute. 0: no limit.",
        rule: RATE,
        unset: "",
        set: |config, value| rate(&mut config.rates.mailed_links_per_address, value),
        show: |config| shown_rate(config.rates.mailed_links_per_address),
    },
    Setting {
        name: "auto-close-hours",
        group: TICKETS,
        kind: Kind::Number,
        help: "How long a resolved ticket stays silent before it closes itself.",
        rule: "a whole number from 1 to 8760",
        unset: "",
        set: |config, value| {
            within(value, 1, 8760).map(|n| config.tickets.auto_close_after = TimeDelta::hours(n))
        },
        show: |config| Some(config.tickets.auto_close_after.num_hours().to_string()),
    },
    Setting {
        name: "reopen-window-days",
        group: TICKETS,
        kind: Kind::Number,
        help: "How long after it was closed a ticket can be reopened.",
        rule: "a whole number from 0 to 3650",
        unset: "",
        set: |config, value| {
            within(value, 0, 3650).map(|n| config.tickets.reopen_window = TimeDelta::days(n))
        },
        show: |config| Some(config.tickets.reopen_window.num_days().to_string()),
    },
    Setting {
        name: "agents-assign-others",
        group: TICKETS,
        kind: Kind::Switch,
        help: "Whether agents who are neither supervisor nor lead may assign tickets to others.",
        rule: SWITCH,
        unset: "",
        set: |config, value| put(&mut config.tickets.agents_assign_others, value),
        show: |config| Some(config.tickets.agents_assign_others.to_string()),
    },
    Setting {
        name: "requester-sets-priority",
        group: TICKETS,
        kind: Kind::Switch,
        help: "Whether customers may choose the priority of a ticket that they open.",
        rule: SWITCH,
        unset: "",
        set: |config, value| put(&mut config.tickets.requester_sets_priority, value),
        show: |config| Some(config.tickets.requester_sets_priority.to_string()),
    },
    Setting {
        name: "satisfaction-survey",
        group: TICKETS,
        kind: Kind::Switch,
        help: "Whether customers with a proved address are asked by mail how content they are when their ticket is resolved.",
        rule: SWITCH,
        unset: "",
        set: |config, value| put(&mut config.satisfaction_survey, value),
        show: |config| Some(config.satisfaction_survey.to_string()),
    },
    Setting {
        name: "search-languages",
        group: TICKETS,
        kind: Kind::List,
        help: "The languages of tickets, so that a search finds all forms of a word. After a change all tickets are taken \
               up anew in the background. Words are always found as they stand, too; simple is that alone.",
        rule: "1 to 3 of simple, arabic, armenian, basque, catalan, danish, dutch, english, finnish, french, german, \
               greek, hindi, hungarian, indonesian, irish, italian, lithuanian, nepali, norwegian, portuguese, romanian, \
               russian, serbian, spanish, swedish, tamil, turkish, yiddish, separated by commas",
        unset: "",
        set: |config, value| {
            let mut languages = list(value)?;
            let fit = languages.len() <= SEARCH_LANGUAGES_MAX
                && languages
                    .iter()
                    .all(|language| SEARCH_LANGUAGES.contains(&language.as_str()));
            // Words as they stand are there in any case.
            languages.retain(|language| language != SEARCH_LANGUAGES[0]);
            fit.then(|| config.search_languages = languages)
        },
        show: |config| {
            let languages = &config.search_languages;
            let none = languages.is_empty();
            Some(if none {
                SEARCH_LANGUAGES[0].to_owned()
            } else {
                languages.join(",")
            })
        },
    },
    Setting {
        name: "attachment-mib-max",
        group: ATTACHMENTS,
        kind: Kind::Number,
        help: "The most mebibytes of a file that is uploaded.",
        rule: "a whole number from 1 to 10240",
        unset: "",
        set: |config, value| {
            within(value, 1, 10_240).map(|mib: u64| config.attachments.bytes_max = mib * MIB_BYTES)
        },
        show: |config| Some((config.attachments.bytes_max / MIB_BYTES).to_string()),
    },
    Setting {
        name: "attachments-place",
        group: ATTACHMENTS,
        kind: Kind::Text,
        help: "Where the files are kept. All nodes must reach the same. s3:// takes a program built with --features s3, \
               and the variables AWS_REGION, AWS_ENDPOINT, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.",
        rule: "the path of a folder, or s3://bucket with a prefix or without",
        unset: "the folder attachments of the data folder",
        set: |config, value| set_some(&mut config.attachments_place, FilePlace::parse(value)),
        show: |config| config.attachments_place.as_ref().map(ToString::to_string),
    },
    Setting {
        name: "virus-scanner",
        group: ATTACHMENTS,
        kind: Kind::Text,
        help: "The daemon of ClamAV (clamd) that looks at each file before it is kept. While it does not answer, no \
               file is taken. Its StreamMaxLength must not be less than attachment-mib-max.",
        rule: "tcp://host:port, or unix:// and the absolute path of a socket",
        unset: "files are not scanned",
        set: |config, value| set_some(&mut config.virus_scanner, ScannerAddress::parse(value)),
        show: |config| config.virus_scanner.as_ref().map(ToString::to_string),
    },
    Setting {
        name: "webhook-allowed-networks",
        group: WEBHOOKS,
        kind: Kind::List,
        help: "Networks inside that webhooks may call. Without one they call the public internet alone.",
        rule: "IP addresses or blocks such as 10.1.0.0/16, separated by commas",
        unset: "none",
        set: |config, value| parsed_list(&mut config.webhooks.allowed, value),
        show: |config| Some(listed(&config.webhooks.allowed)).filter(|text| !text.is_empty()),
    },
    Setting {
        name: "webhook-ports",
        group: WEBHOOKS,
        kind: Kind::List,
        help: "The ports that webhooks may call.",
        rule: "whole numbers from 1 to 65535, separated by commas",
        unset: "",
        set: |config, value| {
            parsed_list(&mut config.webhooks.ports, value)?;
            (!config.webhooks.ports.contains(&0)).then_some(())
        },
        show: |config| Some(listed(&config.webhooks.ports)),
    },
    Setting {
        name: "webhook-allows-http",
        group: WEBHOOKS,
        kind: Kind::Switch,
        help: "Whether webhooks may call without TLS, where anyone on the way can read along; on port 80, too.",
        rule: SWITCH,
        unset: "",
        set: |config, value| put(&mut config.webhooks.allows_http, value),
        show: |config| Some(config.webhooks.allows_http.to_string()),
    },
    Setting {
        name: "log-level",
        group: WATCHING,
        kind: Kind::Text,
        help: "What is logged, to standard error.",
        rule: "error, warn, info, debug or trace, or words such as info,insightdesk_http=debug",
        unset: "info for serve and work, warn for the other commands",
        set: |config, value| {
            let readable = !value.trim().is_empty() && EnvFilter::try_new(value).is_ok();
            set_some(&mut config.log_level, readable.then(|| value.to_owned()))
        },
        show: |config| config.log_level.clone(),
    },
    Setting {
        name: "log-format",
        group: WATCHING,
        kind: Kind::Text,
        help: "How it is logged: for people, or as one JSON object a line.",
        rule: "text or json",
        unset: "",
        set: |config, value| {
            config.log_format = choice(value, &[("text", LogFormat::Text), ("json", LogFormat::Json)])?;
            Some(())
        },
        show: |config| {
            let name = match config.log_format {
                LogFormat::Text => "text",
                LogFormat::Json => "json",
            };
            Some(name.to_owned())
        },
    },
    Setting {
        name: "metrics-listen",
        group: WATCHING,
        kind: Kind::Text,
        help: "Where /metrics is given out without a token: an address that only the monitoring can reach.",
        rule: ADDRESS,
        unset: "nowhere",
        set: |config, value| set_some(&mut config.metrics_listen, value.parse().ok()),
        show: |config| config.metrics_listen.map(|address| address.to_string()),
    },
    Setting {
        name: "metrics-token",
        group: WATCHING,
        kind: Kind::Secret,
        help: "The bearer token with which the API's own address gives out /metrics.",
        rule: "at least 16 characters, none of them white space",
        unset: "that address has no /metrics",
        set: |config, value| {
            let fit = value.chars().count() >= 16 && !value.contains(char::is_whitespace);
            set_some(&mut config.metrics_token, fit.then(|| Secret::new(value)))
        },
        show: |config| config.metrics_token.as_ref().map(masked),
    },
];

fn put<T: FromStr>(place: &mut T, value: &str) -> Option<()> {
    *place = value.parse().ok()?;
    Some(())
}

fn set_some<T>(place: &mut Option<T>, value: Option<T>) -> Option<()> {
    *place = Some(value?);
    Some(())
}

fn within<T: FromStr + PartialOrd>(value: &str, min: T, max: T) -> Option<T> {
    value
        .parse()
        .ok()
        .filter(|number| min <= *number && *number <= max)
}

/// A text on one line, trimmed.
fn line(value: &str, chars_max: usize) -> Option<String> {
    let text = value.trim();
    let fits = (1..=chars_max).contains(&text.chars().count()) && !text.contains(char::is_control);
    fits.then(|| text.to_owned())
}

/// The texts between commas, of which there must be one.
/// How many languages tickets are searched in at the most.
const SEARCH_LANGUAGES_MAX: usize = 3;
/// What PostgreSQL 15 can cut into words.
const SEARCH_LANGUAGES: [&str; 29] = [
    "simple",
    "arabic",
    "armenian",
    "basque",
    "catalan",
    "danish",
    "dutch",
    "english",
    "finnish",
    "french",
    "german",
    "greek",
    "hindi",
    "hungarian",
    "indonesian",
    "irish",
    "italian",
    "lithuanian",
    "nepali",
    "norwegian",
    "portuguese",
    "romanian",
    "russian",
    "serbian",
    "spanish",
    "swedish",
    "tamil",
    "turkish",
    "yiddish",
];

fn list(value: &str) -> Option<Vec<String>> {
    let texts: Vec<String> = value
        .split(',')
        .map(str::trim)
        .filter(|text| !text.is_empty())
        .map(str::to_owned)
        .collect();
    (!texts.is_empty() && !value.contains(char::is_control)).then_some(texts)
}

/// Every entry of a list, read.
fn parsed_list<T: FromStr>(place: &mut Vec<T>, value: &str) -> Option<()> {
    *place = list(value)?
        .iter()
        .map(|entry| entry.parse().ok())
        .collect::<Option<_>>()?;
    Some(())
}

fn listed<T: ToString>(entries: &[T]) -> String {
    let entries: Vec<String> = entries.iter().map(T::to_string).collect();
    entries.join(",")
}

fn choice<T: Copy>(value: &str, choices: &[(&str, T)]) -> Option<T> {
    choices
        .iter()
        .find(|(name, _)| *name == value)
        .map(|(_, choice)| *choice)
}

fn rate(place: &mut Option<Rate>, value: &str) -> Option<()> {
    *place = Rate::per_minute(within(value, 0, 1_000_000)?);
    Some(())
}

fn shown_rate(rate: Option<Rate>) -> Option<String> {
    Some(rate.map_or(0, |rate| rate.requests.get()).to_string())
}

fn database_url(value: &str) -> Option<Secret> {
    let known = ["postgresql://", "postgres://"]
        .iter()
        .any(|scheme| value.starts_with(scheme));
    known.then(|| Secret::new(value))
}

/// A URL of scheme and host (and port), without the slash at its end.
fn public_url(value: &str) -> Option<String> {
    let url = value.strip_suffix('/').unwrap_or(value);
    let host = url
        .strip_prefix("https://")
        .or_else(|| url.strip_prefix("http://"))?;
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "-._:[]".contains(letter);
    (!host.is_empty() && host.chars().all(plain)).then(|| url.to_owned())
}

fn masked(_: &Secret) -> String {
    "********".to_owned()
}
