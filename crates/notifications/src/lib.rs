//! Who is told of what in the InsightDesk help desk, and the port that keeps it.
