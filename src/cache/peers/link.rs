//! The way to other servers, and what is taken from them.

use std::fmt::Debug;
use std::io;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::time::Instant;
use url::Url;

use super::entry::PeerAnswer;
use super::statement::{self, StatedBody, StatedRequest, Statement, StatementError, Statements};
use super::{BucketClock, Peer, Peers};
use crate::cache::KeyRing;

/// Sends small messages to other servers.
#[async_trait]
pub trait PeerClient: Debug + Send + Sync + 'static {
    /// Sends a `POST` of `body` to `path` at `url`, with this statement. The caller limits the time.
    ///
    /// # Errors
    /// The other server cannot be reached, or refused the message.
    async fn post(&self, url: &Url, path: &str, statement: &str, body: Bytes) -> io::Result<()>;

    /// Sends a `GET` of `path` at `url`, with this statement, for a part of the body if `range` says so. Returns with
    /// the head of the answer.
    ///
    /// # Errors
    /// The other server cannot be reached.
    async fn get(
        &self,
        url: &Url,
        path: &str,
        statement: &str,
        range: Option<Range<u64>>,
    ) -> io::Result<PeerAnswer>;
}

/// A server that did not answer is left alone for this long.
const SILENT_TIME: Duration = Duration::from_secs(5);

/// What only a server has that knows others.
#[derive(Debug)]
pub(super) struct PeerLink {
    pub(super) own: Peer,
    pub(super) keys: KeyRing,
    pub(super) clock: Arc<BucketClock>,
    pub(super) client: Arc<dyn PeerClient>,
    statements: Statements,
    /// Servers that said hello, and when: a listing that began before does not show them.
    greeted: Mutex<Vec<(Peer, Instant)>>,
    /// When one came or went last.
    changed: Mutex<Option<Instant>>,
    /// Servers that were asked for an entry and did not answer, and when.
    silent: Mutex<Vec<(Peer, Instant)>>,
}

impl PeerLink {
    pub(super) fn new(
        own: Peer,
        keys: KeyRing,
        clock: Arc<BucketClock>,
        client: Arc<dyn PeerClient>,
    ) -> Self {
        Self {
            own,
            keys,
            clock,
            client,
            statements: Statements::default(),
            greeted: Mutex::default(),
            changed: Mutex::default(),
            silent: Mutex::default(),
        }
    }

    /// Those who said hello. Held while the list of others changes.
    pub(super) fn greeted(&self) -> MutexGuard<'_, Vec<(Peer, Instant)>> {
        self.greeted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A server came or went.
    pub(super) fn note_change(&self) {
        *self.changed.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    /// A server did not answer. It is not asked again for some seconds.
    pub(super) fn note_silent(&self, peer: &Peer) {
        let mut silent = self.silent.lock().unwrap_or_else(PoisonError::into_inner);
        silent.retain(|(other, since)| other != peer && since.elapsed() < SILENT_TIME);
        silent.push((peer.clone(), Instant::now()));
    }

    /// Whether a server did not answer a moment ago.
    pub(super) fn is_silent(&self, peer: &Peer) -> bool {
        let silent = self.silent.lock().unwrap_or_else(PoisonError::into_inner);
        silent
            .iter()
            .any(|(other, since)| other == peer && since.elapsed() < SILENT_TIME)
    }

    pub(super) fn state(
        &self,
        peer: &Peer,
        request: StatedRequest<'_>,
        body: StatedBody,
        content: &[u8],
    ) -> String {
        let parties = (self.own.id, peer);
        statement::seal(&self.keys, parties, self.clock.now(), request, body, content)
    }

    /// Sends `body` to another server, with `content` in the statement.
    pub(super) async fn post(&self, peer: &Peer, path: &str, content: &[u8], body: Bytes) -> io::Result<()> {
        let method = "POST";
        let request = StatedRequest { method, target: path };
        let statement = self.state(peer, request, StatedBody::of(&body), content);
        self.client.post(&peer.url, path, &statement, body).await
    }
}

impl Peers {
    /// Sends `body` to `path` at another server, with `content` in the statement. The caller limits the time.
    ///
    /// # Errors
    /// The other server cannot be reached, or refused the message.
    pub async fn post(&self, peer: &Peer, path: &str, content: &[u8], body: Bytes) -> io::Result<()> {
        let none = || io::Error::other("this server has no way to others");
        let link = self.link.as_ref().ok_or_else(none)?;
        link.post(peer, path, content, body).await
    }

    /// Whether a server came or went in this time: not all may have been told of everything.
    pub fn changed_within(&self, time: Duration) -> bool {
        let changed = self
            .link
            .as_ref()
            .map(|link| *link.changed.lock().unwrap_or_else(PoisonError::into_inner));
        changed.flatten().is_some_and(|at| at.elapsed() < time)
    }

    /// A statement for `peer`, with `content` for it; `None` without a way to others.
    pub fn state(
        &self,
        peer: &Peer,
        request: StatedRequest<'_>,
        body: StatedBody,
        content: &[u8],
    ) -> Option<String> {
        let link = self.link.as_ref()?;
        Some(link.state(peer, request, body, content))
    }

    /// Opens a statement that came with `request`. Each can be opened once.
    ///
    /// # Errors
    /// It was not made for this request by a server with the same key, not now, or was opened before.
    pub fn open_statement(
        &self,
        request: StatedRequest<'_>,
        text: &[u8],
    ) -> Result<Statement, StatementError> {
        let link = self.link.as_ref().ok_or(StatementError::Forged)?;
        let (keys, now) = (&link.keys, link.clock.now());
        link.statements.open(keys, &link.own, now, request, text)
    }

    /// Another server says hello from the address that its statement holds. `None` if that is no address.
    pub fn greeted(&self, statement: &Statement) -> Option<()> {
        let link = self.link.as_ref()?;
        let url = Url::parse(std::str::from_utf8(&statement.content).ok()?).ok()?;
        if !url.has_host() || statement.sender == self.me {
            return None;
        }
        let peer = Peer::new(statement.sender, url);
        let mut greeted = link.greeted();
        greeted.push((peer.clone(), Instant::now()));
        let mut others = Vec::clone(&self.others.load());
        if !others.contains(&peer) {
            others.retain(|other| other.id != peer.id);
            others.push(peer);
            self.store(others);
        }
        Some(())
    }
}
