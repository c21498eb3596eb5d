//! The number of a server, and the name of its heartbeat.

use std::io;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use url::Url;

use super::Peer;

/// Names of heartbeats begin with this.
pub(super) const HEARTBEAT_PREFIX: &str = "servers/";

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
        std::fs::write(path, format!("{}\n", id.0))?;
        Ok(id)
    }
}

/// The name of a heartbeat holds number and URL, so that one listing shows all servers.
pub(super) fn write(id: ServerId, url: &Url) -> String {
    let url = URL_SAFE_NO_PAD.encode(url.as_str());
    format!("{HEARTBEAT_PREFIX}{:03x}.{url}", id.0)
}

/// `None` if the name is not of a heartbeat.
pub(super) fn read(name: &str) -> Option<Peer> {
    let (id, url) = name.strip_prefix(HEARTBEAT_PREFIX)?.split_once('.')?;
    let id = ServerId::new(u16::from_str_radix(id, 16).ok()?)?;
    let url = String::from_utf8(URL_SAFE_NO_PAD.decode(url).ok()?).ok()?;
    let url = Url::parse(&url).ok().filter(|url| url.has_host())?;
    Some(Peer { id, url: url.into() })
}
