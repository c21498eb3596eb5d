//! The server around the front-ends.

mod away;
mod endpoint;
mod goaway;
#[cfg(target_os = "linux")]
mod http2_memory;
mod log;
mod ops;
mod proxies;
mod shutdown;
mod start;
mod strangers;
mod tenant_metrics;
mod tiers;
mod unix;
