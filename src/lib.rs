//! Chacha: a multi-tenant HTTP caching proxy server for CI.
//!
//! The library holds everything; the binary parses arguments and prints one error chain.
//! `ARCHITECTURE.md` draws the map and says how to add something; `docs/design` has the walks. Layers, top first; a module
//! imports only from lines below its own. Only `protocol/mod.rs` looks up, to list the front-ends.
//! In brackets are the parts of a module that have no line of their own. `tests/it/layering.rs` reads this
//! table: it fails for an import that points up, and for a part of `protocol` or `store` that is not here.
//!
//! ```text
//! cli                               fuzzing
//! server
//! protocol::{http, turbo, nx, gha_v1, gha_v2, blob, peer, token, reserved}
//! protocol::entry
//! protocol::gha
//! protocol (app, authorities, call, framing, http_error, key, links, path, query, reply)
//! protocol::forward
//! cache
//! store::tiered
//! store::{disk, s3, follow}         auth
//! store (batch, blocks, budget, content, crc, description, early, entry, error, journal, key, little_endian, lock,
//!        locks, memory, meta, remote, shared, shares, source, spool, tagged, tenant, tenant_fields, tenant_rules, trailer,
//!        turns)
//! config, telemetry
//! sys, tasks, range, error, outbound, named
//! ```

pub mod auth;
pub mod cache;
pub mod cli;
pub mod config;
pub mod error;
#[doc(hidden)]
pub mod fuzzing;
mod named;
mod outbound;
pub mod protocol;
pub mod range;
pub mod server;
pub mod store;
pub mod sys;
pub mod tasks;
pub mod telemetry;
