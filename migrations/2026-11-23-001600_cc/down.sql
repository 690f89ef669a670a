DROP INDEX tickets_cc_ids_idx;
ALTER TABLE tickets
  DROP COLUMN cc_ids;
