-- Jobs: one request that changes many tickets, worked off bit by bit by any node, with a result for each ticket.

CREATE TABLE jobs (
  id uuid PRIMARY KEY,
  -- Who asked for it, and as whom it works.
  owner_id uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  -- What to do to each ticket; null where another job is undone.
  change jsonb,
  undo_of uuid REFERENCES jobs (id) ON DELETE CASCADE,
  state varchar(20) NOT NULL DEFAULT 'waiting',
  -- How many items there are, and how many of those before `next_item` came to what.
  total integer NOT NULL,
  changed integer NOT NULL DEFAULT 0,
  unchanged integer NOT NULL DEFAULT 0,
  refused integer NOT NULL DEFAULT 0,
  -- Every item before it has its result.
  next_item integer NOT NULL DEFAULT 1,
  -- Until then a node is at it; null when none is.
  lease_until timestamptz,
  -- When a node was last at it: the one that waited longest is next.
  worked_at timestamptz NOT NULL,
  version integer NOT NULL DEFAULT 1,
  created_at timestamptz NOT NULL,
  started_at timestamptz,
  finished_at timestamptz,
  CONSTRAINT jobs_state_check
    CHECK (state IN ('waiting', 'running', 'cancelling', 'completed', 'cancelled', 'failed')),
  CONSTRAINT jobs_finished_check
    CHECK ((finished_at IS NOT NULL) = (state IN ('completed', 'cancelled', 'failed'))),
  CONSTRAINT jobs_task_check CHECK ((change IS NULL) = (undo_of IS NOT NULL))
);
CREATE INDEX jobs_owner_idx ON jobs (owner_id, created_at);
CREATE UNIQUE INDEX jobs_undo_of_key ON jobs (undo_of);
CREATE INDEX jobs_unfinished_idx ON jobs (worked_at, id) WHERE finished_at IS NULL;
CREATE INDEX jobs_finished_idx ON jobs (finished_at) WHERE finished_at IS NOT NULL;

CREATE TABLE job_items (
  job_id uuid NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
  -- From 1.
  item integer NOT NULL,
  -- As it was asked for: there need not be such a ticket.
  ticket_id uuid NOT NULL,
  -- What to restore, where a job is undone.
  undo jsonb,
  PRIMARY KEY (job_id, item)
);

-- Stored in the statement that changes the ticket, so that an item is done once whatever happens to the node.
CREATE TABLE job_results (
  job_id uuid NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
  item integer NOT NULL,
  outcome varchar(20) NOT NULL,
  -- Why it was refused.
  code varchar(100),
  detail text,
  -- What the ticket was before, as far as it changed.
  undo jsonb,
  created_at timestamptz NOT NULL,
  PRIMARY KEY (job_id, item),
  CONSTRAINT job_results_outcome_check CHECK (outcome IN ('changed', 'unchanged', 'refused'))
);
