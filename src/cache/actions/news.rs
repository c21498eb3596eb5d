//! News: what one server tells the others of its bucket at the moment of a commit, so that the next look-up
//! finds the entry wherever it goes. The journal says the same a little later, for whoever was not reached.
//!
//! A message is a ticket with dots between its parts, so only servers with the same key can write one, and
//! nobody on the way can read it. What is sealed:
//!
//! ```text
//! purpose 1, length of the issuer 4, issuer, length of the path 4, path, record of the journal
//! ```

use std::fmt::Debug;
use std::io;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::future::join_all;
use url::Url;

use super::Actions;
use super::catalog::telling;
use super::index::{Listed, Room};
use crate::auth::{Ticket, TicketError};
use crate::error::chain;

/// How long a commit waits for one of the others.
const PATIENCE: Duration = Duration::from_millis(500);
/// How long a message is good: as far as clocks may differ.
const LIFETIME: Duration = Duration::from_secs(60);
/// Tells a message from the permissions that URLs hold.
const PURPOSE: u8 = b'e';

/// Carries messages to other servers.
#[async_trait]
pub trait Herald: Debug + Send + Sync + 'static {
    /// Brings a message to the server at `url`, which hands it to [`Actions::hear`]. The caller limits the time.
    ///
    /// # Errors
    /// The other server cannot be reached, or did not take it.
    async fn tell(&self, url: &Url, message: Bytes) -> io::Result<()>;
}

impl Actions {
    /// Tells all other servers that an entry was committed. Who is not reached learns of it from the journal.
    pub(super) async fn tell_others(&self, entry: &Listed) {
        let others = self.0.peers.others();
        if others.is_empty() {
            return;
        }
        let expires = SystemTime::now() + LIFETIME;
        let message = Bytes::from(write(&self.0.sealers.seal(&encode(entry), expires)));
        let message = &message;
        let tell = others.iter().map(|url| async move {
            let telling = self.0.herald.tell(url, message.clone());
            let cause = match tokio::time::timeout(PATIENCE, telling).await {
                Ok(Ok(())) => return,
                Ok(Err(error)) => chain(&error),
                Err(late) => late.to_string(),
            };
            tracing::debug!(%url, cause, "another server was not told of an entry; the journal will");
        });
        join_all(tell).await;
    }

    /// Takes a message of another server: from now on look-ups find the entry that it tells of.
    ///
    /// # Errors
    /// It was not written by a server with the same key, or is too old.
    pub async fn hear(&self, message: &[u8]) -> Result<(), TicketError> {
        let ticket = read(message).ok_or(TicketError::Forged)?;
        let sealed = self.0.sealers.open(&ticket, SystemTime::now())?;
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

fn encode(entry: &Listed) -> Vec<u8> {
    let mut bytes = vec![PURPOSE];
    for part in [entry.room.issuer(), entry.room.path()] {
        bytes.extend_from_slice(&u32::try_from(part.len()).unwrap_or(u32::MAX).to_be_bytes());
        bytes.extend_from_slice(part.as_bytes());
    }
    bytes.extend_from_slice(&telling::encode(entry));
    bytes
}

/// `None` if another version of this server wrote it, or if it is no message at all.
fn decode(bytes: &[u8]) -> Option<Listed> {
    let (purpose, mut rest) = bytes.split_first()?;
    (*purpose == PURPOSE).then_some(())?;
    let mut part = || {
        let (length, more) = rest.split_first_chunk::<4>()?;
        let (part, more) = more.split_at_checked(u32::from_be_bytes(*length) as usize)?;
        rest = more;
        std::str::from_utf8(part).ok()
    };
    let room = Room::new(part()?.into(), part()?.into());
    telling::decode(&room, rest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::{Sealer, SigningKey};
    use crate::cache::actions::index::Record;
    use crate::cache::actions::{CacheKey, Permission, UploadId, Version};
    use crate::store::journal::next_ulid;

    fn entry(path: &str, key: &str) -> Listed {
        Listed {
            room: Room::new("https://issuer.test".into(), path.into()),
            version: Version::new("v").expect("version"),
            key: CacheKey::new(key).expect("key"),
            record: Record {
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
            let later = SystemTime::now() + LIFETIME;
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
