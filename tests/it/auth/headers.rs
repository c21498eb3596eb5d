//! The header and the shape of a token, and the HTTP header around it.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use chacha::auth::{Credentials, Error};
use chacha::error::{Class, Classify as _};
use serde_json::json;

use super::{World, refused};
use crate::support::issuer::Requests;
use crate::support::signer::Signer;

#[tokio::test]
async fn a_key_embedded_in_the_token_is_not_used() {
    let world = World::start().await;
    for kid in [json!("rsa"), json!("other-rsa"), json!(null)] {
        let outcome = world.send(|t| {
            t.signed_by(Signer::OtherRsa);
            t.header("kid", kid);
            t.header("jwk", Signer::OtherRsa.jwk());
        });
        assert!(outcome.await.unwrap_err().is_invalid_token());
    }
}

#[tokio::test]
async fn urls_in_the_token_are_not_fetched() {
    let world = World::start().await;
    world.accepts(|_| {}).await;
    let before = world.issuer.requests();
    for name in ["jku", "x5u"] {
        let place = format!("{}/elsewhere/Keys", world.issuer.url());
        let outcome = world.send(|t| {
            t.signed_by(Signer::OtherRsa);
            t.header("kid", "rsa");
            t.header(name, place.as_str());
        });
        refused(outcome.await, "signature of the token is wrong");
        world
            .refuses("unknown key", |t| {
                t.signed_by(Signer::OtherRsa);
                t.header(name, place.as_str());
            })
            .await;
    }
    let after = world.issuer.requests();
    assert_eq!(after.elsewhere, 0);
    assert_eq!(after.keys, before.keys + 4, "only the configured place was asked");
}

#[tokio::test]
async fn unknown_empty_long_and_path_like_key_ids_are_refused() {
    let world = World::start().await;
    for kid in [
        "unknown",
        "",
        &"k".repeat(8000),
        "../../keys/rsa",
        "rsa\0",
        "RSA",
        "' OR 1=1",
        "rsa\n",
    ] {
        let error = world.send(|t| t.header("kid", kid)).await.unwrap_err();
        assert!(error.public().contains("unknown key"), "{kid:?}: {error}");
        assert!(error.to_string().len() < 300 && !error.to_string().contains(['\n', '\0']));
    }
    world
        .refuses("header of the token is malformed", |t| t.header("kid", 5))
        .await;
    world
        .refuses("header of the token is malformed", |t| {
            t.header("kid", json!(["rsa"]));
        })
        .await;
}

#[tokio::test]
async fn crit_is_refused_whatever_it_holds() {
    let world = World::start().await;
    for crit in [json!(["b64"]), json!([]), json!("exp"), json!(["exp"])] {
        world.refuses("extensions", |t| t.header("crit", crit)).await;
    }
    world
        .refuses("extensions", |t| {
            t.raw_header = Some(r#"{"alg":"RS256","kid":"rsa","crit":null}"#.into());
        })
        .await;
}

#[tokio::test]
async fn other_numbers_of_segments_are_refused() {
    let world = World::start().await;
    let token = world.issuer.token(json!({}));
    let (message, signature) = token.rsplit_once('.').unwrap();
    for text in [
        message.to_owned(),
        format!("{token}."),
        format!(".{token}"),
        format!("{token}.{signature}"),
        format!("{token}.."),
        "a.b.c".into(),
    ] {
        refused(world.authenticate(&text).await, "not a JSON Web Token");
    }
    for text in [format!("{message}."), format!(".{message}"), "..".into()] {
        assert!(
            world.authenticate(&text).await.unwrap_err().is_invalid_token(),
            "{text}"
        );
    }
    assert!(world.authenticate(&token).await.is_ok());
}

#[tokio::test]
async fn broken_and_padded_base64_is_refused() {
    let world = World::start().await;
    let token = world.issuer.token(json!({}));
    let segments: Vec<&str> = token.split('.').collect();
    for index in 0..3 {
        for damage in ["=", "==", "!", "+", "/", "\u{e4}", "%3D", "\\"] {
            let mut damaged: Vec<String> = segments.iter().map(|segment| (*segment).to_owned()).collect();
            damaged[index].push_str(damage);
            refused(
                world.authenticate(&damaged.join(".")).await,
                "not a JSON Web Token",
            );
        }
    }
}

#[tokio::test]
async fn stray_bits_in_the_last_character_are_refused() {
    let world = World::start().await;
    let token = world.issuer.token(json!({}));
    // 256 bytes leave two bits for the last character, whose other four are zero.
    assert!(matches!(
        token.chars().next_back().unwrap(),
        'A' | 'Q' | 'g' | 'w'
    ));
    let stray = format!("{}B", &token[..token.len() - 1]);
    refused(world.authenticate(&stray).await, "not a JSON Web Token");
}

#[tokio::test]
async fn a_damaged_signature_or_payload_is_refused() {
    let world = World::start().await;
    let token = world.issuer.token(json!({}));
    let other = world.issuer.token(json!({"repository": "acme/other"}));
    let [mine, theirs] = [&token, &other].map(|token| token.split('.').collect::<Vec<_>>());
    let wrong = "signature of the token is wrong";
    refused(
        world
            .authenticate(&[theirs[0], theirs[1], mine[2]].join("."))
            .await,
        wrong,
    );
    refused(
        world.authenticate(&[mine[0], mine[1], "AAAA"].join(".")).await,
        wrong,
    );
    refused(world.authenticate(&[mine[0], mine[1], ""].join(".")).await, wrong);
    world.refuses(wrong, |t| t.signer = Signer::OtherRsa).await;
}

#[tokio::test]
async fn repeated_names_in_the_header_are_refused() {
    let world = World::start().await;
    for header in [
        r#"{"alg":"none","alg":"RS256","kid":"rsa"}"#,
        r#"{"alg":"RS256","kid":"other","kid":"rsa"}"#,
        r#"["RS256"]"#,
        "null",
        "",
    ] {
        world
            .refuses("header of the token is malformed", |t| {
                t.raw_header = Some(header.into());
            })
            .await;
    }
}

#[tokio::test]
async fn a_token_of_20_kib_is_refused_unread() {
    let world = World::start().await;
    world
        .refuses("too long", |t| t.claim("padding", "x".repeat(20 * 1024)))
        .await;
    assert_eq!(
        world.issuer.requests(),
        Requests::default(),
        "nobody asked for keys yet"
    );
    world.accepts(|t| t.claim("padding", "x".repeat(8 * 1024))).await;
}

#[tokio::test]
async fn every_accepted_spelling_of_the_authorization_header_works() {
    let world = World::start().await;
    let token = world.issuer.token(json!({}));
    let pair = format!("user:{token}");
    let values = [
        format!("Bearer {token}"),
        format!("bearer   {token}"),
        token.clone(),
        format!("Basic {}", STANDARD.encode(&pair)),
        format!("basic {}", URL_SAFE.encode(&pair).trim_end_matches('=')),
        format!("Basic {}", STANDARD.encode(format!(":{token}"))),
    ];
    for value in &values {
        let credentials = Credentials::from_header_values([value.as_bytes()].into_iter()).unwrap();
        assert!(world.auth.authenticate(&credentials).await.is_ok(), "{value}");
    }
}

#[test]
fn missing_credentials_are_not_an_invalid_token() {
    let error = Credentials::from_header_values(std::iter::empty()).unwrap_err();
    assert!(matches!(error, Error::Missing));
    assert_eq!(error.class(), Class::Unauthenticated);
    assert!(!error.is_invalid_token());
}

#[test]
fn two_authorization_headers_are_refused_even_if_equal() {
    let values = [&b"Bearer a.b.c"[..], b"Bearer a.b.c"];
    let error = Credentials::from_header_values(values.into_iter()).unwrap_err();
    assert!(error.is_invalid_token());
    assert!(error.public().contains("more than one"));
}
