ALTER TABLE tickets
  DROP COLUMN satisfaction_score,
  DROP COLUMN satisfaction_comment,
  DROP COLUMN rated_at;
