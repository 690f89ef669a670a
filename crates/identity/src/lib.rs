//! Accounts, sessions and teams of the InsightDesk help desk: rules and ports.
