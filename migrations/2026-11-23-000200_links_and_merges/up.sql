-- Tickets that belong together, and tickets that became one.

-- Read from the first to the second: it relates to it, duplicates it, is its parent, blocks it. What relates stands in the
-- order of the ids.
CREATE TABLE ticket_links (
  from_id uuid NOT NULL REFERENCES tickets (id) ON DELETE CASCADE,
  to_id uuid NOT NULL REFERENCES tickets (id) ON DELETE CASCADE,
  kind varchar(20) NOT NULL,
  created_by uuid REFERENCES users (id) ON DELETE SET NULL,
  created_at timestamptz NOT NULL DEFAULT CURRENT_TIMESTAMP,
  PRIMARY KEY (from_id, to_id, kind),
  CHECK (from_id <> to_id),
  CHECK (kind IN ('relates', 'duplicates', 'parent', 'blocks')),
  CHECK (kind <> 'relates' OR from_id < to_id)
);
CREATE INDEX ticket_links_to_idx ON ticket_links (to_id, kind);
CREATE INDEX ticket_links_created_by_idx ON ticket_links (created_by);
-- A child has one parent.
CREATE UNIQUE INDEX ticket_links_one_parent_key ON ticket_links (to_id) WHERE kind = 'parent';

-- Whose conversation lies in another ticket: that one's id.
ALTER TABLE tickets ADD COLUMN merged_into_id uuid REFERENCES tickets (id) ON DELETE SET NULL;
CREATE INDEX tickets_merged_into_idx ON tickets (merged_into_id) WHERE merged_into_id IS NOT NULL;

-- What a merge did, so that it can be undone.
CREATE TABLE ticket_merges (
  id uuid PRIMARY KEY,
  target_id uuid NOT NULL REFERENCES tickets (id) ON DELETE CASCADE,
  source_id uuid NOT NULL REFERENCES tickets (id) ON DELETE CASCADE,
  -- The message in the target that says what the source's description said.
  description_message_id uuid NOT NULL,
  -- Where the source stood before: status, resolvedAt, closedAt, autoClosedAt.
  source_standing jsonb NOT NULL,
  -- The tags that the target has from the source alone.
  tags_added jsonb NOT NULL,
  -- Whether the target has its first response from the source.
  gave_first_response boolean NOT NULL,
  merged_by uuid REFERENCES users (id) ON DELETE SET NULL,
  merged_at timestamptz NOT NULL,
  undone_at timestamptz
);
CREATE INDEX ticket_merges_target_idx ON ticket_merges (target_id);
CREATE INDEX ticket_merges_merged_by_idx ON ticket_merges (merged_by);
CREATE INDEX ticket_merges_source_idx ON ticket_merges (source_id);
CREATE UNIQUE INDEX ticket_merges_present_key ON ticket_merges (source_id) WHERE undone_at IS NULL;

-- The messages and notes that a merge moved. No foreign keys: they are of two tables, and the merge outlives none.
CREATE TABLE ticket_merge_items (
  merge_id uuid NOT NULL REFERENCES ticket_merges (id) ON DELETE CASCADE,
  item_id uuid NOT NULL,
  PRIMARY KEY (merge_id, item_id)
);
CREATE INDEX ticket_merge_items_item_idx ON ticket_merge_items (item_id);

-- A message that goes to another ticket is the message that it was.
DROP TRIGGER a_touch_updated_at ON ticket_messages;
CREATE TRIGGER a_touch_updated_at BEFORE UPDATE ON ticket_messages FOR EACH ROW
  WHEN (OLD.updated_at = NEW.updated_at AND OLD.ticket_id = NEW.ticket_id AND OLD.* IS DISTINCT FROM NEW.*)
  EXECUTE FUNCTION touch_updated_at();
