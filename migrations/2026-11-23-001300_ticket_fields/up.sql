-- What the custom fields of tickets are, as administrators define them. A desk that defines none takes any.

CREATE TABLE ticket_fields (
  id uuid PRIMARY KEY,
  -- The member's name in `tickets.custom_fields`.
  name varchar(50) NOT NULL,
  label varchar(100) NOT NULL,
  description varchar(500),
  type varchar(20) NOT NULL,
  -- What a select can be, as a list of texts.
  options jsonb NOT NULL DEFAULT '[]',
  -- A regular expression that a text must match whole.
  pattern varchar(200),
  required boolean NOT NULL DEFAULT false,
  -- Whether requesters may set it.
  user_editable boolean NOT NULL DEFAULT false,
  position smallint NOT NULL DEFAULT 0,
  version integer NOT NULL DEFAULT 1,
  created_at timestamptz NOT NULL DEFAULT CURRENT_TIMESTAMP,
  updated_at timestamptz NOT NULL DEFAULT CURRENT_TIMESTAMP,
  CONSTRAINT ticket_fields_type_check
    CHECK (type IN ('text', 'number', 'boolean', 'date', 'select', 'multi_select')),
  CONSTRAINT ticket_fields_position_check CHECK (position BETWEEN 0 AND 9999)
);
CREATE UNIQUE INDEX ticket_fields_name_key ON ticket_fields (name);
