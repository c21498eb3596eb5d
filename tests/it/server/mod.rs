//! The server around the front-ends.

mod away;
mod endpoint;
mod goaway;
mod log;
mod ops;
mod proxies;
mod shutdown;
mod start;
mod strangers;
mod tiers;
mod unix;
