//! Keys whose values are words: each set is closed.

use crate::named::named_enum;

named_enum! {
    /// A signature algorithm of RFC 7518 (and RFC 8037) that a provider may use. Symmetric ones and
    /// `none` cannot be named.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
    #[expect(missing_docs, reason = "the names are those of the standards")]
    pub enum Algorithm {
        RS256 = "RS256",
        RS384 = "RS384",
        RS512 = "RS512",
        PS256 = "PS256",
        PS384 = "PS384",
        PS512 = "PS512",
        ES256 = "ES256",
        ES384 = "ES384",
        EdDSA = "EdDSA",
    }
}

/// Where a token may name its namespaces itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TokenScopes {
    /// The claim `ac` of GitHub's runtime token: scopes with a permission each.
    Ac,
}

/// When an entry counts as stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Durability {
    /// When the kernel has it. A power loss may tear it; its checksum finds that, and it is a miss.
    #[default]
    Relaxed,
    /// When file and directory are synced.
    Fsync,
}

/// When requests to S3 carry checksums (the SDK's `RequestChecksumCalculation`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum S3Checksums {
    /// Always: a CRC-32 in a trailer. AWS understands it; some other stores do not.
    WhenSupported,
    /// Only where the protocol demands one.
    WhenRequired,
}

/// How S3 encrypts what it stores.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
pub enum ServerSideEncryption {
    /// With keys of S3.
    #[serde(rename = "AES256")]
    Aes256,
    /// With keys of the key management service.
    #[serde(rename = "aws:kms")]
    Kms,
    /// The same, two layers.
    #[serde(rename = "aws:kms:dsse")]
    KmsDsse,
}

/// When a write is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WriteMode {
    /// When S3 has the entry.
    #[default]
    Through,
    /// When the disk has it; a queue that survives a crash uploads it.
    Back,
}

/// What becomes of a write while S3 cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WhenDown {
    /// The disk takes it, and a queue that survives a crash uploads it.
    #[default]
    Queue,
    /// It is refused.
    Refuse,
}

/// Whether clients are sent to S3.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RedirectMode {
    /// Every byte goes through this server.
    #[default]
    Never,
    /// For entries of more than one part that are not on the disk.
    Large,
}
