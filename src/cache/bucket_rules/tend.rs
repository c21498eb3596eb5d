//! The rules of one tenant after the other, held against its rows.

use std::collections::HashMap;
use std::sync::atomic::AtomicU64;

use super::choose::{Bounds, choose};
use super::counts::add;
use super::parts::Working;
use super::row::UseRow;
use super::{names, row};
use crate::store::journal::millis;
use crate::store::{Digest, Error, RemoteErrorKind, Result, Tenant};
use crate::tasks::pause;
use crate::telemetry::seldom::is_time;

/// Tenants with more entries than so many slices hold are left alone.
const MAX_SLICES: usize = 1024;

/// What was done.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Tended {
    pub(super) tenants: u64,
    pub(super) entries: u64,
    pub(super) removed: u64,
    pub(super) removed_bytes: u64,
}

/// See the module.
pub(super) struct Tender<'a> {
    work: &'a Working,
    /// The time, and when rows were lost last, in milliseconds since 1970.
    times: (u64, u64),
    pub(super) tended: Tended,
}

/// One in so many digests.
#[derive(Debug, Clone, Copy)]
struct Slice {
    nth: usize,
    of: usize,
}

/// The rows of a slice.
enum Loaded {
    Rows(Tenant, Vec<UseRow>),
    /// For the memory of this server.
    TooMany,
    /// They are not all there, or there is one that this version does not know: without them an entry could seem to be
    /// unused.
    Unclear,
}

/// How going through all slices ended.
#[derive(PartialEq, Eq)]
enum SlicesEnd {
    /// There is nothing more to do in this pass.
    Over,
    /// There have to be more slices.
    TooFew,
}

impl Slice {
    fn has(self, digest: &Digest) -> bool {
        let [a, b, c, d, ..] = *digest.as_bytes();
        u32::from_le_bytes([a, b, c, d]) as usize % self.of == self.nth
    }
}

impl<'a> Tender<'a> {
    pub(super) fn new(work: &'a Working, times: (u64, u64)) -> Self {
        let tended = Tended::default();
        Self { work, times, tended }
    }

    /// Holds the rules of the tenant whose rows are in these objects: in as many slices as it has to be.
    pub(super) async fn tend(&mut self, objects: Vec<String>) -> Result<()> {
        let mut slices = 1;
        while self.tend_slices(&objects, slices).await? == SlicesEnd::TooFew && slices < MAX_SLICES {
            slices *= 2;
        }
        Ok(())
    }

    /// If it ends early, what was written so far stays: rows may be there twice.
    async fn tend_slices(&mut self, objects: &[String], of: usize) -> Result<SlicesEnd> {
        let mut written = false;
        let has_news = of > 1 || !objects.iter().all(|name| names::is_page(name));
        for nth in 0..of {
            let (tenant, rows) = match self.load(objects, Slice { nth, of }).await? {
                Loaded::Rows(tenant, rows) => (tenant, rows),
                Loaded::TooMany => return Ok(SlicesEnd::TooFew),
                Loaded::Unclear => return Ok(SlicesEnd::Over),
            };
            let limits = self.work.notes.rules.limits(&tenant);
            let Some(limits) = limits.filter(|limits| limits.bounds_remote()) else {
                // Uses are not noted any more: another rule must not judge by these rows one day.
                self.remove_objects(objects).await?;
                return Ok(SlicesEnd::Over);
            };
            let slack = self.work.notes.pace.slack();
            let bounds = Bounds::new(&limits, self.times, slack, of as u64);
            self.tended.entries += rows.len() as u64;
            let (mut stay, go) = choose(rows, &bounds);
            let is_changed = has_news || !go.is_empty();
            for row in go {
                stay.extend(self.remove(&tenant, row).await?);
            }
            if is_changed {
                self.write(&tenant, &stay).await?;
                written = true;
            }
        }
        self.tended.tenants += 1;
        if written {
            self.remove_objects(objects).await?;
        }
        Ok(SlicesEnd::Over)
    }

    async fn remove_objects(&self, objects: &[String]) -> Result<()> {
        for name in objects {
            self.pause().await;
            self.work.parts.remote.remove(name).await?;
        }
        Ok(())
    }

    /// One request after the other.
    async fn pause(&self) {
        pause(self.work.notes.pace.step).await;
    }

    async fn load(&self, objects: &[String], slice: Slice) -> Result<Loaded> {
        let mut all: HashMap<Digest, UseRow> = HashMap::new();
        let mut whose = None;
        for name in objects {
            self.pause().await;
            let Some(content) = self.work.parts.remote.get(name).await? else {
                // Another server tends this tenant as well.
                return Ok(Loaded::Unclear);
            };
            let (tenant, rows) = match row::read(&content) {
                Ok((tenant, rows)) if names::tenant(name) == Some(*tenant.digest()) => (tenant, rows),
                Ok(_) => return Ok(unreadable(name, "it names another tenant")),
                Err(error) => return Ok(unreadable(name, &error.to_string())),
            };
            whose = Some(tenant);
            for row in rows.into_iter().filter(|row| slice.has(row.key.digest())) {
                match all.get_mut(row.key.digest()) {
                    Some(known) => known.merge(row),
                    None => _ = all.insert(*row.key.digest(), row),
                }
            }
            if all.len() > self.work.notes.pace.rows_at_once {
                return Ok(Loaded::TooMany);
            }
        }
        let rows = |tenant| Loaded::Rows(tenant, all.into_values().collect());
        Ok(whose.map_or(Loaded::Unclear, rows))
    }

    /// Removes the entry of a row, unless it is another one by now. Gives the row back if it stays.
    async fn remove(&mut self, tenant: &Tenant, mut row: UseRow) -> Result<Option<UseRow>> {
        self.pause().await;
        let remote = &self.work.parts.remote;
        let found = match remote.head(&row.key).await {
            Ok(Some(found)) => found,
            Ok(None) => return Ok(None),
            Err(error) if is_of_the_object(&error) => return Ok(Some(row)),
            Err(error) => return Err(error),
        };
        let origin = &found.meta.origin;
        if origin.tenancy.as_ref().map(|tenancy| &tenancy.tenant) != Some(tenant) {
            return Ok(None);
        }
        if millis(origin.stored) > row.stored {
            // Its own row is on the way.
            row.merge(UseRow::new(&row.key, &found.meta, origin.stored));
            return Ok(Some(row));
        }
        match remote.delete_version(&row.key, &found).await {
            Ok(()) => {
                self.count(row.size);
                Ok(None)
            }
            Err(error) if is_of_the_object(&error) => Ok(Some(row)),
            Err(error) => Err(error),
        }
    }

    fn count(&mut self, size: u64) {
        let (tended, counts) = (&mut self.tended, &self.work.notes.counts);
        tended.removed += 1;
        tended.removed_bytes += size;
        add(&counts.removed, 1);
        add(&counts.removed_bytes, size);
    }

    /// Writes the rows that stay.
    async fn write(&self, tenant: &Tenant, rows: &[UseRow]) -> Result<()> {
        for content in row::write(tenant, rows) {
            self.pause().await;
            let name = names::page(tenant.digest(), self.work.notes.clock.now());
            self.work.parts.remote.append(&name, content).await?;
        }
        Ok(())
    }
}

/// Whether an error says something of one object only.
fn is_of_the_object(error: &Error) -> bool {
    let kind = error.remote_error_kind();
    kind.is_some_and(|kind| matches!(kind, RemoteErrorKind::Damaged | RemoteErrorKind::Changed))
}

fn unreadable(object: &str, cause: &str) -> Loaded {
    static LAST: AtomicU64 = AtomicU64::new(0);
    if is_time(&LAST) {
        tracing::warn!(
            object,
            cause,
            "rows of use in the bucket cannot be read, so the rules of their tenant are not held there; let all servers have \
             the same version, and remove the object if nobody else writes such ones"
        );
    }
    Loaded::Unclear
}
