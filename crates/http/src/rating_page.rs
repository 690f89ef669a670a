//! The page behind the link of a mail that asks how content someone is with a resolution.
//!
//! It is a form that works without a script: reading it changes nothing, since programs that look after mail follow its
//! links; sending it rates. The link is in the path, since without a script nothing behind a `#` would come here; the log has
//! no paths, and browsers are told to send no `Referer`. The style is that of the [account's page](crate::account).

use actix_web::dev::Payload;
use actix_web::http::{ConnectionType, StatusCode, header};
use actix_web::web::{self, Data};
use actix_web::{FromRequest, HttpRequest, HttpResponse, guard};
use futures_util::FutureExt as _;
use futures_util::future::LocalBoxFuture;
use kernel::Violation;
use ticketing::{RATING_CHANGE_WINDOW, Ratable, Rating, Score};

use crate::api::ratings::{RatingLink, admitted, rating};
use crate::app::AppState;
use crate::html::escaped;
use crate::json::read_body_of;
use crate::path::{Path, PathKey as _};
use crate::problem::Problem;
use crate::routes::{method_not_allowed, unknown_path};

/// Where the page is, before the link.
pub(crate) const RATING_BASE: &str = "/rate";

/// The type of what the form sends.
const FORM_TYPE: &str = "application/x-www-form-urlencoded";

/// The scores with their words.
const WORDS: [(u8, &str); 5] = [
    (5, "entirely"),
    (4, "mostly"),
    (3, "half and half"),
    (2, "hardly"),
    (1, "not at all"),
];

/// Registers the page.
pub(crate) fn configure(config: &mut web::ServiceConfig) {
    let page = web::resource("/{link}")
        .route(
            web::route()
                .guard(guard::Any(guard::Get()).or(guard::Head()))
                .to(show),
        )
        .route(web::post().to(rate))
        .default_service(web::to(method_not_allowed));
    let scope = web::scope(RATING_BASE).service(page);
    config.service(scope.default_service(web::to(unknown_path)));
}

async fn show(
    app: Data<AppState>,
    link: Result<Path<RatingLink>, Problem>,
    request: HttpRequest,
) -> HttpResponse {
    let shown = async {
        admitted(&app, &request).await?;
        let Path(RatingLink(link)) = link?;
        Ok::<_, Problem>(app.ratings.shown(&link).await?)
    };
    match shown.await {
        Ok(ratable) => page(&app, StatusCode::OK, &form(&ratable, &app, &Note::None)),
        Err(problem) => told(&app, &problem),
    }
}

async fn rate(
    app: Data<AppState>,
    link: Result<Path<RatingLink>, Problem>,
    request: HttpRequest,
    sent: Result<Sent, Problem>,
) -> HttpResponse {
    let rated = async {
        admitted(&app, &request).await?;
        let Path(RatingLink(link)) = link?;
        // Before anything is said about what was sent: whoever has no link learns nothing.
        let ratable = app.ratings.shown(&link).await?;
        match sent?.rating() {
            Ok(rating) => Ok::<_, Problem>((app.ratings.rate(&link, &rating).await?, Note::Thanks)),
            Err(violation) => Ok((ratable, Note::Fault(violation))),
        }
    };
    match rated.await {
        Ok((ratable, note)) => page(&app, note.status(), &form(&ratable, &app, &note)),
        Err(problem) => told(&app, &problem),
    }
}

/// What the form sent.
struct Sent {
    score: Option<String>,
    comment: Option<String>,
}

impl FromRequest for Sent {
    type Error = Problem;
    type Future = LocalBoxFuture<'static, Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let request = request.clone();
        let payload = payload.take();
        async move {
            let body = read_body_of(&request, payload, is_form).await?;
            let unreadable = || Problem::unreadable("request.bad_request", "The form could not be read.");
            let text = std::str::from_utf8(body.bytes()).map_err(|_| unreadable())?;
            let fields = web::Query::<Vec<(String, String)>>::from_query(text).map_err(|_| unreadable())?;
            let mut sent = Self {
                score: None,
                comment: None,
            };
            for (name, value) in fields.into_inner() {
                match name.as_str() {
                    "score" => sent.score = Some(value),
                    "comment" => sent.comment = Some(value),
                    _ => return Err(unreadable()),
                }
            }
            Ok(sent)
        }
        .boxed_local()
    }
}

fn is_form(request: &HttpRequest) -> Result<(), Problem> {
    let value = request.headers().get(header::CONTENT_TYPE);
    let value = value.and_then(|value| value.to_str().ok()).unwrap_or("");
    let essence = value.split(';').next().unwrap_or("").trim();
    if essence.eq_ignore_ascii_case(FORM_TYPE) {
        Ok(())
    } else {
        Err(Problem::from_status(StatusCode::UNSUPPORTED_MEDIA_TYPE))
    }
}

impl Sent {
    fn rating(self) -> Result<Rating, Violation> {
        let Self { score, comment } = self;
        let missing = || Violation::new("/score", "required", "must be chosen");
        let score = score.and_then(|score| score.parse().ok()).ok_or_else(missing)?;
        // A form ends lines in its own way, and sends what was left empty.
        let comment = comment.map(|comment| comment.replace("\r\n", "\n"));
        let comment = comment.filter(|comment| !comment.trim().is_empty());
        rating(score, comment.as_deref()).map_err(|violations| {
            violations
                .as_slice()
                .iter()
                .next()
                .cloned()
                .unwrap_or_else(missing)
        })
    }
}

/// What stands above the form.
enum Note {
    None,
    Thanks,
    Fault(Violation),
}

impl Note {
    fn status(&self) -> StatusCode {
        match self {
            Note::None | Note::Thanks => StatusCode::OK,
            Note::Fault(_) => StatusCode::UNPROCESSABLE_ENTITY,
        }
    }
}

/// The inside of the page for a link that is good.
fn form(ratable: &Ratable, app: &AppState, note: &Note) -> String {
    let Ratable {
        number,
        subject,
        satisfaction,
        until,
    } = ratable;
    let (number, subject) = (escaped(number), escaped(subject));
    let note = match note {
        Note::None => String::new(),
        Note::Thanks => "<p id=\"told\" role=\"status\">Thank you.</p>\n".to_owned(),
        Note::Fault(fault) => {
            let what = if fault.pointer == "/comment" {
                "The comment"
            } else {
                "The score"
            };
            format!(
                "<p id=\"told\" role=\"alert\">{what} {}.</p>\n",
                escaped(&fault.message)
            )
        }
    };
    let given = satisfaction.as_ref().map(|given| &given.rating);
    let present = given.map(|rating| rating.score);
    let lead = format!("<p>{number}: <strong>{subject}</strong></p>\n{note}");
    if app.clock.now() >= *until {
        let score = present.map_or(0, Score::get);
        let max = Score::MAX;
        return format!("{lead}<p>You rated it {score} of {max}. That can no longer be changed.</p>\n");
    }
    let choices: String = WORDS
        .iter()
        .map(|(score, words)| {
            let checked = if present.map(Score::get) == Some(*score) { " checked" } else { "" };
            format!(
                "<label><input type=\"radio\" name=\"score\" value=\"{score}\" required{checked}> {score} – {words}</label>\n"
            )
        })
        .collect();
    let comment = given.and_then(|rating| rating.comment.as_ref());
    let comment = comment.map_or(String::new(), |comment| escaped(comment.as_str()));
    let days = RATING_CHANGE_WINDOW.num_days();
    // A line break right behind the tag is none of the text's, so that one of the text's own stays.
    format!(
        "{lead}<form method=\"post\">\n<fieldset>\n<legend>How content are you with how it was resolved?</legend>\n{choices}</fieldset>\n\
         <label>Why, if you like <textarea name=\"comment\" maxlength=\"2000\" rows=\"5\">\n{comment}</textarea></label>\n\
         <button type=\"submit\">Send</button>\n</form>\n<p>You can change it for {days} days.</p>\n"
    )
}

/// What a person reads where there is no form.
fn told(app: &AppState, problem: &Problem) -> HttpResponse {
    problem.log();
    let text = match (problem.code(), problem.status()) {
        ("ticket.rating_final", _) => "Your rating can no longer be changed.",
        (_, StatusCode::NOT_FOUND) => RatingLink::NOT_FOUND_DETAIL,
        (_, StatusCode::TOO_MANY_REQUESTS) => "Too many requests; wait a little and try again.",
        (_, status) if status.is_client_error() => "The form could not be read; go back and try again.",
        _ => "The desk cannot answer just now; try again shortly.",
    };
    let mut response = page(app, problem.status(), &format!("<p role=\"alert\">{text}</p>\n"));
    // What the problem says to programs holds for browsers too.
    let as_problem = problem.to_response(None, None);
    if let Some(pause) = as_problem.headers().get(header::RETRY_AFTER) {
        response.headers_mut().insert(header::RETRY_AFTER, pause.clone());
    }
    if problem.closes() {
        response.head_mut().set_connection_type(ConnectionType::Close);
    }
    response
}

fn page(app: &AppState, status: StatusCode, inside: &str) -> HttpResponse {
    let desk = escaped(&app.settings.desk_name);
    let html = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<meta name=\"robots\" content=\"noindex\">\n\
         <title>How did we do? · {desk}</title>\n<link rel=\"stylesheet\" href=\"/account/assets/page.css\">\n</head>\n<body>\n\
         <main>\n<h1>How did we do?</h1>\n{inside}<p>{desk}</p>\n</main>\n</body>\n</html>\n"
    );
    HttpResponse::build(status)
        .insert_header((header::CONTENT_TYPE, "text/html; charset=utf-8"))
        .body(html)
}
