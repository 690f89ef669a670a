-- Saved views of tickets: a condition of the filter language, an order, and whose they are.

CREATE TABLE ticket_views (
  id uuid PRIMARY KEY,
  name varchar(100) NOT NULL,
  -- The condition as it was written ("me", "-7d"), settled for whoever looks when they look; null selects all.
  filter jsonb,
  sort varchar(20) NOT NULL,
  position smallint NOT NULL DEFAULT 0,
  -- A person's own, a team's, or, with neither, shared with all staff.
  owner_id uuid REFERENCES users (id) ON DELETE CASCADE,
  team_id uuid REFERENCES teams (id) ON DELETE CASCADE,
  version integer NOT NULL DEFAULT 1,
  created_at timestamptz NOT NULL DEFAULT CURRENT_TIMESTAMP,
  updated_at timestamptz NOT NULL DEFAULT CURRENT_TIMESTAMP,
  CONSTRAINT ticket_views_one_holder_check CHECK (owner_id IS NULL OR team_id IS NULL),
  CONSTRAINT ticket_views_sort_check CHECK (sort IN ('createdAt', '-createdAt', 'updatedAt', '-updatedAt')),
  CONSTRAINT ticket_views_position_check CHECK (position BETWEEN 0 AND 9999)
);
-- The list is a merge of walks: one's own, each team's (for administrators all teams' at once), the shared.
CREATE INDEX ticket_views_owner_idx ON ticket_views (owner_id, position, id);
CREATE INDEX ticket_views_team_idx ON ticket_views (team_id, position, id);
CREATE INDEX ticket_views_teams_idx ON ticket_views (position, id) WHERE team_id IS NOT NULL;
CREATE INDEX ticket_views_shared_idx ON ticket_views (position, id) WHERE owner_id IS NULL AND team_id IS NULL;
