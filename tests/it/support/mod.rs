//! Peers in this process: what the server under test talks to.
#![allow(dead_code, reason = "each test folder uses a part")]

pub(crate) mod client;
pub(crate) mod http2;
pub(crate) mod issuer;
pub(crate) mod pair;
pub(crate) mod proxy;
pub(crate) mod s3;
pub(crate) mod server;
pub(crate) mod signer;
pub(crate) mod tls;
pub(crate) mod token;
pub(crate) mod wait;
