//! The stores in memory.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use chrono::{DateTime, NaiveDate, Utc};
use events::Event;
use kernel::{Page, PageLimit, PortError, Position, Receipt, UserId};

use crate::article::{Article, ArticleCard, ArticleId, ArticleStatus, ArticleVersion, Feedback};
use crate::category::{Category, CategoryId, Tree};
use crate::policy::{Rank, Standing};
use crate::port::{
    ArticleChange, ArticleCommit, ArticleCommitError, ArticleFilter, ArticleOrder, ArticleStore,
    CategoryCommit, CategoryCommitError, CategoryStore, CategoryWrite, Found, Markup, Rendered, Revision,
    SearchStore,
};
use crate::search::{Hit, Run, Search, SearchReport, Searched, SearchedOften, Spellings, words_of};
use crate::slug::Slug;
use crate::value::Language;

/// Shows a text as it is.
#[derive(Debug, Default, Clone, Copy)]
pub struct PlainMarkup;

impl Markup for PlainMarkup {
    fn render(&self, markdown: &str) -> Rendered {
        Rendered {
            html: format!("<p>{markdown}</p>"),
            headings: Vec::new(),
            plain: markdown.to_owned(),
        }
    }
}

#[derive(Debug, Default)]
struct Categories {
    all: Vec<Category>,
    revision: i64,
    receipts: Vec<Receipt>,
    events: Vec<Event>,
}

/// Categories in memory. Nothing lies in them.
#[derive(Debug, Default)]
pub struct MemoryCategories(Mutex<Categories>);

impl MemoryCategories {
    fn lock(&self) -> MutexGuard<'_, Categories> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was told.
    #[must_use]
    pub fn events(&self) -> Vec<Event> {
        self.lock().events.clone()
    }
}

#[async_trait]
impl CategoryStore for MemoryCategories {
    async fn tree(&self) -> Result<(Tree, Revision), PortError> {
        let state = self.lock();
        Ok((Tree::of(state.all.clone()), Revision(state.revision)))
    }

    async fn commit(&self, commit: CategoryCommit) -> Result<(), CategoryCommitError> {
        let CategoryCommit {
            revision,
            write,
            event,
            receipt,
        } = commit;
        let mut state = self.lock();
        if let Some(receipt) = &receipt
            && state.receipts.contains(receipt)
        {
            return Err(CategoryCommitError::Repeated);
        }
        if revision != Revision(state.revision) {
            return Err(CategoryCommitError::Stale);
        }
        match write {
            CategoryWrite::Insert(category) => state.all.push(category),
            CategoryWrite::Update(category) => {
                let present = state.all.iter_mut().find(|one| one.id == category.id);
                *present.ok_or(CategoryCommitError::Stale)? = category;
            }
            CategoryWrite::Delete(id) => state.all.retain(|one| one.id != id),
        }
        state.revision += 1;
        state.receipts.extend(receipt);
        state.events.push(event);
        Ok(())
    }
}

#[derive(Debug, Default)]
struct Articles {
    all: BTreeMap<u128, Article>,
    versions: Vec<(ArticleId, ArticleVersion)>,
    old_slugs: HashMap<Slug, ArticleId>,
    votes: HashMap<(ArticleId, UserId), bool>,
    receipts: Vec<Receipt>,
    events: Vec<Event>,
    categories: Vec<CategoryId>,
    searches: HashMap<Searched, u64>,
}

/// Articles in memory, in categories that it is told of.
#[derive(Debug, Default)]
pub struct MemoryArticles(Mutex<Articles>);

impl MemoryArticles {
    fn lock(&self) -> MutexGuard<'_, Articles> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets there be a category.
    pub fn know(&self, category: CategoryId) {
        self.lock().categories.push(category);
    }

    /// What was told.
    #[must_use]
    pub fn events(&self) -> Vec<Event> {
        self.lock().events.clone()
    }
}

impl Articles {
    fn put(
        &mut self,
        article: Article,
        editor: Option<UserId>,
        is_rewritten: bool,
    ) -> Result<(), ArticleCommitError> {
        let others = self.all.values().filter(|other| other.id != article.id);
        if others.into_iter().any(|other| other.slug == article.slug) {
            return Err(ArticleCommitError::SlugTaken);
        }
        if !self.categories.contains(&article.category) {
            return Err(ArticleCommitError::NoCategory);
        }
        self.old_slugs.remove(&article.slug);
        if let Some(before) = self.all.get(&article.id.0.as_u128())
            && before.slug != article.slug
        {
            self.old_slugs.insert(before.slug.clone(), article.id);
        }
        if is_rewritten {
            let version = ArticleVersion {
                number: article.text_number,
                text: article.text.clone(),
                editor,
                created_at: article.updated_at,
            };
            self.versions.push((article.id, version));
        }
        let feedback = self
            .all
            .get(&article.id.0.as_u128())
            .map(|before| before.feedback);
        let feedback = feedback.unwrap_or_default();
        self.all
            .insert(article.id.0.as_u128(), Article { feedback, ..article });
        Ok(())
    }
}

#[async_trait]
impl ArticleStore for MemoryArticles {
    async fn article(&self, id: ArticleId) -> Result<Option<Article>, PortError> {
        Ok(self.lock().all.get(&id.0.as_u128()).cloned())
    }

    async fn published(&self, slug: &Slug) -> Result<Option<Found>, PortError> {
        let state = self.lock();
        let mut published = state
            .all
            .values()
            .filter(|one| one.status == ArticleStatus::Published);
        if let Some(article) = published.clone().find(|one| one.slug == *slug) {
            return Ok(Some(Found::Article(Box::new(article.clone()))));
        }
        let moved = state.old_slugs.get(slug);
        let moved = moved.and_then(|id| published.find(|one| one.id == *id));
        Ok(moved.map(|article| Found::Moved(article.slug.clone())))
    }

    async fn articles(
        &self,
        filter: &ArticleFilter,
        order: ArticleOrder,
        after: Option<Position>,
        limit: PageLimit,
    ) -> Result<Page<ArticleCard>, PortError> {
        let ArticleFilter {
            status,
            categories,
            author,
            seen_by,
        } = filter;
        let position = |card: &ArticleCard| match order {
            ArticleOrder::Published => card.by_publication(),
            ArticleOrder::Changed => card.by_change(),
        };
        let is_wanted = |card: &ArticleCard| {
            let seen = seen_by.is_none_or(|person| {
                let standing = Standing {
                    rank: Rank::Writer,
                    person: Some(person),
                };
                standing.sees_card(card)
            });
            seen && status.is_none_or(|status| status == card.status)
                && categories
                    .as_ref()
                    .is_none_or(|these| these.contains(&card.category))
                && author.is_none_or(|author| author == card.author)
                && after.is_none_or(|after| {
                    let here = position(card);
                    (here.at, here.id) < (after.at, after.id)
                })
        };
        let mut cards: Vec<_> = self.lock().all.values().cloned().map(ArticleCard::from).collect();
        cards.retain(is_wanted);
        cards.sort_by_key(|card| {
            let here = position(card);
            std::cmp::Reverse((here.at, here.id))
        });
        cards.truncate(limit.rows() + 1);
        Ok(Page::from_rows(cards, limit, position))
    }

    async fn due(&self, now: DateTime<Utc>, most: usize) -> Result<Vec<ArticleId>, PortError> {
        let state = self.lock();
        let mut due: Vec<_> = state
            .all
            .values()
            .filter(|one| matches!(one.status, ArticleStatus::Draft | ArticleStatus::Review))
            .filter_map(|one| one.publish_at.filter(|at| *at <= now).map(|at| (at, one.id)))
            .collect();
        due.sort_unstable();
        Ok(due.into_iter().take(most).map(|(_, id)| id).collect())
    }

    async fn commit(&self, commit: ArticleCommit) -> Result<(), ArticleCommitError> {
        let ArticleCommit {
            change,
            event,
            receipt,
        } = commit;
        let mut state = self.lock();
        if let Some(receipt) = &receipt
            && state.receipts.contains(receipt)
        {
            return Err(ArticleCommitError::Repeated);
        }
        let at = |state: &Articles, id: ArticleId, expected| {
            let present = state.all.get(&id.0.as_u128());
            match present {
                Some(article) if article.version == expected => Ok(()),
                Some(_) | None => Err(ArticleCommitError::Stale),
            }
        };
        match change {
            ArticleChange::Insert {
                article,
                html: _,
                editor,
            } => state.put(*article, editor, true)?,
            ArticleChange::Update {
                article,
                expected,
                html,
                editor,
            } => {
                at(&state, article.id, expected)?;
                state.put(*article, editor, html.is_some())?;
            }
            ArticleChange::Keep { id, expected } => at(&state, id, expected)?,
            ArticleChange::Delete { id, expected } => {
                at(&state, id, expected)?;
                state.all.remove(&id.0.as_u128());
                state.versions.retain(|(article, _)| *article != id);
                state.old_slugs.retain(|_, article| *article != id);
                state.votes.retain(|(article, _), _| *article != id);
            }
        }
        state.receipts.extend(receipt);
        state.events.extend(event);
        Ok(())
    }

    async fn versions(
        &self,
        article: ArticleId,
        before: Option<i32>,
        limit: PageLimit,
    ) -> Result<Page<ArticleVersion, i32>, PortError> {
        let state = self.lock();
        let of_it = state.versions.iter().filter(|(of, _)| *of == article);
        let mut versions: Vec<_> = of_it.map(|(_, version)| version.clone()).collect();
        versions.retain(|version| before.is_none_or(|before| version.number < before));
        versions.sort_by_key(|version| std::cmp::Reverse(version.number));
        versions.truncate(limit.rows() + 1);
        Ok(Page::from_rows(versions, limit, |version| version.number))
    }

    async fn text(&self, article: ArticleId, number: i32) -> Result<Option<ArticleVersion>, PortError> {
        let state = self.lock();
        let mut of_it = state.versions.iter().filter(|(of, _)| *of == article);
        let found = of_it.find(|(_, version)| version.number == number);
        Ok(found.map(|(_, version)| version.clone()))
    }

    async fn vote(
        &self,
        article: ArticleId,
        voter: UserId,
        is_helpful: Option<bool>,
    ) -> Result<Option<Feedback>, PortError> {
        let mut state = self.lock();
        let is_published = |one: &Article| one.status == ArticleStatus::Published;
        if !state.all.get(&article.0.as_u128()).is_some_and(is_published) {
            return Ok(None);
        }
        match is_helpful {
            Some(is_helpful) => state.votes.insert((article, voter), is_helpful),
            None => state.votes.remove(&(article, voter)),
        };
        let count = |wanted: bool| {
            let votes = state.votes.iter();
            let counted = votes.filter(|((of, _), helpful)| *of == article && **helpful == wanted);
            i32::try_from(counted.count()).unwrap_or(i32::MAX)
        };
        let (helpful, not_helpful) = (count(true), count(false));
        Ok(state.all.get_mut(&article.0.as_u128()).map(|one| {
            one.feedback.helpful = helpful;
            one.feedback.not_helpful = not_helpful;
            one.feedback
        }))
    }

    async fn add_views(&self, views: &[(ArticleId, u32)]) -> Result<(), PortError> {
        let mut state = self.lock();
        for (article, count) in views {
            if let Some(one) = state.all.get_mut(&article.0.as_u128()) {
                let count = i32::try_from(*count).unwrap_or(i32::MAX);
                one.feedback.views = one.feedback.views.saturating_add(count);
            }
        }
        Ok(())
    }
}

/// The words of a text, in small letters.
fn all_words(text: &str) -> Vec<String> {
    text.split_whitespace().flat_map(words_of).collect()
}

#[async_trait]
impl SearchStore for MemoryArticles {
    /// By how many of the words stand in the title, then in the text, as they are.
    async fn find(&self, search: &Search) -> Result<Vec<Hit>, PortError> {
        let alternatives = search.alternatives.iter().map(|one| one.other.clone());
        let words: Vec<String> = words_of(search.text.as_str())
            .into_iter()
            .chain(alternatives)
            .collect();
        let is_word = |there: &str, word: &str| {
            there == word || (search.begun.as_deref() == Some(word) && there.starts_with(word))
        };
        let count = |text: &str| {
            let text = all_words(text);
            let is_there = |word: &&String| text.iter().any(|there| is_word(there, word));
            words.iter().filter(is_there).count()
        };
        let state = self.lock();
        let mut found: Vec<_> = state
            .all
            .values()
            .filter(|one| one.status == ArticleStatus::Published && one.language == search.language)
            .filter(|one| search.except != Some(one.id))
            .filter(|one| {
                search
                    .categories
                    .as_ref()
                    .is_none_or(|these| these.contains(&one.category))
            })
            .map(|one| {
                (
                    (count(one.text.title.as_str()), count(one.text.content.as_str())),
                    one,
                )
            })
            .filter(|(score, _)| *score != (0, 0))
            .collect();
        found.sort_by_key(|(score, one)| (std::cmp::Reverse(*score), one.id.0));
        found.truncate(search.limit.rows());
        let run = |text: &str| {
            vec![Run {
                text: text.to_owned(),
                is_match: false,
            }]
        };
        let hit = |(_, one): (_, &Article)| Hit {
            title: run(one.text.title.as_str()),
            pieces: if search.with_pieces {
                run(one.text.content.as_str())
            } else {
                Vec::new()
            },
            card: ArticleCard::from(one.clone()),
        };
        Ok(found.into_iter().map(hit).collect())
    }

    async fn spellings(
        &self,
        language: &Language,
        words: &[String],
        begun: Option<&str>,
    ) -> Result<Spellings, PortError> {
        let state = self.lock();
        let there = state
            .all
            .values()
            .filter(|one| one.status == ArticleStatus::Published && one.language == *language);
        let known: BTreeSet<String> = there
            .flat_map(|one| {
                let title = all_words(one.text.title.as_str());
                title.into_iter().chain(all_words(one.text.content.as_str()))
            })
            .collect();
        let like = |word: &String| {
            if known.contains(word) {
                return Vec::new();
            }
            known.iter().cloned().collect()
        };
        let completions = begun.map_or_else(Vec::new, |begun| {
            known
                .iter()
                .filter(|word| word.starts_with(begun))
                .cloned()
                .collect()
        });
        Ok(Spellings {
            like: words.iter().map(like).collect(),
            completions,
        })
    }

    async fn add_searches(&self, searches: &[(Searched, u32)]) -> Result<(), PortError> {
        let mut state = self.lock();
        for (searched, count) in searches {
            let kept = state.searches.entry(searched.clone()).or_default();
            *kept += u64::from(*count);
        }
        Ok(())
    }

    async fn searches(&self, from: NaiveDate, to: NaiveDate) -> Result<SearchReport, PortError> {
        let mut often: BTreeMap<(Language, String), SearchedOften> = BTreeMap::new();
        for (one, count) in &self.lock().searches {
            if !(from..=to).contains(&one.day) {
                continue;
            }
            let key = (one.language.clone(), one.text.clone());
            let entry = often.entry(key).or_insert_with(|| SearchedOften {
                text: one.text.clone(),
                language: one.language.clone(),
                searches: 0,
                without_hits: 0,
            });
            entry.searches += count;
            entry.without_hits += if one.has_hits { 0 } else { *count };
        }
        let mut most_searched: Vec<_> = often.into_values().collect();
        most_searched.sort_by_key(|one| std::cmp::Reverse(one.searches));
        let mut most_missed = most_searched.clone();
        most_missed.retain(|one| one.without_hits > 0);
        most_missed.sort_by_key(|one| std::cmp::Reverse(one.without_hits));
        Ok(SearchReport {
            searches: most_searched.iter().map(|one| one.searches).sum(),
            without_hits: most_missed.iter().map(|one| one.without_hits).sum(),
            most_searched,
            most_missed,
        })
    }
}
