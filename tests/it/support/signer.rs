//! Real keys, made once per process, independent of the code under test.

use std::sync::LazyLock;

use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    self as signing, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RsaEncoding, RsaKeyPair,
    RsaPublicKeyComponents,
};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};

static RSA: LazyLock<RsaKeyPair> = LazyLock::new(|| RsaKeyPair::generate(KeySize::Rsa2048).unwrap());
static OTHER_RSA: LazyLock<RsaKeyPair> = LazyLock::new(|| RsaKeyPair::generate(KeySize::Rsa2048).unwrap());
static P256: LazyLock<EcdsaKeyPair> =
    LazyLock::new(|| EcdsaKeyPair::generate(&signing::ECDSA_P256_SHA256_FIXED_SIGNING).unwrap());
static P384: LazyLock<EcdsaKeyPair> =
    LazyLock::new(|| EcdsaKeyPair::generate(&signing::ECDSA_P384_SHA384_FIXED_SIGNING).unwrap());
static ED25519: LazyLock<Ed25519KeyPair> = LazyLock::new(|| Ed25519KeyPair::generate().unwrap());

/// Who signs a token.
#[derive(Debug, Clone)]
pub(crate) enum Signer {
    Rsa,
    OtherRsa,
    P256,
    P384,
    Ed25519,
    /// HMAC with SHA-256 and this secret.
    Hmac(Vec<u8>),
    /// An empty signature.
    Nobody,
}

impl Signer {
    /// The id under which the key is published.
    pub(crate) fn key_id(&self) -> &'static str {
        match self {
            Self::Rsa => "rsa",
            Self::OtherRsa => "other-rsa",
            Self::P256 => "p256",
            Self::P384 => "p384",
            Self::Ed25519 => "ed25519",
            Self::Hmac(_) => "hmac",
            Self::Nobody => "nobody",
        }
    }

    /// The algorithm that the key is used with unless a token says otherwise.
    pub(crate) fn algorithm(&self) -> &'static str {
        match self {
            Self::Rsa | Self::OtherRsa => "RS256",
            Self::P256 => "ES256",
            Self::P384 => "ES384",
            Self::Ed25519 => "EdDSA",
            Self::Hmac(_) => "HS256",
            Self::Nobody => "none",
        }
    }

    /// The published half, without `alg`.
    pub(crate) fn jwk(&self) -> Value {
        let mut jwk = match self {
            Self::Rsa => rsa_jwk(&RSA),
            Self::OtherRsa => rsa_jwk(&OTHER_RSA),
            Self::P256 => ec_jwk(&P256, "P-256"),
            Self::P384 => ec_jwk(&P384, "P-384"),
            Self::Ed25519 => {
                json!({"kty": "OKP", "crv": "Ed25519", "x": encode(ED25519.public_key().as_ref())})
            }
            Self::Hmac(secret) => json!({"kty": "oct", "k": encode(secret)}),
            Self::Nobody => json!({}),
        };
        jwk["kid"] = self.key_id().into();
        jwk["use"] = "sig".into();
        jwk
    }

    /// The signature over `message`, as `algorithm` wants it if the key can do that.
    pub(crate) fn sign(&self, algorithm: &str, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match self {
            Self::Rsa => rsa_sign(&RSA, algorithm, message),
            Self::OtherRsa => rsa_sign(&OTHER_RSA, algorithm, message),
            Self::P256 => P256.sign(&random, message).unwrap().as_ref().to_vec(),
            Self::P384 => P384.sign(&random, message).unwrap().as_ref().to_vec(),
            Self::Ed25519 => ED25519.sign(message).as_ref().to_vec(),
            Self::Hmac(secret) => {
                let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
                hmac::sign(&key, message).as_ref().to_vec()
            }
            Self::Nobody => Vec::new(),
        }
    }
}

/// The public RSA key in the forms that a confused verifier could take for an HMAC secret.
pub(crate) fn public_rsa_as_secrets() -> Vec<Vec<u8>> {
    let spki = RSA.public_key().as_der().unwrap().as_ref().to_vec();
    let pkcs1 = RSA.public_key().as_ref().to_vec();
    let pem = |label: &str, der: &[u8]| {
        let text = STANDARD.encode(der);
        let lines: Vec<&str> = text
            .as_bytes()
            .chunks(64)
            .map(|line| std::str::from_utf8(line).unwrap())
            .collect();
        format!(
            "-----BEGIN {label}-----\n{}\n-----END {label}-----",
            lines.join("\n")
        )
    };
    let mut secrets = Vec::new();
    for pem in [pem("PUBLIC KEY", &spki), pem("RSA PUBLIC KEY", &pkcs1)] {
        secrets.push(format!("{pem}\n").into_bytes());
        secrets.push(pem.into_bytes());
    }
    let jwk = Signer::Rsa.jwk();
    secrets.push(jwk["n"].as_str().unwrap().as_bytes().to_vec());
    secrets.extend([spki, pkcs1, Vec::new()]);
    secrets
}

fn rsa_jwk(pair: &RsaKeyPair) -> Value {
    let public = RsaPublicKeyComponents::<Vec<u8>>::from(pair.public_key());
    json!({"kty": "RSA", "n": encode(&public.n), "e": encode(&public.e)})
}

fn ec_jwk(pair: &EcdsaKeyPair, curve: &str) -> Value {
    let point = &pair.public_key().as_ref()[1..];
    let (x, y) = point.split_at(point.len() / 2);
    json!({"kty": "EC", "crv": curve, "x": encode(x), "y": encode(y)})
}

fn rsa_sign(pair: &RsaKeyPair, algorithm: &str, message: &[u8]) -> Vec<u8> {
    let encoding: &'static dyn RsaEncoding = match algorithm {
        "RS384" => &signing::RSA_PKCS1_SHA384,
        "RS512" => &signing::RSA_PKCS1_SHA512,
        "PS256" => &signing::RSA_PSS_SHA256,
        "PS384" => &signing::RSA_PSS_SHA384,
        "PS512" => &signing::RSA_PSS_SHA512,
        _ => &signing::RSA_PKCS1_SHA256,
    };
    let mut signature = vec![0; pair.public_modulus_len()];
    pair.sign(encoding, &SystemRandom::new(), message, &mut signature)
        .unwrap();
    signature
}

/// Base64url without padding.
pub(crate) fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}
