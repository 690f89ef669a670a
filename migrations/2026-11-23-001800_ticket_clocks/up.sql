-- The clocks of tickets. A ticket without a row was never promised anything.
CREATE TABLE ticket_clocks (
    ticket_id uuid PRIMARY KEY REFERENCES tickets (id) ON DELETE CASCADE,
    -- The terms by which they run. No foreign key: they go on by those of a policy that is gone until they are told of others.
    policy_id uuid,
    policy_version integer,
    -- Whether somebody chose the policy for the ticket.
    is_explicit boolean NOT NULL,
    -- Whether a change of what is promised moves any of them.
    is_live boolean NOT NULL,
    -- When they have something to say next.
    wake_at timestamptz,
    state jsonb NOT NULL
);
CREATE INDEX ticket_clocks_wake_at_idx ON ticket_clocks (wake_at) WHERE wake_at IS NOT NULL;
CREATE INDEX ticket_clocks_policy_idx ON ticket_clocks (policy_id, policy_version) WHERE is_live;

-- What every ended span of a clock was. Rows are never changed.
CREATE TABLE sla_ledger (
    ticket_id uuid NOT NULL REFERENCES tickets (id) ON DELETE CASCADE,
    metric text NOT NULL,
    run integer NOT NULL,
    from_at timestamptz NOT NULL,
    to_at timestamptz NOT NULL CHECK (to_at > from_at),
    counted_us bigint,
    standstill text,
    policy_id uuid,
    policy_version integer,
    calendar_version integer,
    priority text NOT NULL,
    target_us bigint,
    PRIMARY KEY (ticket_id, metric, run, from_at),
    CHECK ((counted_us IS NULL) <> (standstill IS NULL))
);
