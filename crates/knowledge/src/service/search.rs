//! Searching: in readers' own words, with what they mean by them, and what they did not find.

use std::sync::Arc;

use chrono::NaiveDate;
use kernel::{Actor, Clock, PageLimit, PortError, Violation};

use super::{KnowledgeError, Tally, Thing, below};
use crate::article::ArticleCard;
use crate::policy::{Rank, Standing};
use crate::port::{ArticleStore, CategoryStore, Found, SearchStore};
use crate::search::{
    ALTERNATIVES_MAX, Alternative, Correction, Hit, Search, SearchFound, SearchReport, Searched, meant,
    words_of,
};
use crate::slug::Slug;
use crate::synonyms::Synonyms;
use crate::value::{Language, SEARCH_MAX_CHARS, SearchText};

/// The fewest characters of a word that is completed.
const BEGUN_MIN_CHARS: usize = 2;
/// The most days of a report.
const REPORT_DAYS_MAX: i64 = 366;

/// The use cases of searching articles.
pub struct ArticleSearch {
    store: Arc<dyn SearchStore>,
    articles: Arc<dyn ArticleStore>,
    categories: Arc<dyn CategoryStore>,
    synonyms: Synonyms,
    searches: Tally<Searched>,
    clock: Arc<dyn Clock>,
}

/// What someone searches for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// The words.
    pub text: SearchText,
    /// The language that they, and the articles, are in.
    pub language: Language,
    /// The category to search, with all that lies in it; `None` for all.
    pub category: Option<Slug>,
    /// How many articles to show.
    pub limit: PageLimit,
}

impl ArticleSearch {
    /// Searches this store, whose articles and categories are those.
    #[must_use]
    pub fn new(
        store: Arc<dyn SearchStore>,
        articles: Arc<dyn ArticleStore>,
        categories: Arc<dyn CategoryStore>,
        synonyms: Synonyms,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            store,
            articles,
            categories,
            synonyms,
            searches: Tally::default(),
            clock,
        }
    }

    /// The published articles that fit a search best, the best first. Words that none of them has are taken for misspelt. A reader who
    /// is not of the staff is counted.
    ///
    /// # Errors
    /// [`KnowledgeError::NotFound`] for a category that there is not.
    pub async fn find(&self, reader: Option<&Actor>, wanted: Wanted) -> Result<SearchFound, KnowledgeError> {
        let is_counted = !Standing::of(reader).is_staff();
        let (language, text) = (wanted.language.clone(), wanted.text.as_str().to_owned());
        let found = self.look(wanted, false).await?;
        if is_counted {
            let now = self.clock.now();
            let searched = Searched {
                day: now.date_naive(),
                language,
                text: counted(&text),
                has_hits: !found.hits.is_empty(),
            };
            if self.searches.note(searched, now) {
                // What cannot be stored now is stored later.
                let _ = self.store_searches().await;
            }
        }
        Ok(found)
    }

    /// The same while the text is being typed: its last word may be the beginning of one. Nothing is counted, and no pieces of texts are
    /// shown.
    ///
    /// # Errors
    /// As for [`ArticleSearch::find`].
    pub async fn suggest(&self, wanted: Wanted) -> Result<SearchFound, KnowledgeError> {
        self.look(wanted, true).await
    }

    async fn look(&self, wanted: Wanted, is_typed: bool) -> Result<SearchFound, KnowledgeError> {
        let Wanted {
            text,
            language,
            category,
            limit,
        } = wanted;
        let categories = match category {
            None => None,
            Some(slug) => Some(below(self.categories.as_ref(), &slug).await?),
        };
        let mut words = words_of(text.as_str());
        let is_open = is_typed && text.as_str().ends_with(char::is_alphanumeric);
        let begun = words
            .last()
            .filter(|word| is_open && word.chars().count() >= BEGUN_MIN_CHARS)
            .cloned();
        let whole = words.len() - usize::from(begun.is_some());
        let known = self
            .store
            .spellings(&language, &words[..whole], begun.as_deref())
            .await?;
        let mut alternatives = Vec::new();
        let mut other = |word: &str, other: String| {
            let word = word.to_owned();
            alternatives.push(Alternative { word, other });
        };
        let typed = words.clone();
        let mut corrections = Vec::new();
        for (place, like) in known.like.iter().enumerate() {
            let instead = meant(&typed[place], like);
            let Some(best) = instead.first() else { continue };
            words[place].clone_from(best);
            for one in &instead {
                other(&typed[place], one.clone());
            }
            let word = typed[place].clone();
            corrections.push(Correction { word, instead });
        }
        for (place, name) in self.synonyms.of(&words) {
            other(&typed[place], name.to_owned());
        }
        if let Some(begun) = &begun {
            for completion in known.completions {
                other(begun, completion);
            }
        }
        alternatives.truncate(ALTERNATIVES_MAX);
        let search = Search {
            text,
            alternatives,
            begun,
            language,
            categories,
            except: None,
            with_pieces: !is_typed,
            limit,
        };
        let hits = self.store.find(&search).await?;
        Ok(SearchFound { hits, corrections })
    }

    /// The published articles of its language that are most like one, by its title; the most alike first.
    ///
    /// # Errors
    /// [`KnowledgeError::NotFound`] where the address leads to no published article.
    pub async fn related(&self, slug: &Slug, limit: PageLimit) -> Result<Vec<ArticleCard>, KnowledgeError> {
        let missing = || KnowledgeError::NotFound(Thing::Article);
        let mut found = self.articles.published(slug).await?;
        if let Some(Found::Moved(now)) = &found {
            found = self.articles.published(now).await?;
        }
        let Some(Found::Article(article)) = found else {
            return Err(missing());
        };
        let search = Search {
            text: SearchText::stored(article.text.title.as_str().to_owned()),
            alternatives: Vec::new(),
            begun: None,
            language: article.language,
            categories: None,
            except: Some(article.id),
            with_pieces: false,
            limit,
        };
        let hits = self.store.find(&search).await?;
        Ok(hits.into_iter().map(|Hit { card, .. }| card).collect())
    }

    /// What readers searched for from one day to another (UTC), both of them counted in, and did not find.
    ///
    /// # Errors
    /// [`KnowledgeError::Forbidden`] for all but supervisors, team leads and administrators; [`KnowledgeError::Invalid`] at `/from` for
    /// days in the wrong order or more than a year of them.
    pub async fn report(
        &self,
        actor: &Actor,
        from: NaiveDate,
        to: NaiveDate,
    ) -> Result<SearchReport, KnowledgeError> {
        if Standing::of(Some(actor)).rank < Rank::Editor {
            return Err(KnowledgeError::Forbidden(
                "see what readers search for; supervisors, team leads and administrators may",
            ));
        }
        let days = (to - from).num_days() + 1;
        if !(1..=REPORT_DAYS_MAX).contains(&days) {
            let message = format!(
                "must be no later than to, by {} days at the most",
                REPORT_DAYS_MAX - 1
            );
            return Err(Violation::new("/from", "out_of_range", message).into());
        }
        Ok(self.store.searches(from, to).await?)
    }

    /// Stores what was searched for since the last time; gives how many different searches those are.
    ///
    /// # Errors
    /// When the store cannot be reached; then it is kept for the next time.
    pub async fn store_searches(&self) -> Result<u64, PortError> {
        let searches = self.searches.take();
        if !searches.is_empty()
            && let Err(error) = self.store.add_searches(&searches).await
        {
            self.searches.put_back(searches);
            return Err(error);
        }
        Ok(searches.len() as u64)
    }
}

/// A text as it is counted: in small letters with single spaces. Small letters can be more than the capitals were.
fn counted(text: &str) -> String {
    let words: Vec<String> = text.split_whitespace().map(str::to_lowercase).collect();
    words.join(" ").chars().take(SEARCH_MAX_CHARS).collect()
}
