//! The server around the front-ends.

mod ops;
mod shutdown;
mod start;
mod unix;
