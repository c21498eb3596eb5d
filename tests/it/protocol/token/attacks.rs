//! What is none of our tokens, or was changed.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::StatusCode;

use super::{JWT_TYPE, exchange, issued, refused, token_of};
use crate::support::server::TestServer;

const HEAD: &str = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCIsImtpZCI6ImNoYWNoYV9qdCJ9";

/// Asserts that a token lets nobody in, neither as credentials nor in an exchange, and that the challenge says so.
async fn is_refused(server: &TestServer, token: &str, reason: &str) {
    let answer = server.anonymous().with_token(token).get("/k").await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{token}");
    let bearer = answer.headers.get_all("www-authenticate").iter().nth(1).unwrap();
    assert!(bearer.to_str().unwrap().contains("invalid_token"));
    assert!(answer.text().contains(reason), "{}", answer.text());
    let answer = exchange(server, token, &[]).await;
    let text = refused(&answer, StatusCode::BAD_REQUEST, "invalid_request");
    assert!(text.contains(reason), "{text}");
    assert_eq!(answer.header("www-authenticate"), "");
}

#[tokio::test]
async fn a_token_that_was_cut_or_mistyped_is_called_damaged() {
    let server = TestServer::start().await;
    let answer = issued(&server, &server.token("acme/app"), &[]).await;
    let token = token_of(&answer);
    let mut changed = token.to_owned().into_bytes();
    changed[40] = if changed[40] == b'x' { b'y' } else { b'x' };
    let changed = String::from_utf8(changed).unwrap();
    for bad in [
        &token[..token.len() - 1],
        &token[..token.len() / 2],
        "chacha_jt_",
        "chacha_jt_AAAA_000000",
        &changed,
        &format!("{token}x"),
        &format!("{}0", &token[..token.len() - 1])
            .replace('_', "-")
            .replacen("chacha-jt-", "chacha_jt_", 1),
    ] {
        if bad != token {
            is_refused(&server, bad, "damaged token").await;
        }
    }
}

#[tokio::test]
async fn a_token_of_another_deployment_is_foreign() {
    let (one, two) = (TestServer::start().await, TestServer::start().await);
    for form in [super::ACCESS_TYPE, JWT_TYPE] {
        let more = [("requested_token_type", form)];
        let answer = issued(&one, &one.token("acme/app"), &more).await;
        is_refused(&two, token_of(&answer), "not issued by this server").await;
    }
}

/// Whoever changes what BuildKit reads there must not get in with it, and one form is not the other.
#[tokio::test]
async fn the_readable_part_of_the_form_for_buildkit_cannot_be_changed() {
    let server = TestServer::start().await;
    let answer = issued(
        &server,
        &server.token("acme/app"),
        &[("requested_token_type", JWT_TYPE)],
    )
    .await;
    let token = token_of(&answer);
    let sealed = token.rsplit('.').next().unwrap();
    let claims = r#"{"ac":"[{\"Scope\":\"other\",\"Permission\":3}]","exp":99999999999,"nbf":0}"#;
    let changed = format!("{HEAD}.{}.{sealed}", URL_SAFE_NO_PAD.encode(claims));
    is_refused(&server, &changed, "not issued by this server").await;
    let opaque = issued(&server, &server.token("acme/app"), &[]).await;
    let body = token_of(&opaque).strip_prefix("chacha_jt_").unwrap();
    let (body, _) = body.rsplit_once('_').unwrap();
    let disguised = format!("{HEAD}.{}.{body}", URL_SAFE_NO_PAD.encode(claims));
    is_refused(&server, &disguised, "not issued by this server").await;
    let padded = format!("{token}=");
    is_refused(&server, &padded, "damaged token").await;
}

#[tokio::test]
async fn neither_kind_of_token_passes_for_the_other() {
    let server = TestServer::start().await;
    let ci = server.token("acme/app");
    let rest = ci.split_once('.').unwrap().1;
    // A good signature of the issuer below the head of a job token.
    is_refused(&server, &format!("{HEAD}.{rest}"), "not issued by this server").await;
    is_refused(&server, &format!("chacha_jt_{ci}"), "damaged token").await;
    // The claims of a job token below the head of a token of the issuer.
    let answer = issued(&server, &ci, &[("requested_token_type", JWT_TYPE)]).await;
    let rest = token_of(&answer).split_once('.').unwrap().1;
    let head = ci.split_once('.').unwrap().0;
    is_refused(&server, &format!("{head}.{rest}"), "does not name one issuer").await;
    let other = URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256","typ":"JWT"}"#);
    is_refused(&server, &format!("{other}.{rest}"), "does not name one issuer").await;
}

/// A link is sealed with the same secret.
#[tokio::test]
async fn a_link_to_an_entry_is_no_token() {
    use crate::protocol::gha::{link, save};
    let server = TestServer::start().await;
    save(&server.acme(), "k", "archive").await;
    let link = link(&server.acme(), "k").await;
    let body = link.split("/_chacha/blob/").nth(1).unwrap();
    let (body, query) = body.split_once('?').unwrap();
    let sig = query.split("sig=").nth(1).unwrap();
    let sealed = format!("{body}{sig}");
    is_refused(&server, &format!("{HEAD}.e30.{sealed}"), "").await;
    is_refused(&server, &format!("chacha_jt_{sealed}_000000"), "damaged token").await;
}

#[tokio::test]
async fn with_a_bucket_and_without_a_key_file_nothing_is_issued() {
    use crate::support::s3::S3Server;
    let s3 = S3Server::memory();
    let section = s3.config(S3Server::BUCKET);
    let key = tempfile::tempdir().unwrap();
    let path = key.path().join("key");
    std::fs::write(&path, [9; 32]).unwrap();
    // It had a disk alone at first, and made a token and its keys there.
    let mut server = TestServer::start().await;
    let token = server.token("acme/app");
    let before = issued(&server, &token, &[]).await;
    let mut config = server.config().clone();
    config.s3 = Some(section);
    server.reconfigure(config.clone()).await;
    let answer = exchange(&server, &token, &[]).await;
    let text = refused(&answer, StatusCode::BAD_REQUEST, "unsupported_grant_type");
    assert!(text.contains("no key for job tokens"), "{text}");
    let client = server.anonymous().with_token(token_of(&before));
    assert_eq!(client.get("/k").await.status, StatusCode::UNAUTHORIZED);
    // Whoever reads the bucket has the key of links, and must not make a token with it.
    let published = s3.object("v1/signing-key");
    config.signing_key_file = Some(path);
    server.reconfigure(config).await;
    let with_file = issued(&server, &token, &[]).await;
    let client = server.anonymous().with_token(token_of(&with_file));
    assert_eq!(client.put("/k", "x").await.status, StatusCode::CREATED);
    let own = std::fs::read(server.dir().join("cache/server/job-key")).unwrap();
    assert!(
        published.is_none_or(|published| published != own),
        "never in a bucket"
    );
}

#[tokio::test]
async fn neither_answers_nor_the_log_hold_a_token_or_a_claim() {
    let mut server = TestServer::start().await;
    let secret = server
        .issuer
        .token(serde_json::json!({"repository": "acme/secret-name"}));
    let answer = issued(&server, &secret, &[]).await;
    let token = token_of(&answer).to_owned();
    server.anonymous().with_token(&token).put("/k", "x").await;
    let wrong = exchange(&server, &token, &[("namespace", "secret-wish")]).await;
    assert!(!wrong.text().contains("secret"), "{}", wrong.text());
    let damaged = exchange(&server, &token[..80], &[]).await;
    assert!(!damaged.text().contains("chacha_jt_"), "{}", damaged.text());
    let log = server.log_text().await;
    for part in [&token[..40], &secret[..40], "secret-name", "secret-wish"] {
        assert!(!log.contains(part), "{part}");
    }
    assert!(log.contains("\"/_chacha/token\""), "{log}");
}
