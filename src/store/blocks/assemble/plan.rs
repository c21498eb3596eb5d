//! The body in order.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fs::File;
use std::io;

use crate::store::blocks::BlocksError;
use crate::store::blocks::block::{Segment, UploadFile};
use crate::store::blocks::file_usage::Intervals;
use crate::store::blocks::sums::{SumError, is_lost};
use crate::store::blocks::upload::{BlockUpload, refused};

/// See the module.
#[derive(Debug)]
pub(super) struct BodyPlan {
    pub(super) size: u64,
    pub(super) segments: Vec<Segment>,
}

impl BodyPlan {
    pub(super) fn moved(&self) -> impl Iterator<Item = &Segment> {
        self.segments.iter().filter(|segment| !segment.is_in_place())
    }

    /// The segments in place whose bytes this process has not seen arrive.
    pub(super) fn unsound(&self, upload: &BlockUpload) -> Vec<&Segment> {
        let state = upload.state();
        let unsound = |segment: &&Segment| segment.is_in_place() && !state.is_sound(&segment.block);
        self.segments.iter().filter(unsound).collect()
    }

    /// Whether each block that is elsewhere has its place free, so that a crash on the way costs nothing.
    pub(super) fn fits_in_place(&self) -> bool {
        let mut needed = Intervals::default();
        let extents = self.segments.iter().map(|segment| &segment.block.extent);
        extents
            .filter(|extent| extent.file == UploadFile::Data)
            .for_each(|extent| needed.insert(extent.range()));
        !self
            .moved()
            .any(|segment| needed.overlaps(&(segment.start..segment.end())))
    }

    /// Blocking: gives the bytes of some segments to `sink`, checked, each with its offset in the body.
    pub(super) fn read<'a>(
        &self,
        upload: &BlockUpload,
        segments: impl Iterator<Item = &'a Segment>,
        mut sink: impl FnMut(&'a Segment, u64, &[u8]) -> io::Result<()>,
    ) -> Result<(), SumError> {
        let mut files: HashMap<UploadFile, File> = HashMap::new();
        for segment in segments {
            let which = segment.block.extent.file;
            let file = match files.entry(which) {
                Entry::Occupied(open) => open.into_mut(),
                Entry::Vacant(new) => new.insert(File::open(upload.path(which))?),
            };
            let mut at = segment.start;
            let range = segment.skip..segment.skip + segment.length;
            let mut refused = false;
            let read = segment.block.read(file, range, |bytes| {
                sink(segment, at, bytes).inspect_err(|_| refused = true)?;
                at += bytes.len() as u64;
                Ok(())
            });
            read.map_err(|error| match !refused && is_lost(&error) {
                true => SumError::Damaged { at: segment.start },
                false => SumError::Io(error),
            })?;
        }
        Ok(())
    }

    /// What a failure means for the upload: a block whose bytes are lost is missing from now on.
    pub(super) fn failed(
        &self,
        upload: &BlockUpload,
        operation: &'static str,
        error: SumError,
    ) -> BlocksError {
        let at = match error {
            SumError::Damaged { at } => at,
            SumError::Io(error) => return refused(operation, error, self.size),
        };
        let holds = |segment: &&Segment| (segment.start..segment.end()).contains(&at);
        let at = self.segments.iter().find(holds).map_or(at, |segment| {
            upload.state().lose(&segment.block);
            segment.start
        });
        tracing::warn!(
            at,
            "bytes of an upload were lost after they arrived; they have to be sent again"
        );
        BlocksError::Hole { at }
    }
}
