-- Staff who follow a ticket and are told of what happens in it. On the ticket itself, so that showing one and telling of
-- a change ask for nothing more; whoever left the desk stays in it and is told nothing.
ALTER TABLE tickets
  ADD COLUMN follower_ids uuid[] NOT NULL DEFAULT '{}',
  ADD CONSTRAINT tickets_follower_ids_check CHECK (cardinality(follower_ids) <= 50);
