//! `chacha health`.

use super::{Place, chacha};

#[tokio::test]
async fn a_running_server_is_healthy() {
    let place = Place::new().await;
    let running = place.serve().await;
    let ended = chacha(&["health", "--ops", &running.ops.to_string()]).await;
    assert_eq!((ended.code, ended.err.as_str()), (Some(0), ""), "{ended:?}");
    assert!(ended.out.starts_with("ready"), "{ended:?}");

    // Where a configuration says, on all interfaces.
    let ops = format!("ops_listen: 0.0.0.0:{}", running.ops.port());
    place.configure(|text| text.replace("ops_listen: 127.0.0.1:0", &ops));
    let ended = place.spawn(&["health", "-f", "config.yaml"]).ended().await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
}

#[tokio::test]
async fn nothing_is_not_healthy() {
    let place = Place::new().await;
    let running = place.serve().await;
    let ops = running.ops.to_string();
    running.terminate().await;
    let ended = chacha(&["health", "--ops", &ops]).await;
    ended.failed(1, &[&format!("chacha: {ops} does not answer: ")]);
}

#[tokio::test]
async fn what_is_no_ops_listener_is_not_healthy() {
    let place = Place::new().await;
    let running = place.serve().await;
    let ended = chacha(&["health", "--ops", &running.address.to_string()]).await;
    assert_eq!(ended.code, Some(1), "{ended:?}");
    place.configure(|text| text.replace("ops_listen: 127.0.0.1:0", "ops_listen: off"));
    let ended = place.spawn(&["health", "-f", "config.yaml"]).ended().await;
    ended.failed(1, &["chacha: ops_listen: is off"]);
}
