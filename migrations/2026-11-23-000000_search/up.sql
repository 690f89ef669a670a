-- Full-text search over tickets: one row for each, apart from the ticket so that its many other changes leave the text
-- indexes alone.

CREATE TABLE ticket_search (
  ticket_id uuid PRIMARY KEY REFERENCES tickets (id) ON DELETE CASCADE,
  -- Subject (weight A), description (B), public messages (C): all that the requester may read.
  public_words tsvector NOT NULL,
  -- The same and internal text (D); null where there is none, so that most tickets are indexed once.
  staff_words tsvector,
  -- The languages in which the words were cut, to be told when the setting changes.
  languages text NOT NULL
);
CREATE INDEX ticket_search_public_idx ON ticket_search USING gin (public_words);
CREATE INDEX ticket_search_staff_idx ON ticket_search USING gin (staff_words) WHERE staff_words IS NOT NULL;
CREATE INDEX ticket_search_languages_idx ON ticket_search (languages);

-- Tickets whose texts changed, to be taken up. Rows are only added by those who write texts, whoever they are, so that
-- nobody ever waits for another here.
CREATE TABLE ticket_search_queue (
  number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  ticket_id uuid NOT NULL
);
CREATE INDEX ticket_search_queue_ticket_idx ON ticket_search_queue (ticket_id);

CREATE FUNCTION queue_ticket_search() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO ticket_search_queue (ticket_id) VALUES (NEW.id);
  RETURN NULL;
END $$;
CREATE FUNCTION queue_ticket_search_of_text() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP <> 'DELETE' THEN
    INSERT INTO ticket_search_queue (ticket_id) VALUES (NEW.ticket_id);
  END IF;
  IF TG_OP = 'DELETE' OR (TG_OP = 'UPDATE' AND OLD.ticket_id <> NEW.ticket_id) THEN
    INSERT INTO ticket_search_queue (ticket_id) VALUES (OLD.ticket_id);
  END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER c_queue_search AFTER INSERT ON tickets FOR EACH ROW EXECUTE FUNCTION queue_ticket_search();
CREATE TRIGGER c_queue_search_again AFTER UPDATE ON tickets FOR EACH ROW
  WHEN (OLD.subject <> NEW.subject OR OLD.description <> NEW.description) EXECUTE FUNCTION queue_ticket_search();
CREATE TRIGGER c_queue_search AFTER INSERT OR DELETE ON ticket_messages FOR EACH ROW
  EXECUTE FUNCTION queue_ticket_search_of_text();
CREATE TRIGGER c_queue_search_again AFTER UPDATE ON ticket_messages FOR EACH ROW
  WHEN (OLD.message <> NEW.message OR OLD.ticket_id <> NEW.ticket_id OR OLD.is_internal <> NEW.is_internal)
  EXECUTE FUNCTION queue_ticket_search_of_text();
CREATE TRIGGER c_queue_search AFTER INSERT OR DELETE ON ticket_notes FOR EACH ROW
  EXECUTE FUNCTION queue_ticket_search_of_text();
CREATE TRIGGER c_queue_search_again AFTER UPDATE ON ticket_notes FOR EACH ROW
  WHEN (OLD.message <> NEW.message OR OLD.ticket_id <> NEW.ticket_id) EXECUTE FUNCTION queue_ticket_search_of_text();

-- The words of a text in each language, and as they stand ('simple').
CREATE FUNCTION search_words(languages text[], words text, weight "char") RETURNS tsvector LANGUAGE plpgsql STABLE AS $$
DECLARE
  language text;
  all_words tsvector := setweight(to_tsvector('simple', words), weight);
BEGIN
  FOREACH language IN ARRAY languages LOOP
    all_words := all_words || setweight(to_tsvector(language::regconfig, words), weight);
  END LOOP;
  RETURN all_words;
END $$;

-- The document of a ticket. PostgreSQL holds at most 1 MiB of words: of a conversation that has more, `messages` and
-- `internal`, newest first, are halved until it fits.
CREATE FUNCTION search_document(languages text[], subject text, description text, messages text, internal text)
RETURNS tsvector LANGUAGE plpgsql STABLE AS $$
DECLARE
  kept integer := greatest(length(messages), length(internal), 1);
BEGIN
  LOOP
    BEGIN
      RETURN search_words(languages, subject, 'A') || search_words(languages, description, 'B')
        || search_words(languages, left(messages, kept), 'C') || search_words(languages, left(internal, kept), 'D');
    EXCEPTION WHEN program_limit_exceeded THEN
      kept := kept / 2;
      IF kept = 0 THEN
        RETURN search_words('{}', subject, 'A');
      END IF;
    END;
  END LOOP;
END $$;

-- A query of terms [{"words", "kind": "word" | "phrase" | "prefix", "excluded"}]. A word that every language passes over
-- (a stop word) is passed over here too, unless there is no other.
CREATE FUNCTION search_query(languages text[], terms jsonb) RETURNS tsquery LANGUAGE plpgsql STABLE AS $$
DECLARE
  term record;
  language text;
  in_language tsquery;
  exact tsquery;
  wanted tsquery;
  is_passed_over boolean;
  all_wanted tsquery := '';
  all_exact tsquery := '';
  excluded tsquery := '';
BEGIN
  FOR term IN SELECT * FROM jsonb_to_recordset(terms) AS t (words text, kind text, excluded boolean) LOOP
    IF term.kind = 'prefix' THEN
      exact := to_tsquery('simple',
        '''' || replace(replace(term.words, '\', '\\'), '''', '''''') || ''':*');
    ELSE
      exact := phraseto_tsquery('simple', term.words);
    END IF;
    CONTINUE WHEN numnode(exact) = 0;
    wanted := exact;
    is_passed_over := false;
    IF term.kind = 'word' AND cardinality(languages) > 0 THEN
      is_passed_over := true;
      FOREACH language IN ARRAY languages LOOP
        in_language := phraseto_tsquery(language::regconfig, term.words);
        wanted := wanted || in_language;
        is_passed_over := is_passed_over AND numnode(in_language) = 0;
      END LOOP;
    END IF;
    IF term.excluded THEN
      excluded := excluded && !! CASE WHEN is_passed_over THEN exact ELSE wanted END;
    ELSE
      all_exact := all_exact && exact;
      IF NOT is_passed_over THEN
        all_wanted := all_wanted && wanted;
      END IF;
    END IF;
  END LOOP;
  RETURN CASE WHEN numnode(all_wanted) = 0 THEN all_exact ELSE all_wanted END && excluded;
END $$;

-- How many documents the planner believes to fit. The query must stand in the statement for it to know.
CREATE FUNCTION search_estimate(query tsquery) RETURNS bigint LANGUAGE plpgsql VOLATILE AS $$
DECLARE
  plan json;
BEGIN
  EXECUTE format('EXPLAIN (FORMAT JSON) SELECT FROM ticket_search WHERE public_words @@ %L::tsquery', query) INTO plan;
  RETURN (plan -> 0 -> 'Plan' ->> 'Plan Rows')::numeric;
END $$;

INSERT INTO ticket_search_queue (ticket_id) SELECT id FROM tickets ORDER BY created_at;
