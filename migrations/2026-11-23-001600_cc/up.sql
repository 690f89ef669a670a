-- Further people who have part in a ticket as its requester has. On the ticket itself, so that whether someone sees it is
-- known with its row. The index is partial: a desk that copies few tickets pays for few.
ALTER TABLE tickets
  ADD COLUMN cc_ids uuid[] NOT NULL DEFAULT '{}',
  ADD CONSTRAINT tickets_cc_ids_check CHECK (cardinality(cc_ids) <= 20);
CREATE INDEX tickets_cc_ids_idx ON tickets USING gin (cc_ids) WITH (fastupdate = off) WHERE cc_ids <> '{}';
