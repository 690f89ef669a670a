//! Signing by [Standard Webhooks](https://www.standardwebhooks.com): the headers `webhook-id`, `webhook-timestamp` and
//! `webhook-signature`, the last one `v1,` and the base64 of HMAC-SHA256 over `id.timestamp.body`, one for each live secret
//! with a blank between them. With two live secrets a receiver can change from one to the other without losing a call.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, TimeDelta, Utc};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

/// The fewest bytes of a secret, as the specification says.
pub const SECRET_MIN_BYTES: usize = 24;
/// The most bytes of a secret, as the specification says.
pub const SECRET_MAX_BYTES: usize = 64;
/// The most secrets that are live at once.
pub const SECRETS_MAX: usize = 2;
/// How far a receiver may let the time of a call lie from its own.
pub const TOLERANCE: TimeDelta = TimeDelta::minutes(5);

const PREFIX: &str = "whsec_";
const VERSION: &str = "v1,";

/// A secret of 24 to 64 bytes, written `whsec_` and base64. Shown once; `Debug` does not.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Vec<u8>);

/// Why a text or bytes are no secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// It does not begin with `whsec_`, or goes on with something other than base64.
    #[error("must be whsec_ and base64")]
    Malformed,
    /// It is too short or too long.
    #[error("must have {SECRET_MIN_BYTES} to {SECRET_MAX_BYTES} bytes")]
    Length,
}

impl Secret {
    /// A secret of random bytes, which come from outside.
    ///
    /// # Errors
    /// [`SecretError::Length`].
    pub fn of(bytes: Vec<u8>) -> Result<Self, SecretError> {
        if (SECRET_MIN_BYTES..=SECRET_MAX_BYTES).contains(&bytes.len()) {
            Ok(Self(bytes))
        } else {
            Err(SecretError::Length)
        }
    }

    /// A secret as it is written.
    ///
    /// # Errors
    /// See [`SecretError`].
    pub fn parse(text: &str) -> Result<Self, SecretError> {
        let coded = text.strip_prefix(PREFIX).ok_or(SecretError::Malformed)?;
        Self::of(STANDARD.decode(coded).map_err(|_| SecretError::Malformed)?)
    }

    /// As it is written: for the one time that it is shown, and for storing it sealed.
    #[must_use]
    pub fn reveal(&self) -> String {
        format!("{PREFIX}{}", STANDARD.encode(&self.0))
    }

    fn mac(&self, id: &str, timestamp: i64, body: &[u8]) -> Option<Hmac<Sha256>> {
        // A key of any length is fine.
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).ok()?;
        mac.update(id.as_bytes());
        mac.update(format!(".{timestamp}.").as_bytes());
        mac.update(body);
        Some(mac)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// The live secrets of an endpoint: one, or two while a receiver changes over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Secrets {
    newest: Secret,
    older: Option<Secret>,
}

/// The headers of a signed call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    /// `webhook-id`: the same for every try, by which a receiver knows a second one.
    pub id: String,
    /// `webhook-timestamp`: seconds since 1970, of this try.
    pub timestamp: String,
    /// `webhook-signature`
    pub signature: String,
}

/// Why a call is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadSignature {
    /// A header is missing its form.
    #[error("the headers are malformed")]
    Malformed,
    /// It is too old, or from the future.
    #[error("the timestamp is too far from now")]
    Stale,
    /// No live secret signed it.
    #[error("no signature fits")]
    Wrong,
}

impl Secrets {
    /// One live secret.
    #[must_use]
    pub fn one(secret: Secret) -> Self {
        Self {
            newest: secret,
            older: None,
        }
    }

    /// What a store read: the newest first, at most [`SECRETS_MAX`]; `None` for none or more.
    #[must_use]
    pub fn stored(secrets: Vec<Secret>) -> Option<Self> {
        let mut secrets = secrets.into_iter();
        let newest = secrets.next()?;
        let older = secrets.next();
        secrets.next().is_none().then_some(Self { newest, older })
    }

    /// With a new secret; the one before it stays live, an older one does not.
    #[must_use]
    pub fn rotated(self, new: Secret) -> Self {
        Self {
            newest: new,
            older: Some(self.newest),
        }
    }

    /// Without the older secret: the receiver has changed over.
    #[must_use]
    pub fn retired(self) -> Self {
        Self::one(self.newest)
    }

    /// The live ones, the newest first.
    pub fn live(&self) -> impl Iterator<Item = &Secret> {
        std::iter::once(&self.newest).chain(&self.older)
    }

    /// The headers of a call that is sent at `at`. The id is that of the event, or of the step of a run; it has no dot.
    #[must_use]
    pub fn sign(&self, id: uuid::Uuid, at: DateTime<Utc>, body: &[u8]) -> Signed {
        self.signed(&id.to_string(), at.timestamp(), body)
    }

    fn signed(&self, id: &str, timestamp: i64, body: &[u8]) -> Signed {
        let macs = self.live().filter_map(|secret| secret.mac(id, timestamp, body));
        let signatures: Vec<_> = macs
            .map(|mac| format!("{VERSION}{}", STANDARD.encode(mac.finalize().into_bytes())))
            .collect();
        Signed {
            id: id.to_owned(),
            timestamp: timestamp.to_string(),
            signature: signatures.join(" "),
        }
    }

    /// Whether a call is one of ours, as a receiver asks: for tests and for Rust programs that are called.
    ///
    /// # Errors
    /// See [`BadSignature`].
    pub fn verify(&self, signed: &Signed, body: &[u8], now: DateTime<Utc>) -> Result<(), BadSignature> {
        let timestamp: i64 = signed.timestamp.parse().map_err(|_| BadSignature::Malformed)?;
        if now.timestamp().abs_diff(timestamp) > TOLERANCE.num_seconds().unsigned_abs() {
            return Err(BadSignature::Stale);
        }
        let given = signed
            .signature
            .split(' ')
            .filter_map(|one| one.strip_prefix(VERSION));
        let given: Vec<_> = given.filter_map(|coded| STANDARD.decode(coded).ok()).collect();
        // `verify_slice` takes the same time wherever they differ.
        let fits = self.live().any(|secret| {
            given.iter().any(|signature| {
                let mac = secret.mac(&signed.id, timestamp, body);
                mac.is_some_and(|mac| mac.verify_slice(signature).is_ok())
            })
        });
        if fits { Ok(()) } else { Err(BadSignature::Wrong) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(byte: u8) -> Secret {
        Secret::of(vec![byte; 32]).unwrap()
    }

    #[test]
    fn the_specifications_own_example_comes_out() {
        // From the reference implementations of Standard Webhooks.
        let secret = Secret::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let signed = Secrets::one(secret).signed(
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            1_614_265_330,
            br#"{"test": 2432232314}"#,
        );
        assert_eq!(
            signed.signature,
            "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
        );
        assert_eq!(signed.timestamp, "1614265330");
    }

    #[test]
    fn a_call_is_believed_with_either_live_secret_and_no_other() {
        let now = DateTime::from_timestamp(1_780_000_000, 0).unwrap();
        let id = uuid::Uuid::from_u128(7);
        let (old, new) = (Secrets::one(secret(1)), Secrets::one(secret(2)));
        let both = old.clone().rotated(secret(2));
        let signed = both.sign(id, now, b"body");
        assert_eq!(signed.signature.split(' ').count(), SECRETS_MAX);
        for receiver in [&old, &new, &both] {
            assert_eq!(receiver.verify(&signed, b"body", now), Ok(()));
            assert_eq!(receiver.verify(&signed, b"Body", now), Err(BadSignature::Wrong));
        }
        let other = Secrets::one(secret(3));
        assert_eq!(other.verify(&signed, b"body", now), Err(BadSignature::Wrong));
        let retired = both.clone().retired().sign(id, now, b"body");
        assert_eq!(old.verify(&retired, b"body", now), Err(BadSignature::Wrong));
        // A third one ends the first.
        let third = both.rotated(secret(3)).sign(id, now, b"body");
        assert_eq!(old.verify(&third, b"body", now), Err(BadSignature::Wrong));
    }

    #[test]
    fn a_replayed_or_bent_call_is_not_believed() {
        let now = DateTime::from_timestamp(1_780_000_000, 0).unwrap();
        let secrets = Secrets::one(secret(1));
        let signed = secrets.sign(uuid::Uuid::nil(), now, b"");
        let late = now + TOLERANCE + TimeDelta::seconds(1);
        assert_eq!(secrets.verify(&signed, b"", late), Err(BadSignature::Stale));
        assert_eq!(secrets.verify(&signed, b"", now - TOLERANCE), Ok(()));
        let bent = |change: fn(&mut Signed)| {
            let mut bent = signed.clone();
            change(&mut bent);
            secrets.verify(&bent, b"", now)
        };
        assert_eq!(
            bent(|one| one.timestamp = "soon".into()),
            Err(BadSignature::Malformed)
        );
        assert_eq!(bent(|one| one.id.push('x')), Err(BadSignature::Wrong));
        assert_eq!(bent(|one| one.signature.clear()), Err(BadSignature::Wrong));
        assert_eq!(
            bent(|one| one.signature = one.signature.replace("v1,", "v2,")),
            Err(BadSignature::Wrong)
        );
    }

    #[test]
    fn a_secret_has_its_form_and_does_not_show_itself() {
        let one = secret(9);
        assert_eq!(Secret::parse(&one.reveal()), Ok(one.clone()));
        assert_eq!(format!("{one:?}"), "Secret(…)");
        assert!(!format!("{:?}", Secrets::one(one)).contains('9'));
        for (text, error) in [
            ("whsec_", SecretError::Length),
            ("whsec_YQ==", SecretError::Length),
            ("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", SecretError::Malformed),
            ("whsec_???", SecretError::Malformed),
        ] {
            assert_eq!(Secret::parse(text), Err(error), "{text}");
        }
        assert_eq!(Secret::of(vec![0; 65]), Err(SecretError::Length));
        assert_eq!(Secrets::stored(vec![]), None);
        assert_eq!(Secrets::stored(vec![secret(1), secret(2), secret(3)]), None);
        assert_eq!(Secrets::stored(vec![secret(1)]), Some(Secrets::one(secret(1))));
    }
}
