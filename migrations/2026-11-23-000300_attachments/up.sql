-- What is known of uploaded files. Their bytes are kept elsewhere, under the same ids.
CREATE TABLE attachments (
  id uuid PRIMARY KEY,
  uploader_id uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  -- The message that it hangs on; null until it is written. Which ticket it belongs to follows from that.
  message_id uuid REFERENCES ticket_messages (id) ON DELETE CASCADE,
  -- For showing; it names nothing on the server.
  file_name varchar(255) NOT NULL,
  -- What its first bytes tell.
  content_type varchar(255) NOT NULL,
  size_bytes bigint NOT NULL CHECK (size_bytes >= 0),
  sha256 bytea NOT NULL CHECK (length(sha256) = 32),
  created_at timestamptz NOT NULL DEFAULT CURRENT_TIMESTAMP
);
CREATE INDEX attachments_uploader_id_idx ON attachments (uploader_id);
CREATE INDEX attachments_message_id_idx ON attachments (message_id) WHERE message_id IS NOT NULL;
CREATE INDEX attachments_unbound_idx ON attachments (created_at) WHERE message_id IS NULL;
