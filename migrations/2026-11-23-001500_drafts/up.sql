-- What someone began to write in a ticket and has not sent.
CREATE TABLE ticket_drafts (
  ticket_id uuid NOT NULL REFERENCES tickets (id) ON DELETE CASCADE,
  user_id uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  message text NOT NULL,
  is_internal boolean NOT NULL DEFAULT false,
  updated_at timestamptz NOT NULL,
  PRIMARY KEY (ticket_id, user_id),
  CONSTRAINT ticket_drafts_message_check CHECK (octet_length(message) BETWEEN 1 AND 65536)
);
CREATE INDEX ticket_drafts_user_id_idx ON ticket_drafts (user_id);
CREATE INDEX ticket_drafts_updated_at_idx ON ticket_drafts (updated_at);
