//! The HTTP API of InsightDesk on actix-web.
