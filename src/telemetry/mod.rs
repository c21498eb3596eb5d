//! What operators see: log lines, metrics, and the record of every request.
//!
//! Never here: a token, the value of a claim, a raw key, a namespace, a query string.

pub mod access;
mod line;
pub mod log;
pub mod metrics;
pub mod refusals;
pub mod seldom;
mod writer;
