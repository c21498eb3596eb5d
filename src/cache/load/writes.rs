//! The account by which one writer writes.

use std::sync::Arc;

use tokio::time::Instant;

use super::requests::TenantLoad;
use super::writer::Writer;
use crate::store::tenant_rules::TenantBound;
use crate::store::{Error, Result};

/// The account of one writer.
#[derive(Debug)]
pub struct WriteCharge(Option<ChargeParts>);

#[derive(Debug)]
struct ChargeParts {
    load: Arc<TenantLoad>,
    rate: u64,
    writer: Writer,
    largest: u64,
}

impl WriteCharge {
    pub(super) fn free() -> Self {
        Self(None)
    }

    pub(super) fn new(load: Arc<TenantLoad>, rate: u64, writer: Writer, largest: u64) -> Self {
        Self(Some(ChargeParts {
            load,
            rate,
            writer,
            largest,
        }))
    }

    /// Takes what is going to be written, at once: nobody is slowed down.
    ///
    /// # Errors
    /// [`Error::OverBound`] while others have written more than the tenant may.
    pub fn take(&self, bytes: u64) -> Result<()> {
        let Some(parts) = &self.0 else {
            return Ok(());
        };
        let (now, writer) = ((Instant::now(), parts.rate), (parts.writer, parts.largest));
        let taken = parts.load.written().take(now, writer, bytes);
        taken.map_err(|retry_after| Error::OverBound {
            bound: TenantBound::WriteRate,
            retry_after,
        })
    }

    /// [`WriteCharge::take`] of the whole length if that is known. Otherwise the account is given back, and the bytes
    /// are to be taken as they come.
    ///
    /// # Errors
    /// As [`WriteCharge::take`].
    pub fn take_or_keep(self, length: Option<u64>) -> Result<Option<Self>> {
        self.take(length.unwrap_or(0))?;
        Ok(length.is_none().then_some(self))
    }
}
