//! The single integration-test crate; its folders mirror `src/`.
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "tests fail by panicking"
)]

mod architecture;
mod auth;
mod cache;
mod cli;
mod config;
mod layering;
mod protocol;
mod server;
mod store;
mod support;
