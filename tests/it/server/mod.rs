//! The server around the front-ends.

mod goaway;
mod log;
mod ops;
mod shutdown;
mod start;
mod tiers;
mod unix;
