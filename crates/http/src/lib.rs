//! The HTTP API of InsightDesk on actix-web.
//!
//! The crate is an edge: it reads requests strictly, asks the domains' services, and writes answers. It knows no
//! database. A request passes the [edge] (id, deadline, load, log, security headers), the extractors
//! ([`auth::Caller`], [`query::Query`], [`path::Path`], [`json::Json`] or [`command::Command`]), a handler in
//! [`api`], and leaves as a DTO with its [entity tag](etag) or as a [problem].
//!
//! To add an operation, see [`routes`]; to add a domain, see [`app`].

mod access;
mod account;
pub mod address;
pub mod api;
pub mod app;
pub mod auth;
pub mod command;
mod compress;
mod connection;
pub mod context;
pub mod cors;
pub mod cursor;
mod device;
pub mod edge;
pub mod etag;
mod even;
mod headers;
mod html;
pub mod json;
pub mod link;
mod load;
pub mod openapi;
pub mod operator;
pub mod path;
pub mod problem;
pub mod query;
pub mod rate;
mod rating_page;
pub mod routes;
pub mod server;
mod upload;
pub mod wire;

#[cfg(test)]
mod tests;
