//! The number of a server, and the sealed name of its heartbeat.

use std::io;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use url::Url;

use super::Peer;
use crate::cache::KeyRing;

/// Names of heartbeats begin with this.
pub(super) const HEARTBEAT_PREFIX: &str = "servers/";
const CONTEXT: &[u8] = b"chacha heartbeat 1";
/// A name counts for this long after it was sealed, so that a copied one is of no use later.
const NAME_LIFETIME: Duration = Duration::from_secs(4 * 60 * 60);
/// A server seals its name anew after this time.
pub(super) const NAME_PERIOD: Duration = Duration::from_secs(60 * 60);

/// Tells the servers of one bucket apart: 1 to 4095. Kept in the directory of the server, because it is part
/// of the numbers of uploads that survive a restart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServerId(u16);

impl ServerId {
    /// How many bits a number has.
    pub const BITS: u32 = 12;

    /// `None` if it is no number of a server.
    pub fn new(number: u16) -> Option<Self> {
        (1..1 << Self::BITS).contains(&number).then_some(Self(number))
    }

    /// The number.
    pub fn number(self) -> u16 {
        self.0
    }

    /// A random one.
    ///
    /// # Errors
    /// If there are no random numbers.
    pub fn random() -> io::Result<Self> {
        loop {
            let mut bytes = [0; 2];
            aws_lc_rs::rand::fill(&mut bytes).map_err(|_| io::Error::other("no random numbers"))?;
            if let Some(id) = Self::new(u16::from_be_bytes(bytes) >> (16 - Self::BITS)) {
                return Ok(id);
            }
        }
    }

    /// Blocking: the one in the file `path`, which is made at the first start.
    ///
    /// # Errors
    /// Whatever the operating system says.
    pub fn load_or_create(path: &Path) -> io::Result<Self> {
        let kept = match std::fs::read_to_string(path) {
            Ok(text) => text.trim().parse().ok().and_then(Self::new),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        if let Some(id) = kept {
            return Ok(id);
        }
        let id = Self::random()?;
        id.save(path)?;
        Ok(id)
    }

    /// Blocking: keeps it in the file `path`.
    ///
    /// # Errors
    /// Whatever the operating system says.
    pub fn save(self, path: &Path) -> io::Result<()> {
        std::fs::write(path, format!("{}\n", self.0))
    }
}

/// The name of a heartbeat holds number and sealed URL, so that one listing shows all servers.
pub(super) fn write(keys: &KeyRing, peer: &Peer, now: SystemTime) -> String {
    let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    let payload = [&since.as_secs().to_be_bytes()[..], peer.url.as_str().as_bytes()].concat();
    let sealed = URL_SAFE_NO_PAD.encode(keys.seal_message(&context(peer.id), &payload));
    format!("{HEARTBEAT_PREFIX}{:03x}.{sealed}", peer.id.0)
}

/// `None` unless a server with the same key wrote the name in the last hours.
pub(super) fn read(keys: &KeyRing, name: &str, now: SystemTime) -> Option<Peer> {
    let (id, sealed) = name.strip_prefix(HEARTBEAT_PREFIX)?.split_once('.')?;
    let id = ServerId::new(u16::from_str_radix(id, 16).ok()?)?;
    let payload = keys.open_message(&context(id), &URL_SAFE_NO_PAD.decode(sealed).ok()?)?;
    let (time, url) = payload.split_first_chunk()?;
    let sealed_at = UNIX_EPOCH.checked_add(Duration::from_secs(u64::from_be_bytes(*time)))?;
    let age = now
        .duration_since(sealed_at)
        .unwrap_or_else(|ahead| ahead.duration());
    let url = Url::parse(std::str::from_utf8(url).ok()?).ok()?;
    (age < NAME_LIFETIME && url.has_host()).then(|| Peer::new(id, url))
}

fn context(id: ServerId) -> Vec<u8> {
    [CONTEXT, &id.0.to_be_bytes()].concat()
}
