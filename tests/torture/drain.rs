//! What a server holds once a flood has ended.

use std::time::{Duration, Instant};

use crate::inspect;
use crate::process::Server;
use crate::round::{MAX_OTHER_DESCRIPTORS, REST_PAUSE};
use crate::world::{OPEN_FILES, World};

/// Connections that ended are noticed, bodies that nobody sends any more are dropped.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(15);
/// `gha.upload_timeout` of the configuration is a minute; they are looked at now and then.
const UPLOADS_TIMEOUT: Duration = Duration::from_secs(150);
/// What the account may hold for files that are rewritten.
const OTHER_RESERVED_BYTES: u64 = 64 << 10;
/// What an upload holds besides the bytes that it has received: its folder, its record, blocks that are not full.
const UPLOAD_BYTES: u64 = 64 << 10;
/// A debug build with its caches; allocators keep some of what a flood took.
const MAX_MEMORY_BYTES: u64 = 300 << 20;

/// Waits until a server holds no more than uploads of the Actions cache that have begun, or not even those if there is
/// time for it.
pub(crate) async fn look(world: &World, server: &Server, has_time: bool) {
    wait(world, server, DRAIN_TIMEOUT, true).await;
    if let Some(pid) = server.pid() {
        let held = inspect::held(pid);
        world
            .report
            .figure("descriptors after the flood", held.descriptors as u64);
        world.report.figure("memory after the flood", held.memory);
        let index = server.index;
        if held.descriptors > OPEN_FILES + MAX_OTHER_DESCRIPTORS {
            let count = held.descriptors;
            world.report.fault(format!(
                "leak: server {index} holds {count} descriptors after the flood"
            ));
        }
        if held.memory > MAX_MEMORY_BYTES {
            let bytes = held.memory;
            world.report.fault(format!(
                "memory: server {index} holds {bytes} bytes after the flood"
            ));
        }
    }
    if has_time {
        wait(world, server, UPLOADS_TIMEOUT, false).await;
    }
}

async fn wait(world: &World, server: &Server, timeout: Duration, with_uploads: bool) {
    let begin = Instant::now();
    loop {
        let why = match server.page("/metrics").await {
            None => "no metrics".into(),
            Some(page) => match left(&page, with_uploads) {
                None => break,
                Some(why) => why,
            },
        };
        if begin.elapsed() > timeout {
            let index = server.index;
            return world.report.fault(format!(
                "reserved: server {index} {timeout:?} after the flood: {why}"
            ));
        }
        tokio::time::sleep(REST_PAUSE).await;
    }
    world
        .report
        .figure("ms to drain", begin.elapsed().as_millis() as u64);
}

/// What is reserved for nobody; `with_uploads` beside uploads that may go on.
fn left(page: &str, with_uploads: bool) -> Option<String> {
    let value = |name| inspect::metric(page, name).map(|value| value as u64);
    let reserved = value("chacha_disk_reserved_bytes")?;
    let uploads = value("chacha_actions_uploads")?;
    let received = value("chacha_actions_upload_bytes")?;
    let text = format!("{reserved} bytes reserved, {uploads} uploads hold {received}");
    let allowed = if with_uploads {
        received + uploads * UPLOAD_BYTES
    } else {
        0
    };
    (reserved > allowed + OTHER_RESERVED_BYTES || !with_uploads && uploads > 0).then_some(text)
}
