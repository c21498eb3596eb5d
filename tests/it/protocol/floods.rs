//! What a tenant leaves behind is room for those who are within their share.

use std::time::{Duration, Instant};

use http::StatusCode;

use super::gha::{create, with};
use crate::protocol::bytes;
use crate::support::server::TestServer;

const MIB: usize = 1 << 20;
/// Far below the time between two looks at uploads without traffic, and enough for a busy machine.
const AT_ONCE: Duration = Duration::from_secs(7);

#[tokio::test]
async fn an_upload_that_nobody_continues_gives_its_room_back_as_soon_as_it_is_needed() {
    let server = TestServer::start_with(|config| config.disk.as_mut().unwrap().limit = 16 * MIB as u64).await;
    let (flood, quiet) = (server.tenant("flood/app"), server.tenant("quiet/app"));
    for nth in 0..8 {
        let stored = quiet.put(&format!("/quiet-{nth}"), bytes(50_000, nth)).await;
        assert_eq!(stored.status, StatusCode::CREATED);
    }
    let url = create(&flood, "abandoned").await;
    for nth in 0..6 {
        let block = format!("comp=block&blockid=AAA{nth}");
        let taken = server
            .anonymous()
            .put(&with(&url, &block), bytes(2 * MIB, 1))
            .await;
        assert_eq!(taken.status, StatusCode::CREATED);
    }
    let begin = Instant::now();
    let stored = quiet.put("/large", bytes(5 * MIB, 2)).await;
    assert_eq!(stored.status, StatusCode::CREATED);
    assert!(begin.elapsed() < AT_ONCE, "{:?}", begin.elapsed());
    for nth in 0..8 {
        let found = quiet.get(&format!("/quiet-{nth}")).await;
        assert_eq!(found.status, StatusCode::OK, "{nth}");
    }
}
