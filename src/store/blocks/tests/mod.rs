//! Uploads in a folder of their own, that can be dropped and opened again.

mod bodies;
mod ends;
mod restart;
mod room;
mod splits;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::TryStreamExt;

use super::state::UploadState;
use super::{BlockDir, BlockPlace, Blocks, BlocksError};
use crate::store::Spool;
use crate::store::budget::Budget;
use crate::store::spool::{Checksums, SpoolDir};
use crate::sys;
use crate::tasks::Tasks;

pub(super) const KIB: usize = 1 << 10;
pub(super) const MIB: usize = 1 << 20;

pub(super) struct Rig {
    pub(super) blocks: BlockDir,
    pub(super) budget: Arc<Budget>,
    tasks: Tasks,
    dir: tempfile::TempDir,
}

impl Rig {
    pub(super) async fn new() -> Self {
        let dir = tempfile::tempdir().expect("folder");
        std::fs::create_dir(dir.path().join("tmp")).expect("folder");
        Self::open(dir, 256 * MIB).await.0
    }

    async fn open(dir: tempfile::TempDir, limit: usize) -> (Self, Vec<Blocks>) {
        let tasks = Tasks::new();
        let budget = Budget::new(limit as u64, 0, Duration::ZERO);
        budget.settled();
        drop(tasks.spawn(refuse(Arc::clone(&budget), tasks.clone())));
        let spools = SpoolDir::new(dir.path().join("tmp"), Arc::clone(&budget), tasks.clone());
        let (blocks, found) = BlockDir::open(dir.path().join("uploads"), spools, |_| None, &tasks)
            .await
            .expect("open");
        let rig = Self {
            blocks,
            budget,
            tasks,
            dir,
        };
        (rig, found)
    }

    /// What a crash and a start do, with this limit afterwards. Nobody may hold an upload.
    pub(super) async fn crash(self, limit: usize) -> (Self, Vec<Blocks>) {
        self.tasks.finish().await;
        let Self { dir, blocks, .. } = self;
        drop(blocks);
        for file in dir.path().join("tmp").read_dir().expect("folder") {
            std::fs::remove_file(file.expect("file").path()).expect("remove");
        }
        Self::open(dir, limit).await
    }

    pub(super) fn folder(&self) -> PathBuf {
        self.dir.path().join("uploads")
    }

    pub(super) async fn upload(&self) -> Blocks {
        self.blocks.create(7, b"note".to_vec()).await.expect("create")
    }

    pub(super) fn held(&self) -> u64 {
        self.budget.figures().1
    }

    /// Bytes on the volume, without the folders.
    pub(super) fn disk(&self) -> u64 {
        files(&self.folder()).iter().map(|path| blocks_of(path)).sum()
    }

    /// Waits until nothing is left to be done in the background.
    pub(super) async fn quiet(&self, upload: &Blocks) {
        let idle = |state: &mut UploadState| (state.hops + state.running == 0).then_some(());
        upload.0.wait(idle).await;
    }
}

/// Takes the place of an evictor that has nothing to evict.
async fn refuse(budget: Arc<Budget>, tasks: Tasks) {
    let stopping = tasks.stopping();
    while let Some(()) = stopping.run_until_cancelled(budget.wanted()).await {
        for (_, answer) in budget.demands() {
            let _left = answer.send(0);
        }
        if budget.goal() > 0 {
            budget.exhausted();
        }
    }
    budget.close();
}

pub(super) fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> = folder
        .read_dir()
        .expect("folder")
        .map(|file| file.expect("file").path())
        .collect();
    files.sort();
    files
}

fn blocks_of(path: &Path) -> u64 {
    path.metadata().map_or(0, |metadata| sys::block_bytes(&metadata))
}

/// Bytes that differ from place to place and from seed to seed.
pub(super) fn body(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let mut bytes: Vec<u8> = (0..length.div_ceil(8))
        .flat_map(|_| next().to_le_bytes())
        .collect();
    bytes.truncate(length);
    bytes
}

/// Sends one block in pieces of a network's size.
pub(super) async fn send(upload: &Blocks, place: BlockPlace, bytes: &[u8]) -> Result<(), BlocksError> {
    let mut writer = upload.writer(place, Some(bytes.len() as u64)).await?;
    for piece in bytes.chunks(16 * KIB - 1) {
        writer.write(Bytes::copy_from_slice(piece)).await?;
    }
    writer.finish().await.map(|_| ())
}

pub(super) async fn bytes_of(spool: &Spool) -> Vec<u8> {
    let pieces: Vec<Bytes> = spool.content().pieces().try_collect().await.expect("bytes");
    pieces.concat()
}

/// The body is this one, with the right checksums.
pub(super) async fn check(upload: &Blocks, expected: &[u8]) {
    let spool = upload
        .assemble(expected.len() as u64)
        .await
        .expect("a whole body");
    assert!(bytes_of(&spool).await == expected, "the bytes differ");
    assert_eq!(spool.checksums(), &Checksums::of(expected));
}

pub(super) fn id(text: &str) -> BlockPlace {
    BlockPlace::Block(text.as_bytes().into())
}

pub(super) fn ids(texts: &[&str]) -> Vec<Box<[u8]>> {
    texts.iter().map(|text| text.as_bytes().into()).collect()
}

/// Ids as clients make them.
#[derive(Debug, Clone, Copy)]
pub(super) enum Client {
    JavaScript,
    Go,
    Random,
}

impl Client {
    pub(super) fn id(self, nth: usize) -> Box<[u8]> {
        match self {
            Self::JavaScript => format!("{}{nth:012}", "0123abcd-".repeat(4)).into_bytes().into(),
            Self::Go => {
                let mut id = vec![0x5a; 16];
                id.extend_from_slice(&(nth as u32).to_be_bytes());
                id.resize(64, 0);
                id.into()
            }
            Self::Random => body(16, nth as u64 + 99).into(),
        }
    }
}
