//! Small objects beside those of the entries: see [`SharedObjects`].

use std::sync::Arc;
use std::time::SystemTime;

use async_trait::async_trait;
use aws_sdk_s3::primitives::DateTime;
use bytes::Bytes;

use super::S3;
use super::abilities::Lack;
use super::client;
use super::core::Core;
use super::error::{S3Error, S3ErrorKind};
use super::stats::Op;
use super::upload::encryption;
use crate::store::shared::{ListedObject, MAX_OBJECT_BYTES, ObjectPage, SharedObjects};
use crate::store::{Asker, RemoteErrorKind, Result};

/// The longest key of an object in bytes.
const MAX_KEY_BYTES: usize = 1024;
/// How often a name is created again while another writer is busy with it.
const MAX_ATTEMPTS: u32 = 5;

impl Core {
    /// Below the prefix of this version, so that one lifecycle rule covers everything; no entry has a name
    /// like these, because its first folder is two hex digits.
    pub(super) fn shared_name(&self, name: &str) -> String {
        format!("{}{name}", self.config.object_prefix())
    }

    async fn write_shared(
        self: &Arc<Self>,
        op: Op,
        name: &str,
        content: Bytes,
        if_absent: bool,
    ) -> Result<(), S3Error> {
        let request = self
            .client
            .put_object()
            .bucket(self.bucket())
            .key(self.shared_name(name))
            .set_if_none_match(if_absent.then(|| "*".to_owned()))
            .set_server_side_encryption(encryption(&self.config))
            .set_ssekms_key_id(self.config.sse_kms_key_id.clone())
            .content_length(content.len() as i64)
            .body(content.into())
            .customize()
            .config_override(client::for_write(&self.config, 0));
        // The futures of the SDK are large.
        Box::pin(self.call((op, Asker::SERVER), request.send()))
            .await
            .map(drop)
    }

    async fn read_shared(self: &Arc<Self>, name: &str) -> Result<Option<Bytes>, S3Error> {
        let request = self
            .client
            .get_object()
            .bucket(self.bucket())
            .key(self.shared_name(name));
        // The body comes under the same permit.
        let _permit = self.enter(Asker::SERVER).await?;
        let answer = match self.ask(Op::Get, request.send()).await {
            Err(failure) if failure.kind == S3ErrorKind::Missing => return Ok(None),
            other => other?,
        };
        let fits = |length| (0..=MAX_OBJECT_BYTES as i64).contains(&length);
        if !answer.content_length.is_some_and(fits) {
            // No version of this server made it.
            return Ok(None);
        }
        match tokio::time::timeout(self.config.idle_timeout, answer.body.collect()).await {
            Ok(Ok(body)) => Ok(Some(body.into_bytes())),
            Ok(Err(error)) => Err(self.fail(RemoteErrorKind::Other, error.to_string())),
            Err(_) => Err(self.fail(RemoteErrorKind::Timeout, "a shared object did not come")),
        }
    }

    /// A part of the names with `prefix` that come after the name `after`, as many as S3 gives at once.
    async fn list_shared(self: &Arc<Self>, prefix: &str, after: Option<&str>) -> Result<ObjectPage, S3Error> {
        let front = self.config.object_prefix();
        let request = self
            .client
            .list_objects_v2()
            .bucket(self.bucket())
            .prefix(self.shared_name(prefix))
            .set_start_after(after.map(|name| self.shared_name(name)));
        let answer = Box::pin(self.call((Op::List, Asker::SERVER), request.send())).await?;
        let more = answer.is_truncated == Some(true);
        let objects = answer.contents.unwrap_or_default().into_iter();
        let objects = objects.filter_map(|object| {
            let name = object.key.as_deref()?.strip_prefix(front.as_str())?.to_owned();
            let written = object.last_modified.and_then(system_time);
            Some(ListedObject { name, written })
        });
        let objects: Vec<_> = objects.collect();
        let next = objects.last().filter(|_| more).map(|last| last.name.clone());
        Ok(ObjectPage { objects, next })
    }
}

impl S3 {
    /// For a store without conditions: two writers at the same moment may both win.
    async fn create_unconditionally(&self, name: &str, content: Bytes) -> Result<bool> {
        if SharedObjects::get(self, name).await?.is_some() {
            return Ok(false);
        }
        self.put(name, content).await.map(|()| true)
    }
}

fn system_time(time: DateTime) -> Option<SystemTime> {
    SystemTime::try_from(time).ok()
}

#[async_trait]
impl SharedObjects for S3 {
    fn max_name_bytes(&self) -> usize {
        MAX_KEY_BYTES - self.core.config.object_prefix().len()
    }

    async fn get(&self, name: &str) -> Result<Option<Bytes>> {
        let content = self.core.read_shared(name).await;
        content.map_err(|failure| failure.at("reading a shared object"))
    }

    async fn put(&self, name: &str, content: Bytes) -> Result<()> {
        let written = self.core.write_shared(Op::Put, name, content, false).await;
        written.map_err(|failure| failure.at("writing a shared object"))
    }

    async fn append(&self, name: &str, content: Bytes) -> Result<()> {
        let written = self.core.write_shared(Op::Append, name, content, false).await;
        written.map_err(|failure| failure.at("writing a shared object"))
    }

    async fn create(&self, name: &str, content: Bytes) -> Result<bool> {
        const OPERATION: &str = "creating a shared object";
        if self.core.abilities.lacks(Lack::WriteConditions) {
            return self.create_unconditionally(name, content).await;
        }
        let mut conflict = None;
        for _ in 0..MAX_ATTEMPTS {
            match self.core.write_shared(Op::Put, name, content.clone(), true).await {
                Ok(()) => return Ok(true),
                Err(failure) if failure.kind == S3ErrorKind::Precondition => return Ok(false),
                Err(failure) if failure.kind == S3ErrorKind::Conflict => conflict = Some(failure),
                Err(failure) if failure.kind == S3ErrorKind::Unsupported => {
                    self.core.abilities.miss(Lack::WriteConditions);
                    return self.create_unconditionally(name, content).await;
                }
                Err(failure) => return Err(failure.at(OPERATION)),
            }
        }
        let busy = || S3Error::new(RemoteErrorKind::Other, "others write it again and again");
        Err(conflict.unwrap_or_else(busy).at(OPERATION))
    }

    async fn remove(&self, name: &str) -> Result<()> {
        let core = &self.core;
        let request = core
            .client
            .delete_object()
            .bucket(core.bucket())
            .key(core.shared_name(name));
        match Box::pin(core.call((Op::Delete, Asker::SERVER), request.send())).await {
            Err(failure) if failure.kind == S3ErrorKind::Missing => Ok(()),
            other => other
                .map(drop)
                .map_err(|failure| failure.at("removing a shared object")),
        }
    }

    async fn list_page(&self, prefix: &str, after: Option<&str>) -> Result<ObjectPage> {
        let page = self.core.list_shared(prefix, after).await;
        page.map_err(|failure| failure.at("listing shared objects"))
    }
}
