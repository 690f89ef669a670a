-- Versions tell writers apart. Those who know the contract alone move them, too; what readers do moves neither version nor time.
ALTER TABLE kb_categories ADD COLUMN version integer NOT NULL DEFAULT 1;
CREATE TRIGGER b_touch_version BEFORE UPDATE ON kb_categories FOR EACH ROW
  WHEN (OLD.version = NEW.version AND OLD.* IS DISTINCT FROM NEW.*) EXECUTE FUNCTION touch_version();

ALTER TABLE kb_articles
  ADD COLUMN version integer NOT NULL DEFAULT 1,
  -- The number of its present text among `kb_article_versions`, and who saved it, where that is known.
  ADD COLUMN text_number integer NOT NULL DEFAULT 1,
  ADD COLUMN editor_id uuid REFERENCES users (id) ON DELETE SET NULL,
  -- Whether the excerpt was made of the text.
  ADD COLUMN excerpt_is_made boolean NOT NULL DEFAULT false;
CREATE INDEX kb_articles_editor_idx ON kb_articles (editor_id) WHERE editor_id IS NOT NULL;
DROP TRIGGER a_touch_updated_at ON kb_articles;
CREATE TRIGGER a_touch_updated_at BEFORE UPDATE ON kb_articles FOR EACH ROW
  WHEN (OLD.version = NEW.version AND OLD.updated_at = NEW.updated_at
    AND (OLD.title, OLD.slug, OLD.content, OLD.content_html, OLD.excerpt, OLD.category_id, OLD.author_id, OLD.status, OLD.published_at)
      IS DISTINCT FROM (NEW.title, NEW.slug, NEW.content, NEW.content_html, NEW.excerpt, NEW.category_id, NEW.author_id, NEW.status,
        NEW.published_at))
  EXECUTE FUNCTION touch_updated_at();
CREATE TRIGGER b_touch_version BEFORE UPDATE ON kb_articles FOR EACH ROW
  WHEN (OLD.version = NEW.version
    AND (OLD.title, OLD.slug, OLD.content, OLD.content_html, OLD.excerpt, OLD.category_id, OLD.author_id, OLD.status, OLD.published_at)
      IS DISTINCT FROM (NEW.title, NEW.slug, NEW.content, NEW.content_html, NEW.excerpt, NEW.category_id, NEW.author_id, NEW.status,
        NEW.published_at))
  EXECUTE FUNCTION touch_version();

-- Lists of what is published, of what changed last, of one's own.
CREATE INDEX kb_articles_published_idx ON kb_articles (coalesce(published_at, created_at), id) WHERE status = 'published';
CREATE INDEX kb_articles_category_published_idx ON kb_articles (category_id, coalesce(published_at, created_at), id)
  WHERE status = 'published';
CREATE INDEX kb_articles_changed_idx ON kb_articles (updated_at, id);
CREATE INDEX kb_articles_author_changed_idx ON kb_articles (author_id, updated_at, id);
CREATE INDEX kb_articles_status_changed_idx ON kb_articles (status, updated_at, id);

-- Moves with every change of any category, whoever made it: what was decided of the whole tree holds only while it is the same. One
-- row.
CREATE TABLE kb_tree (
    id boolean PRIMARY KEY DEFAULT true CHECK (id),
    revision bigint NOT NULL
);
INSERT INTO kb_tree (revision) VALUES (1);
CREATE FUNCTION move_kb_tree() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  UPDATE kb_tree SET revision = revision + 1;
  RETURN NULL;
END $$;
CREATE TRIGGER c_move_tree AFTER INSERT OR UPDATE OR DELETE ON kb_categories
  FOR EACH ROW EXECUTE FUNCTION move_kb_tree();

-- The texts that articles have and had, from 1. Whoever writes one leaves it.
CREATE TABLE kb_article_versions (
    article_id uuid NOT NULL REFERENCES kb_articles (id) ON DELETE CASCADE,
    number integer NOT NULL,
    title varchar(200) NOT NULL,
    content text NOT NULL,
    excerpt varchar(500),
    excerpt_is_made boolean NOT NULL,
    editor_id uuid REFERENCES users (id) ON DELETE SET NULL,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (article_id, number)
);
CREATE INDEX kb_article_versions_editor_idx ON kb_article_versions (editor_id) WHERE editor_id IS NOT NULL;
INSERT INTO kb_article_versions
  SELECT id, 1, title, content, excerpt, false, author_id, updated_at FROM kb_articles;
CREATE FUNCTION number_kb_article_text() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  NEW.text_number := OLD.text_number + 1;
  NEW.editor_id := NULL;
  RETURN NEW;
END $$;
CREATE TRIGGER c_number_text BEFORE UPDATE ON kb_articles FOR EACH ROW
  WHEN (OLD.text_number = NEW.text_number AND (OLD.title, OLD.content, OLD.excerpt) IS DISTINCT FROM (NEW.title, NEW.content, NEW.excerpt))
  EXECUTE FUNCTION number_kb_article_text();
CREATE FUNCTION keep_kb_article_text() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO kb_article_versions (article_id, number, title, content, excerpt, excerpt_is_made, editor_id, created_at)
    VALUES (NEW.id, NEW.text_number, NEW.title, NEW.content, NEW.excerpt, NEW.excerpt_is_made, NEW.editor_id, NEW.updated_at)
    ON CONFLICT DO NOTHING;
  RETURN NULL;
END $$;
CREATE TRIGGER d_keep_text_of_new AFTER INSERT ON kb_articles FOR EACH ROW EXECUTE FUNCTION keep_kb_article_text();
CREATE TRIGGER d_keep_text AFTER UPDATE ON kb_articles FOR EACH ROW
  WHEN (OLD.text_number <> NEW.text_number) EXECUTE FUNCTION keep_kb_article_text();

-- What articles were called before, which still leads to them until another one is called so.
CREATE TABLE kb_old_slugs (
    slug varchar(200) PRIMARY KEY,
    article_id uuid NOT NULL REFERENCES kb_articles (id) ON DELETE CASCADE
);
CREATE INDEX kb_old_slugs_article_idx ON kb_old_slugs (article_id);
CREATE FUNCTION keep_kb_old_slug() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  DELETE FROM kb_old_slugs WHERE slug = NEW.slug;
  IF TG_OP = 'UPDATE' THEN
    INSERT INTO kb_old_slugs (slug, article_id) VALUES (OLD.slug, NEW.id)
      ON CONFLICT (slug) DO UPDATE SET article_id = excluded.article_id;
  END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER e_keep_slug_of_new AFTER INSERT ON kb_articles FOR EACH ROW EXECUTE FUNCTION keep_kb_old_slug();
CREATE TRIGGER e_keep_slug AFTER UPDATE ON kb_articles FOR EACH ROW
  WHEN (OLD.slug <> NEW.slug) EXECUTE FUNCTION keep_kb_old_slug();

-- Whom articles helped: one voice for each reader.
CREATE TABLE kb_article_votes (
    article_id uuid NOT NULL REFERENCES kb_articles (id) ON DELETE CASCADE,
    voter_id uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    is_helpful boolean NOT NULL,
    PRIMARY KEY (article_id, voter_id)
);
CREATE INDEX kb_article_votes_voter_idx ON kb_article_votes (voter_id);
