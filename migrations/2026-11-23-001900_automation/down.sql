DROP TABLE macros;
DROP TABLE automation_schedules;
DROP TABLE automation_trips;
DROP TABLE automation_runs;
DROP TRIGGER d_move_revision ON automation_rules;
DROP TRIGGER c_move_revision ON automation_rules;
DROP FUNCTION move_automation_revision();
DROP TABLE automation_revision;
DROP TRIGGER b_touch_version ON automation_rules;
DROP TRIGGER a_touch_updated_at ON automation_rules;
ALTER TABLE automation_rules
    DROP COLUMN schedule,
    DROP COLUMN stop_after_match,
    DROP COLUMN rate_limit,
    DROP COLUMN disabled,
    DROP COLUMN version;
CREATE TRIGGER a_touch_updated_at BEFORE UPDATE ON automation_rules FOR EACH ROW
  WHEN (OLD.updated_at = NEW.updated_at AND OLD.* IS DISTINCT FROM NEW.*) EXECUTE FUNCTION touch_updated_at();
