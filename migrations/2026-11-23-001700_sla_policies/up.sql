-- What a policy has beside the contract's columns.
ALTER TABLE sla_policies
    ADD COLUMN next_response_time integer,
    ADD COLUMN paused_while_pending jsonb,
    ADD COLUMN filter jsonb,
    ADD COLUMN place integer NOT NULL DEFAULT 0,
    ADD COLUMN version integer NOT NULL DEFAULT 1,
    ADD COLUMN terms_version integer NOT NULL DEFAULT 1,
    ADD COLUMN calendar_version integer NOT NULL DEFAULT 1;

-- What each version of each policy promised. Rows are never changed and never go: ledgers are explained by them.
CREATE TABLE sla_policy_terms (
    policy_id uuid NOT NULL,
    version integer NOT NULL,
    calendar_version integer NOT NULL,
    first_response_time integer NOT NULL,
    next_response_time integer,
    resolution_time integer NOT NULL,
    business_hours_only boolean NOT NULL,
    business_hours jsonb,
    escalation_rules jsonb NOT NULL,
    priority_multipliers jsonb NOT NULL,
    paused_while_pending jsonb,
    created_at timestamptz NOT NULL DEFAULT CURRENT_TIMESTAMP,
    PRIMARY KEY (policy_id, version)
);

-- Those that are there already come in the order in which they were made.
UPDATE sla_policies p SET place = o.place
  FROM (SELECT id, row_number() OVER (ORDER BY created_at, id) AS place FROM sla_policies) o WHERE o.id = p.id;
INSERT INTO sla_policy_terms (policy_id, version, calendar_version, first_response_time, resolution_time, business_hours_only,
    business_hours, escalation_rules, priority_multipliers)
  SELECT id, 1, 1, first_response_time, resolution_time, business_hours_only, business_hours, escalation_rules,
    priority_multipliers FROM sla_policies;
-- Places may meet while several policies move.
ALTER TABLE sla_policies ADD CONSTRAINT sla_policies_place_key UNIQUE (place) DEFERRABLE INITIALLY DEFERRED;

-- A writer that knows nothing of places comes last; one after the other, so that no two come last at once.
CREATE FUNCTION place_sla_policy() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM pg_advisory_xact_lock(hashtextextended('sla policies', 0));
  NEW.place := (SELECT coalesce(max(place), 0) + 1 FROM sla_policies);
  RETURN NEW;
END $$;
CREATE TRIGGER a_place_sla_policy BEFORE INSERT ON sla_policies FOR EACH ROW
  WHEN (NEW.place = 0) EXECUTE FUNCTION place_sla_policy();

-- Whoever moves the version is InsightDesk and has set the rest too.
DROP TRIGGER a_touch_updated_at ON sla_policies;
CREATE TRIGGER a_touch_updated_at BEFORE UPDATE ON sla_policies FOR EACH ROW
  WHEN (OLD.version = NEW.version AND OLD.updated_at = NEW.updated_at AND OLD.* IS DISTINCT FROM NEW.*)
  EXECUTE FUNCTION touch_updated_at();
CREATE FUNCTION touch_sla_policy_versions() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  NEW.version := OLD.version + 1;
  IF (OLD.first_response_time, OLD.next_response_time, OLD.resolution_time, OLD.business_hours_only, OLD.business_hours,
      OLD.escalation_rules, OLD.priority_multipliers, OLD.paused_while_pending)
    IS DISTINCT FROM (NEW.first_response_time, NEW.next_response_time, NEW.resolution_time, NEW.business_hours_only,
      NEW.business_hours, NEW.escalation_rules, NEW.priority_multipliers, NEW.paused_while_pending) THEN
    NEW.terms_version := OLD.terms_version + 1;
  END IF;
  IF (OLD.business_hours_only, OLD.business_hours) IS DISTINCT FROM (NEW.business_hours_only, NEW.business_hours) THEN
    NEW.calendar_version := NEW.terms_version;
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER b_touch_versions BEFORE UPDATE ON sla_policies FOR EACH ROW
  WHEN (OLD.version = NEW.version AND OLD.* IS DISTINCT FROM NEW.*) EXECUTE FUNCTION touch_sla_policy_versions();

-- Whoever writes a promise leaves its terms.
CREATE FUNCTION keep_sla_policy_terms() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO sla_policy_terms (policy_id, version, calendar_version, first_response_time, next_response_time,
      resolution_time, business_hours_only, business_hours, escalation_rules, priority_multipliers, paused_while_pending)
    VALUES (NEW.id, NEW.terms_version, NEW.calendar_version, NEW.first_response_time, NEW.next_response_time,
      NEW.resolution_time, NEW.business_hours_only, NEW.business_hours, NEW.escalation_rules, NEW.priority_multipliers,
      NEW.paused_while_pending)
    ON CONFLICT DO NOTHING;
  RETURN NULL;
END $$;
CREATE TRIGGER c_keep_terms AFTER INSERT OR UPDATE ON sla_policies FOR EACH ROW EXECUTE FUNCTION keep_sla_policy_terms();
