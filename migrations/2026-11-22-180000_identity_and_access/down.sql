DROP TABLE audit_log CASCADE;
DROP FUNCTION audit_log_append();
DROP FUNCTION audit_log_keep();
DROP TABLE rate_buckets, desk_settings, external_identities, api_keys, recovery_codes;
DROP INDEX sessions_user_address_idx;
ALTER TABLE sessions DROP COLUMN method;
DROP INDEX one_time_tokens_id_key;
ALTER TABLE one_time_tokens DROP COLUMN id, DROP COLUMN email, DROP COLUMN attempts, DROP COLUMN sealed;
ALTER TABLE users DROP COLUMN totp_last_step;
