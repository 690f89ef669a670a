//! Tests of InsightDesk as a whole, over HTTP and as a process.
