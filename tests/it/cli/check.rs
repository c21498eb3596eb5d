//! `chacha check`, and what is wrong with a command line.

use super::{Place, chacha};

#[tokio::test]
async fn a_good_file_is_ok_and_its_warnings_are_printed() {
    let place = Place::new().await;
    let file = place.file().display().to_string();
    let ended = chacha(&["check", "-f", &file]).await;
    assert_eq!((ended.code, ended.err.as_str()), (Some(0), ""), "{ended:?}");
    assert_eq!(ended.out, format!("{file}: ok, 0 warnings\n"));

    place.configure(|text| {
        text.replace("    audiences", "    #audiences") + "s3: {bucket: my-bucket, staging_dir: s}\n"
    });
    let ended = chacha(&["check", "-f", &file]).await;
    assert_eq!((ended.code, ended.err.as_str()), (Some(0), ""), "{ended:?}");
    let lines: Vec<&str> = ended.out.lines().collect();
    assert_eq!(lines.len(), 4, "{ended:?}");
    let starts = [
        format!("warning: {file}:4: oidc_providers[0]"),
        format!("warning: {file}:12: s3.staging_dir: "),
        "note: no job tokens are issued: ".to_owned(),
    ];
    for (line, start) in lines.iter().zip(&starts) {
        assert!(line.starts_with(start), "{ended:?}");
    }
    assert_eq!(lines[3], format!("{file}: ok, 2 warnings"));
}

#[tokio::test]
async fn a_check_opens_neither_ports_nor_directories() {
    let place = Place::new().await;
    let ended = place.spawn(&["check", "-f", "config.yaml"]).ended().await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(!place.dir.path().join("cache").exists());
    assert_eq!(place.issuer.requests(), Default::default());
}

#[tokio::test]
async fn a_key_set_that_cannot_be_used_is_not_ok() {
    let place = Place::new().await;
    place.configure(|text| text.replace("    audiences", "    jwks_file: keys.json\n    audiences"));
    let check = async || place.spawn(&["check", "-f", "config.yaml"]).ended().await;
    let line = "chacha: config.yaml:5: oidc_providers[0].jwks_file: \"keys.json\" ";
    check()
        .await
        .failed(2, &[line, "does not exist", "correct the path"]);
    for (text, expected) in [
        ("<html>", "is not a key set"),
        ("{}", "is not a key set"),
        ("{\"keys\": []}", "holds no key"),
        ("{\"keys\": [{\"kty\": \"oct\", \"k\": \"AA\"}]}", "holds no key"),
    ] {
        place.write("keys.json", text);
        check().await.failed(2, &[line, expected, "jwks_uri"]);
    }
    place.write("keys.json", &place.issuer.key_set());
    let ended = check().await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(place.issuer.requests(), Default::default());
}

#[tokio::test]
async fn a_signing_key_that_cannot_be_used_is_not_ok() {
    let place = Place::new().await;
    place.configure(|text| text + "gha: {signing_key_file: link.key}\n");
    let check = async || place.spawn(&["check", "-f", "config.yaml"]).ended().await;
    let line = "chacha: config.yaml:12: gha.signing_key_file: \"link.key\" ";
    check()
        .await
        .failed(2, &[line, "does not exist", "openssl rand -base64 32"]);
    for (text, expected) in [
        ("", "fewer than 32 bytes"),
        ("c2hvcnQ=\n", "fewer than 32 bytes"),
        ("<html>this is long enough, but no key</html>", "holds neither"),
    ] {
        place.write("link.key", text);
        check()
            .await
            .failed(2, &[line, expected, "openssl rand -base64 32"]);
    }
    place.write("link.key", &format!("{}\n", "0f".repeat(32)));
    let ended = check().await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
}

#[tokio::test]
async fn files_for_the_way_to_others_that_cannot_be_used_are_not_ok() {
    let place = Place::new().await;
    place.configure(|text| {
        let keys = "    ca_file: ca.pem\n    jwks_token_file: token\n    audiences";
        text.replace("    audiences", keys) + "outbound_proxy_file: proxy\n"
    });
    let check = async || place.spawn(&["check", "-f", "config.yaml"]).ended().await;
    let ended = check().await;
    assert_eq!(ended.code, Some(2), "{ended:?}");
    ended.mentions(&[
        "chacha: config.yaml:14: outbound_proxy_file: \"proxy\" does not exist",
        "chacha: config.yaml:5: oidc_providers[0].ca_file: \"ca.pem\" does not exist",
        "chacha: config.yaml:6: oidc_providers[0].jwks_token_file: \"token\" does not exist",
    ]);
    let started = place.spawn(&["run", "-f", "config.yaml"]).ended().await;
    assert_eq!(started.code, Some(1), "{started:?}");
    started.mentions(&["config.yaml:14: outbound_proxy_file: \"proxy\" does not exist"]);
    place.write("proxy", "socks5://me:secret@proxy\n");
    place.write("ca.pem", "nothing");
    place.write("token", "");
    let ended = check().await;
    ended.mentions(&[
        "\"proxy\" does not begin with the URL of a proxy; write http://host:port",
        "\"ca.pem\" holds no certificate; save there the certificate of the authority",
        "\"token\" is empty",
    ]);
    assert!(!ended.err.contains("secret"), "{ended:?}");
}

#[tokio::test]
async fn secrets_that_others_may_read_are_a_warning_in_check_and_at_the_start() {
    use std::os::unix::fs::PermissionsExt as _;
    let place = Place::new().await;
    place.configure(|text| text + "gha: {signing_key_file: link.key}\n");
    let path = place.write("link.key", &format!("{}\n", "0f".repeat(32)));
    let mode = |mode| std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
    for open in [0o644, 0o640, 0o602] {
        mode(open);
        let ended = place.spawn(&["check", "-f", "config.yaml"]).ended().await;
        assert_eq!(ended.code, Some(0), "{ended:?}");
        let line =
            format!("warning: config.yaml:12: gha.signing_key_file: \"link.key\" has the mode {open:04o}");
        assert!(
            ended.out.contains(&line) && ended.out.contains("chmod 600"),
            "{ended:?}"
        );
    }
    let ended = place.serve().await.terminate().await;
    ended.mentions(&["config.yaml:12: gha.signing_key_file: \\\"link.key\\\" has the mode 0602"]);
    for closed in [0o600, 0o400] {
        mode(closed);
        let ended = place.spawn(&["check", "-f", "config.yaml"]).ended().await;
        assert_eq!(ended.out, "config.yaml: ok, 0 warnings\n", "{ended:?}");
    }
}

#[tokio::test]
async fn every_problem_of_a_broken_file_is_one_line() {
    let place = Place::new().await;
    place.configure(|text| {
        text.replace("64MiB", "64Mib")
            .replace("claims.ref", "claims[")
            .replace("listen: 127.0.0.1:0\nops", "listen: ':80'\nops")
    });
    for command in ["check", "run", "health"] {
        let ended = place.spawn(&[command, "-f", "config.yaml"]).ended().await;
        assert_eq!((ended.code, ended.out.as_str()), (Some(2), ""), "{ended:?}");
        let expected = [
            "chacha: config.yaml:1: listen: ",
            "chacha: config.yaml:7: oidc_providers[0].cache_key_exprs[0]: ",
            "chacha: config.yaml:11: disk.limit: ",
        ];
        let lines: Vec<&str> = ended.err.lines().collect();
        assert_eq!(lines.len(), expected.len(), "{ended:?}");
        for (line, expected) in lines.iter().zip(expected) {
            assert!(line.starts_with(expected), "{line}\nis not\n{expected}");
        }
    }
}

#[tokio::test]
async fn a_file_that_cannot_be_read_is_one_line() {
    let place = Place::new().await;
    let empty = place.write("empty.yaml", "");
    let absent = place.dir.path().join("absent.yaml");
    let check = async |file: &str, expected: &str| {
        for command in ["check", "run"] {
            let ended = chacha(&[command, "-f", file]).await;
            ended.failed(2, &[&format!("chacha: {file}: "), expected]);
        }
    };
    check(&empty, "the file is empty").await;
    check(absent.to_str().unwrap(), "there is no such file").await;
    check(place.dir.path().to_str().unwrap(), "is a directory").await;
}

#[tokio::test]
async fn the_example_is_ok() {
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/config.example.yaml");
    let ended = chacha(&["check", "-f", example]).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(ended.out, format!("{example}: ok, 0 warnings\n"));
}

#[tokio::test]
async fn a_command_line_that_cannot_be_used_ends_with_2() {
    for (arguments, expected) in [
        (&["check", "--fiel", "x"][..], "--fiel"),
        (&["check"], "--file"),
        (&["serve"], "serve"),
        (&["check", "-f", "x", "--log-format", "xml"], "xml"),
        (&["health", "--ops", "nowhere"], "nowhere"),
        (&["health", "-f", "x", "--ops", "127.0.0.1:1"], "--ops"),
        (&[], "Usage"),
    ] {
        let ended = chacha(arguments).await;
        assert_eq!(
            (ended.code, ended.out.as_str()),
            (Some(2), ""),
            "{arguments:?} {ended:?}"
        );
        ended.mentions(&[expected]);
    }
}

#[tokio::test]
async fn version_and_help_are_answers() {
    let ended = chacha(&["--version"]).await;
    let expected = format!("chacha {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!((ended.code, ended.out), (Some(0), expected));
    let ended = chacha(&["run", "--help"]).await;
    assert!(
        ended.code == Some(0) && ended.out.contains("--listen"),
        "{ended:?}"
    );
}

#[tokio::test]
async fn a_log_level_that_cannot_be_read_is_a_usage_error() {
    let place = Place::new().await;
    let file = place.file().display().to_string();
    for level in ["info=loud", "chacha=info=warn"] {
        let ended = chacha(&["check", "-f", &file, "--log-level", level]).await;
        ended.failed(2, &[&format!("chacha: --log-level \"{level}\": ")]);
    }
}

/// To the filter a bare word is the name of a module: everything else would go silent.
#[tokio::test]
async fn a_misspelt_log_level_does_not_switch_the_log_off() {
    let place = Place::new().await;
    let file = place.file().display().to_string();
    for level in ["warning", "verbose", "info,chacha::access", ""] {
        let ended = chacha(&["check", "-f", &file, "--log-level", level]).await;
        ended.failed(2, &["--log-level", level]);
    }
    for level in ["WARN", "off", "info,chacha::access=off", "debug, hyper=info"] {
        let ended = chacha(&["check", "-f", &file, "--log-level", level]).await;
        assert_eq!(
            (ended.code, ended.err.as_str()),
            (Some(0), ""),
            "{level} {ended:?}"
        );
    }
}
