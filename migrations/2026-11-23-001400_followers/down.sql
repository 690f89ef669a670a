ALTER TABLE tickets
  DROP COLUMN follower_ids;
