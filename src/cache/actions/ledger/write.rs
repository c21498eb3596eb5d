//! The end of the ledger, where lines are added. Only the owner of the writer adds some.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use super::LedgerSite;
use super::format::{LedgerItem, MAGIC, PlaceTable};
use super::read::{LedgerRead, LedgerReader};
use crate::cache::actions::index::ActionsIndex;
use crate::store::budget::whole_blocks;
use crate::sys;

/// A ledger of at most this length is never written anew.
const MIN_REWRITE_BYTES: u64 = 1 << 20;
/// Items that are copied at once.
const COPY_BATCH_ITEMS: usize = 256;
/// Estimated length of an entry's line when there is none to measure.
const USUAL_LINE_BYTES: u64 = 160;

/// All methods block.
#[derive(Debug)]
pub(super) struct LedgerWriter {
    file: File,
    places: PlaceTable,
    /// Where the next line goes.
    len: u64,
    /// Lines of entries, and their bytes.
    lines: (u64, u64),
    /// The ledger is not written anew up to this length.
    rewrite_above: u64,
}

impl LedgerWriter {
    /// Opens the ledger and puts its entries into `index`; `seen` gets all items. What cannot be read is cut
    /// off. `None` if `go_on` gives `false`: the file stays as it is.
    pub(super) fn load(
        site: &LedgerSite,
        index: &ActionsIndex,
        seen: impl FnMut(&LedgerItem),
        go_on: impl Fn() -> bool,
    ) -> io::Result<Option<Self>> {
        make_folder(site)?;
        let path = site.ledger();
        let file = open(&path)?;
        let length = file.metadata()?.len();
        site.account.adjust(whole_blocks(length) as i64);
        let mut this = Self::empty(file);
        let mut reader = LedgerReader::new(this.file.try_clone()?, 0, length)?;
        let Some(start) = reader.magic()? else {
            if length > 0 {
                tracing::warn!("the ledger of the Actions cache cannot be read; it begins anew");
            }
            this.resize(site, length, 0)?;
            this.write(site, MAGIC)?;
            return Ok(Some(this));
        };
        this.len = start;
        let Some(end) = this.replay(&mut reader, index, seen, go_on)? else {
            return Ok(None);
        };
        if end == LedgerRead::Damaged {
            tracing::warn!(
                lost = length - this.len,
                "the ledger of the Actions cache is damaged; entries after that are misses"
            );
        }
        this.resize(site, length, this.len)?;
        Ok(Some(this))
    }

    /// Reads all whole lines. Returns what is behind them; `None` if `go_on` gave `false`.
    fn replay(
        &mut self,
        reader: &mut LedgerReader,
        index: &ActionsIndex,
        mut seen: impl FnMut(&LedgerItem),
        go_on: impl Fn() -> bool,
    ) -> io::Result<Option<LedgerRead>> {
        while go_on() {
            let next = reader.next(&mut self.places)?;
            if let LedgerRead::LedgerItem(item) = &next {
                self.count(item, reader.at() - self.len);
                apply(index, item);
                seen(item);
                index.set_beside(self.places.bytes());
            }
            // The last line may be a place.
            self.len = reader.at();
            if !matches!(next, LedgerRead::LedgerItem(_)) {
                return Ok(Some(next));
            }
        }
        Ok(None)
    }

    /// A new ledger under another name, without its first bytes.
    pub(super) fn create(path: &Path) -> io::Result<Self> {
        let _left = fs::remove_file(path);
        Ok(Self::empty(open(path)?))
    }

    fn empty(file: File) -> Self {
        Self {
            file,
            places: PlaceTable::default(),
            len: 0,
            lines: (0, 0),
            rewrite_above: MIN_REWRITE_BYTES,
        }
    }

    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// Bytes of memory that the numbers of places take.
    pub(super) fn memory(&self) -> u64 {
        self.places.bytes()
    }

    /// Adds items; none of them if it fails.
    pub(super) fn append<'i>(
        &mut self,
        site: &LedgerSite,
        items: impl Iterator<Item = &'i LedgerItem>,
    ) -> io::Result<()> {
        let (lines, known) = (self.lines, self.places.len());
        let mut bytes = Vec::new();
        for item in items {
            let before = bytes.len();
            self.places.encode(item, &mut bytes);
            self.count(item, (bytes.len() - before) as u64);
        }
        self.write(site, &bytes).inspect_err(|_| {
            self.lines = lines;
            self.places.truncate(known);
        })
    }

    /// Adds bytes at the end. Their blocks are accounted for before they are on the volume.
    pub(super) fn write(&mut self, site: &LedgerSite, bytes: &[u8]) -> io::Result<()> {
        let end = self.len + bytes.len() as u64;
        let more = whole_blocks(end) as i64 - whole_blocks(self.len) as i64;
        site.account.adjust(more);
        let mut written = sys::write_all_vectored_at(&self.file, &[bytes], self.len);
        if site.sync {
            written = written.and_then(|()| self.file.sync_data());
        }
        if let Err(error) = written {
            // If this fails, too, the next line is written over the torn one all the same.
            let _longer = self.file.set_len(self.len);
            site.account.adjust(-more);
            return Err(error);
        }
        self.len = end;
        Ok(())
    }

    /// Whether more than half of the ledger is about entries that are gone, or repeated later.
    pub(super) fn is_stale(&self, index: &ActionsIndex) -> bool {
        self.len > self.rewrite_above && self.len > 2 * self.estimate(index)
    }

    /// How long a ledger of the entries of this moment will be, in bytes.
    pub(super) fn estimate(&self, index: &ActionsIndex) -> u64 {
        let (lines, bytes) = self.lines;
        let each = bytes.checked_div(lines).unwrap_or(USUAL_LINE_BYTES);
        each * index.len() as u64
    }

    /// Prevents another rewrite before the ledger has grown. Call it after one, also after one that failed.
    pub(super) fn defer_rewrite(&mut self) {
        self.rewrite_above = MIN_REWRITE_BYTES.max(self.len + self.len / 4);
    }

    /// Appends the items that `former` has from `from` on.
    pub(super) fn copy_tail(&mut self, site: &LedgerSite, former: &Self, from: u64) -> io::Result<()> {
        let mut reader = LedgerReader::new(former.file.try_clone()?, from, former.len)?;
        // Has all numbers. Places that are read again get new ones, which no line uses.
        let mut places = former.places.clone();
        let mut items = Vec::new();
        loop {
            match reader.next(&mut places)? {
                LedgerRead::LedgerItem(item) => items.push(item),
                LedgerRead::End => return self.append(site, items.iter()),
                LedgerRead::Torn | LedgerRead::Damaged => return Err(io::ErrorKind::InvalidData.into()),
            }
            if items.len() == COPY_BATCH_ITEMS {
                self.append(site, items.iter())?;
                items.clear();
            }
        }
    }

    fn count(&mut self, item: &LedgerItem, bytes: u64) {
        if matches!(item, LedgerItem::Committed(_)) {
            self.lines.0 += 1;
            self.lines.1 += bytes;
        }
    }

    fn resize(&mut self, site: &LedgerSite, from: u64, to: u64) -> io::Result<()> {
        if from != to {
            self.file.set_len(to)?;
            site.account
                .adjust(whole_blocks(to) as i64 - whole_blocks(from) as i64);
        }
        Ok(())
    }
}

/// Applies an item of the ledger to the index.
fn apply(index: &ActionsIndex, item: &LedgerItem) {
    match item {
        LedgerItem::Committed(entry) => _ = index.insert(entry),
        LedgerItem::Removed(entry) => _ = index.remove(entry),
        LedgerItem::Seen(..) => {}
    }
}

fn open(path: &Path) -> io::Result<File> {
    let mut options = File::options();
    options.read(true).write(true).create(true).truncate(false);
    options.open(path)
}

/// Makes the folder if it is not there, and removes what a crash left in it.
fn make_folder(site: &LedgerSite) -> io::Result<()> {
    if !site.folder.is_dir() {
        sys::create_private_dir(&site.folder)?;
        let bytes = sys::block_bytes(&site.folder.metadata()?);
        site.account.adjust(bytes as i64);
    }
    match fs::remove_file(site.rewritten()) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
