-- Takes InsightDesk's own tables, columns and indexes away; the contract stays. The database's time zone stays UTC.
DO $$
DECLARE name text;
BEGIN
  FOREACH name IN ARRAY ARRAY['users', 'teams', 'tickets', 'ticket_messages', 'kb_categories', 'kb_articles', 'sla_policies', 'automation_rules'] LOOP
    EXECUTE format('DROP TRIGGER a_touch_updated_at ON %I', name);
  END LOOP;
END $$;
DROP TRIGGER b_touch_version ON users;
DROP TRIGGER b_touch_version ON teams;
DROP TRIGGER b_touch_versions ON tickets;
DROP FUNCTION touch_updated_at();
DROP FUNCTION touch_version();
DROP FUNCTION touch_ticket_versions();

DROP TABLE desk_facts;
DROP INDEX automation_rules_created_by_idx;
DROP INDEX daily_ticket_metrics_desk_key;
DROP INDEX sla_policies_single_default_key;

DROP INDEX notifications_user_unread_idx;
DROP INDEX notifications_user_created_idx;
ALTER TABLE notifications DROP COLUMN dedupe_key;

DROP TABLE idempotency_keys;
DROP TABLE event_receipts;
DROP TABLE outbox;

DROP TABLE ticket_imports;
DROP VIEW public_messages;
DROP INDEX ticket_activities_ticket_created_idx;
DROP INDEX ticket_notes_ticket_created_idx;
DROP INDEX ticket_messages_ticket_created_idx;
DROP INDEX tickets_tags_idx;
DROP INDEX tickets_sla_policy_id_idx;
DROP INDEX tickets_resolved_idx;
DROP INDEX tickets_deleted_created_idx;
DROP INDEX tickets_deleted_updated_idx;
DROP INDEX tickets_live_triage_created_idx;
DROP INDEX tickets_live_triage_updated_idx;
DROP INDEX tickets_live_requester_created_idx;
DROP INDEX tickets_live_requester_staff_updated_idx;
DROP INDEX tickets_live_requester_updated_idx;
DROP INDEX tickets_live_assignee_created_idx;
DROP INDEX tickets_live_assignee_updated_idx;
DROP INDEX tickets_live_team_created_idx;
DROP INDEX tickets_live_team_updated_idx;
DROP INDEX tickets_live_status_created_idx;
DROP INDEX tickets_live_status_updated_idx;
ALTER TABLE tickets
  DROP COLUMN version, DROP COLUMN public_version, DROP COLUMN public_updated_at, DROP COLUMN message_count,
  DROP COLUMN public_message_count, DROP COLUMN last_message_at, DROP COLUMN public_last_message_at;
DROP SEQUENCE ticket_number_seq;

DROP TABLE one_time_tokens;
DROP TABLE session_rotated_tokens;
DROP INDEX sessions_revoked_at_idx;
DROP INDEX sessions_unrevoked_user_created_idx;
ALTER TABLE sessions DROP COLUMN last_used_at, DROP COLUMN revoked_at;
DROP INDEX team_members_team_created_idx;
DROP INDEX teams_created_at_id_idx;
ALTER TABLE teams DROP COLUMN version;
DROP INDEX users_live_status_created_idx;
DROP INDEX users_live_role_created_idx;
DROP INDEX users_created_at_id_idx;
DROP INDEX users_email_lower_key;
ALTER TABLE users DROP COLUMN version;
