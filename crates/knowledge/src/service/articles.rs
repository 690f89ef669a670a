//! Articles: writing, reviewing, publishing, reading, going back, and what readers say of them.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use events::{Event, Fact, KnowledgeFact};
use kernel::receipt::ReceiptFor;
use kernel::{
    Actor, Clock, Guard, IdSource, Page, PageLimit, Patch, PortError, Position, STALE_TRIES_MAX, SystemActor,
    Version, Violation,
};

use super::{KnowledgeError, SLUG_NUMBERS_MAX, Tally, Thing, below, met};
use crate::article::{
    Article, ArticleCard, ArticleId, ArticleStatus, ArticleText, ArticleVersion, Feedback, Step,
};
use crate::category::CategoryId;
use crate::compare::{Difference, difference};
use crate::policy::{Rank, Standing};
use crate::port::{
    ArticleChange, ArticleCommit, ArticleCommitError, ArticleFilter, ArticleOrder, ArticleStore,
    CategoryStore, Found, Markup, Rendered,
};
use crate::slug::Slug;
use crate::value::{ArticleContent, ArticleTitle, Excerpt, Language};

/// How far ahead a publication can be settled.
const PUBLISH_AHEAD_MAX: TimeDelta = TimeDelta::days(366);
/// How many articles are published at their time in one go.
const DUE_MAX: usize = 100;
/// The most characters of an article's slug.
const SLUG_MAX_CHARS: usize = 200;

/// The use cases of articles.
pub struct Articles {
    store: Arc<dyn ArticleStore>,
    categories: Arc<dyn CategoryStore>,
    markup: Arc<dyn Markup>,
    views: Tally<ArticleId>,
    four_eyes: bool,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn IdSource>,
}

/// An article to write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewArticle {
    /// Its title.
    pub title: ArticleTitle,
    /// Its Markdown.
    pub content: ArticleContent,
    /// What it is about in short; made of its text when absent.
    pub excerpt: Option<Excerpt>,
    /// The category that it is to lie in.
    pub category: CategoryId,
    /// What it is to be called in addresses; made of the title when absent.
    pub slug: Option<Slug>,
    /// The language that it is written in.
    pub language: Language,
}

impl NewArticle {
    /// A slug for an article, as someone wishes it.
    ///
    /// # Errors
    /// When it is none, or too long.
    pub fn slug(pointer: &str, raw: &str) -> Result<Slug, Violation> {
        Slug::parse(pointer, raw, SLUG_MAX_CHARS)
    }
}

/// What to change of an article; `None` keeps.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ArticleEdit {
    /// Another title.
    pub title: Option<ArticleTitle>,
    /// Another text.
    pub content: Option<ArticleContent>,
    /// Another excerpt, or one that is made of the text again.
    pub excerpt: Patch<Excerpt>,
    /// Another category.
    pub category: Option<CategoryId>,
    /// Another slug; the old one leads there, too.
    pub slug: Option<Slug>,
    /// Another language.
    pub language: Option<Language>,
    /// When it is to be published, or that it is not.
    pub publish_at: Patch<DateTime<Utc>>,
}

/// An article as it is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArticleShown {
    /// The article.
    pub article: Article,
    /// What its Markdown looks like.
    pub rendered: Rendered,
}

/// A text that an article had, and how it came from the one before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VersionShown {
    /// The text.
    pub version: ArticleVersion,
    /// What was done to the Markdown of the one before; all of it was added where it is the first.
    pub changes: Vec<Difference>,
}

impl Articles {
    /// The articles of this store, in the categories of that one.
    #[must_use]
    pub fn new(
        store: Arc<dyn ArticleStore>,
        categories: Arc<dyn CategoryStore>,
        markup: Arc<dyn Markup>,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn IdSource>,
    ) -> Self {
        Self {
            store,
            categories,
            markup,
            views: Tally::default(),
            four_eyes: false,
            clock,
            ids,
        }
    }

    /// The same, where nobody publishes what they began.
    #[must_use]
    pub fn with_four_eyes(self, four_eyes: bool) -> Self {
        Self { four_eyes, ..self }
    }

    /// Begins an article, as a draft.
    ///
    /// # Errors
    /// [`KnowledgeError::Forbidden`] for all but staff; [`KnowledgeError::Invalid`] at `/categoryId`;
    /// [`KnowledgeError::SlugTaken`] for a slug that was wished.
    pub async fn create(
        &self,
        actor: &Actor,
        new: NewArticle,
        receipt: ReceiptFor<'_, ArticleShown>,
    ) -> Result<ArticleShown, KnowledgeError> {
        let standing = staff(actor)?;
        let author = standing
            .person
            .ok_or(KnowledgeError::Forbidden("write articles; people do"))?;
        let NewArticle {
            title,
            content,
            excerpt,
            category,
            slug: wished,
            language,
        } = new;
        let rendered = self.markup.render(content.as_str());
        let now = self.clock.now();
        let id = ArticleId::new(self.ids.as_ref());
        let made = Slug::of(title.as_str(), SLUG_MAX_CHARS);
        let mut article = Article {
            id,
            slug: wished.clone().unwrap_or_else(|| made.clone()),
            text: ArticleText {
                title,
                content,
                excerpt_is_made: excerpt.is_none(),
                excerpt: excerpt.unwrap_or_else(|| Excerpt::made_of(&rendered.plain)),
            },
            language,
            category,
            author,
            status: ArticleStatus::Draft,
            publish_at: None,
            published_at: None,
            feedback: Feedback::default(),
            text_number: 1,
            created_at: now,
            updated_at: now,
            version: Version::FIRST,
        };
        for number in 2..=SLUG_NUMBERS_MAX + 2 {
            let shown = ArticleShown {
                article: article.clone(),
                rendered: rendered.clone(),
            };
            let commit = ArticleCommit {
                event: Some(self.told(actor, now, &article, "created")),
                receipt: receipt(&shown),
                change: ArticleChange::Insert {
                    article: Box::new(article.clone()),
                    html: rendered.html.clone(),
                    editor: Some(author),
                },
            };
            match self.store.commit(commit).await {
                Ok(()) => return Ok(shown),
                Err(ArticleCommitError::SlugTaken) if wished.is_none() => {
                    article.slug = if number <= SLUG_NUMBERS_MAX {
                        made.numbered(number)
                    } else {
                        made.unique(id.0)
                    };
                }
                Err(error) => return Err(refused(error)),
            }
        }
        Err(busy())
    }

    /// An article, for staff.
    ///
    /// # Errors
    /// [`KnowledgeError::Forbidden`] for all but staff; [`KnowledgeError::NotFound`] for one that the caller may not see.
    pub async fn show(&self, actor: &Actor, id: ArticleId) -> Result<ArticleShown, KnowledgeError> {
        let article = self.seen(actor, id).await?;
        Ok(self.shown(article))
    }

    /// The published article that an address leads to, for everyone; a reader who is not of the staff is counted.
    ///
    /// # Errors
    /// [`KnowledgeError::NotFound`] where it leads nowhere.
    pub async fn read(
        &self,
        reader: Option<&Actor>,
        slug: &Slug,
    ) -> Result<Result<ArticleShown, Slug>, KnowledgeError> {
        match self.store.published(slug).await? {
            None => Err(KnowledgeError::NotFound(Thing::Article)),
            Some(Found::Moved(slug)) => Ok(Err(slug)),
            Some(Found::Article(article)) => {
                let is_counted = !Standing::of(reader).is_staff();
                if is_counted && self.views.note(article.id, self.clock.now()) {
                    // What cannot be stored is kept, and the reader reads.
                    let _ = self.store_views().await;
                }
                Ok(Ok(self.shown(*article)))
            }
        }
    }

    /// One page of the published articles, the latest published first; those of a category with all that lies in it.
    ///
    /// # Errors
    /// [`KnowledgeError::NotFound`] for a category that there is not.
    pub async fn published(
        &self,
        category: Option<&Slug>,
        after: Option<Position>,
        limit: PageLimit,
    ) -> Result<Page<ArticleCard>, KnowledgeError> {
        let categories = match category {
            None => None,
            Some(slug) => Some(below(self.categories.as_ref(), slug).await?),
        };
        let filter = ArticleFilter {
            status: Some(ArticleStatus::Published),
            categories,
            ..ArticleFilter::default()
        };
        Ok(self
            .store
            .articles(&filter, ArticleOrder::Published, after, limit)
            .await?)
    }

    /// One page of the articles that the caller may see, the latest changed first; for staff.
    ///
    /// # Errors
    /// [`KnowledgeError::Forbidden`] for all but staff.
    pub async fn list(
        &self,
        actor: &Actor,
        filter: ArticleFilter,
        after: Option<Position>,
        limit: PageLimit,
    ) -> Result<Page<ArticleCard>, KnowledgeError> {
        let standing = staff(actor)?;
        let filter = ArticleFilter {
            seen_by: standing.person.filter(|_| standing.rank == Rank::Writer),
            ..filter
        };
        Ok(self
            .store
            .articles(&filter, ArticleOrder::Changed, after, limit)
            .await?)
    }

    /// Changes an article. Whatever changes of its text makes a version.
    ///
    /// # Errors
    /// As for [`Articles::show`]; [`KnowledgeError::Forbidden`] for one that the caller may not write; [`KnowledgeError::Invalid`]
    /// at `/categoryId`; [`KnowledgeError::SlugTaken`]; [`KnowledgeError::Stale`] for a failed precondition.
    pub async fn edit(
        &self,
        actor: &Actor,
        id: ArticleId,
        edit: &ArticleEdit,
        guard: Guard<'_, ArticleShown>,
    ) -> Result<ArticleShown, KnowledgeError> {
        let now = self.clock.now();
        self.change(actor, id, guard, "edited", |standing, article| {
            writable(standing, &article)?;
            let ArticleEdit {
                title,
                content,
                excerpt,
                category,
                slug,
                language,
                publish_at,
            } = edit.clone();
            let publishes = standing.takes(Step::Publish, &article);
            if !publish_at.is_keep() {
                self.may_publish(standing, &article)?;
            }
            let before = article.text.clone();
            let mut changed = article;
            let text = &mut changed.text;
            text.title = title.unwrap_or_else(|| text.title.clone());
            text.content = content.unwrap_or_else(|| text.content.clone());
            match excerpt {
                Patch::Keep => {}
                Patch::Set(excerpt) => {
                    text.excerpt = excerpt;
                    text.excerpt_is_made = false;
                }
                Patch::Clear => text.excerpt_is_made = true,
            }
            changed.category = category.unwrap_or(changed.category);
            changed.slug = slug.unwrap_or(changed.slug);
            changed.language = language.unwrap_or(changed.language);
            match publish_at {
                // What was settled was settled for the text as it stood.
                Patch::Keep if !publishes && changed.text != before => changed.publish_at = None,
                Patch::Keep => {}
                Patch::Set(at) => changed.publish_at = Some(plannable(at, now)?),
                Patch::Clear => changed.publish_at = None,
            }
            Ok(changed)
        })
        .await
    }

    /// Takes a step of an article's way.
    ///
    /// # Errors
    /// As for [`Articles::show`]; [`KnowledgeError::Forbidden`] for one who may not take it; [`KnowledgeError::NotAllowed`] where
    /// it cannot be taken from where the article stands.
    pub async fn step(
        &self,
        actor: &Actor,
        id: ArticleId,
        step: Step,
        guard: Guard<'_, ArticleShown>,
    ) -> Result<ArticleShown, KnowledgeError> {
        let now = self.clock.now();
        self.change(actor, id, guard, step.done(), |standing, article| {
            if step == Step::Publish {
                self.may_publish(standing, &article)?;
            } else if !standing.takes(step, &article) {
                return Err(KnowledgeError::Forbidden(match step {
                    Step::Submit => "submit the articles of others",
                    Step::Publish => "publish articles",
                    Step::Archive => "archive articles; supervisors, team leads and administrators may",
                    Step::Reopen => "make this article a draft again",
                }));
            }
            open(step, article.status)?;
            Ok(taken(step, article, now))
        })
        .await
    }

    /// Publishes what was to be published by now; gives how many articles that were. One that cannot be is left for the next time.
    ///
    /// # Errors
    /// When the store cannot be reached.
    pub async fn publish_due(&self) -> Result<u64, PortError> {
        let now = self.clock.now();
        let actor = Actor::System(SystemActor::Publishing);
        let mut published = 0;
        for id in self.store.due(now, DUE_MAX).await? {
            let guard = Guard::none();
            let done = self.change(&actor, id, guard, Step::Publish.done(), |_, article| {
                // Another node, or a person, may have been faster.
                let is_due = article.publish_at.is_some_and(|at| at <= now);
                if is_due && Step::Publish.is_open_from(article.status) {
                    Ok(taken(Step::Publish, article, now))
                } else {
                    Ok(article)
                }
            });
            match done.await {
                Ok(shown) => published += u64::from(shown.article.published_at == Some(now)),
                Err(KnowledgeError::Port(error)) => return Err(error),
                Err(_) => {}
            }
        }
        Ok(published)
    }

    /// Whether someone may publish an article now or settle when it is to be.
    fn may_publish(&self, standing: Standing, article: &Article) -> Result<(), KnowledgeError> {
        if !standing.takes(Step::Publish, article) {
            return Err(KnowledgeError::Forbidden(
                "publish articles; supervisors, team leads and administrators may",
            ));
        }
        if self.four_eyes && standing.person == Some(article.author) {
            return Err(KnowledgeError::Forbidden(
                "publish their own articles; another one may",
            ));
        }
        open(Step::Publish, article.status)
    }

    /// Makes an article say what it said in an earlier version; that is a new version.
    ///
    /// # Errors
    /// As for [`Articles::edit`]; [`KnowledgeError::NotFound`] for a version that there is not.
    pub async fn revert(
        &self,
        actor: &Actor,
        id: ArticleId,
        number: i32,
        guard: Guard<'_, ArticleShown>,
    ) -> Result<ArticleShown, KnowledgeError> {
        // Whether they may is said before whether there is such a version.
        let article = self.seen(actor, id).await?;
        writable(Standing::of(Some(actor)), &article)?;
        let version = self.store.text(id, number).await?;
        let version = version.ok_or(KnowledgeError::NotFound(Thing::Version))?;
        self.change(actor, id, guard, "reverted", |standing, article| {
            writable(standing, &article)?;
            Ok(Article {
                text: version.text.clone(),
                ..article
            })
        })
        .await
    }

    /// Deletes an article, with its versions and votes.
    ///
    /// # Errors
    /// As for [`Articles::show`]; [`KnowledgeError::Forbidden`] for all but leads and administrators.
    pub async fn delete(
        &self,
        actor: &Actor,
        id: ArticleId,
        guard: Guard<'_, ()>,
    ) -> Result<(), KnowledgeError> {
        for _ in 0..STALE_TRIES_MAX {
            let article = self.seen(actor, id).await?;
            if !Standing::of(Some(actor)).keeps() {
                return Err(KnowledgeError::Forbidden(
                    "delete articles; team leads and administrators may",
                ));
            }
            met(guard.expected, article.version, Thing::Article)?;
            let commit = ArticleCommit {
                event: Some(self.told(actor, self.clock.now(), &article, "deleted")),
                receipt: (guard.receipt)(&()),
                change: ArticleChange::Delete {
                    id,
                    expected: article.version,
                },
            };
            match self.store.commit(commit).await {
                Ok(()) => return Ok(()),
                Err(ArticleCommitError::Stale) => {}
                Err(error) => return Err(refused(error)),
            }
        }
        Err(busy())
    }

    /// One page of the texts that an article has and had, the newest first.
    ///
    /// # Errors
    /// As for [`Articles::show`].
    pub async fn versions(
        &self,
        actor: &Actor,
        id: ArticleId,
        before: Option<i32>,
        limit: PageLimit,
    ) -> Result<Page<ArticleVersion, i32>, KnowledgeError> {
        self.seen(actor, id).await?;
        Ok(self.store.versions(id, before, limit).await?)
    }

    /// One of them, and what it changed.
    ///
    /// # Errors
    /// As for [`Articles::show`]; [`KnowledgeError::NotFound`] for a version that there is not.
    pub async fn version(
        &self,
        actor: &Actor,
        id: ArticleId,
        number: i32,
    ) -> Result<VersionShown, KnowledgeError> {
        self.seen(actor, id).await?;
        let version = self.store.text(id, number).await?;
        let version = version.ok_or(KnowledgeError::NotFound(Thing::Version))?;
        let before = match number.checked_sub(1).filter(|before| *before > 0) {
            Some(before) => self.store.text(id, before).await?,
            None => None,
        };
        let before = before.map_or_else(String::new, |before| before.text.content.as_str().to_owned());
        Ok(VersionShown {
            changes: difference(&before, version.text.content.as_str()),
            version,
        })
    }

    /// Says whether a published article helped; each has one voice, and `None` takes it back.
    ///
    /// # Errors
    /// [`KnowledgeError::NotFound`] where there is no such article that is published.
    pub async fn vote(
        &self,
        actor: &Actor,
        id: ArticleId,
        is_helpful: Option<bool>,
    ) -> Result<Feedback, KnowledgeError> {
        let voter = actor
            .user_id()
            .ok_or(KnowledgeError::Forbidden("vote; people do"))?;
        let feedback = self.store.vote(id, voter, is_helpful).await?;
        feedback.ok_or(KnowledgeError::NotFound(Thing::Article))
    }

    /// Stores how often articles were read since the last time; gives how many those are.
    ///
    /// # Errors
    /// When the store cannot be reached; then it is kept for the next time.
    pub async fn store_views(&self) -> Result<u64, PortError> {
        let views = self.views.take();
        if !views.is_empty()
            && let Err(error) = self.store.add_views(&views).await
        {
            self.views.put_back(views);
            return Err(error);
        }
        Ok(views.len() as u64)
    }

    /// What an article would be after a decision, stored; `decide` is asked anew when another overtook it.
    async fn change(
        &self,
        actor: &Actor,
        id: ArticleId,
        guard: Guard<'_, ArticleShown>,
        what: &str,
        decide: impl Fn(Standing, Article) -> Result<Article, KnowledgeError> + Send + Sync,
    ) -> Result<ArticleShown, KnowledgeError> {
        let standing = Standing::of(Some(actor));
        for _ in 0..STALE_TRIES_MAX {
            let present = self.seen(actor, id).await?;
            let decided = decide(standing, present.clone())?;
            met(guard.expected, present.version, Thing::Article)?;
            let (shown, change) = self.outcome(actor, &present, decided);
            let receipt = (guard.receipt)(&shown);
            let is_kept = matches!(change, ArticleChange::Keep { .. });
            if is_kept && receipt.is_none() {
                return Ok(shown);
            }
            let event = self.told(actor, shown.article.updated_at, &shown.article, what);
            let commit = ArticleCommit {
                event: (!is_kept).then_some(event),
                receipt,
                change,
            };
            match self.store.commit(commit).await {
                Ok(()) => return Ok(shown),
                Err(ArticleCommitError::Stale) => {}
                Err(error) => return Err(refused(error)),
            }
        }
        Err(busy())
    }

    /// The article after a decision, and what is to be stored of it.
    fn outcome(&self, actor: &Actor, present: &Article, decided: Article) -> (ArticleShown, ArticleChange) {
        let mut shown = self.shown(decided);
        let article = &mut shown.article;
        if article.text.excerpt_is_made {
            article.text.excerpt = Excerpt::made_of(&shown.rendered.plain);
        }
        let (id, expected) = (present.id, present.version);
        if article == present {
            return (shown, ArticleChange::Keep { id, expected });
        }
        let is_rewritten = article.text != present.text;
        article.updated_at = self.clock.now();
        article.version = expected.next();
        if is_rewritten {
            article.text_number = present.text_number.saturating_add(1);
        }
        let change = ArticleChange::Update {
            article: Box::new(article.clone()),
            expected,
            html: is_rewritten.then(|| shown.rendered.html.clone()),
            editor: actor.user_id(),
        };
        (shown, change)
    }

    /// An article that the caller may see, as one of the staff.
    async fn seen(&self, actor: &Actor, id: ArticleId) -> Result<Article, KnowledgeError> {
        let standing = staff(actor)?;
        let article = self.store.article(id).await?;
        article
            .filter(|article| standing.sees(article.status, article.author))
            .ok_or(KnowledgeError::NotFound(Thing::Article))
    }

    fn shown(&self, article: Article) -> ArticleShown {
        ArticleShown {
            rendered: self.markup.render(article.text.content.as_str()),
            article,
        }
    }

    fn told(&self, actor: &Actor, at: DateTime<Utc>, article: &Article, change: &str) -> Event {
        let fact = KnowledgeFact::ArticleChanged {
            article: article.id.0,
            title: article.text.title.as_str().to_owned(),
            author: article.author,
            status: article.status.as_str().to_owned(),
            change: change.to_owned(),
        };
        Event::new(self.ids.as_ref(), at, actor, Fact::Knowledge(fact))
    }
}

/// Whether a step can be taken from there.
fn open(step: Step, from: ArticleStatus) -> Result<(), KnowledgeError> {
    if step.is_open_from(from) {
        Ok(())
    } else {
        Err(KnowledgeError::NotAllowed { from, step })
    }
}

/// The article after a step.
fn taken(step: Step, article: Article, now: DateTime<Utc>) -> Article {
    Article {
        status: step.leads_to(),
        publish_at: article.publish_at.filter(|_| step == Step::Submit),
        published_at: match step {
            Step::Publish => Some(now),
            Step::Reopen => None,
            Step::Submit | Step::Archive => article.published_at,
        },
        ..article
    }
}

/// A time at which an article can be published: later, within a year.
fn plannable(at: DateTime<Utc>, now: DateTime<Utc>) -> Result<DateTime<Utc>, Violation> {
    if at > now && at <= now + PUBLISH_AHEAD_MAX {
        Ok(at)
    } else {
        let message = "must be later than now, by a year at the most";
        Err(Violation::new("/publishAt", "out_of_range", message))
    }
}

fn staff(actor: &Actor) -> Result<Standing, KnowledgeError> {
    let standing = Standing::of(Some(actor));
    if standing.is_staff() {
        Ok(standing)
    } else {
        Err(KnowledgeError::Forbidden("write articles; staff may"))
    }
}

fn writable(standing: Standing, article: &Article) -> Result<(), KnowledgeError> {
    if standing.writes(article) {
        Ok(())
    } else {
        Err(KnowledgeError::Forbidden(
            "write on this article; agents may on their own drafts",
        ))
    }
}

fn busy() -> KnowledgeError {
    KnowledgeError::Stale {
        thing: Thing::Article,
        current: None,
    }
}

fn refused(error: ArticleCommitError) -> KnowledgeError {
    match error {
        ArticleCommitError::Stale => busy(),
        ArticleCommitError::Repeated => KnowledgeError::Repeated,
        ArticleCommitError::SlugTaken => KnowledgeError::SlugTaken(Thing::Article),
        ArticleCommitError::NoCategory => {
            Violation::new("/categoryId", "unknown", "the category does not exist").into()
        }
        ArticleCommitError::Port(error) => error.into(),
    }
}
