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

-- The words of articles that are or were published, as they are written: what misspelt words are compared with, and begun ones.
CREATE EXTENSION IF NOT EXISTS pg_trgm;
CREATE TABLE kb_terms (
    language varchar(10) NOT NULL,
    term text COLLATE "C" NOT NULL,
    PRIMARY KEY (language, term)
);
CREATE INDEX kb_terms_trigrams_idx ON kb_terms USING gin (term gin_trgm_ops) WITH (fastupdate = off);
CREATE FUNCTION kb_terms_of(title text, content text) RETURNS SETOF text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT term FROM unnest(tsvector_to_array(to_tsvector('pg_catalog.simple', title || ' ' || left(content, 100000)))) term
    WHERE length(term) BETWEEN 3 AND 40 AND term !~ '[\x01-\x60\x7b-\x7f]'
$$;
INSERT INTO kb_terms SELECT DISTINCT a.language, t.term FROM kb_articles a, kb_terms_of(a.title, a.content) AS t (term)
  WHERE a.status = 'published';
CREATE FUNCTION keep_kb_terms() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  -- In one order, so that two that publish do not wait for each other.
  INSERT INTO kb_terms SELECT NEW.language, t.term FROM kb_terms_of(NEW.title, NEW.content) AS t (term) ORDER BY t.term COLLATE "C"
    ON CONFLICT DO NOTHING;
  RETURN NULL;
END $$;
CREATE TRIGGER f_keep_terms_of_new AFTER INSERT ON kb_articles FOR EACH ROW
  WHEN (NEW.status = 'published') EXECUTE FUNCTION keep_kb_terms();
CREATE TRIGGER f_keep_terms AFTER UPDATE ON kb_articles FOR EACH ROW
  WHEN (NEW.status = 'published' AND (OLD.status, OLD.language, OLD.title, OLD.content)
    IS DISTINCT FROM (NEW.status, NEW.language, NEW.title, NEW.content))
  EXECUTE FUNCTION keep_kb_terms();

-- What readers searched for, and how often nothing was found, by day (UTC).
CREATE TABLE kb_searches (
    day date NOT NULL,
    language varchar(10) NOT NULL,
    query varchar(200) NOT NULL,
    searches bigint NOT NULL,
    found_nothing bigint NOT NULL,
    PRIMARY KEY (day, language, query)
);

-- When an article is to be published, if that is settled.
ALTER TABLE kb_articles ADD COLUMN publish_at timestamptz;
CREATE INDEX kb_articles_publish_idx ON kb_articles (publish_at, id) WHERE publish_at IS NOT NULL AND status IN ('draft', 'review');
