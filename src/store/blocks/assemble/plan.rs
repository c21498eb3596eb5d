//! The body in order.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fs::File;
use std::io;

use crate::store::blocks::block::{Segment, UploadFile};
use crate::store::blocks::file_usage::Intervals;
use crate::store::blocks::upload::BlockUpload;

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
    ) -> io::Result<()> {
        let mut files: HashMap<UploadFile, File> = HashMap::new();
        for segment in segments {
            let which = segment.block.extent.file;
            let file = match files.entry(which) {
                Entry::Occupied(open) => open.into_mut(),
                Entry::Vacant(new) => new.insert(File::open(upload.path(which))?),
            };
            let mut at = segment.start;
            let range = segment.skip..segment.skip + segment.length;
            segment.block.read(file, range, |bytes| {
                sink(segment, at, bytes)?;
                at += bytes.len() as u64;
                Ok(())
            })?;
        }
        Ok(())
    }
}
