//! Reading and writing entries over HTTP: what every front-end with one URL for one entry shares.
//!
//! Status codes of success and the form of errors belong to the front-ends; the semantics of RFC 9110
//! (conditions, ranges, framing) stand here once.

mod body;
pub mod conditions;
mod headers;
mod read;
mod receive;

pub use headers::insert_etag;
pub use read::{head, read, serve};
pub(crate) use receive::put_block;
pub use receive::receive;
