//! Small objects that servers share, over both implementations of S3.

use chacha::store::shared::SharedObjects;

use super::*;

async fn check(server: S3Server) {
    let config = configured(&server);
    let rig = BucketRig::with(server, config).await;
    remote_alone::shared_objects_keep_their_promises(&*rig.s3).await;
}

#[tokio::test]
async fn over_memory() {
    check(S3Server::memory()).await;
}

#[tokio::test]
async fn over_files() {
    check(S3Server::files()).await;
}

#[tokio::test]
async fn of_many_creators_one_wins() {
    let rig = BucketRig::new().await;
    let tries = (0..16).map(|n| {
        let s3 = Arc::clone(&rig.s3);
        async move { s3.create("key", format!("{n}").into()).await.unwrap() }
    });
    let won = futures_util::future::join_all(tries).await;
    assert_eq!(won.iter().filter(|won| **won).count(), 1);
    let winner = won.iter().position(|won| *won).unwrap();
    assert_eq!(rig.s3.get("key").await.unwrap().unwrap(), winner.to_string());
}

#[tokio::test]
async fn a_long_list_comes_in_pages() {
    let rig = BucketRig::new().await;
    for chunk in (0..1100).collect::<Vec<_>>().chunks(50) {
        let writes = chunk.iter().map(|n| {
            let s3 = Arc::clone(&rig.s3);
            async move { s3.put(&format!("journal/{n:04}"), "".into()).await.unwrap() }
        });
        futures_util::future::join_all(writes).await;
    }
    let first = rig.s3.list("journal/", None).await.unwrap();
    assert_eq!(first.len(), 1000);
    let rest = rig.s3.list("journal/", Some(&first[999].name)).await.unwrap();
    assert_eq!(rest.len(), 100);
    assert_eq!(rest[99].name, "journal/1099");
}
