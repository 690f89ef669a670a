-- What a rule has beside the contract's columns.
ALTER TABLE automation_rules
    ADD COLUMN schedule jsonb,
    ADD COLUMN stop_after_match boolean NOT NULL DEFAULT false,
    ADD COLUMN rate_limit jsonb,
    -- Why the server disabled it.
    ADD COLUMN disabled varchar(20),
    ADD COLUMN version integer NOT NULL DEFAULT 1;

-- How often a rule ran is no change of it.
DROP TRIGGER a_touch_updated_at ON automation_rules;
CREATE TRIGGER a_touch_updated_at BEFORE UPDATE ON automation_rules FOR EACH ROW
  WHEN (OLD.version = NEW.version AND OLD.updated_at = NEW.updated_at
    AND (OLD.name, OLD.description, OLD.trigger, OLD.conditions, OLD.actions, OLD.priority, OLD.enabled, OLD.created_by,
      OLD.schedule, OLD.stop_after_match, OLD.rate_limit, OLD.disabled)
    IS DISTINCT FROM (NEW.name, NEW.description, NEW.trigger, NEW.conditions, NEW.actions, NEW.priority, NEW.enabled,
      NEW.created_by, NEW.schedule, NEW.stop_after_match, NEW.rate_limit, NEW.disabled))
  EXECUTE FUNCTION touch_updated_at();
CREATE TRIGGER b_touch_version BEFORE UPDATE ON automation_rules FOR EACH ROW
  WHEN (OLD.version = NEW.version
    AND (OLD.name, OLD.description, OLD.trigger, OLD.conditions, OLD.actions, OLD.priority, OLD.enabled, OLD.created_by,
      OLD.schedule, OLD.stop_after_match, OLD.rate_limit, OLD.disabled)
    IS DISTINCT FROM (NEW.name, NEW.description, NEW.trigger, NEW.conditions, NEW.actions, NEW.priority, NEW.enabled,
      NEW.created_by, NEW.schedule, NEW.stop_after_match, NEW.rate_limit, NEW.disabled))
  EXECUTE FUNCTION touch_version();

-- Moves with every change of any rule, whoever made it. One row.
CREATE TABLE automation_revision (
    id boolean PRIMARY KEY DEFAULT true CHECK (id),
    revision bigint NOT NULL
);
INSERT INTO automation_revision (revision) VALUES (1);
CREATE FUNCTION move_automation_revision() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  UPDATE automation_revision SET revision = revision + 1;
  RETURN NULL;
END $$;
CREATE TRIGGER c_move_revision AFTER INSERT OR DELETE ON automation_rules
  FOR EACH STATEMENT EXECUTE FUNCTION move_automation_revision();
CREATE TRIGGER d_move_revision AFTER UPDATE ON automation_rules FOR EACH ROW
  WHEN (OLD.version <> NEW.version) EXECUTE FUNCTION move_automation_revision();

-- What rules did, and why. One run for each rule and event.
CREATE TABLE automation_runs (
    rule_id uuid NOT NULL REFERENCES automation_rules (id) ON DELETE CASCADE,
    event_id uuid NOT NULL,
    -- Where it stands among runs of one moment, in the log.
    log_id uuid NOT NULL,
    rule_version integer NOT NULL,
    name varchar(100) NOT NULL,
    ticket_id uuid REFERENCES tickets (id) ON DELETE CASCADE,
    happened_at timestamptz NOT NULL,
    place integer NOT NULL,
    explanation jsonb NOT NULL,
    plan_version smallint NOT NULL,
    steps jsonb NOT NULL,
    chain jsonb NOT NULL,
    settled_at timestamptz,
    results jsonb,
    -- Whether it is part of the rule's count.
    is_counted boolean NOT NULL DEFAULT false,
    PRIMARY KEY (rule_id, event_id),
    CHECK ((settled_at IS NULL) = (results IS NULL))
);
CREATE INDEX automation_runs_event_idx ON automation_runs (event_id, place);
CREATE INDEX automation_runs_rule_idx ON automation_runs (rule_id, happened_at, log_id);
CREATE INDEX automation_runs_ticket_idx ON automation_runs (ticket_id, happened_at, log_id) WHERE ticket_id IS NOT NULL;
CREATE INDEX automation_runs_log_idx ON automation_runs (happened_at, log_id);
CREATE INDEX automation_runs_planned_idx ON automation_runs (happened_at, event_id, place) WHERE settled_at IS NULL;
CREATE INDEX automation_runs_uncounted_idx ON automation_runs (rule_id) WHERE NOT is_counted;

-- Rules that would have gone round in a circle.
CREATE TABLE automation_trips (
    rule_id uuid NOT NULL REFERENCES automation_rules (id) ON DELETE CASCADE,
    event_id uuid NOT NULL,
    tripped_at timestamptz NOT NULL,
    PRIMARY KEY (rule_id, event_id)
);
CREATE INDEX automation_trips_time_idx ON automation_trips (rule_id, tripped_at);
CREATE INDEX automation_trips_old_idx ON automation_trips (tripped_at);

-- How far schedules were worked off, and who is at it.
CREATE TABLE automation_schedules (
    rule_id uuid PRIMARY KEY REFERENCES automation_rules (id) ON DELETE CASCADE,
    done_at timestamptz,
    leased_until timestamptz
);

-- Actions that staff apply by hand. Whose they are: a person's, a team's, or everyone's.
CREATE TABLE macros (
    id uuid PRIMARY KEY,
    name varchar(100) NOT NULL,
    description text,
    actions jsonb NOT NULL,
    user_id uuid REFERENCES users (id) ON DELETE CASCADE,
    team_id uuid REFERENCES teams (id) ON DELETE CASCADE,
    created_at timestamptz NOT NULL DEFAULT CURRENT_TIMESTAMP,
    updated_at timestamptz NOT NULL DEFAULT CURRENT_TIMESTAMP,
    version integer NOT NULL DEFAULT 1,
    CHECK (user_id IS NULL OR team_id IS NULL)
);
CREATE INDEX macros_user_idx ON macros (user_id) WHERE user_id IS NOT NULL;
CREATE INDEX macros_team_idx ON macros (team_id) WHERE team_id IS NOT NULL;
