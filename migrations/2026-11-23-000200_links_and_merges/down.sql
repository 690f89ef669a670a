DROP TRIGGER a_touch_updated_at ON ticket_messages;
CREATE TRIGGER a_touch_updated_at BEFORE UPDATE ON ticket_messages FOR EACH ROW
  WHEN (OLD.updated_at = NEW.updated_at AND OLD.* IS DISTINCT FROM NEW.*) EXECUTE FUNCTION touch_updated_at();
DROP TABLE ticket_merge_items;
DROP TABLE ticket_merges;
ALTER TABLE tickets DROP COLUMN merged_into_id;
DROP TABLE ticket_links;
