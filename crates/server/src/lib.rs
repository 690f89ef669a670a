//! The InsightDesk help desk server: wiring, configuration and command line.
