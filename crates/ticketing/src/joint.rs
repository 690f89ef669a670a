//! What concerns two tickets at once: links, merges, and messages that go from one to the other. A decision about both is
//! one [`JointCommit`], stored whole or not at all.

use chrono::{DateTime, Utc};
use kernel::{MessageId, Receipt, TicketId, UserId};

use crate::machine::Standing;
use crate::port::TicketCommit;
use crate::ticket::Ticket;
use crate::value::Tags;

/// The most links of a ticket.
pub const LINKS_MAX: usize = 100;

kernel::id_type! {
    /// A merge of two tickets.
    MergeId
}

/// What one ticket is to another: "this one … that one".
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LinkKind {
    /// Has to do with it.
    Relates,
    /// Asks the same as it.
    Duplicates,
    /// Is asked again by it.
    DuplicatedBy,
    /// Is the parent of it.
    Parent,
    /// Is a child of it.
    Child,
    /// Must be resolved before it.
    Blocks,
    /// Cannot be resolved before it.
    BlockedBy,
}

impl LinkKind {
    /// Every kind.
    pub const ALL: [LinkKind; 7] = [
        LinkKind::Relates,
        LinkKind::Duplicates,
        LinkKind::DuplicatedBy,
        LinkKind::Parent,
        LinkKind::Child,
        LinkKind::Blocks,
        LinkKind::BlockedBy,
    ];

    /// The name in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            LinkKind::Relates => "relates",
            LinkKind::Duplicates => "duplicates",
            LinkKind::DuplicatedBy => "duplicated_by",
            LinkKind::Parent => "parent",
            LinkKind::Child => "child",
            LinkKind::Blocks => "blocks",
            LinkKind::BlockedBy => "blocked_by",
        }
    }

    /// What the other one is to this one.
    #[must_use]
    pub fn opposite(self) -> Self {
        match self {
            LinkKind::Relates => LinkKind::Relates,
            LinkKind::Duplicates => LinkKind::DuplicatedBy,
            LinkKind::DuplicatedBy => LinkKind::Duplicates,
            LinkKind::Parent => LinkKind::Child,
            LinkKind::Child => LinkKind::Parent,
            LinkKind::Blocks => LinkKind::BlockedBy,
            LinkKind::BlockedBy => LinkKind::Blocks,
        }
    }
}

/// Two tickets that belong together, as it is stored: the kind is one of `relates` (with the smaller id first),
/// `duplicates`, `parent`, `blocks`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// The one that does.
    pub from: TicketId,
    /// The one that it is done to.
    pub to: TicketId,
    /// What.
    pub kind: LinkKind,
    /// Who said so; `None` for an account that is gone, and for the server.
    pub by: Option<UserId>,
    /// When.
    pub at: DateTime<Utc>,
}

impl Link {
    /// That `this` is `kind` to `other`.
    #[must_use]
    pub fn new(
        this: TicketId,
        kind: LinkKind,
        other: TicketId,
        by: Option<UserId>,
        at: DateTime<Utc>,
    ) -> Self {
        let turned = match kind {
            LinkKind::Relates => this > other,
            LinkKind::Duplicates | LinkKind::Parent | LinkKind::Blocks => false,
            LinkKind::DuplicatedBy | LinkKind::Child | LinkKind::BlockedBy => true,
        };
        let (from, to, kind) = if turned {
            (other, this, kind.opposite())
        } else {
            (this, other, kind)
        };
        Self {
            from,
            to,
            kind,
            by,
            at,
        }
    }

    /// The other ticket, and what `this` is to it.
    #[must_use]
    pub fn seen_from(&self, this: TicketId) -> (LinkKind, TicketId) {
        if self.from == this {
            (self.kind, self.to)
        } else {
            (self.kind.opposite(), self.from)
        }
    }

    /// Whether two links say the same.
    #[must_use]
    pub fn is_same(&self, other: &Link) -> bool {
        (self.from, self.to, self.kind) == (other.from, other.to, other.kind)
    }
}

/// A link with the ticket at its other end.
#[derive(Debug, Clone, PartialEq)]
pub struct LinkedTicket {
    /// The link.
    pub link: Link,
    /// The other ticket, deleted ones included: the caller decides who may know.
    pub other: Ticket,
}

/// A change of a link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LinkWrite {
    /// It is made. The store must refuse one that would close a circle of its kind, a second parent, one that is there, and
    /// more than [`LINKS_MAX`] of a ticket, whatever others link at the same time.
    Add(Link),
    /// It is taken away, if it is there.
    Remove(Link),
}

/// Messages that go to another ticket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Move {
    /// Which; the store must refuse unless all of them lie in `from`.
    pub messages: Vec<MessageId>,
    /// From this ticket.
    pub from: TicketId,
    /// To this one.
    pub to: TicketId,
}

/// What a merge did, so that it can be undone.
#[derive(Debug, Clone, PartialEq)]
pub struct Merge {
    /// Its id.
    pub id: MergeId,
    /// The ticket that took the other one in.
    pub target: TicketId,
    /// The ticket that went into it.
    pub source: TicketId,
    /// The message in the target that says what the source's description said.
    pub description_message: MessageId,
    /// Where the source stood before.
    pub source_standing: Standing,
    /// The tags that the target has from the source alone.
    pub tags_added: Tags,
    /// Whether the target has its first response from the source.
    pub gave_first_response: bool,
    /// Who merged them.
    pub by: Option<UserId>,
    /// When.
    pub at: DateTime<Utc>,
}

/// Where what was written since a merge goes when it is undone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Later {
    /// It stays in the target.
    #[default]
    Target,
    /// It goes to the source.
    Source,
}

/// What a store does about a merge.
#[derive(Debug, Clone, PartialEq)]
pub enum MergeWrite {
    /// All messages and notes of the source go to the target, and the merge is remembered with them.
    Begin(Merge),
    /// Those of them that still lie in the target go back, the description's message is removed, what was written since goes
    /// where `later` says, and the merge is remembered as undone.
    End {
        /// The merge.
        merge: Box<Merge>,
        /// Where what was written since goes.
        later: Later,
        /// When.
        at: DateTime<Utc>,
    },
}

/// A present merge, with what lies in its target now.
#[derive(Debug, Clone, PartialEq)]
pub struct MergeFacts {
    /// The merge.
    pub merge: Merge,
    /// The messages that came from the source, but for its description's.
    pub moved: Tally,
    /// Those that were written since and came with no other merge.
    pub later: Tally,
    /// All others.
    pub rest: Tally,
}

/// Messages, counted for both audiences.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// All of them.
    pub staff: Counted,
    /// The public ones.
    pub public: Counted,
    /// When the first public one was written that is not the requester's.
    pub first_answer: Option<DateTime<Utc>>,
}

/// A number of messages and when the last of them was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counted {
    /// How many.
    pub messages: i32,
    /// The time of the last.
    pub last: Option<DateTime<Utc>>,
}

impl Counted {
    /// Both together.
    #[must_use]
    pub fn and(self, other: Counted) -> Counted {
        Counted {
            messages: self.messages + other.messages,
            last: self.last.max(other.last),
        }
    }
}

impl Tally {
    /// Both together.
    #[must_use]
    pub fn and(self, other: Tally) -> Tally {
        let first_answer = match (self.first_answer, other.first_answer) {
            (Some(one), Some(two)) => Some(one.min(two)),
            (one, two) => one.or(two),
        };
        Tally {
            staff: self.staff.and(other.staff),
            public: self.public.and(other.public),
            first_answer,
        }
    }
}

/// Everything that a decision about two tickets makes durable: stored whole or not at all. The parts have no receipts; the
/// whole has one.
#[derive(Debug, Clone, PartialEq, Default)]
#[must_use = "a decision that is not committed never happened"]
pub struct JointCommit {
    /// What becomes of each ticket. The store must lock them in the order of their ids.
    pub parts: Vec<TicketCommit>,
    /// Messages that change their ticket.
    pub moves: Vec<Move>,
    /// What becomes of a link.
    pub link: Option<LinkWrite>,
    /// What becomes of a merge.
    pub merge: Option<MergeWrite>,
    /// What makes the command safe to repeat.
    pub receipt: Option<Receipt>,
}

/// Why two tickets were not changed together. In every case nothing was.
#[derive(Debug, thiserror::Error)]
pub enum JointError {
    /// As for one ticket.
    #[error(transparent)]
    Commit(#[from] crate::port::CommitError),
    /// The link would close a circle.
    #[error("the link would close a circle")]
    Cycle,
    /// The link is there already.
    #[error("the link is there already")]
    LinkExists,
    /// The child has a parent already.
    #[error("the child has a parent already")]
    SecondParent,
    /// A ticket has too many links.
    #[error("a ticket has too many links")]
    TooManyLinks,
}
