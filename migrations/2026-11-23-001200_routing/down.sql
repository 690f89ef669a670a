DROP INDEX tickets_waiting_idx;
DROP TABLE staff_availability;
DROP TABLE team_routing;
