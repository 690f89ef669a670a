//! PostgreSQL adapters (diesel) for the ports of InsightDesk's domains.
