-- The configuration of text search for a language (ISO 639-1, perhaps with a region); what has none of its own is taken word by word.
CREATE FUNCTION kb_config(language text) RETURNS regconfig LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT CASE split_part(language, '-', 1)
    WHEN 'ar' THEN 'pg_catalog.arabic' WHEN 'hy' THEN 'pg_catalog.armenian' WHEN 'eu' THEN 'pg_catalog.basque'
    WHEN 'ca' THEN 'pg_catalog.catalan' WHEN 'da' THEN 'pg_catalog.danish' WHEN 'nl' THEN 'pg_catalog.dutch'
    WHEN 'en' THEN 'pg_catalog.english' WHEN 'fi' THEN 'pg_catalog.finnish' WHEN 'fr' THEN 'pg_catalog.french'
    WHEN 'de' THEN 'pg_catalog.german' WHEN 'el' THEN 'pg_catalog.greek' WHEN 'hi' THEN 'pg_catalog.hindi'
    WHEN 'hu' THEN 'pg_catalog.hungarian' WHEN 'id' THEN 'pg_catalog.indonesian' WHEN 'ga' THEN 'pg_catalog.irish'
    WHEN 'it' THEN 'pg_catalog.italian' WHEN 'lt' THEN 'pg_catalog.lithuanian' WHEN 'ne' THEN 'pg_catalog.nepali'
    WHEN 'no' THEN 'pg_catalog.norwegian' WHEN 'nb' THEN 'pg_catalog.norwegian' WHEN 'pt' THEN 'pg_catalog.portuguese'
    WHEN 'ro' THEN 'pg_catalog.romanian' WHEN 'ru' THEN 'pg_catalog.russian' WHEN 'sr' THEN 'pg_catalog.serbian'
    WHEN 'es' THEN 'pg_catalog.spanish' WHEN 'sv' THEN 'pg_catalog.swedish' WHEN 'ta' THEN 'pg_catalog.tamil'
    WHEN 'tr' THEN 'pg_catalog.turkish' WHEN 'yi' THEN 'pg_catalog.yiddish' ELSE 'pg_catalog.simple' END::regconfig
$$;

-- The words of an article: of its title (A), its headings (B) and its text (D). A text that another program made longer than a
-- tsvector can hold counts by its beginning.
CREATE FUNCTION kb_words(language text, title text, content text) RETURNS tsvector LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT setweight(to_tsvector(kb_config(language), title), 'A')
    || setweight(to_tsvector(kb_config(language), coalesce(
         (SELECT string_agg(heading[1], ' ') FROM regexp_matches(left(content, 100000), '^#{1,6}[ \t]+(.*)$', 'gn') heading), '')), 'B')
    || setweight(to_tsvector(kb_config(language), left(content, 100000)), 'D')
$$;

ALTER TABLE kb_articles ADD COLUMN language varchar(10) NOT NULL DEFAULT 'en';
ALTER TABLE kb_articles ADD COLUMN words tsvector GENERATED ALWAYS AS (kb_words(language, title, content)) STORED;
CREATE INDEX kb_articles_words_idx ON kb_articles USING gin (words) WITH (fastupdate = off) WHERE status = 'published';
CREATE INDEX kb_articles_language_idx ON kb_articles (language) WHERE status = 'published';
