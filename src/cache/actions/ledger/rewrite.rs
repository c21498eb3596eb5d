//! Rewriting the ledger without entries that are gone. Lines that are added to the former ledger meanwhile are
//! copied in the last step, by the owner of the writer.

use std::fs::{self, File};
use std::io;
use std::sync::Arc;

use super::LedgerShared;
use super::format::{LedgerItem, MAGIC};
use super::site::{ClaimedSpace, LedgerSite};
use super::write::LedgerWriter;
use crate::store::budget::whole_blocks;

/// Claimed beside the lines of entries, for places, cursors and entries that come meanwhile.
const REWRITE_SLACK_BYTES: u64 = 1 << 18;

/// A new ledger that lacks only the lines added to the former one meanwhile.
#[derive(Debug)]
pub(super) struct RewrittenLedger {
    writer: LedgerWriter,
    /// Accounts for its bytes in the space that was claimed for it.
    site: LedgerSite,
    /// The lines of the former ledger from here on are missing.
    from: u64,
}

impl LedgerShared {
    /// Writes a new ledger of about `estimate` bytes beside the former one, without the lines from `from` on.
    /// Logs the error if that fails.
    pub(super) async fn rewrite(self: Arc<Self>, from: u64, estimate: u64) -> Option<RewrittenLedger> {
        let bytes = whole_blocks(estimate + REWRITE_SLACK_BYTES);
        if let Err(error) = self.site.account.claim(bytes).await {
            tracing::info!(%error, "the ledger of the Actions cache is not written anew now");
            return None;
        }
        let site = LedgerSite {
            account: Arc::new(ClaimedSpace::new(bytes, Arc::clone(&self.site.account))),
            ..self.site.clone()
        };
        let shared = Arc::clone(&self);
        let writing = self.tasks.spawn_blocking(move || shared.copy(site, from));
        match writing.await.ok()? {
            Ok(rewritten) => rewritten,
            Err(error) => {
                tracing::warn!(%error, "cannot write the ledger of the Actions cache anew");
                None
            }
        }
    }

    /// Blocking. `None` if the server stops.
    fn copy(&self, site: LedgerSite, from: u64) -> io::Result<Option<RewrittenLedger>> {
        let writer = LedgerWriter::create(&site.rewritten())?;
        let mut rewritten = RewrittenLedger { writer, site, from };
        match self.fill(&mut rewritten) {
            Ok(true) => Ok(Some(rewritten)),
            other => {
                rewritten.discard();
                other.map(|_| None)
            }
        }
    }

    fn fill(&self, rewritten: &mut RewrittenLedger) -> io::Result<bool> {
        let (writer, site) = (&mut rewritten.writer, &rewritten.site);
        let stopping = self.tasks.stopping();
        writer.write(site, MAGIC)?;
        for slice in self.index.slices() {
            if stopping.is_cancelled() {
                return Ok(false);
            }
            let items: Vec<_> = slice.into_iter().map(LedgerItem::Committed).collect();
            writer.append(site, items.iter())?;
        }
        // A namespace without entries has a short journal, which can be read from its beginning.
        let cursors = self.cursors(|namespace| self.index.has(namespace));
        writer.append(site, cursors.iter())?;
        Ok(true)
    }
}

impl RewrittenLedger {
    /// Blocking: replaces `former`, which stays as it is after an error.
    pub(super) fn replace(mut self, site: &LedgerSite, former: &mut LedgerWriter) -> io::Result<()> {
        let copied = self.writer.copy_tail(&self.site, former, self.from);
        if let Err(error) = copied.and_then(|()| fs::rename(site.rewritten(), site.ledger())) {
            self.discard();
            return Err(error);
        }
        let gone = whole_blocks(former.len());
        *former = self.writer;
        site.account.adjust(-(gone as i64));
        if site.sync {
            File::open(&site.folder)?.sync_all()?;
        }
        Ok(())
    }

    /// Removes the file. If that fails, the next start does it.
    pub(super) fn discard(self) {
        if fs::remove_file(self.site.rewritten()).is_ok() {
            let gone = whole_blocks(self.writer.len());
            self.site.account.adjust(-(gone as i64));
        }
    }
}
