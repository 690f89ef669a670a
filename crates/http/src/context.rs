//! What the edge knows of a request while it runs: its id, its deadline, who sent it, and headers that the answer is
//! to carry whatever becomes of it.
//!
//! The [edge](crate::edge) makes one for every request; extractors and handlers reach it by [`RequestContext::of`].

use std::cell::{Cell, OnceCell, RefCell};
use std::fmt;
use std::rc::Rc;
use std::time::{Duration, Instant};

use actix_web::dev::Payload;
use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::{HttpMessage, HttpRequest};
use uuid::Uuid;

use crate::load::Place;
use crate::problem::Problem;

/// The state of one request.
pub struct RequestContext {
    id: String,
    started: Instant,
    deadline: Cell<Instant>,
    caller: Cell<Option<Uuid>>,
    headers: RefCell<Vec<(HeaderName, HeaderValue)>>,
    unread: RefCell<Option<Payload>>,
    place: OnceCell<Place>,
}

impl fmt::Debug for RequestContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestContext")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

impl RequestContext {
    /// The context of a request that begins now and may take `budget`.
    pub(crate) fn new(id: String, budget: Duration) -> Rc<Self> {
        let started = Instant::now();
        Rc::new(Self {
            id,
            started,
            deadline: Cell::new(started + budget),
            caller: Cell::new(None),
            headers: RefCell::new(Vec::new()),
            unread: RefCell::new(None),
            place: OnceCell::new(),
        })
    }

    /// The context of `request`. One that did not pass the edge (in a unit test) gets an empty one.
    #[must_use]
    pub fn of(request: &HttpRequest) -> Rc<Self> {
        if let Some(context) = request.extensions().get::<Rc<Self>>() {
            return Rc::clone(context);
        }
        Self::new(String::new(), Duration::from_secs(10))
    }

    /// The request id, as logs and problem documents show it.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// How long it has taken so far.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// When the request is given up.
    pub(crate) fn deadline(&self) -> Instant {
        self.deadline.get()
    }

    /// Gives the request `budget` from now on: a slow body has a deadline of its own and takes nothing from the
    /// handler's.
    pub(crate) fn allow(&self, budget: Duration) {
        self.deadline.set(Instant::now() + budget);
    }

    /// Remembers who sent it, for the log.
    pub(crate) fn set_caller(&self, caller: Uuid) {
        self.caller.set(Some(caller));
    }

    /// Who sent it, once that is known.
    pub(crate) fn caller(&self) -> Option<Uuid> {
        self.caller.get()
    }

    /// Puts a header on the answer, be it a success or a problem.
    pub fn add_header(&self, name: HeaderName, value: HeaderValue) {
        self.headers.borrow_mut().push((name, value));
    }

    /// Takes the headers that were put on the answer.
    pub(crate) fn take_headers(&self) -> Vec<(HeaderName, HeaderValue)> {
        self.headers.take()
    }

    /// Keeps a body that has not been read to its end.
    pub(crate) fn keep_unread(&self, body: Payload) {
        self.unread.replace(Some(body));
    }

    /// Takes the body, to read it.
    pub(crate) fn take_unread(&self) -> Option<Payload> {
        self.unread.take()
    }

    /// Lets the request have one of the process' [places](crate::load).
    pub(crate) fn enter(&self, place: Place) {
        // A request enters once; a second place would be free again at once.
        let _ = self.place.set(place);
    }

    /// Gives the place up: while the request waits for its client, or has ended.
    pub(crate) fn leave(&self) {
        if let Some(place) = self.place.get() {
            place.leave();
        }
    }

    /// Takes the place again.
    ///
    /// # Errors
    /// 503 when there is none any more.
    pub(crate) fn reenter(&self) -> Result<(), Problem> {
        self.place.get().map_or(Ok(()), Place::retake)
    }
}
