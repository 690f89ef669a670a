-- Tickets that find who answers them by themselves.

-- How a team wants its tickets to be given out, and whose turn it is.
CREATE TABLE team_routing (
  team_id uuid PRIMARY KEY REFERENCES teams (id) ON DELETE CASCADE,
  mode varchar(20) NOT NULL DEFAULT 'manual',
  -- How many open and pending tickets of all teams someone may have to be given one.
  capacity integer,
  -- Counts the changes of the two above.
  version integer NOT NULL DEFAULT 1,
  -- Counts what was given out: no two tickets are given out on one count.
  turn bigint NOT NULL DEFAULT 0,
  last_assignee uuid REFERENCES users (id) ON DELETE SET NULL,
  CONSTRAINT team_routing_mode_check CHECK (mode IN ('manual', 'round_robin', 'least_loaded')),
  CONSTRAINT team_routing_capacity_check CHECK (capacity BETWEEN 1 AND 1000)
);
CREATE INDEX team_routing_last_assignee_idx ON team_routing (last_assignee);

-- Whether someone of the staff wants to be given tickets. Who has no row does, without a bound of their own.
CREATE TABLE staff_availability (
  user_id uuid PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
  available boolean NOT NULL DEFAULT true,
  -- Beats the team's.
  capacity integer,
  -- Counts the changes of the two above.
  version integer NOT NULL DEFAULT 1,
  -- How many they were given: no two tickets are given to one person on one count, through whatever teams.
  routed bigint NOT NULL DEFAULT 0,
  CONSTRAINT staff_availability_capacity_check CHECK (capacity BETWEEN 1 AND 1000)
);

-- What waits for someone, the most pressing first.
CREATE INDEX tickets_waiting_idx ON tickets (team_id, priority DESC, created_at, id)
  WHERE assigned_to IS NULL AND status = 'open' AND deleted_at IS NULL AND merged_into_id IS NULL;
