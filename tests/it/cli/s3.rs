//! `chacha s3`.

use serde_json::{Value, json};

use super::{Ended, Place, chacha};

/// Prints the rule for a configuration with this section.
async fn lifecycle(place: &Place, s3: &str, more: &[&str]) -> Ended {
    let section = s3.to_owned();
    place.configure(|text| text + &section);
    let mut arguments = vec!["s3", "lifecycle", "-f", "config.yaml"];
    arguments.extend(more);
    place.spawn(&arguments).ended().await
}

#[tokio::test]
async fn the_rule_covers_what_chacha_writes_and_nothing_else() {
    let place = Place::new().await;
    let ended = lifecycle(&place, "s3: {bucket: my-bucket}\n", &[]).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let expected = json!({"Rules": [{
        "ID": "chacha-v1",
        "Status": "Enabled",
        "Filter": {"Prefix": "v1/"},
        "Expiration": {"Days": 30},
        "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 1},
    }]});
    assert_eq!(serde_json::from_str::<Value>(&ended.out).unwrap(), expected);
    let command = "aws s3api put-bucket-lifecycle-configuration --bucket my-bucket \
                   --lifecycle-configuration file://lifecycle.json";
    assert!(ended.err.lines().any(|line| line == command), "{ended:?}");
    ended.mentions(&[
        "replaces all rules",
        "30 days after they were written",
        "not touch the disk",
    ]);
    assert!(!place.dir.path().join("cache").exists());
}

#[tokio::test]
async fn prefix_days_and_server_are_those_that_are_given() {
    let place = Place::new().await;
    let section =
        "s3: {bucket: my-bucket, prefix: ci/x, region: auto, endpoint_url: 'https://s3.example.com/'}\n";
    let ended = lifecycle(&place, section, &["--expire-days", "7"]).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let printed: Value = serde_json::from_str(&ended.out).unwrap();
    let rule = &printed["Rules"][0];
    assert_eq!(rule["ID"], "chacha-ci/x/v1");
    assert_eq!(rule["Filter"], json!({"Prefix": "ci/x/v1/"}));
    assert_eq!(rule["Expiration"], json!({"Days": 7}));
    ended.mentions(&[
        "--bucket my-bucket --region auto --endpoint-url https://s3.example.com --lifecycle-configuration",
        "below ci/x/v1/ are removed 7 days after",
    ]);
    assert!(!ended.err.contains("docs/s3.md"), "{ended:?}");
}

#[tokio::test]
async fn google_has_another_form() {
    let place = Place::new().await;
    let section = "s3: {bucket: my-bucket, endpoint_url: 'https://storage.googleapis.com'}\n";
    let ended = lifecycle(&place, section, &["--expire-days", "1"]).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    ended.mentions(&["docs/s3.md", "removed 1 day after"]);
}

#[tokio::test]
async fn what_has_no_bucket_has_no_rule() {
    let place = Place::new().await;
    let ended = lifecycle(&place, "", &[]).await;
    ended.failed(1, &["chacha: s3: config.yaml has no such section", "`bucket`"]);
    assert_eq!(ended.out, "", "{ended:?}");
    let ended = lifecycle(&place, "s3: {bucket: a/b}\n", &[]).await;
    ended.failed(2, &["chacha: config.yaml:12: s3.bucket: "]);
    let ended = chacha(&["s3", "lifecycle", "-f", "absent.yaml"]).await;
    ended.failed(2, &["chacha: absent.yaml: there is no such file"]);
}

#[tokio::test]
async fn a_number_of_days_is_checked() {
    for days in ["0", "-1", "36501", "soon"] {
        let argument = format!("--expire-days={days}");
        let ended = chacha(&["s3", "lifecycle", "-f", "x", &argument]).await;
        assert_eq!((ended.code, ended.out.as_str()), (Some(2), ""), "{ended:?}");
        ended.mentions(&["--expire-days"]);
    }
    let ended = chacha(&["s3"]).await;
    assert_eq!(ended.code, Some(2), "{ended:?}");
    ended.mentions(&["lifecycle"]);
}
