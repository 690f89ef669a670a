-- Verified addresses, second factors, keys for programs, single sign-on, shared rates and the audit log.

-- ------------------------------------------------------------- second factor

-- users.two_factor_secret holds the sealed TOTP secret (AEAD under the installation's key): confirmed once
-- two_factor_enabled is true, being enrolled before. The number of the last 30-second step whose code was used; none of
-- it or before is accepted again.
ALTER TABLE users ADD COLUMN totp_last_step bigint;

-- A way in without the device, each good once; only the SHA-256 (hex) is kept.
CREATE TABLE recovery_codes (
  user_id uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  code_sha256 varchar(64) NOT NULL,
  used_at timestamptz,
  created_at timestamptz NOT NULL DEFAULT CURRENT_TIMESTAMP,
  PRIMARY KEY (user_id, code_sha256)
);

-- ---------------------------------------------------------- one-time tokens

ALTER TABLE one_time_tokens
  -- The token of a mailed link is derived from this id and the installation's key, so that the mail can be made again
  -- although no token is kept.
  ADD COLUMN id uuid NOT NULL DEFAULT gen_random_uuid(),
  -- The address that the token was made for: it proves that one and no other.
  ADD COLUMN email varchar(255),
  -- Wrong codes that were shown with a login's challenge.
  ADD COLUMN attempts smallint NOT NULL DEFAULT 0,
  -- What an unfinished sign-on must remember, sealed.
  ADD COLUMN sealed text;
CREATE UNIQUE INDEX one_time_tokens_id_key ON one_time_tokens (id);

-- ------------------------------------------------------------------ sessions

-- How the person proved who they are: password, password+totp, password+recovery_code, sso.
ALTER TABLE sessions ADD COLUMN method varchar(30) NOT NULL DEFAULT 'password';
CREATE INDEX sessions_user_address_idx ON sessions (user_id, ip_address);

-- ------------------------------------------------------------------ API keys

CREATE TABLE api_keys (
  id uuid PRIMARY KEY,
  user_id uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  name varchar(100) NOT NULL,
  -- The first characters, by which a person recognises the key.
  prefix varchar(20) NOT NULL,
  key_sha256 varchar(64) NOT NULL,
  scopes text[] NOT NULL,
  expires_at timestamptz NOT NULL,
  created_at timestamptz NOT NULL DEFAULT CURRENT_TIMESTAMP,
  -- To the minute.
  last_used_at timestamptz,
  last_used_ip inet,
  revoked_at timestamptz
);
CREATE UNIQUE INDEX api_keys_key_sha256_key ON api_keys (key_sha256);
CREATE INDEX api_keys_user_created_idx ON api_keys (user_id, created_at DESC, id DESC);

-- ------------------------------------------------------------ single sign-on

-- Who an account is at a provider. The subject is the provider's own id of the person and never changes.
CREATE TABLE external_identities (
  provider varchar(50) NOT NULL,
  subject varchar(255) NOT NULL,
  user_id uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  email varchar(255),
  created_at timestamptz NOT NULL DEFAULT CURRENT_TIMESTAMP,
  last_used_at timestamptz,
  PRIMARY KEY (provider, subject)
);
CREATE INDEX external_identities_user_id_idx ON external_identities (user_id);

-- ------------------------------------------------------------------ settings

-- What administrators set for the whole desk while it runs.
CREATE TABLE desk_settings (
  name varchar(50) PRIMARY KEY,
  value jsonb NOT NULL,
  version integer NOT NULL DEFAULT 1,
  updated_at timestamptz NOT NULL DEFAULT CURRENT_TIMESTAMP
);

-- --------------------------------------------------------------------- rates

-- Buckets of the generic cell rate algorithm. A crash may forget them.
CREATE UNLOGGED TABLE rate_buckets (
  name varchar(40) NOT NULL,
  key bytea NOT NULL,
  -- When the bucket is full again (the "theoretical arrival time"); past that it can be forgotten.
  full_at timestamptz NOT NULL,
  PRIMARY KEY (name, key)
);
CREATE INDEX rate_buckets_full_at_idx ON rate_buckets (full_at);

-- ----------------------------------------------------------------- audit log

-- Who did what to whom from where. Rows are added and nothing else; each carries the digest of the one before, so that
-- none can be changed or taken out unnoticed.
CREATE TABLE audit_log (
  number bigint PRIMARY KEY,
  event_id uuid NOT NULL,
  occurred_at timestamptz NOT NULL,
  action varchar(50) NOT NULL,
  -- The acting account, or the part of the server that acted. No foreign keys: the log outlives what it tells of.
  actor_id uuid,
  actor_system varchar(50),
  target_kind varchar(30) NOT NULL,
  target_id uuid,
  ip_address inet,
  user_agent varchar(500),
  request_id varchar(200),
  credential_id uuid,
  detail jsonb NOT NULL,
  previous_sha256 bytea NOT NULL,
  sha256 bytea NOT NULL
);
CREATE UNIQUE INDEX audit_log_event_id_key ON audit_log (event_id);
CREATE INDEX audit_log_actor_idx ON audit_log (actor_id, number DESC);
CREATE INDEX audit_log_target_idx ON audit_log (target_id, number DESC);
CREATE INDEX audit_log_occurred_at_idx ON audit_log (occurred_at);
CREATE INDEX audit_log_action_idx ON audit_log (action, number DESC);

-- What a row's digest is taken over: each field with its length in bytes in front, absent ones as '-'.
CREATE FUNCTION audit_log_text(entry audit_log) RETURNS text LANGUAGE sql STABLE AS $$
  SELECT string_agg(CASE WHEN field IS NULL THEN '-' ELSE octet_length(field) || ':' || field END, ',' ORDER BY place)
  FROM unnest(ARRAY[
    entry.number::text,
    entry.event_id::text,
    to_char(entry.occurred_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
    entry.action,
    entry.actor_id::text,
    entry.actor_system,
    entry.target_kind,
    entry.target_id::text,
    host(entry.ip_address),
    entry.user_agent,
    entry.request_id,
    entry.credential_id::text,
    entry.detail::text,
    encode(entry.previous_sha256, 'hex')
  ]) WITH ORDINALITY AS fields (field, place)
$$;

-- Puts a row at the end of the chain. The lock is held until the transaction ends, so that no two rows follow the same
-- one; each statement in here sees what was committed before it.
CREATE FUNCTION audit_log_append() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  last audit_log;
BEGIN
  PERFORM pg_advisory_xact_lock(2184503787554672644);
  SELECT * INTO last FROM audit_log ORDER BY number DESC LIMIT 1;
  NEW.number := coalesce(last.number, 0) + 1;
  NEW.previous_sha256 := coalesce(last.sha256, ''::bytea);
  NEW.sha256 := sha256(convert_to(audit_log_text(NEW), 'UTF8'));
  RETURN NEW;
END $$;
CREATE TRIGGER audit_log_append BEFORE INSERT ON audit_log FOR EACH ROW EXECUTE FUNCTION audit_log_append();

CREATE FUNCTION audit_log_keep() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'audit_log is append-only' USING ERRCODE = 'insufficient_privilege';
END $$;
CREATE TRIGGER audit_log_keep BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_log
  FOR EACH STATEMENT EXECUTE FUNCTION audit_log_keep();
