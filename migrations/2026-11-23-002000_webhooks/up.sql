-- Where events are sent. Secrets lie sealed under the installation's key.
CREATE TABLE webhook_endpoints (
    id uuid PRIMARY KEY,
    name varchar(100) NOT NULL,
    url text NOT NULL,
    events text[] NOT NULL,
    filter jsonb NOT NULL,
    audience varchar(10) NOT NULL CHECK (audience IN ('customer', 'staff')),
    enabled boolean NOT NULL,
    secret text NOT NULL,
    older_secret text,
    -- Failures in a row, and since when.
    failures integer NOT NULL DEFAULT 0,
    failing_since timestamptz,
    -- Why the server disabled it.
    disabled varchar(20),
    owner uuid NOT NULL REFERENCES users (id),
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    version integer NOT NULL DEFAULT 1
);
CREATE INDEX webhook_endpoints_owner_idx ON webhook_endpoints (owner);

-- What they are sent: an event, or what a rule sends, once for each endpoint.
CREATE TABLE webhook_calls (
    endpoint_id uuid NOT NULL REFERENCES webhook_endpoints (id) ON DELETE CASCADE,
    id uuid NOT NULL,
    -- Its place among the calls of its ticket.
    sequence bigint GENERATED ALWAYS AS IDENTITY,
    event varchar(50) NOT NULL,
    ticket_id uuid REFERENCES tickets (id) ON DELETE CASCADE,
    body text NOT NULL,
    created_at timestamptz NOT NULL,
    state varchar(10) NOT NULL CHECK (state IN ('waiting', 'delivered', 'dead')),
    tries integer NOT NULL DEFAULT 0,
    began_at timestamptz NOT NULL,
    next_at timestamptz,
    ended_at timestamptz,
    dead_because varchar(20),
    leased_until timestamptz,
    log jsonb NOT NULL DEFAULT '[]',
    PRIMARY KEY (endpoint_id, id),
    CHECK ((state = 'waiting') = (next_at IS NOT NULL)),
    CHECK ((state = 'waiting') = (ended_at IS NULL)),
    CHECK ((state = 'dead') = (dead_because IS NOT NULL))
);
CREATE INDEX webhook_calls_due_idx ON webhook_calls (endpoint_id, next_at) WHERE state = 'waiting';
CREATE INDEX webhook_calls_lane_idx ON webhook_calls (endpoint_id, ticket_id, sequence) WHERE state = 'waiting';
CREATE INDEX webhook_calls_leased_idx ON webhook_calls (endpoint_id, leased_until)
    WHERE state = 'waiting' AND leased_until IS NOT NULL;
CREATE INDEX webhook_calls_log_idx ON webhook_calls (endpoint_id, created_at, id);
CREATE INDEX webhook_calls_ticket_idx ON webhook_calls (ticket_id) WHERE ticket_id IS NOT NULL;
CREATE INDEX webhook_calls_ended_idx ON webhook_calls (ended_at) WHERE ended_at IS NOT NULL;
