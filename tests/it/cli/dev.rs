//! `chacha dev`.

use http::StatusCode;
use rustix::process::Signal;

use super::{Process, chacha};
use crate::support::client::Client;

#[tokio::test]
async fn the_printed_tokens_work_and_tenants_are_apart() {
    let dir = tempfile::tempdir().unwrap();
    let kept = dir.path().join("kept");
    let arguments = ["dev", "--dir", "kept", "--listen", "127.0.0.1:0"];
    let mut process = Process::spawn(dir.path(), &arguments);
    let after = |start: &'static str| move |line: &str| line.strip_prefix(start).map(str::to_owned);
    let address = process.out.until(after("chacha dev serves http://")).await;
    let acme = process.out.until(after("export ACME_TOKEN=")).await;
    let globex = process.out.until(after("export GLOBEX_TOKEN=")).await;
    process.out.until(after("Ctrl-C stops the server.")).await;
    assert_eq!(std::fs::read_to_string(kept.join("acme.jwt")).unwrap(), acme);
    for name in ["acme.jwt", "globex.jwt", "config.yaml"] {
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::metadata(kept.join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }

    let client = Client::new(address.parse().unwrap());
    let (acme, globex) = (client.with_token(&acme), client.with_token(&globex));
    assert_eq!(acme.put("/hello", "from acme").await.status, StatusCode::CREATED);
    assert_eq!(acme.get("/hello").await.text(), "from acme");
    assert_eq!(globex.get("/hello").await.status, StatusCode::NOT_FOUND);
    assert_eq!(
        globex.put("/hello", "from globex").await.status,
        StatusCode::CREATED
    );
    assert_eq!(acme.get("/hello").await.text(), "from acme");
    assert_eq!(client.get("/hello").await.status, StatusCode::UNAUTHORIZED);

    // The token in the file is explained by the configuration beside it.
    let arguments = [
        "explain",
        "-f",
        "kept/config.yaml",
        "--token-file",
        "kept/acme.jwt",
    ];
    let explained = Process::spawn(dir.path(), &arguments).ended().await;
    assert_eq!(explained.code, Some(0), "{explained:?}");

    // There is no file that SIGHUP could reload, and it ends nothing.
    process.signal(Signal::HUP);
    assert_eq!(acme.get("/hello").await.text(), "from acme");
    process.signal(Signal::INT);
    assert_eq!(process.ended().await.code, Some(0));
    assert!(kept.join("cache").is_dir());
}

#[tokio::test]
async fn without_a_directory_nothing_is_left() {
    let mut process = Process::spawn(std::path::Path::new("."), &["dev", "--listen", "127.0.0.1:0"]);
    let files = |line: &str| {
        Some(
            line.trim()
                .strip_prefix("files   ")?
                .split_once(" (")?
                .0
                .to_owned(),
        )
    };
    let files = process.out.until(files).await;
    assert!(std::fs::metadata(&files).unwrap().is_dir(), "{files}");
    process.signal(Signal::TERM);
    assert_eq!(process.ended().await.code, Some(0));
    assert!(std::fs::metadata(&files).is_err(), "{files}");
}

#[tokio::test]
async fn only_loopback_is_served() {
    for address in ["0.0.0.0:0", "[::]:0", "192.0.2.1:0"] {
        let ended = chacha(&["dev", "--listen", address]).await;
        ended.failed(1, &[&format!("chacha: --listen {address}: "), "loopback only"]);
    }
}

#[tokio::test]
async fn a_port_in_use_is_one_line() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let ended = chacha(&["dev", "--listen", &address]).await;
    ended.failed(1, &[&format!("listen: {address} is in use")]);
}
