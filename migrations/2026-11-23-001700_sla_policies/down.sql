DROP TRIGGER c_keep_terms ON sla_policies;
DROP FUNCTION keep_sla_policy_terms();
DROP TRIGGER b_touch_versions ON sla_policies;
DROP FUNCTION touch_sla_policy_versions();
DROP TRIGGER a_touch_updated_at ON sla_policies;
CREATE TRIGGER a_touch_updated_at BEFORE UPDATE ON sla_policies FOR EACH ROW
  WHEN (OLD.updated_at = NEW.updated_at AND OLD.* IS DISTINCT FROM NEW.*) EXECUTE FUNCTION touch_updated_at();
DROP TRIGGER a_place_sla_policy ON sla_policies;
DROP FUNCTION place_sla_policy();
ALTER TABLE sla_policies DROP CONSTRAINT sla_policies_place_key;
DROP TABLE sla_policy_terms;
ALTER TABLE sla_policies
    DROP COLUMN next_response_time,
    DROP COLUMN paused_while_pending,
    DROP COLUMN filter,
    DROP COLUMN place,
    DROP COLUMN version,
    DROP COLUMN terms_version,
    DROP COLUMN calendar_version;
