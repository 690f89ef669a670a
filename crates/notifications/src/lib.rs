//! Who is told of what in the InsightDesk help desk.
//!
//! [`NotifyPeople`] listens to the events of other domains and stores notifications for those whom a fact concerns;
//! [`Inbox`] is where people read them. Both stand on one port, [`NotificationStore`].
//!
//! What holds: nobody is told of what they did themselves, nor of what they may not see; above all, a ticket's requester
//! never learns of internal messages and notes, in whatever role. A fact leads to the same notifications once, however
//! often its event comes.
//!
//! To tell of something new, add a [`Kind`] and a case to [`decide`], which is pure.

mod decide;
mod inbox;
mod notification;
mod notify;
mod port;
#[cfg(feature = "testing")]
pub mod testing;

pub use decide::{Draft, decide};
pub use inbox::{Inbox, InboxError, Marked};
pub use notification::{Kind, Notification, NotificationId};
pub use notify::NotifyPeople;
pub use port::{CommitError, InboxQuery, NotificationCommit, NotificationStore, Unread};
