//! Statements: what a server says of a request that it sends to another one. Sealed, good for one request, at one
//! server, for a short time.
//!
//! The associated data names the receiver and the request. The sealed bytes:
//!
//! ```text
//! format 1, sent 8 (milliseconds since 1970, the bucket's clock), sender 2,
//! body 1 (0: not stated, 1: its length, 2: its digest), length 8 or digest 32, content
//! ```

use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use moka::policy::EvictionPolicy;
use moka::sync::Cache;

use super::{Peer, ServerId};
use crate::cache::KeyRing;
use crate::store::journal::millis;

const FORMAT: u8 = 1;
const CONTEXT: &[u8] = b"chacha peer request 1";
/// The bucket's clock has seconds, and each server reads it for itself.
const MAX_AGE: Duration = Duration::from_secs(60);
/// Statements that are remembered, so that none is taken twice.
const MAX_SEEN: u64 = 1 << 17;
const ID_BYTES: usize = 12;
/// Longest text of a statement; what is longer is not looked at.
const MAX_TEXT_BYTES: usize = 64 * 1024;

/// The request that a statement is about.
#[derive(Debug, Clone, Copy)]
pub struct StatedRequest<'a> {
    /// `POST`.
    pub method: &'a str,
    /// Path and query.
    pub target: &'a str,
}

/// What a statement says of the body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StatedBody {
    /// A stream of unknown length.
    Unknown,
    /// A stream of so many bytes.
    Length(u64),
    /// Bytes with this digest.
    Digest([u8; 32]),
}

impl StatedBody {
    /// Of these bytes.
    pub fn of(body: &[u8]) -> Self {
        Self::Digest(*blake3::hash(body).as_bytes())
    }
}

/// An opened statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// Who sent the request.
    pub sender: ServerId,
    /// What is said besides.
    pub content: Vec<u8>,
    body: StatedBody,
}

impl Statement {
    /// Whether the sender has stated exactly these bytes.
    pub fn names(&self, body: &[u8]) -> bool {
        self.body == StatedBody::of(body)
    }

    /// Whether the sender has stated nothing else than this body.
    pub fn allows(&self, body: &[u8]) -> bool {
        match self.body {
            StatedBody::Unknown => true,
            StatedBody::Length(length) => length == body.len() as u64,
            StatedBody::Digest(_) => self.names(body),
        }
    }

    /// Whether a body may have this length.
    pub fn allows_length(&self, length: Option<u64>) -> bool {
        match self.body {
            StatedBody::Length(stated) => length == Some(stated),
            StatedBody::Unknown | StatedBody::Digest(_) => true,
        }
    }
}

/// Why a statement is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum StatementError {
    /// Sealed with another key, for another request or receiver, or changed since.
    #[error("the statement was not made for this request by a server with the same key")]
    Forged,
    /// Older than a minute, or from a minute ahead.
    #[error("the statement is not of this minute")]
    NotNow,
    /// Taken before.
    #[error("the statement was used before")]
    Used,
}

/// Opens statements, each once.
#[derive(Debug)]
pub(super) struct Statements(Cache<[u8; ID_BYTES], ()>);

impl Default for Statements {
    fn default() -> Self {
        let seen = Cache::builder()
            .max_capacity(MAX_SEEN)
            .time_to_live(MAX_AGE * 3)
            // The default policy may refuse a newcomer, which could be used again.
            .eviction_policy(EvictionPolicy::lru());
        Self(seen.build())
    }
}

/// The text of a statement for `receiver`.
pub(super) fn seal(
    keys: &KeyRing,
    (sender, receiver): (ServerId, &Peer),
    now: SystemTime,
    request: StatedRequest<'_>,
    body: StatedBody,
    content: &[u8],
) -> String {
    let mut payload = vec![FORMAT];
    payload.extend_from_slice(&millis(now).to_be_bytes());
    payload.extend_from_slice(&sender.number().to_be_bytes());
    match body {
        StatedBody::Unknown => payload.push(0),
        StatedBody::Length(length) => {
            payload.push(1);
            payload.extend_from_slice(&length.to_be_bytes());
        }
        StatedBody::Digest(digest) => {
            payload.push(2);
            payload.extend_from_slice(&digest);
        }
    }
    payload.extend_from_slice(content);
    URL_SAFE_NO_PAD.encode(keys.seal_message(&context(receiver, request), &payload))
}

impl Statements {
    /// Opens the text of a statement that came with `request` to `receiver`.
    pub(super) fn open(
        &self,
        keys: &KeyRing,
        receiver: &Peer,
        now: SystemTime,
        request: StatedRequest<'_>,
        text: &[u8],
    ) -> Result<Statement, StatementError> {
        let forged = StatementError::Forged;
        let sealed = match text.len() <= MAX_TEXT_BYTES {
            true => URL_SAFE_NO_PAD.decode(text).map_err(|_| forged)?,
            false => return Err(forged),
        };
        let payload = keys.open_message(&context(receiver, request), &sealed);
        let (sent, statement) = read(&payload.ok_or(forged)?).ok_or(forged)?;
        if millis(now).abs_diff(sent) > MAX_AGE.as_millis() as u64 {
            return Err(StatementError::NotNow);
        }
        let id = sealed.first_chunk::<ID_BYTES>().ok_or(forged)?;
        match self.0.entry(*id).or_insert(()).is_fresh() {
            true => Ok(statement),
            false => Err(StatementError::Used),
        }
    }
}

fn read(payload: &[u8]) -> Option<(u64, Statement)> {
    let (format, rest) = payload.split_first()?;
    let (sent, rest) = rest.split_first_chunk()?;
    let (sender, rest) = rest.split_first_chunk()?;
    let (kind, mut rest) = rest.split_first()?;
    (*format == FORMAT).then_some(())?;
    let body = match kind {
        0 => StatedBody::Unknown,
        1 => {
            let (length, after) = rest.split_first_chunk()?;
            rest = after;
            StatedBody::Length(u64::from_be_bytes(*length))
        }
        2 => {
            let (digest, after) = rest.split_first_chunk()?;
            rest = after;
            StatedBody::Digest(*digest)
        }
        _ => return None,
    };
    let statement = Statement {
        sender: ServerId::new(u16::from_be_bytes(*sender))?,
        content: rest.to_vec(),
        body,
    };
    Some((u64::from_be_bytes(*sent), statement))
}

/// Every part has a fixed length or its length in front.
fn context(receiver: &Peer, request: StatedRequest<'_>) -> Vec<u8> {
    let mut bytes = CONTEXT.to_vec();
    bytes.extend_from_slice(&receiver.id.number().to_be_bytes());
    for part in [receiver.url.as_str(), request.method, request.target] {
        bytes.extend_from_slice(&(part.len() as u64).to_be_bytes());
        bytes.extend_from_slice(part.as_bytes());
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::SigningKey;
    use std::time::UNIX_EPOCH;

    const REQUEST: StatedRequest<'static> = StatedRequest {
        method: "POST",
        target: "/x?y",
    };

    fn peer(number: u16) -> Peer {
        let url = format!("http://10.0.0.{number}:8080/").parse().unwrap();
        Peer::new(ServerId::new(number).unwrap(), url)
    }

    fn keys() -> KeyRing {
        KeyRing::new(&SigningKey::generate().unwrap())
    }

    fn now() -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(1_000_000)
    }

    fn sealed(keys: &KeyRing, body: StatedBody) -> String {
        let parties = (ServerId::new(7).unwrap(), &peer(1));
        seal(keys, parties, now(), REQUEST, body, b"content")
    }

    #[test]
    fn a_statement_is_taken_once_where_it_was_made_for() {
        let (keys, statements) = (keys(), Statements::default());
        let text = sealed(&keys, StatedBody::of(b"abc"));
        let open = |receiver: &Peer, method, target, now| {
            let request = StatedRequest { method, target };
            statements.open(&keys, receiver, now, request, text.as_bytes())
        };
        for (receiver, method, target) in [
            (peer(2), "POST", "/x?y"),
            (
                Peer {
                    id: peer(1).id,
                    ..peer(2)
                },
                "POST",
                "/x?y",
            ),
            (
                Peer {
                    id: peer(2).id,
                    ..peer(1)
                },
                "POST",
                "/x?y",
            ),
            (peer(1), "PUT", "/x?y"),
            (peer(1), "POST", "/x"),
            (peer(1), "POST/x?", "y"),
        ] {
            let opened = open(&receiver, method, target, now());
            assert_eq!(opened, Err(StatementError::Forged), "{method} {target}");
        }
        for off in [MAX_AGE * 2, MAX_AGE + Duration::from_millis(1)] {
            for now in [now() + off, now() - off] {
                let opened = open(&peer(1), "POST", "/x?y", now);
                assert_eq!(opened, Err(StatementError::NotNow));
            }
        }
        let statement = open(&peer(1), "POST", "/x?y", now() + MAX_AGE).unwrap();
        assert_eq!(
            (statement.sender.number(), &statement.content[..]),
            (7, &b"content"[..])
        );
        assert!(statement.names(b"abc") && statement.allows(b"abc") && !statement.allows(b"abd"));
        let again = open(&peer(1), "POST", "/x?y", now());
        assert_eq!(again, Err(StatementError::Used));
    }

    #[test]
    fn another_key_or_another_text_is_forged() {
        let (keys, statements) = (keys(), Statements::default());
        let text = sealed(&keys, StatedBody::Length(3));
        let open = |keys: &KeyRing, text: &[u8]| statements.open(keys, &peer(1), now(), REQUEST, text);
        assert_eq!(open(&self::keys(), text.as_bytes()), Err(StatementError::Forged));
        for end in 0..text.len() {
            assert_eq!(open(&keys, &text.as_bytes()[..end]), Err(StatementError::Forged));
        }
        let long = vec![b'A'; MAX_TEXT_BYTES + 1];
        assert_eq!(open(&keys, &long), Err(StatementError::Forged));
        let statement = open(&keys, text.as_bytes()).unwrap();
        assert!(statement.allows_length(Some(3)));
        assert!(!statement.allows_length(Some(4)) && !statement.allows_length(None));
        assert!(statement.allows(b"abc") && !statement.allows(b"ab") && !statement.names(b"abc"));
    }
}
