DROP INDEX kb_articles_words_idx, kb_articles_language_idx;
ALTER TABLE kb_articles DROP COLUMN words;
ALTER TABLE kb_articles DROP COLUMN language;
DROP FUNCTION kb_words(text, text, text);
DROP FUNCTION kb_config(text);
