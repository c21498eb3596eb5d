//! Small objects that servers share, over both implementations of S3.

use chacha::store::shared::SharedObjects;

use super::*;

async fn check(server: S3Server) {
    let config = configured(&server);
    let far = Far::with(server, config).await;
    let s3: &dyn SharedObjects = &*far.s3;
    assert_eq!(s3.get("servers/a").await.unwrap(), None);
    assert!(s3.create("servers/a", "one".into()).await.unwrap());
    assert!(!s3.create("servers/a", "two".into()).await.unwrap());
    assert_eq!(s3.get("servers/a").await.unwrap().unwrap(), "one");
    s3.put("servers/a", "three".into()).await.unwrap();
    assert_eq!(s3.get("servers/a").await.unwrap().unwrap(), "three");
    s3.put("servers/b.x", "".into()).await.unwrap();
    assert_eq!(s3.get("servers/b.x").await.unwrap().unwrap(), "");
    s3.put("other/c", "".into()).await.unwrap();

    let names = |prefix: &'static str, after: Option<&'static str>| async move {
        let listed = s3.list(prefix, after).await.unwrap();
        assert!(listed.iter().all(|one| one.written.is_some()));
        listed.into_iter().map(|one| one.name).collect::<Vec<_>>()
    };
    assert_eq!(names("servers/", None).await, ["servers/a", "servers/b.x"]);
    assert_eq!(names("servers/", Some("servers/a")).await, ["servers/b.x"]);
    assert_eq!(names("servers/", Some("servers/b.x")).await, [""; 0]);
    s3.remove("servers/a").await.unwrap();
    s3.remove("servers/a").await.unwrap();
    assert_eq!(names("servers/", None).await, ["servers/b.x"]);
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
    let far = Far::new().await;
    let tries = (0..16).map(|n| {
        let s3 = Arc::clone(&far.s3);
        async move { s3.create("key", format!("{n}").into()).await.unwrap() }
    });
    let won = futures_util::future::join_all(tries).await;
    assert_eq!(won.iter().filter(|won| **won).count(), 1);
    let winner = won.iter().position(|won| *won).unwrap();
    assert_eq!(far.s3.get("key").await.unwrap().unwrap(), winner.to_string());
}

#[tokio::test]
async fn a_long_list_comes_in_pages() {
    let far = Far::new().await;
    for chunk in (0..1100).collect::<Vec<_>>().chunks(50) {
        let writes = chunk.iter().map(|n| {
            let s3 = Arc::clone(&far.s3);
            async move { s3.put(&format!("journal/{n:04}"), "".into()).await.unwrap() }
        });
        futures_util::future::join_all(writes).await;
    }
    let first = far.s3.list("journal/", None).await.unwrap();
    assert_eq!(first.len(), 1000);
    let rest = far.s3.list("journal/", Some(&first[999].name)).await.unwrap();
    assert_eq!(rest.len(), 100);
    assert_eq!(rest[99].name, "journal/1099");
}
