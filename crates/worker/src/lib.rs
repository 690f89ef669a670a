//! Background work of InsightDesk: the outbox relay and the sweeps.
