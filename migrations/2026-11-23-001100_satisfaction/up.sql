-- How content the requester is with a ticket's resolution: the score, what they wrote to it, and when they first said so.
ALTER TABLE tickets
  ADD COLUMN satisfaction_score smallint,
  ADD COLUMN satisfaction_comment text,
  ADD COLUMN rated_at timestamptz,
  ADD CONSTRAINT tickets_satisfaction_score_check CHECK (satisfaction_score BETWEEN 1 AND 5),
  ADD CONSTRAINT tickets_satisfaction_comment_check CHECK (char_length(satisfaction_comment) BETWEEN 1 AND 2000),
  -- A rating has a score and a time, and only a rating has a comment.
  ADD CONSTRAINT tickets_satisfaction_whole_check CHECK (
    (satisfaction_score IS NULL) = (rated_at IS NULL)
    AND (satisfaction_comment IS NULL OR satisfaction_score IS NOT NULL)
  );
