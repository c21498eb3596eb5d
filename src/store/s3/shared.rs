//! Small objects beside those of the entries: see [`Shared`].

use std::sync::Arc;
use std::time::SystemTime;

use async_trait::async_trait;
use aws_sdk_s3::primitives::DateTime;
use bytes::Bytes;

use super::S3;
use super::core::Core;
use super::fault::{Failure, Why};
use super::stats::Op;
use crate::store::shared::{Listed, MAX_BYTES, Shared};
use crate::store::{RemoteFault, Result};

/// The longest key of an object in bytes.
const LONGEST_KEY: usize = 1024;
/// How often a name is created again while another writer is busy with it.
const ATTEMPTS: u32 = 5;

impl Core {
    /// Below the prefix of this version, so that one lifecycle rule covers everything; no entry has a name
    /// like these, because its first folder is two hex digits.
    fn shared_name(&self, name: &str) -> String {
        format!("{}{name}", self.config.object_prefix())
    }

    async fn write_shared(
        self: &Arc<Self>,
        name: &str,
        content: Bytes,
        if_absent: bool,
    ) -> Result<(), Failure> {
        let request = self
            .client
            .put_object()
            .bucket(self.bucket())
            .key(self.shared_name(name))
            .set_if_none_match(if_absent.then(|| "*".to_owned()))
            .content_length(content.len() as i64)
            .body(content.into());
        Box::pin(self.call(Op::Put, request.send())).await.map(drop)
    }

    async fn read_shared(self: &Arc<Self>, name: &str) -> Result<Option<Bytes>, Failure> {
        let request = self
            .client
            .get_object()
            .bucket(self.bucket())
            .key(self.shared_name(name));
        let _permit = self.enter().await?;
        let answer = match self.ask(Op::Get, request.send()).await {
            Err(failure) if failure.why == Why::Missing => return Ok(None),
            other => other?,
        };
        let damaged = |text: String| Failure::new(RemoteFault::Damaged, text);
        if answer
            .content_length
            .is_some_and(|length| length > MAX_BYTES as i64)
        {
            return Err(damaged("the object is too long".to_owned()));
        }
        let reading = tokio::time::timeout(self.config.idle_timeout, answer.body.collect()).await;
        match reading {
            Ok(Ok(body)) => Ok(Some(body.into_bytes())),
            Ok(Err(error)) => Err(damaged(error.to_string())),
            Err(_) => Err(Failure::new(
                RemoteFault::Timeout,
                "the object did not arrive in time",
            )),
        }
    }

    async fn list_shared(
        self: &Arc<Self>,
        prefix: &str,
        after: Option<&str>,
    ) -> Result<Vec<Listed>, Failure> {
        let front = self.config.object_prefix();
        let request = self
            .client
            .list_objects_v2()
            .bucket(self.bucket())
            .prefix(self.shared_name(prefix))
            .set_start_after(after.map(|name| self.shared_name(name)));
        let answer = Box::pin(self.call(Op::List, request.send())).await?;
        let objects = answer.contents.unwrap_or_default().into_iter();
        let listed = objects.filter_map(|object| {
            let name = object.key.as_deref()?.strip_prefix(front.as_str())?.to_owned();
            let written = object.last_modified.and_then(system_time);
            Some(Listed { name, written })
        });
        Ok(listed.collect())
    }
}

fn system_time(time: DateTime) -> Option<SystemTime> {
    SystemTime::try_from(time).ok()
}

#[async_trait]
impl Shared for S3 {
    fn longest_name(&self) -> usize {
        LONGEST_KEY - self.core.config.object_prefix().len()
    }

    async fn read(&self, name: &str) -> Result<Option<Bytes>> {
        let content = self.core.read_shared(name).await;
        content.map_err(|failure| failure.at("reading a shared object"))
    }

    async fn write(&self, name: &str, content: Bytes) -> Result<()> {
        let written = self.core.write_shared(name, content, false).await;
        written.map_err(|failure| failure.at("writing a shared object"))
    }

    async fn create(&self, name: &str, content: Bytes) -> Result<bool> {
        const OPERATION: &str = "creating a shared object";
        let mut conflict = None;
        for _ in 0..ATTEMPTS {
            match self.core.write_shared(name, content.clone(), true).await {
                Ok(()) => return Ok(true),
                Err(failure) if failure.why == Why::Precondition => return Ok(false),
                Err(failure) if failure.why == Why::Conflict => conflict = Some(failure),
                // A store without conditions: two writers at the same moment may both win.
                Err(failure) if failure.why == Why::Unsupported => {
                    if self.read(name).await?.is_some() {
                        return Ok(false);
                    }
                    return self.write(name, content).await.map(|()| true);
                }
                Err(failure) => return Err(failure.at(OPERATION)),
            }
        }
        let busy = || Failure::new(RemoteFault::Other, "others write it again and again");
        Err(conflict.unwrap_or_else(busy).at(OPERATION))
    }

    async fn remove(&self, name: &str) -> Result<()> {
        let core = &self.core;
        let request = core
            .client
            .delete_object()
            .bucket(core.bucket())
            .key(core.shared_name(name));
        match core.call(Op::Delete, request.send()).await {
            Err(failure) if failure.why == Why::Missing => Ok(()),
            other => other
                .map(drop)
                .map_err(|failure| failure.at("removing a shared object")),
        }
    }

    async fn list(&self, prefix: &str, after: Option<&str>) -> Result<Vec<Listed>> {
        let listed = self.core.list_shared(prefix, after).await;
        listed.map_err(|failure| failure.at("listing shared objects"))
    }
}
