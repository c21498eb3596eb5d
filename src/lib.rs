//! Chacha: a multi-tenant HTTP caching proxy server for CI.
//!
//! The library holds everything; the binary parses arguments and prints one error chain.
//! `ARCHITECTURE.md` draws the map, the request walks and the invariants. Layers, top first;
//! a module imports only from lines below its own:
//!
//! ```text
//! cli                               fuzzing
//! server
//! protocol::{http, turbo, nx, gha_v1, gha_v2, blob, peer, reserved}
//! protocol::entry
//! protocol (and the list of front-ends, which alone looks up)
//! cache
//! store::tiered
//! store::{disk, s3, remote_only}    auth
//! store::follow
//! store (trait, source, key, meta, spool, blocks, budget)
//! config, telemetry
//! sys, tasks, range, error, outbound
//! ```

pub mod auth;
pub mod cache;
pub mod cli;
pub mod config;
pub mod error;
#[doc(hidden)]
pub mod fuzzing;
mod outbound;
pub mod protocol;
pub mod range;
pub mod server;
pub mod store;
pub mod sys;
pub mod tasks;
pub mod telemetry;
