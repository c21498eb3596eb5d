//! One object, read in ranges of one version.

use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;

use super::core::Core;
use crate::store::source::{EntrySource, ReadPlan, SourceOpen, SourceStream};
use crate::store::{Result, StoreKey};

/// The object of one entry.
#[derive(Debug)]
pub(super) struct ObjectSource {
    pub(super) core: Arc<Core>,
    pub(super) key: StoreKey,
}

#[async_trait]
impl EntrySource for ObjectSource {
    async fn open(&self) -> Result<Option<SourceOpen>> {
        let opened = self.core.open(&self.key).await;
        opened.map_err(|failure| failure.at("opening an object"))
    }

    async fn read(&self, version: &str, range: Range<u64>) -> Result<SourceStream> {
        let stream = self.core.read(&self.key, version, range).await;
        stream.map_err(|failure| failure.at("reading an object"))
    }

    fn plan(&self) -> ReadPlan {
        ReadPlan {
            part_size: self.core.config.part_size,
            parallel: self.core.config.parallel_parts,
        }
    }
}
