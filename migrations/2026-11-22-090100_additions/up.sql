-- What InsightDesk needs beside the contract's tables: further tables, and further columns that are nullable,
-- defaulted or generated, so that a client of the contract never has to know them.

-- Times are UTC for every client: some shift a timestamp by the session's zone.
DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET timezone TO ''UTC''', current_database()); END $$;

-- ---------------------------------------------------------------- identity

ALTER TABLE users ADD COLUMN version integer NOT NULL DEFAULT 1;
-- Addresses are stored normalised; this holds for other writers of the table too.
CREATE UNIQUE INDEX users_email_lower_key ON users (lower(email));
CREATE INDEX users_created_at_id_idx ON users (created_at DESC, id DESC);
CREATE INDEX users_live_role_created_idx ON users (role, created_at DESC, id DESC) WHERE deleted_at IS NULL;
CREATE INDEX users_live_status_created_idx ON users (status, created_at DESC, id DESC) WHERE deleted_at IS NULL;

ALTER TABLE teams ADD COLUMN version integer NOT NULL DEFAULT 1;
CREATE INDEX teams_created_at_id_idx ON teams (created_at DESC, id DESC);
CREATE INDEX team_members_team_created_idx ON team_members (team_id, created_at, id);

-- sessions.refresh_token holds the SHA-256 (hex) of the live refresh token. A session is the family of all
-- tokens that came from one login.
ALTER TABLE sessions
  ADD COLUMN last_used_at timestamptz,
  ADD COLUMN revoked_at timestamptz;
CREATE INDEX sessions_unrevoked_user_created_idx ON sessions (user_id, created_at DESC, id DESC) WHERE revoked_at IS NULL;
CREATE INDEX sessions_revoked_at_idx ON sessions (revoked_at) WHERE revoked_at IS NOT NULL;

-- Tokens that were exchanged for a successor. Showing one again is theft, or a lost answer within the grace
-- period: the successor is then derived again from the shown token and `successor_salt`.
CREATE TABLE session_rotated_tokens (
  token_sha256 varchar(64) PRIMARY KEY,
  session_id uuid NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
  successor_salt bytea NOT NULL,
  rotated_at timestamptz NOT NULL
);
CREATE INDEX session_rotated_tokens_session_id_idx ON session_rotated_tokens (session_id);

-- Single-use secrets sent to a person; only their SHA-256 (hex) is kept.
CREATE TABLE one_time_tokens (
  token_sha256 varchar(64) PRIMARY KEY,
  kind varchar(30) NOT NULL,
  user_id uuid REFERENCES users (id) ON DELETE CASCADE,
  expires_at timestamptz NOT NULL,
  used_at timestamptz,
  created_at timestamptz NOT NULL DEFAULT CURRENT_TIMESTAMP
);
CREATE INDEX one_time_tokens_user_id_idx ON one_time_tokens (user_id);
CREATE INDEX one_time_tokens_expires_at_idx ON one_time_tokens (expires_at);

-- --------------------------------------------------------------- ticketing

-- Never reused; a number whose transaction was rolled back stays a gap.
CREATE SEQUENCE ticket_number_seq AS bigint;

-- `version` moves with every change. What a customer may see moves the `public_` columns alone, so that neither
-- an ETag, a time, a count nor an order tells of internal text.
ALTER TABLE tickets
  ADD COLUMN version integer NOT NULL DEFAULT 1,
  ADD COLUMN public_version integer NOT NULL DEFAULT 1,
  ADD COLUMN public_updated_at timestamptz NOT NULL DEFAULT CURRENT_TIMESTAMP,
  ADD COLUMN message_count integer NOT NULL DEFAULT 0,
  ADD COLUMN public_message_count integer NOT NULL DEFAULT 0,
  ADD COLUMN last_message_at timestamptz,
  ADD COLUMN public_last_message_at timestamptz;

-- Every offered list is a merge of short walks, one for each status and team: each walk has its index here.
CREATE INDEX tickets_live_status_updated_idx ON tickets (status, updated_at DESC, id DESC) WHERE deleted_at IS NULL;
CREATE INDEX tickets_live_status_created_idx ON tickets (status, created_at DESC, id DESC) WHERE deleted_at IS NULL;
CREATE INDEX tickets_live_team_updated_idx ON tickets (team_id, status, updated_at DESC, id DESC) WHERE deleted_at IS NULL;
CREATE INDEX tickets_live_team_created_idx ON tickets (team_id, status, created_at DESC, id DESC) WHERE deleted_at IS NULL;
CREATE INDEX tickets_live_assignee_updated_idx ON tickets (assigned_to, status, updated_at DESC, id DESC) WHERE deleted_at IS NULL;
CREATE INDEX tickets_live_assignee_created_idx ON tickets (assigned_to, status, created_at DESC, id DESC) WHERE deleted_at IS NULL;
CREATE INDEX tickets_live_requester_updated_idx ON tickets (created_by, public_updated_at DESC, id DESC) WHERE deleted_at IS NULL;
CREATE INDEX tickets_live_requester_staff_updated_idx ON tickets (created_by, updated_at DESC, id DESC) WHERE deleted_at IS NULL;
CREATE INDEX tickets_live_requester_created_idx ON tickets (created_by, created_at DESC, id DESC) WHERE deleted_at IS NULL;
-- `team_id IS NULL` is no equality to the planner, so that the triage queue has indexes of its own.
CREATE INDEX tickets_live_triage_updated_idx ON tickets (status, updated_at DESC, id DESC) WHERE deleted_at IS NULL AND team_id IS NULL;
CREATE INDEX tickets_live_triage_created_idx ON tickets (status, created_at DESC, id DESC) WHERE deleted_at IS NULL AND team_id IS NULL;
CREATE INDEX tickets_deleted_updated_idx ON tickets (updated_at DESC, id DESC) WHERE deleted_at IS NOT NULL;
CREATE INDEX tickets_deleted_created_idx ON tickets (created_at DESC, id DESC) WHERE deleted_at IS NOT NULL;
CREATE INDEX tickets_resolved_idx ON tickets (resolved_at) WHERE status = 'resolved' AND deleted_at IS NULL;
CREATE INDEX tickets_sla_policy_id_idx ON tickets (sla_policy_id) WHERE sla_policy_id IS NOT NULL;
CREATE INDEX tickets_tags_idx ON tickets USING gin (tags jsonb_path_ops) WHERE deleted_at IS NULL;

CREATE INDEX ticket_messages_ticket_created_idx ON ticket_messages (ticket_id, created_at, id);
CREATE INDEX ticket_notes_ticket_created_idx ON ticket_notes (ticket_id, created_at, id);
CREATE INDEX ticket_activities_ticket_created_idx ON ticket_activities (ticket_id, created_at, id);

-- All that code for customers may read of a conversation.
CREATE VIEW public_messages AS
  SELECT id, ticket_id, sender_id, message, message_html, attachment_urls, is_internal, created_at, updated_at
  FROM ticket_messages WHERE NOT is_internal;

-- Which row of which source became which ticket, so that an import can be repeated.
CREATE TABLE ticket_imports (
  source varchar(100) NOT NULL,
  external_id varchar(200) NOT NULL,
  ticket_id uuid NOT NULL REFERENCES tickets (id) ON DELETE CASCADE,
  imported_at timestamptz NOT NULL DEFAULT CURRENT_TIMESTAMP,
  PRIMARY KEY (source, external_id)
);
CREATE INDEX ticket_imports_ticket_id_idx ON ticket_imports (ticket_id);

-- ------------------------------------------------------ events and receipts

-- Written with the change that it tells of; delivered at least once, in order for each aggregate.
CREATE TABLE outbox (
  id uuid PRIMARY KEY,
  position bigint GENERATED ALWAYS AS IDENTITY,
  -- A reader of the feed stops below the oldest running transaction; the number alone could skip a late commit.
  transaction_id xid8 NOT NULL DEFAULT pg_current_xact_id(),
  aggregate_id uuid NOT NULL,
  kind varchar(50) NOT NULL,
  payload_version smallint NOT NULL,
  payload jsonb NOT NULL,
  occurred_at timestamptz NOT NULL,
  available_at timestamptz NOT NULL DEFAULT CURRENT_TIMESTAMP,
  attempts integer NOT NULL DEFAULT 0,
  leased_until timestamptz,
  done_at timestamptz,
  buried_at timestamptz,
  last_error text
);
CREATE UNIQUE INDEX outbox_position_key ON outbox (position);
CREATE INDEX outbox_waiting_idx ON outbox (position) WHERE done_at IS NULL AND buried_at IS NULL;
-- Says the same as the one before in other words, and so does the query that means this one: on statistics from a time
-- when nothing waited, the planner would else walk the first from its beginning.
CREATE INDEX outbox_waiting_aggregate_idx ON outbox (aggregate_id, position) WHERE coalesce(done_at, buried_at) IS NULL;
CREATE INDEX outbox_buried_at_idx ON outbox (buried_at) WHERE buried_at IS NOT NULL;
CREATE INDEX outbox_done_at_idx ON outbox (done_at) WHERE done_at IS NOT NULL;

-- A subscriber's effect carries its receipt in the same transaction: once, however often the event comes.
CREATE TABLE event_receipts (
  subscriber varchar(50) NOT NULL,
  event_id uuid NOT NULL,
  step varchar(50) NOT NULL,
  created_at timestamptz NOT NULL DEFAULT CURRENT_TIMESTAMP,
  PRIMARY KEY (event_id, subscriber, step)
);
CREATE INDEX event_receipts_created_at_idx ON event_receipts (created_at);

-- The first answer to a request that carried an Idempotency-Key, stored with the request's effect.
CREATE TABLE idempotency_keys (
  principal uuid NOT NULL,
  key varchar(255) NOT NULL,
  route varchar(200) NOT NULL,
  request_sha256 bytea NOT NULL,
  status smallint NOT NULL,
  etag varchar(100),
  location varchar(500),
  body text NOT NULL,
  created_at timestamptz NOT NULL DEFAULT CURRENT_TIMESTAMP,
  PRIMARY KEY (principal, key)
);
CREATE INDEX idempotency_keys_created_at_idx ON idempotency_keys (created_at);

-- ------------------------------------------------------------ notifications

ALTER TABLE notifications ADD COLUMN dedupe_key varchar(200);
CREATE UNIQUE INDEX notifications_user_dedupe_key ON notifications (user_id, dedupe_key);
CREATE INDEX notifications_user_created_idx ON notifications (user_id, created_at DESC, id DESC);
CREATE INDEX notifications_user_unread_idx ON notifications (user_id, created_at DESC, id DESC) WHERE NOT read;

-- ------------------------------------------- rules that the contract leaves open

CREATE UNIQUE INDEX sla_policies_single_default_key ON sla_policies (is_default) WHERE is_default;
CREATE UNIQUE INDEX daily_ticket_metrics_desk_key ON daily_ticket_metrics (date) WHERE team_id IS NULL;
CREATE INDEX automation_rules_created_by_idx ON automation_rules (created_by);

-- Facts about the whole desk that its nodes must agree on.
CREATE TABLE desk_facts (
  name varchar(50) PRIMARY KEY,
  value text NOT NULL,
  created_at timestamptz NOT NULL DEFAULT CURRENT_TIMESTAMP
);

-- ---------------------------------------------------- writers other than us

-- The contract leaves `updated_at` to its clients; not every writer is one.
CREATE FUNCTION touch_updated_at() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  NEW.updated_at := CURRENT_TIMESTAMP;
  RETURN NEW;
END $$;

-- InsightDesk moves `version` itself; a change by anyone else must still fail a stale If-Match.
CREATE FUNCTION touch_version() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  NEW.version := OLD.version + 1;
  RETURN NEW;
END $$;
CREATE FUNCTION touch_ticket_versions() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  NEW.version := OLD.version + 1;
  NEW.public_version := OLD.public_version + 1;
  NEW.public_updated_at := NEW.updated_at;
  RETURN NEW;
END $$;

DO $$
DECLARE name text;
BEGIN
  FOREACH name IN ARRAY ARRAY['ticket_messages', 'kb_categories', 'kb_articles', 'sla_policies', 'automation_rules'] LOOP
    EXECUTE format('CREATE TRIGGER a_touch_updated_at BEFORE UPDATE ON %I FOR EACH ROW '
      'WHEN (OLD.updated_at = NEW.updated_at AND OLD.* IS DISTINCT FROM NEW.*) EXECUTE FUNCTION touch_updated_at()', name);
  END LOOP;
  -- Whoever moves the version is InsightDesk and has set the time too.
  FOREACH name IN ARRAY ARRAY['users', 'teams', 'tickets'] LOOP
    EXECUTE format('CREATE TRIGGER a_touch_updated_at BEFORE UPDATE ON %I FOR EACH ROW '
      'WHEN (OLD.version = NEW.version AND OLD.updated_at = NEW.updated_at AND OLD.* IS DISTINCT FROM NEW.*) '
      'EXECUTE FUNCTION touch_updated_at()', name);
  END LOOP;
  FOREACH name IN ARRAY ARRAY['users', 'teams'] LOOP
    EXECUTE format('CREATE TRIGGER b_touch_version BEFORE UPDATE ON %I FOR EACH ROW '
      'WHEN (OLD.version = NEW.version AND OLD.* IS DISTINCT FROM NEW.*) EXECUTE FUNCTION touch_version()', name);
  END LOOP;
END $$;
CREATE TRIGGER b_touch_versions BEFORE UPDATE ON tickets FOR EACH ROW
  WHEN (OLD.version = NEW.version AND OLD.* IS DISTINCT FROM NEW.*) EXECUTE FUNCTION touch_ticket_versions();
