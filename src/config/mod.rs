//! The configuration: YAML to checked values, all errors at once.
//!
//! [`Config`] is plain data: a component takes its own section by value and nothing else. Nothing
//! here opens a port, a directory or a connection.

mod sections;

pub use sections::{
    Algorithm, Config, DiskConfig, Durability, LimitsConfig, ListenAddr, ProviderConfig, S3Config,
};
