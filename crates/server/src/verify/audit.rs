//! `insightdesk verify audit`: walks the chain of the audit log and takes every digest anew.
//!
//! The digests are taken here, from the columns as they are stored, and not by the database, whose functions whoever
//! forged rows could have changed, too. What a chain alone cannot show is that its end was cut off, or that all of it was
//! made anew; for that the head that is printed is kept elsewhere, as an anchor for the next time (`--expect`).

use std::str::FromStr;

use chrono::SecondsFormat;
use kernel::PortError;
use postgres::{AuditRow, PgAudit};
use ring::digest;

use crate::cli::say;
use crate::desk::Desk;
use crate::failure::{Failure, Outcome};

/// Rows that are read at a time.
const BATCH_ROWS: i64 = 2_000;
/// The bytes of a digest.
const DIGEST_BYTES: usize = 32;

/// How to check the audit log.
#[derive(Debug, clap::Args)]
pub struct AuditArgs {
    /// What an earlier check printed as the head, NUMBER:SHA256. The log must still have that entry.
    #[arg(long, value_name = "NUMBER:SHA256")]
    pub expect: Option<Anchor>,
}

/// An entry's number and digest: the head of the log at some time, kept elsewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Anchor {
    /// The number; 0 for a log without entries.
    pub number: i64,
    /// The digest, in lower-case hexadecimal digits; empty for a log without entries.
    pub sha256: String,
}

impl std::fmt::Display for Anchor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.number, self.sha256)
    }
}

/// Why a text is no anchor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it must be the number of an entry, a colon and the 64 hexadecimal digits of its SHA-256")]
pub struct AnchorError;

impl FromStr for Anchor {
    type Err = AnchorError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (number, sha256) = text.trim().split_once(':').ok_or(AnchorError)?;
        let number = number
            .parse()
            .ok()
            .filter(|number| *number >= 0)
            .ok_or(AnchorError)?;
        let digits = if number == 0 { 0 } else { DIGEST_BYTES * 2 };
        if sha256.len() != digits || !sha256.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(AnchorError);
        }
        Ok(Self {
            number,
            sha256: sha256.to_lowercase(),
        })
    }
}

/// What is wrong with the log, at the first place where something is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// A number is missing.
    #[error("entry {number} is missing: after entry {after} comes entry {found}")]
    Missing {
        /// The number that is missing.
        number: i64,
        /// The last one before it.
        after: i64,
        /// The next one there is.
        found: i64,
    },
    /// A row does not have the digest that it should have.
    #[error("entry {number} was changed or put in: its digest is not that of what it says")]
    Changed {
        /// The row.
        number: i64,
    },
    /// A row begins a chain of its own.
    #[error("entry {number} begins a new chain: it follows no entry, and should follow entry {after}")]
    Restarted {
        /// The row.
        number: i64,
        /// The row before.
        after: i64,
    },
    /// A row follows another one than the one before it.
    #[error(
        "entry {number} follows another entry {after} than the one that is there: one of the two was replaced"
    )]
    Unlinked {
        /// The row.
        number: i64,
        /// The row before.
        after: i64,
    },
    /// The log ends before the anchor.
    #[error("entry {expected} is missing: the log was cut off after entry {head}")]
    CutOff {
        /// The anchor's number.
        expected: i64,
        /// The last entry there is.
        head: i64,
    },
    /// The anchor's entry is another one.
    #[error("entry {number} is not the one of the anchor: the log was made anew, from there or from before")]
    Replaced {
        /// The anchor's number.
        number: i64,
    },
}

/// Why the log could not be found whole.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// It is not.
    #[error("the audit log is not as it was written: {0}")]
    Fault(#[from] Fault),
    /// It could not be read to its end.
    #[error("the audit log cannot be read")]
    Port(#[from] PortError),
}

pub(crate) async fn run(args: AuditArgs, desk: &Desk) -> Outcome {
    let AuditArgs { expect } = args;
    let audit = PgAudit::new(desk.database.clone());
    match verify(&audit, expect.as_ref()).await {
        Ok(head) if head.number == 0 => say("The audit log has no entries yet."),
        Ok(head) => say(&format!(
            "The audit log is as it was written: {} entries.\nhead {head}\nKeep the head elsewhere; with --expect the next \
             check also finds what was cut off.",
            head.number
        )),
        Err(error @ (VerifyError::Fault(_) | VerifyError::Port(_))) => {
            Err(Failure::because("the check of the audit log failed", error).into())
        }
    }
}

/// Walks the whole chain; gives its head.
///
/// # Errors
/// [`VerifyError::Fault`] for the first fault that is found, else when the log cannot be read.
pub async fn verify(audit: &PgAudit, expect: Option<&Anchor>) -> Result<Anchor, VerifyError> {
    let mut walk = Walk {
        number: 0,
        sha256: Vec::new(),
        expect,
    };
    walk.check_anchor()?;
    loop {
        let rows = audit.chain(walk.number, BATCH_ROWS).await?;
        if rows.is_empty() {
            break;
        }
        for row in &rows {
            walk.step(row)?;
        }
    }
    let head = walk.head();
    match expect {
        Some(anchor) if head.number < anchor.number => Err(Fault::CutOff {
            expected: anchor.number,
            head: head.number,
        }
        .into()),
        Some(_) | None => Ok(head),
    }
}

/// A walk along the chain, at some row.
struct Walk<'a> {
    number: i64,
    sha256: Vec<u8>,
    expect: Option<&'a Anchor>,
}

impl Walk<'_> {
    fn head(&self) -> Anchor {
        Anchor {
            number: self.number,
            sha256: hex(&self.sha256),
        }
    }

    fn step(&mut self, row: &AuditRow) -> Result<(), Fault> {
        let (number, after) = (row.number, self.number);
        if number != after + 1 {
            return Err(Fault::Missing {
                number: after + 1,
                after,
                found: number,
            });
        }
        if digest_of(row).as_ref() != row.sha256 {
            return Err(Fault::Changed { number });
        }
        if row.previous_sha256 != self.sha256 {
            return Err(if row.previous_sha256.is_empty() {
                Fault::Restarted { number, after }
            } else {
                Fault::Unlinked { number, after }
            });
        }
        self.number = number;
        self.sha256.clone_from(&row.sha256);
        self.check_anchor()
    }

    fn check_anchor(&self) -> Result<(), Fault> {
        match self.expect {
            Some(anchor) if anchor.number == self.number && *anchor != self.head() => {
                Err(Fault::Replaced { number: self.number })
            }
            Some(_) | None => Ok(()),
        }
    }
}

/// The SHA-256 of a row: each field with its length in bytes in front, absent ones as `-`, with commas between.
fn digest_of(row: &AuditRow) -> digest::Digest {
    let AuditRow {
        number,
        event_id,
        occurred_at,
        action,
        actor_id,
        actor_system,
        target_kind,
        target_id,
        ip_address,
        user_agent,
        request_id,
        credential_id,
        detail,
        previous_sha256,
        sha256: _,
    } = row;
    let fields = [
        Some(number.to_string()),
        Some(event_id.to_string()),
        Some(occurred_at.to_rfc3339_opts(SecondsFormat::Micros, true)),
        Some(action.clone()),
        actor_id.map(|id| id.to_string()),
        actor_system.clone(),
        Some(target_kind.clone()),
        target_id.map(|id| id.to_string()),
        ip_address.clone(),
        user_agent.clone(),
        request_id.clone(),
        credential_id.map(|id| id.to_string()),
        Some(detail.clone()),
        Some(hex(previous_sha256)),
    ];
    let written = fields.map(|field| match field {
        Some(field) => format!("{}:{field}", field.len()),
        None => "-".to_owned(),
    });
    digest::digest(&digest::SHA256, written.join(",").as_bytes())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_anchor_is_read_as_it_is_printed() {
        let text = format!("12:{}", "0a".repeat(32));
        let anchor: Anchor = text.parse().unwrap();
        assert_eq!((anchor.number, anchor.to_string()), (12, text.clone()));
        assert_eq!(text.to_uppercase().parse(), Ok(anchor));
        assert_eq!("0:".parse::<Anchor>().map(|anchor| anchor.number), Ok(0));
        for bad in [
            "",
            "12",
            "12:",
            "x:00",
            "-1:00",
            "12:zz",
            &format!("0:{}", "0a".repeat(32)),
        ] {
            assert_eq!(bad.parse::<Anchor>(), Err(AnchorError), "{bad}");
        }
    }
}
