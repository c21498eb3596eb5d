//! `chacha run`: start, reload, end.

use http::StatusCode;
use rustix::process::Signal;
use serde_json::json;

use super::{Place, Process, Running};
use crate::protocol::bytes;
use crate::support::proxy::Proxy;
use crate::support::signer::Signer;
use crate::support::tls::{Authority, TlsFront};

#[tokio::test]
async fn it_serves_and_drains_an_upload_on_sigterm() {
    let place = Place::new().await;
    let token = place.issuer.token(json!({}));
    let mut running = place.serve().await;
    let client = running.client(&token);
    assert_eq!(client.put("/k", "x").await.status, StatusCode::CREATED);
    assert_eq!(client.get("/k").await.text(), "x");
    let mut raw = client.raw().await;
    raw.head(
        "PUT /drained HTTP/1.1",
        "Content-Length: 300000\r\nExpect: 100-continue\r\n",
    )
    .await;
    assert!(raw.read_head().await.starts_with("HTTP/1.1 100 "));
    running.process.signal(Signal::TERM);
    running.process.logged("draining").await;
    raw.write(&bytes(300_000, 1)).await;
    assert!(raw.read_head().await.starts_with("HTTP/1.1 201 "));
    let ended = running.process.ended().await;
    assert_eq!((ended.code, ended.out.as_str()), (Some(0), ""), "{ended:?}");
    assert!(ended.err.contains("\"stopped\""), "{ended:?}");

    let again = place.serve().await;
    let drained = again.client(&token).get("/drained").await;
    assert!(drained.body == bytes(300_000, 1), "{:?}", drained.status);
}

#[tokio::test]
async fn every_line_of_the_log_is_json() {
    let place = Place::new().await;
    place.configure(|text| text + "s3: {bucket: my-bucket, staging_dir: s}\n");
    let running = place.serve().await;
    let client = running.client(&place.issuer.token(json!({})));
    client.get("/missing").await;
    let ended = running.terminate().await;
    let mut outcomes = Vec::new();
    for line in ended.err.lines() {
        let line: serde_json::Value = serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"));
        outcomes.extend(line["outcome"].as_str().map(str::to_owned));
    }
    assert_eq!(
        outcomes,
        ["miss"],
        "the lines of requests are written before the end"
    );
    assert!(
        ended.err.contains("config.yaml:12: s3.staging_dir: "),
        "warnings of the file: {ended:?}"
    );
}

#[tokio::test]
async fn the_log_level_leaves_lines_out() {
    let place = Place::new().await;
    let running = place
        .serve_with(&["--log-level", "info,chacha::access=off"])
        .await;
    running
        .client(&place.issuer.token(json!({})))
        .get("/missing")
        .await;
    let ended = running.terminate().await;
    assert!(!ended.err.contains("chacha::access"), "{ended:?}");
}

#[tokio::test]
async fn listen_on_the_command_line_replaces_that_of_the_file() {
    let place = Place::new().await;
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    place.configure(|text| text.replacen("127.0.0.1:0", &address, 1));
    let ended = place.spawn(&["run", "-f", "config.yaml"]).ended().await;
    assert_eq!(ended.code, Some(1), "{ended:?}");
    ended.mentions(&[&format!("chacha: config.yaml:1: listen: {address} is in use")]);
    let running = place.serve_with(&["-l", "127.0.0.1:0"]).await;
    assert_ne!(running.address.to_string(), address);
}

#[tokio::test]
async fn a_listener_that_cannot_be_opened_is_one_line() {
    let place = Place::new().await;
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let run = async |listen: &str| {
        let arguments = ["run", "-f", "config.yaml", "--log-level", "off", "-l", listen];
        place.spawn(&arguments).ended().await
    };
    let ended = run(&address).await;
    ended.failed(1, &[&format!("chacha: listen: {address} is in use")]);
    assert!(
        !place.dir.path().join("cache").exists(),
        "a failed start leaves no directory"
    );
    for bad in [":8080", "nowhere", "host.example:80"] {
        let ended = run(bad).await;
        assert_eq!(ended.code, Some(2), "{ended:?}");
        ended.mentions(&["--listen", bad]);
    }
}

/// An address of the documentation (RFC 5737), which no machine has.
#[tokio::test]
async fn the_cause_of_a_failed_start_is_told_once() {
    let place = Place::new().await;
    let arguments = [
        "run",
        "-f",
        "config.yaml",
        "--log-level",
        "off",
        "-l",
        "192.0.2.1:1",
    ];
    let ended = place.spawn(&arguments).ended().await;
    let expected = "chacha: listen: cannot listen on 192.0.2.1:1: ";
    ended.failed(1, &[expected, "; this machine does not have the address; "]);
    assert_eq!(ended.err.matches("os error").count(), 1, "{ended:?}");
}

/// There is no other program that could be stopped.
#[tokio::test]
async fn a_file_in_place_of_the_socket_is_named_and_kept() {
    let place = Place::new().await;
    place.write("socket", "precious");
    let path = place.dir.path().join("socket");
    let listen = format!("unix:{}", path.display());
    let arguments = ["run", "-f", "config.yaml", "--log-level", "off", "-l", &listen];
    let ended = place.spawn(&arguments).ended().await;
    ended.failed(
        1,
        &[&format!("chacha: listen: {listen} is not a socket; remove ")],
    );
    assert!(!ended.err.contains("another program"), "{ended:?}");
    assert_eq!(std::fs::read(path).unwrap(), b"precious");
}

#[tokio::test]
async fn a_directory_in_use_by_another_process_is_named() {
    let place = Place::new().await;
    let running = place.serve().await;
    let arguments = ["run", "-f", "config.yaml", "--log-level", "off"];
    let ended = place.spawn(&arguments).ended().await;
    ended.failed(
        1,
        &[
            "chacha: config.yaml:10: disk.dir: ",
            "is in use by another running server",
        ],
    );
    running.terminate().await;
    place.serve().await;
}

#[tokio::test]
async fn issuers_that_cannot_be_reached_do_not_stop_the_start() {
    let place = Place::new().await;
    let unreachable = "oidc_providers:
  - url: https://127.0.0.1:1
    audiences: [a]
    cache_key_exprs: [claims.sub]
";
    place.configure(|text| text.replace("oidc_providers:\n", unreachable));
    let running = place.serve().await;
    let good = running.client(&place.issuer.token(json!({})));
    assert_eq!(good.get("/k").await.status, StatusCode::NOT_FOUND);
    let foreign = place
        .issuer
        .token(json!({"iss": "https://127.0.0.1:1", "aud": "a"}));
    let waits = running.client(&foreign).get("/k").await;
    assert_eq!(waits.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(!waits.header("retry-after").is_empty());
    assert_eq!(running.terminate().await.code, Some(0));
}

#[tokio::test]
async fn sighup_takes_other_rules_for_the_next_request() {
    let place = Place::new().await;
    let mut running = place.serve().await;
    let client = running.client(&place.issuer.token(json!({})));
    client.put("/k", "old").await;
    place.configure(|text| text.replace("join(\"repo\"", "join(\"other\""));
    let line = running.reload().await;
    assert_eq!(
        (&line["level"], &line["keys"]),
        (&json!("INFO"), &json!(null)),
        "{line}"
    );
    assert_eq!(client.get("/k").await.status, StatusCode::NOT_FOUND);
    assert_eq!(client.put("/k", "new").await.status, StatusCode::CREATED);

    place.configure(|text| {
        text.replace(
            "    cache_key_exprs:",
            "    write_if: 'false'\n    cache_key_exprs:",
        )
    });
    running.reload().await;
    assert_eq!(client.get("/k").await.text(), "old");
    assert_eq!(client.put("/k", "x").await.status, StatusCode::FORBIDDEN);

    place.configure(|text| {
        text.replace(
            "    cache_key_exprs:",
            "    allow_if: 'false'\n    cache_key_exprs:",
        )
    });
    running.reload().await;
    assert_eq!(client.get("/k").await.status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn a_broken_file_keeps_the_old_rules() {
    let place = Place::new().await;
    let mut running = place.serve().await;
    let client = running.client(&place.issuer.token(json!({})));
    client.put("/k", "x").await;
    for broken in [
        "",
        "oidc_providers: []\n",
        "oidc_providers: [{url: http://127.0.0.1:1, cache_key_exprs: ['claims[']}]\ndisk: {dir: cache, limit: 1GB}\n",
    ] {
        std::fs::write(place.file(), broken).unwrap();
        let line = running.reload().await;
        assert_eq!(line["level"], "ERROR", "{line}");
        let said = &running.process.err.seen;
        assert!(
            said.contains("\"message\":\"config.yaml:"),
            "the problems stand above: {said}"
        );
        assert!(
            said.lines().all(|line| line.starts_with('{')),
            "a collector reads every line: {said}"
        );
        assert_eq!(client.get("/k").await.text(), "x");
        assert_eq!(client.put("/k", "x").await.status, StatusCode::CREATED);
    }
}

#[tokio::test]
async fn a_failed_start_is_json_where_the_log_is() {
    let place = Place::new().await;
    place.configure(|text| text + "unknown_key: 1\n");
    for (arguments, code) in [(["run", "-f", "config.yaml"], 2), (["run", "-f", "none.yaml"], 2)] {
        let arguments = [arguments.as_slice(), &["--log-format", "json"]].concat();
        let ended = place.spawn(&arguments).ended().await;
        assert_eq!(ended.code, Some(code), "{ended:?}");
        assert!(
            !ended.err.is_empty() && ended.err.lines().all(|line| line.starts_with('{')),
            "{ended:?}"
        );
    }
}

#[tokio::test]
async fn a_reload_that_meets_the_command_line_says_why_it_failed() {
    let place = Place::new().await;
    let listen = format!("unix:{}", place.dir.path().join("socket").display());
    let mut process = place.spawn(&["run", "-f", "config.yaml", "--log-format", "json", "-l", &listen]);
    assert_eq!(process.logged("listening").await["address"], listen);
    place.configure(|text| text.replace("ops_listen: 127.0.0.1:0", &format!("ops_listen: {listen}")));
    process.signal(Signal::HUP);
    let line = process.logged("SIGHUP").await;
    assert_eq!(line["level"], "ERROR", "{line}");
    let error = line["error"].as_str().unwrap_or_default();
    assert!(error.contains("are the same address"), "{line}");
}

#[tokio::test]
async fn sighup_names_the_keys_that_need_a_restart() {
    let place = Place::new().await;
    let mut running = place.serve().await;
    place.configure(|text| {
        text.replace("64MiB", "65MiB")
            + "limits: {keep_alive: 90s, max_entry_size: 1000}\ngha: {max_uploads: 7}\n"
    });
    // What can change has changed; the rest is named every time until the restart.
    for _ in 0..2 {
        let line = running.reload().await;
        assert_eq!(line["level"], "WARN", "{line}");
        assert_eq!(line["keys"], "disk.limit, limits.keep_alive, gha", "{line}");
    }
    let client = running.client(&place.issuer.token(json!({})));
    let large = client.put("/k", vec![b'x'; 1001]).await;
    assert_eq!(large.status, StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test]
async fn the_example_starts() {
    let dir = tempfile::tempdir().unwrap();
    let example = include_str!("../../../config.example.yaml");
    let text = example.replace("#ops_listen: 127.0.0.1:9080", "ops_listen: 127.0.0.1:0");
    assert_ne!(text, example);
    std::fs::write(dir.path().join("config.yaml"), text).unwrap();
    let arguments = [
        "run",
        "-f",
        "config.yaml",
        "-l",
        "127.0.0.1:0",
        "--log-format",
        "json",
    ];
    let running = Running::new(Process::spawn(dir.path(), &arguments)).await;
    let anonymous = crate::support::client::Client::new(running.address);
    assert_eq!(anonymous.get("/k").await.status, StatusCode::UNAUTHORIZED);
    assert!(dir.path().join("chacha-cache").is_dir());
    assert_eq!(running.terminate().await.code, Some(0));
}

#[tokio::test]
async fn keys_that_cannot_be_used_are_named_in_the_log_with_the_reason() {
    let place = Place::new().await;
    let short = json!({"kty": "EC", "crv": "P-256", "kid": "short", "x": "AA", "y": "AA"});
    place.issuer.publish([short, Signer::Rsa.jwk()]);
    let running = place.serve().await;
    let client = running.client(&place.issuer.token(json!({})));
    assert_eq!(client.put("/k", "x").await.status, StatusCode::CREATED);
    // The line may stand before or behind that about the listener.
    let ended = running.terminate().await;
    let line = ended
        .err
        .lines()
        .find(|line| line.contains("keys that cannot be used"));
    let line: serde_json::Value = serde_json::from_str(line.expect(&ended.err)).unwrap();
    assert_eq!(
        (&line["level"], &line["count"]),
        (&"WARN".into(), &1.into()),
        "{line}"
    );
    let reasons = line["reasons"].as_str().unwrap();
    assert!(reasons.starts_with("\"short\": its coordinates"), "{reasons}");
}

#[tokio::test]
async fn issuers_and_s3_follow_the_same_variables_of_the_environment() {
    let Place { issuer, dir } = Place::new().await;
    let place = Place {
        issuer: issuer.named("https://issuer.test"),
        dir,
    };
    let authority = Authority::new();
    authority.write(&place.dir.path().join("ca.pem"));
    let front = TlsFront::start(&authority, &["issuer.test", "s3.test"], place.issuer.address()).await;
    let proxy = Proxy::start(front.address(), Some("Basic bWU6c2VjcmV0")).await;
    place.configure(|text| {
        let trusted = text.replace("    audiences", "    ca_file: ca.pem\n    audiences");
        trusted + "s3: {bucket: bucket, region: r, endpoint_url: 'https://s3.test', ca_file: ca.pem}\n"
    });
    let url = format!("http://me:secret@{}", proxy.address());
    let environment = [
        ("HTTPS_PROXY", url.as_str()),
        ("AWS_ACCESS_KEY_ID", "id"),
        ("AWS_SECRET_ACCESS_KEY", "key"),
    ];
    let arguments = ["run", "-f", "config.yaml", "--log-format", "json"];
    let process = Process::spawn_in(place.dir.path(), &environment, &arguments);
    let running = Running::new(process).await;
    let token = place.issuer.token(json!({}));
    let missed = running.client(&token).get("/k").await;
    assert_eq!(
        missed.status,
        StatusCode::NOT_FOUND,
        "the token is good, the bucket is not there"
    );
    let ended = running.terminate().await;
    let requests = proxy.requests();
    for host in ["issuer.test", "s3.test"] {
        let tunnel = format!("CONNECT {host}:443");
        assert!(requests.contains(&tunnel), "{requests:?}");
    }
    ended.mentions(&[&format!("http://{} (HTTPS_PROXY)", proxy.address())]);
    assert!(!ended.err.contains("secret"), "{ended:?}");
}
