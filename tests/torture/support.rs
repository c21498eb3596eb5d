//! Peers from the integration tests: the issuer of tokens, and S3 with its faults.
#![allow(
    dead_code,
    unused_imports,
    reason = "these peers have more switches than this harness uses"
)]

#[path = "../it/support/issuer.rs"]
pub(crate) mod issuer;
#[path = "../it/support/s3/mod.rs"]
pub(crate) mod s3;
#[path = "../it/support/signer.rs"]
pub(crate) mod signer;
#[path = "../it/support/token.rs"]
pub(crate) mod token;
#[path = "../it/support/wait.rs"]
pub(crate) mod wait;
