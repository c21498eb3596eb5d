//! What an earlier run left in the folder of uploads.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io;
use std::path::Path;

use super::Blocks;
use super::block::{Extent, UploadFile};
use super::dir::BlockDir;
use super::log::{LogRecord, LogRecords};
use super::state::UploadState;
use super::upload::BlockUpload;
use crate::store::budget::whole_blocks;
use crate::store::spool::FOLDER_BYTES;
use crate::sys;

/// Blocking: every upload that can go on. All other files in the folder are removed.
pub(super) fn all(dir: &BlockDir) -> io::Result<Vec<Blocks>> {
    let (mut found, mut known) = (Vec::new(), HashSet::new());
    for file in fs::read_dir(dir.folder())? {
        let path = file?.path();
        let Some(id) = id_of(&path) else { continue };
        match one(dir, id) {
            Ok(Some(blocks)) => {
                found.push(blocks);
                known.insert(id);
            }
            Ok(None) => {}
            Err(error) => tracing::warn!(%error, "an upload of an earlier run cannot be read; it is removed"),
        }
    }
    for file in fs::read_dir(dir.folder())? {
        let path = file?.path();
        let owned = path.with_extension(UploadFile::Log.as_str());
        let mut all = UploadFile::ALL.iter();
        let ours = all.any(|file| path.extension().is_some_and(|name| name == file.as_str()));
        if (!ours || id_of(&owned).is_none_or(|id| !known.contains(&id)))
            && let Err(error) = fs::remove_file(&path)
        {
            tracing::warn!(%error, "a file in the folder of uploads cannot be removed");
        }
    }
    Ok(found)
}

/// The upload of a log with this path.
fn id_of(path: &Path) -> Option<u64> {
    let name = path.file_name()?.to_str()?.strip_suffix(".log")?;
    let id = u64::from_str_radix(name, 16).ok()?;
    // One upload has one name.
    (format!("{id:016x}") == name).then_some(id)
}

fn one(dir: &BlockDir, id: u64) -> io::Result<Option<Blocks>> {
    let path = dir.path(id, UploadFile::Log);
    let log = fs::read(&path)?;
    let mut records = LogRecords::new(&log);
    let Some(LogRecord::Begin { note }) = records.next() else {
        return Ok(None);
    };
    let mut state = UploadState::begun(records.end());
    while let Some(record) = records.next() {
        if !replay(&mut state, record, records.end()) {
            break;
        }
    }
    state.end_recovery();
    let files = UploadFiles::look(dir, id)?;
    state.frozen = files.shared;
    let whole = state.live().all(|block| files.hold(&block.extent));
    if !whole || files.bytes > dir.spools().budget().largest() {
        return Ok(None);
    }
    // What was torn must not be taken for a record later.
    File::options().write(true).open(&path)?.set_len(state.log)?;
    let spools = dir.spools_of(&note);
    let room = spools.hold(files.bytes.max(state.cost()));
    let room = (spools, room);
    Ok(Some(Blocks(BlockUpload::new(id, note, dir.clone(), room, state))))
}

/// The files of one upload.
struct UploadFiles {
    lengths: Vec<(UploadFile, u64)>,
    /// What all take on the volume, with their names.
    bytes: u64,
    /// A tier took the data file, and the upload was not removed before the end.
    shared: bool,
}

impl UploadFiles {
    fn look(dir: &BlockDir, id: u64) -> io::Result<Self> {
        let mut this = Self {
            lengths: Vec::new(),
            bytes: FOLDER_BYTES,
            shared: false,
        };
        for &file in UploadFile::ALL {
            let Some(metadata) = sys::if_exists(dir.path(id, file).metadata())? else {
                continue;
            };
            this.shared |= file == UploadFile::Data && sys::link_count(&metadata) > 1;
            this.bytes += whole_blocks(sys::block_bytes(&metadata));
            this.lengths.push((file, metadata.len()));
        }
        Ok(this)
    }

    /// Whether the bytes are there.
    fn hold(&self, extent: &Extent) -> bool {
        let file = self.lengths.iter().find(|(file, _)| *file == extent.file);
        extent.length == 0 || file.is_some_and(|(_, length)| extent.range().end <= *length)
    }
}

/// Whether the record makes sense.
fn replay(state: &mut UploadState, record: LogRecord, end: u64) -> bool {
    let unneeded = match record {
        LogRecord::Begin { .. } => return false,
        LogRecord::Block { place, extent, sums } => {
            state.learn(&place, &extent);
            state.keep(place, extent, sums, end)
        }
        LogRecord::List(numbers) => match state.put_block_list(&numbers, end) {
            Some(unneeded) => unneeded,
            None => return false,
        },
    };
    for block in unneeded {
        if let Some(usage) = state.usage(block.extent.file) {
            usage.release(&block.extent.range(), true);
        }
    }
    true
}
