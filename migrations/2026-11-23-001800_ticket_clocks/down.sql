DROP TABLE sla_ledger;
DROP TABLE ticket_clocks;
