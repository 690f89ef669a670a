DROP TABLE kb_article_votes;
DROP TRIGGER e_keep_slug ON kb_articles;
DROP TRIGGER e_keep_slug_of_new ON kb_articles;
DROP FUNCTION keep_kb_old_slug();
DROP TABLE kb_old_slugs;
DROP TRIGGER d_keep_text ON kb_articles;
DROP TRIGGER d_keep_text_of_new ON kb_articles;
DROP FUNCTION keep_kb_article_text();
DROP TRIGGER c_number_text ON kb_articles;
DROP FUNCTION number_kb_article_text();
DROP TABLE kb_article_versions;
DROP TRIGGER c_move_tree ON kb_categories;
DROP FUNCTION move_kb_tree();
DROP TABLE kb_tree;
DROP INDEX kb_articles_published_idx, kb_articles_category_published_idx, kb_articles_changed_idx, kb_articles_author_changed_idx,
  kb_articles_status_changed_idx;
DROP TRIGGER b_touch_version ON kb_articles;
DROP TRIGGER a_touch_updated_at ON kb_articles;
ALTER TABLE kb_articles DROP COLUMN version, DROP COLUMN text_number, DROP COLUMN editor_id, DROP COLUMN excerpt_is_made;
CREATE TRIGGER a_touch_updated_at BEFORE UPDATE ON kb_articles FOR EACH ROW
  WHEN (OLD.updated_at = NEW.updated_at AND OLD.* IS DISTINCT FROM NEW.*) EXECUTE FUNCTION touch_updated_at();
DROP TRIGGER b_touch_version ON kb_categories;
ALTER TABLE kb_categories DROP COLUMN version;
