//! Tickets of the InsightDesk help desk: state machine, authorization, use cases and ports.
