//! Notifications: at a commit a server sends the entry to all other servers of its bucket, so that a look-up
//! on any of them finds it at once. A server that was not reached reads the same entry in the journal.
//!
//! A message is a ticket whose parts are joined by dots. Only servers with the same key can write or read one.
//! The sealed bytes:
//!
//! ```text
//! purpose 1, length of the issuer 4, issuer, length of the path 4, path, record of the journal
//! ```

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use futures_util::future::join_all;

use super::Actions;
use super::catalog::journal_record;
use super::entry::{CommittedEntry, NamespaceId};
use super::parts;
use crate::auth::{Ticket, TicketError};
use crate::error::chain;

/// A commit waits this long for each of the other servers.
const NOTIFY_TIMEOUT: Duration = Duration::from_millis(500);
/// A message is valid for this long, so the clocks of two servers may differ by as much.
const MESSAGE_LIFETIME: Duration = Duration::from_secs(60);
/// First sealed byte of a message. The permissions in URLs begin with other bytes.
const MESSAGE_PURPOSE: u8 = b'e';

/// Servers take notifications of committed entries on this path.
pub const ENTRIES_PATH: &str = "/_chacha/peer/entries";

impl Actions {
    /// Notifies all other servers of a committed entry. A server that is not reached learns of it from the
    /// journal.
    pub(super) async fn notify_peers(&self, entry: &CommittedEntry) {
        let others = self.0.peers.others();
        if others.is_empty() {
            return;
        }
        let expires = SystemTime::now() + MESSAGE_LIFETIME;
        let message = Bytes::from(write(&self.0.keys.seal(&encode(entry), expires)));
        let message = &message;
        let notifications = others.iter().map(|peer| async move {
            let sending = self.0.peers.post(peer, ENTRIES_PATH, b"", message.clone());
            let cause = match tokio::time::timeout(NOTIFY_TIMEOUT, sending).await {
                Ok(Ok(())) => return,
                Ok(Err(error)) => chain(&error),
                Err(late) => late.to_string(),
            };
            tracing::debug!(url = %peer.url(), cause, "another server was not told of an entry; the journal will");
        });
        join_all(notifications).await;
    }

    /// Takes a message of another server. Look-ups find its entry from now on.
    ///
    /// # Errors
    /// The message was written with another key, or has expired.
    pub async fn on_notification(&self, message: &[u8]) -> Result<(), TicketError> {
        let ticket = read(message).ok_or(TicketError::Forged)?;
        let sealed = self.0.keys.open(&ticket, SystemTime::now())?;
        let entry = decode(&sealed).ok_or(TicketError::Forged)?;
        self.0.catalog.learn(entry).await;
        Ok(())
    }
}

fn write(ticket: &Ticket) -> String {
    let (body, expires, signature) = (ticket.body(), ticket.expires(), ticket.signature());
    format!("{body}.{expires}.{signature}")
}

fn read(message: &[u8]) -> Option<Ticket> {
    let mut parts = std::str::from_utf8(message).ok()?.split('.');
    let ticket = Ticket::from_parts(parts.next()?, parts.next()?, parts.next()?);
    ticket.filter(|_| parts.next().is_none())
}

fn encode(entry: &CommittedEntry) -> Vec<u8> {
    let mut bytes = vec![MESSAGE_PURPOSE];
    for part in [entry.namespace.issuer(), entry.namespace.path()] {
        parts::push(&mut bytes, part.as_bytes());
    }
    bytes.extend_from_slice(&journal_record::encode(entry));
    bytes
}

/// `None` if another version of this server wrote it, or if the bytes are no message.
fn decode(bytes: &[u8]) -> Option<CommittedEntry> {
    let (purpose, mut rest) = bytes.split_first()?;
    (*purpose == MESSAGE_PURPOSE).then_some(())?;
    let (issuer, path) = (parts::take_text(&mut rest)?, parts::take_text(&mut rest)?);
    let namespace = NamespaceId::new(issuer.into(), path.into());
    journal_record::decode(&namespace, rest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::{Sealer, SigningKey};
    use crate::cache::actions::entry::EntryRecord;
    use crate::cache::actions::{CacheKey, Permission, UploadId, Version};
    use crate::store::journal::next_ulid;

    fn entry(path: &str, key: &str) -> CommittedEntry {
        CommittedEntry {
            namespace: NamespaceId::new("https://issuer.test".into(), path.into()),
            version: Version::new("v").expect("version"),
            key: CacheKey::new(key).expect("key"),
            record: EntryRecord {
                created: 7,
                id: next_ulid(),
                size: 3,
                tag: *b"0123456789abcdef",
            },
        }
    }

    #[test]
    fn a_message_says_the_whole_entry() {
        for entry in [entry("", "k"), entry(&"p".repeat(4096), &"\u{1f600}".repeat(256))] {
            let bytes = encode(&entry);
            assert_eq!(decode(&bytes), Some(entry.clone()));
            let sealer = Sealer::new(&SigningKey::generate().expect("a key"));
            let later = SystemTime::now() + MESSAGE_LIFETIME;
            let message = write(&sealer.seal(&bytes, later));
            assert!(!message.contains(entry.key.as_str()) || entry.key.as_str().len() < 4);
            let ticket = read(message.as_bytes()).expect("a ticket");
            assert_eq!(sealer.open(&ticket, SystemTime::now()), Ok(bytes));
        }
    }

    #[test]
    fn what_is_no_message_is_none() {
        for text in ["", ".", "a.b", "a.1.b.c", "\u{e4}.1.x"] {
            assert_eq!(read(text.as_bytes()), None, "{text}");
        }
        let bytes = encode(&entry("path", "k"));
        for end in 0..bytes.len() - 1 {
            assert_eq!(decode(&bytes[..end]), None, "{end}");
        }
    }

    #[test]
    fn a_message_permits_nothing_and_a_permission_says_nothing() {
        let bytes = encode(&entry("path", "k"));
        assert!(Permission::decode(&bytes).is_none());
        let permission = Permission::Write(UploadId::new(7).expect("a number"));
        assert_eq!(decode(&permission.encode()), None);
        assert_eq!(decode(&[&b"r"[..], &bytes[1..]].concat()), None);
    }
}
