//! `chacha explain`.

use serde_json::json;

use super::{Ended, Place, Process};

/// Explains a token that stands in a file.
async fn explain(place: &Place, token: &str) -> Ended {
    place.write("token.jwt", token);
    let arguments = ["explain", "-f", "config.yaml", "--token-file", "token.jwt"];
    place.spawn(&arguments).ended().await
}

fn lines(ended: &Ended) -> Vec<&str> {
    ended.out.lines().collect()
}

#[tokio::test]
async fn a_good_token_shows_issuer_rights_and_namespaces_in_order() {
    let place = Place::new().await;
    place.configure(|text| {
        text.replace(
            "    cache_key_exprs:",
            "    write_if: 'claims.ref_protected == \"true\"'\n    cache_key_exprs:",
        )
    });
    let claims = |protected: &str| json!({"ref": "refs/heads/fix", "ref_protected": protected});
    let ended = explain(&place, &(place.issuer.token(claims("true")) + "\n")).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let found = lines(&ended);
    assert_eq!(found[0], format!("issuer: {}", place.issuer.url()));
    let expected = [
        "accepted: may read and write",
        "namespace 1: \"repo/acme%2Fapp/refs%2Fheads%2Ffix\"",
        "namespace 2: \"repo/acme%2Fapp/refs%2Fheads%2Fmain\"",
    ];
    assert_eq!(found[found.len() - 3..], expected);

    let ended = explain(&place, &place.issuer.token(claims("false"))).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(
        lines(&ended).contains(&"accepted: may read, but not write: read-only"),
        "{ended:?}"
    );
}

#[tokio::test]
async fn a_refused_token_shows_the_exact_reason() {
    let place = Place::new().await;
    let (one, other) = (place.issuer.token(json!({})), place.issuer.token(json!({})));
    let (_, signature) = one.rsplit_once('.').unwrap();
    let (signed, _) = other.rsplit_once('.').unwrap();
    let forged = format!("{signed}.{signature}");
    for (token, expected) in [
        (place.issuer.token(json!({"exp": 1000})), "the token has expired"),
        (place.issuer.token(json!({"aud": "other"})), "aud"),
        (
            place.issuer.token(json!({"iss": "https://other.example"})),
            "not a configured provider",
        ),
        (forged, "signature"),
        ("\n".into(), "token.jwt holds no token"),
        (
            "x".repeat(16 * 1024),
            "the token in token.jwt is longer than 16 KiB",
        ),
        (
            "x".repeat(100_000),
            "the token in token.jwt is longer than 16 KiB",
        ),
    ] {
        let ended = explain(&place, &token).await;
        assert_eq!(ended.code, Some(1), "{ended:?}");
        let last = *lines(&ended).last().unwrap();
        assert!(
            last.starts_with("refused: ") && last.contains(expected),
            "{expected}: {ended:?}"
        );
        // The user gave a file, not a header.
        assert!(!last.contains("Authorization"), "{ended:?}");
    }
}

#[tokio::test]
async fn a_token_that_allow_if_refuses_shows_the_key() {
    let place = Place::new().await;
    for (rule, expected) in [
        ("claims.ref == \"none\"", "allow_if is false"),
        (
            "claims.none == \"x\"",
            "allow_if has no result: the claim `none` is missing",
        ),
    ] {
        place.configure(|text| {
            let rule = format!("    allow_if: '{rule}'\n    cache_key_exprs:");
            text.replace("    cache_key_exprs:", &rule)
        });
        let ended = explain(&place, &place.issuer.token(json!({}))).await;
        assert!(lines(&ended).last().unwrap().ends_with(expected), "{ended:?}");
    }
}

#[tokio::test]
async fn a_token_comes_from_standard_input() {
    let place = Place::new().await;
    let arguments = ["explain", "-f", "config.yaml", "--token-file", "-"];
    let token = place.issuer.token(json!({}));
    let ended = Process::spawn_with(place.dir.path(), &arguments, &format!("{token}\n"))
        .ended()
        .await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(
        lines(&ended).contains(&"accepted: may read and write"),
        "{ended:?}"
    );
}

#[tokio::test]
async fn what_cannot_be_read_is_one_line() {
    let place = Place::new().await;
    let arguments = ["explain", "-f", "config.yaml", "--token-file", "absent.jwt"];
    let ended = place.spawn(&arguments).ended().await;
    ended.failed(1, &["chacha: --token-file absent.jwt: cannot read the token"]);
    let arguments = ["explain", "-f", "absent.yaml", "--token-file", "absent.jwt"];
    let ended = place.spawn(&arguments).ended().await;
    ended.failed(2, &["chacha: absent.yaml: there is no such file"]);
}

#[tokio::test]
async fn an_issuer_that_cannot_be_reached_is_the_reason() {
    let place = Place::new().await;
    place.issuer.down();
    let ended = explain(&place, &place.issuer.token(json!({}))).await;
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(
        lines(&ended).last().unwrap().starts_with("refused: "),
        "{ended:?}"
    );
}
