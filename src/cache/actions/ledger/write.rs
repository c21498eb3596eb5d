//! The end of the ledger, where lines are added. Whoever owns the writer is the only one who does so.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use super::LedgerSite;
use super::format::{LedgerItem, MAGIC, PlaceTable};
use super::read::{LedgerRead, LedgerReader};
use crate::cache::actions::index::Index;
use crate::store::budget::whole_blocks;
use crate::sys;

/// A ledger that is not longer is never written anew, in bytes.
const SMALL: u64 = 1 << 20;
/// Items that are copied at once.
const BATCH: usize = 256;
/// What a line of an entry takes unless it is known better, in bytes.
const USUAL: u64 = 160;

/// All methods block.
#[derive(Debug)]
pub(super) struct LedgerWriter {
    file: File,
    places: PlaceTable,
    /// Where the next line goes.
    len: u64,
    /// Lines of entries, and their bytes.
    lines: (u64, u64),
    /// Not written anew below this length.
    patience: u64,
}

impl LedgerWriter {
    /// Opens the ledger, and puts what it says into `index`; `seen` is told the cursors. What cannot be read
    /// is cut off. `None` if `go_on` says so: the file stays as it is.
    pub(super) fn load(
        site: &LedgerSite,
        index: &Index,
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
            let lost = length - this.len;
            tracing::warn!(
                lost,
                "the ledger of the Actions cache is damaged; entries after that are misses"
            );
        }
        this.resize(site, length, this.len)?;
        Ok(Some(this))
    }

    /// Reads all whole lines. Answers what is behind them; `None` if it was not to go on.
    fn replay(
        &mut self,
        reader: &mut LedgerReader,
        index: &Index,
        mut seen: impl FnMut(&LedgerItem),
        go_on: impl Fn() -> bool,
    ) -> io::Result<Option<LedgerRead>> {
        while go_on() {
            let next = reader.next(&mut self.places)?;
            if let LedgerRead::LedgerItem(item) = &next {
                self.count(item, reader.at() - self.len);
                apply(index, item);
                seen(item);
            }
            // A place may be the last line.
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
            patience: SMALL,
        }
    }

    /// Length in bytes.
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// Adds items; none of them if it fails.
    pub(super) fn append<'i>(
        &mut self,
        site: &LedgerSite,
        items: impl Iterator<LedgerItem = &'i LedgerItem>,
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

    /// Adds bytes at the end. With its blocks in the account before they are on the volume.
    pub(super) fn write(&mut self, site: &LedgerSite, bytes: &[u8]) -> io::Result<()> {
        let end = self.len + bytes.len() as u64;
        let more = whole_blocks(end) as i64 - whole_blocks(self.len) as i64;
        site.account.adjust(more);
        let written =
            sys::write_all_vectored_at(&self.file, &[bytes], self.len).and_then(|()| self.sync(site));
        match written {
            Ok(()) => self.len = end,
            Err(error) => {
                // If that fails, too, the next line is written over the torn one all the same.
                let _longer = self.file.set_len(self.len);
                site.account.adjust(-more);
                return Err(error);
            }
        }
        Ok(())
    }

    pub(super) fn sync(&self, site: &LedgerSite) -> io::Result<()> {
        if site.sync { self.file.sync_data() } else { Ok(()) }
    }

    /// Whether more than half of it is about what is gone, or was said again later.
    pub(super) fn is_stale(&self, index: &Index) -> bool {
        self.len > self.patience && self.len > 2 * self.estimate(index)
    }

    /// How long a ledger of the entries of this moment will be, in bytes.
    pub(super) fn estimate(&self, index: &Index) -> u64 {
        let (lines, bytes) = self.lines;
        let each = bytes.checked_div(lines).unwrap_or(USUAL);
        each * index.len() as u64
    }

    /// It was just written anew, or could not be: not again before it has grown.
    pub(super) fn rest(&mut self) {
        self.patience = SMALL.max(self.len + self.len / 4);
    }

    /// Copies what `former` holds from `from` on to the end.
    pub(super) fn follow(&mut self, site: &LedgerSite, former: &Self, from: u64) -> io::Result<()> {
        let mut reader = LedgerReader::new(former.file.try_clone()?, from, former.len)?;
        // Has all numbers; the places that are read again get others, which no line uses.
        let mut places = former.places.clone();
        let mut items = Vec::new();
        loop {
            match reader.next(&mut places)? {
                LedgerRead::LedgerItem(item) => items.push(item),
                LedgerRead::End => return self.append(site, items.iter()),
                LedgerRead::Torn | LedgerRead::Damaged => return Err(io::ErrorKind::InvalidData.into()),
            }
            if items.len() == BATCH {
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

/// Does to the index what the ledger says.
fn apply(index: &Index, item: &LedgerItem) {
    match item {
        LedgerItem::Committed(entry) => {
            _ = index.insert(&entry.namespace, &entry.version, &entry.key, entry.record)
        }
        LedgerItem::Removed(entry) => {
            _ = index.remove(&entry.namespace, &entry.version, &entry.key, entry.record.id)
        }
        LedgerItem::Seen(..) => {}
    }
}

fn open(path: &Path) -> io::Result<File> {
    let mut options = File::options();
    options
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)
}

/// Makes the folder if it is not there, and removes what a crash left in it.
fn make_folder(site: &LedgerSite) -> io::Result<()> {
    if !site.folder.is_dir() {
        fs::create_dir_all(&site.folder)?;
        site.account
            .adjust(sys::block_bytes(&site.folder.metadata()?) as i64);
    }
    match fs::remove_file(site.rewritten()) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
