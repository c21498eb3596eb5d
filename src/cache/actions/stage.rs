//! Receiving the bytes of an upload.

use std::sync::Arc;

use bytes::Bytes;

use super::upload::{ActionsUpload, Activity, ActivityKind};
use super::{Actions, Error, Result, UploadId};
use crate::cache::load::{WriteCharge, Writer};
use crate::store::{self, ETag, TierName, blocks, memory};
use crate::sys;

pub use crate::store::blocks::BlockPlace;

/// Receives the bytes of one request into an upload. They are discarded unless [`BlockWriter::finish`] is called.
#[derive(Debug)]
pub struct BlockWriter {
    writer: blocks::BlockWriter,
    upload: Arc<ActionsUpload>,
    actions: Actions,
    /// Where the bytes are taken from as they come, if their number was not known.
    charge: Option<WriteCharge>,
    _activity: Activity,
}

impl Actions {
    /// Begins to take the bytes of one request, `length` of them if that is known. Room is reserved when this
    /// returns. The caller has asked [`Actions::may_upload`] or holds a ticket.
    ///
    /// # Errors
    /// [`Error::UnknownUpload`], [`Error::Ended`], [`Error::TooManyBlocks`],
    /// [`Error::Store`] (too large, no room, more than the tenant may write now).
    pub async fn stage(&self, id: UploadId, place: BlockPlace, length: Option<u64>) -> Result<BlockWriter> {
        let upload = self.running(id)?;
        let (tenancy, limit) = (upload.note.tenancy.as_ref(), self.largest(&upload.note));
        if let Some(size) = length.filter(|size| *size > limit) {
            return Err(store::Error::TooLarge { size, limit }.into());
        }
        let activity = upload.begin(ActivityKind::Request);
        self.end_idle_beside(&upload, length.unwrap_or(0)).await;
        let charge = self.0.loads.writes(tenancy, Writer::Upload(id.get()), limit);
        // What is refused is not paid for.
        charge.take(0)?;
        let writer = upload.blocks.writer(place, length).await?;
        let charge = charge.take_or_keep(length)?;
        let owner = tenancy.map_or_else(memory::nobody, |owner| Arc::clone(owner.tenant.label()));
        Ok(BlockWriter {
            writer: writer.charged_to(&owner),
            upload,
            actions: self.clone(),
            charge,
            _activity: activity,
        })
    }

    /// Puts the staged blocks in order (Put Block List); blocks that are not named are dropped. The tag stands
    /// for this list.
    ///
    /// # Errors
    /// [`Error::UnknownUpload`], [`Error::Ended`], [`Error::UnknownBlock`], [`Error::TooManyBlocks`].
    pub async fn put_block_list(&self, id: UploadId, ids: Vec<Box<[u8]>>) -> Result<ETag> {
        let upload = self.running(id)?;
        let _activity = upload.begin(ActivityKind::Request);
        let ids: Arc<[Box<[u8]>]> = ids.into();
        upload.blocks.put_block_list(Arc::clone(&ids)).await?;
        self.0.uploads.recount(&upload);
        // Away from the async threads: there may be many.
        let tag = sys::run_blocking(move || tag_of_list(&ids));
        Ok(tag.await.map_err(|_| store::Error::Stopping)?)
    }

    fn running(&self, id: UploadId) -> Result<Arc<ActionsUpload>> {
        match self.0.uploads.get(id) {
            Some(upload) if upload.is_overdue() => Err(Error::Ended),
            Some(upload) => Ok(upload),
            None if self.0.uploads.ended(id).is_some() => Err(Error::Ended),
            None => Err(Error::UnknownUpload),
        }
    }
}

fn tag_of_list(ids: &[Box<[u8]>]) -> ETag {
    let mut hasher = blake3::Hasher::new();
    for id in ids {
        hasher.update(&[u8::try_from(id.len()).unwrap_or(u8::MAX)]);
        hasher.update(id);
    }
    ETag::new(&hasher.finalize().to_hex()[..32])
}

impl BlockWriter {
    /// Takes the next bytes.
    ///
    /// # Errors
    /// [`Error::Size`] beyond the announced length, [`Error::Ended`], [`Error::Store`].
    pub async fn write(&mut self, chunk: Bytes) -> Result<()> {
        self.check()?;
        if let Some(charge) = &self.charge {
            charge.take(chunk.len() as u64)?;
        }
        Ok(self.writer.write(chunk).await?)
    }

    /// Resolves when others need the room of the upload.
    pub async fn revoked(&self) -> Error {
        self.writer.revoked().await.into()
    }

    /// Ends the request: from now on its bytes survive a restart. They replace earlier ones at the same place.
    /// Gives the tier that has them.
    ///
    /// # Errors
    /// [`Error::Size`] if fewer came than were announced, [`Error::Ended`], [`Error::Store`].
    pub async fn finish(self) -> Result<TierName> {
        self.check()?;
        let tier = self.writer.finish().await?;
        self.actions.0.uploads.recount(&self.upload);
        Ok(tier)
    }

    /// A request may last longer than the right to it.
    fn check(&self) -> Result<()> {
        match self.upload.is_overdue() {
            true => Err(Error::Ended),
            false => Ok(()),
        }
    }
}
