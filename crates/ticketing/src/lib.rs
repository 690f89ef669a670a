//! Tickets of the InsightDesk help desk: the state machine, who may do what, the use cases, and the ports they need.
//!
//! The crate knows nothing of HTTP or of a database, so that another service can link it alone:
//! [`Standing`] is the state machine by itself, [`policy`] answers who may do what, [`Action`] whether something may be
//! done now and why not, and [`Tickets`] runs whole use
//! cases over whatever implements [`TicketStore`], [`Directory`] and [`Markup`] (with the feature `testing`,
//! [`testing::MemoryTickets`] does, in memory).
//!
//! A use case authorises, loads, decides and commits. The decision is a value, [`TicketCommit`], that holds all that
//! must become durable: the ticket, messages, notes, its history, its events and a receipt. The store takes it whole
//! or not at all.

mod attachment;
mod blobs;
mod bulk;
mod draft;
mod error;
mod field_definition;
mod fields;
mod joint;
mod machine;
pub mod policy;
mod port;
mod query;
pub mod routing;
mod ruling;
mod satisfaction;
mod saved_view;
mod search;
mod service;
mod service_level;
mod survey;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
mod ticket;
mod value;

use chrono::Duration;

pub use attachment::{
    ATTACHMENTS_PER_MESSAGE_MAX, Attachment, AttachmentId, AttachmentPlace, FILE_NAME_MAX_BYTES, FileName,
    OCTET_STREAM, PlacedAttachment,
};
pub use blobs::{
    AddError, AttachmentStore, BLOB_SHARDS, BlobError, BlobFacts, BlobReader, BlobWriter, Blobs, Scanner,
    StoredBlob, Unbound, Verdict, shard_of,
};
pub use bulk::port::{Claimed, ClaimedItem, JobStore, NewJob, StartError};
pub use bulk::undo::{Undo, Was};
pub use bulk::{
    BULK_IDS_MAX, BULK_SAMPLE_TICKETS, BULK_TICKETS_MAX, BulkChange, DoneItem, Foreseen, ItemOutcome,
    ItemPosition, ItemResult, Items, JOBS_KEPT, JOBS_UNFINISHED_MAX, Job, JobId, JobItem, JobState, Preview,
    Tallied, Targets, Task, UNDO_WINDOW,
};
pub use error::TicketError;
pub use events::{TicketChannel, TicketPriority, TicketStatus};
pub use field_definition::port::{FieldCommit, FieldCommitError, FieldStore, FieldWrite};
pub use field_definition::{
    FIELD_NAME_MAX_CHARS, FIELD_OPTION_MAX_CHARS, FIELD_OPTIONS_MAX, FIELD_PATTERN_MAX_CHARS,
    FIELD_PLACE_MAX, FIELD_TEXT_MAX_CHARS, FIELDS_MAX, FieldDefinition, FieldHelp, FieldId, FieldLabel,
    FieldName, FieldSet, FieldType, FieldValues, Options, Pattern,
};
pub use fields::{TicketCondition, TicketField, TicketFields, UnsettledCondition};
pub use joint::{
    Counted, JointCommit, JointError, LINKS_MAX, Later, Link, LinkKind, LinkWrite, LinkedTicket, Merge,
    MergeFacts, MergeId, MergeWrite, Move, Tally,
};
pub use machine::{ClosedBy, Standing, TransitionRefused};
pub use port::{
    AssigneeFacts, CommitError, Directory, Markup, PersonCard, RaterFacts, Reference, TeamCard, TicketCommit,
    TicketStore, TicketWrite,
};
pub use query::{
    COUNT_EXACT_MAX_ROWS, Count, Direction, Maybe, Scope, Sort, SortKey, Span, TicketFilter, TicketQuery,
};
pub use routing::port::{RoutingCommit, RoutingCommitError, RoutingWrite, TeamRouting, TurnTaken};
pub use routing::{Availability, Candidate, RoutingMode, RoutingSettings, TicketBound, Turn};
pub use ruling::{Action, Case, Reason, Refusal};
pub use satisfaction::{Due, NotDue, RATING_CHANGE_WINDOW, Rating, Satisfaction, Score, due};
pub use saved_view::port::{SavedViewStore, ViewCommit, ViewCommitError, ViewWrite};
pub use saved_view::rights::{TeamReach, ViewReach, ViewRight};
pub use saved_view::{
    SavedView, SavedViewId, VIEW_FILTER_MAX_BYTES, VIEW_NAME_MAX_CHARS, VIEW_PLACE_MAX, VIEWS_MAX,
    ViewFilter, ViewHolder, ViewName, ViewPlace, ViewPosition, ViewVisibility,
};
pub use search::{
    Excerpt, Hit, PREFIX_MIN_CHARS, Part, RANKED_MAX_TICKETS, Run, SEARCH_TERMS_MAX, SEARCH_TEXT_MAX_CHARS,
    SearchIndex, SearchOrder, SearchPosition, SearchQuery, SearchTerm, SearchText, Wanted,
};
pub use service::{
    AttachmentError, AttachmentSettings, Attachments, AutoClose, AvailabilityChange, DRAFTS_KEPT, Deed,
    DeedOrigin, DeedResult, Deeds, Download, Drafts, Edit, Explanation, FieldChange, FieldDefinitions,
    FieldError, Found, Guard, Import, ImportRow, ImportStore, Imported, ImportedTicket, JobAction, JobError,
    Jobs, LongSubject, NewField, NewTicket, NewView, PAST_MESSAGES_MAX, Past, PastMessage, Ratable, Ratings,
    RawRow, Related, RelatedWish, Reply, Routing, RoutingChange, RoutingError, SPLIT_MAX_MESSAGES,
    SatisfactionSurvey, SavedViewError, SavedViews, Search, TicketView, Tickets, Unsent, UnsentStore, Upload,
    Uploaded, VIEW_COUNT_MAX_TICKETS, VIEWS_COUNTED_MAX, ViewAction, ViewChange, ViewCount, ViewExplanation,
    Written,
};
pub use service_level::{ClockWrite, NoServiceLevels, ServiceLevels, TicketChange, history_of};
pub use survey::{RATING_LINK_LIFE, RatingClaim, RatingLinks, SurveyMail, SurveyMailError, SurveyMailer};
pub use ticket::{
    Activity, ActivityId, Audience, CC_MAX, FOLLOWERS_MAX, Face, MENTIONS_MAX, Message, Note, NoteId, Ticket,
    TicketKey, TicketNumber, Visibility, action,
};
pub use value::{
    BODY_MAX_BYTES, Body, CUSTOM_FIELDS_MAX, CustomFields, DOCUMENT_MAX_BYTES, Description, REMARK_MAX_CHARS,
    Remark, Subject, TAG_MAX_CHARS, TAGS_MAX, Tags, within_document_bound,
};

/// The desk's own choices about tickets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// How long after closing a ticket may be reopened; 14 days.
    pub reopen_window: Duration,
    /// How long a resolved ticket stays silent before it closes itself; 96 hours.
    pub auto_close_after: Duration,
    /// How long an author may edit a message; 5 minutes.
    pub message_edit_window: Duration,
    /// How long after its deletion a lead may restore a ticket; 30 days. Administrators always may.
    pub restore_window: Duration,
    /// Whether agents without a rank may assign tickets to others; no.
    pub agents_assign_others: bool,
    /// Whether customers may choose a priority when they open a ticket; yes.
    pub requester_sets_priority: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            reopen_window: Duration::days(14),
            auto_close_after: Duration::hours(96),
            message_edit_window: Duration::minutes(5),
            restore_window: Duration::days(30),
            agents_assign_others: false,
            requester_sets_priority: true,
        }
    }
}
