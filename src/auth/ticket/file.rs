//! The file of a signing key: read as its author wrote it, or made once.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use aws_lc_rs::rand;

use super::super::base64_any;
use super::SigningKey;

/// Longest file of a key, far above any secret.
const MAX_FILE_BYTES: u64 = 64 * 1024;

/// How to make a key, for messages.
const KEY_REMEDY: &str = "save there what `openssl rand -base64 32` prints";

/// Why there is no signing key. Names the file and the remedy, never what is in it.
#[derive(Debug, thiserror::Error)]
#[error("\"{}\" {kind}", .path.display().to_string().escape_debug())]
pub struct KeyFileError {
    path: PathBuf,
    kind: KeyFileErrorKind,
}

/// Why the file of a signing key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileErrorKind {
    /// There is no such file.
    #[error("does not exist; correct the path, or {KEY_REMEDY}")]
    Missing,
    /// The file is there and cannot be read.
    #[error("cannot be read ({0}); check the file and its permissions")]
    Read(io::Error),
    /// The secret has fewer than 32 bytes.
    #[error("holds a secret of fewer than 32 bytes, which can be guessed; {KEY_REMEDY}")]
    TooShort,
    /// Neither 32 bytes nor 64 hex digits nor base64.
    #[error("holds neither 32 bytes nor 64 hex digits nor base64; {KEY_REMEDY}")]
    NotAKey,
    /// A new one cannot be stored.
    #[error("cannot be made ({0}); its directory must exist and be writable for this user")]
    Make(io::Error),
}

impl KeyFileError {
    fn new(path: &Path, kind: KeyFileErrorKind) -> Self {
        Self {
            path: path.to_owned(),
            kind,
        }
    }

    /// The cause.
    pub fn kind(&self) -> &KeyFileErrorKind {
        &self.kind
    }
}

impl SigningKey {
    /// Blocking: the key in a file that holds 32 bytes and nothing else, 64 hex digits, or base64 of 32 bytes or
    /// more (either alphabet, padded or not). Of a longer secret, the hash is the key. White space around or
    /// inside of digits and base64 does not count.
    ///
    /// # Errors
    /// The file cannot be read, or holds something else or less.
    pub fn load(file: &Path) -> Result<Self, KeyFileError> {
        let key = read(file).and_then(|content| parse(&content));
        key.map_err(|kind| KeyFileError::new(file, kind))
    }

    /// Blocking: as [`SigningKey::load`]; if there is no such file, makes it with a new key, for its owner's eyes
    /// only. Of several processes that do so at once, all get the same key.
    ///
    /// # Errors
    /// As [`SigningKey::load`], or the file cannot be made.
    pub fn load_or_create(path: &Path) -> Result<Self, KeyFileError> {
        match Self::load(path) {
            Err(error) if matches!(error.kind, KeyFileErrorKind::Missing) => {}
            loaded => return loaded,
        }
        match create(path) {
            Ok(key) => Ok(key),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Self::load(path),
            Err(error) => Err(KeyFileError::new(path, KeyFileErrorKind::Make(error))),
        }
    }
}

fn read(path: &Path) -> Result<Vec<u8>, KeyFileErrorKind> {
    let kind = |error: io::Error| match error.kind() {
        ErrorKind::NotFound => KeyFileErrorKind::Missing,
        _ => KeyFileErrorKind::Read(error),
    };
    let mut content = Vec::new();
    let mut file = File::open(path).map_err(kind)?.take(MAX_FILE_BYTES + 1);
    match file.read_to_end(&mut content).map_err(kind)? as u64 > MAX_FILE_BYTES {
        true => Err(KeyFileErrorKind::NotAKey),
        false => Ok(content),
    }
}

fn parse(content: &[u8]) -> Result<SigningKey, KeyFileErrorKind> {
    if let Some(key) = SigningKey::from_bytes(content) {
        return Ok(key);
    }
    let mut text = content.to_vec();
    text.retain(|byte| !byte.is_ascii_whitespace());
    if text.len() < SigningKey::BYTES {
        return Err(KeyFileErrorKind::TooShort);
    }
    let secret = hex(&text).or_else(|| base64_any::decode(&text));
    let secret = secret.ok_or(KeyFileErrorKind::NotAKey)?;
    match SigningKey::from_bytes(&secret) {
        Some(key) => Ok(key),
        None if secret.len() < SigningKey::BYTES => Err(KeyFileErrorKind::TooShort),
        None => Ok(SigningKey::from_long_secret(&secret)),
    }
}

/// Exactly as many digits as a key has: fewer could be base64, too.
fn hex(text: &[u8]) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    if text.len() != 2 * SigningKey::BYTES {
        return None;
    }
    let pairs = text.chunks_exact(2);
    pairs
        .map(|pair| u8::try_from(digit(pair[0])? << 4 | digit(pair[1])?).ok())
        .collect()
}

/// Writes the whole file aside and gives it its name in one step, which fails if the name is taken.
fn create(path: &Path) -> io::Result<SigningKey> {
    let key = SigningKey::generate()?;
    let aside = aside(path)?;
    let created = write_private(&aside, key.as_bytes()).and_then(|()| fs::hard_link(&aside, path));
    // The file has its name now, or was never made.
    let _gone = fs::remove_file(&aside);
    created.map(|()| key)
}

/// An unused name beside `path`.
fn aside(path: &Path) -> io::Result<PathBuf> {
    let mut random = [0; 8];
    rand::fill(&mut random).map_err(|_| io::Error::other("no random bytes"))?;
    let mut name = path.file_name().ok_or(ErrorKind::InvalidInput)?.to_owned();
    name.push(format!(".{:016x}.tmp", u64::from_be_bytes(random)));
    Ok(path.with_file_name(name))
}

/// Synced before it gets its name: a power loss must not leave half a key.
fn write_private(path: &Path, key: &[u8]) -> io::Result<()> {
    let mut options = OpenOptions::new();
    let mut file = options.write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(key)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine as _;
    use std::os::unix::fs::PermissionsExt as _;

    fn fault(content: &[u8]) -> String {
        parse(content).map(|_| ()).unwrap_err().to_string()
    }

    #[test]
    fn every_form_of_one_secret_is_one_key() {
        let secret: [u8; 32] = std::array::from_fn(|n| (n as u8).wrapping_mul(37) ^ 0xfb);
        let key = SigningKey::from_bytes(&secret);
        let hex: String = secret.iter().map(|byte| format!("{byte:02x}")).collect();
        let standard = base64::engine::general_purpose::STANDARD.encode(secret);
        let url = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(secret);
        assert!(standard.contains(['+', '/']), "{standard}");
        assert_eq!(parse(&secret).ok(), key);
        for text in [hex.clone(), hex.to_uppercase(), standard, url] {
            for around in [text.clone(), format!("{text}\n"), format!(" {text}\r\n")] {
                assert_eq!(parse(around.as_bytes()).ok(), key, "{around:?}");
            }
            let (one, other) = text.split_at(20);
            assert_eq!(parse(format!("{one}\n{other}").as_bytes()).ok(), key);
        }
    }

    #[test]
    fn longer_secrets_are_hashed() {
        let encode = |bytes: &[u8]| base64::engine::general_purpose::STANDARD.encode(bytes);
        let of = |secret: &[u8]| parse(encode(secret).as_bytes()).unwrap();
        let secret = [7; 64];
        assert_eq!(of(&secret), SigningKey::from_long_secret(&secret));
        assert_ne!(of(&secret), of(&[7; 63]));
        assert_ne!(of(&secret).as_bytes()[..], secret[..32]);
    }

    #[test]
    fn what_is_short_or_something_else_is_refused_with_a_remedy() {
        let short = base64::engine::general_purpose::STANDARD.encode([7; 31]);
        let half_hex = format!("{}\n", "ab".repeat(16));
        for content in [
            &b""[..],
            b"\n",
            short.as_bytes(),
            half_hex.as_bytes(),
            b"se cret!",
        ] {
            assert!(fault(content).contains("fewer than 32 bytes"), "{content:?}");
        }
        for content in [
            &b"<html>not a key at all, but long enough</html>"[..],
            &[0xff; 33],
        ] {
            assert!(fault(content).contains("holds neither"), "{content:?}");
        }
        assert!(fault(b"").contains("openssl rand -base64 32"));
    }

    #[test]
    fn errors_name_the_file_and_never_its_content() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        let load = || SigningKey::load(&path).unwrap_err().to_string();
        let name = format!("\"{}\" ", path.display());
        assert!(
            load().starts_with(&(name.clone() + "does not exist")),
            "{}",
            load()
        );
        fs::write(&path, "hunter2").unwrap();
        assert!(
            load().starts_with(&name) && !load().contains("hunter2"),
            "{}",
            load()
        );
        fs::write(&path, vec![b'A'; MAX_FILE_BYTES as usize + 1]).unwrap();
        assert!(load().contains("holds neither"), "{}", load());
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        assert!(load().contains("cannot be read"), "{}", load());
    }

    #[test]
    fn a_file_is_made_once_for_its_owner_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        let made: Vec<SigningKey> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8)
                .map(|_| scope.spawn(|| SigningKey::load_or_create(&path).unwrap()))
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(made.iter().all(|key| *key == made[0]));
        assert_eq!(SigningKey::load(&path).unwrap(), made[0]);
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(
            fs::read_dir(dir.path()).unwrap().count(),
            1,
            "nothing is left beside it"
        );
    }

    #[test]
    fn a_file_that_is_there_is_never_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        fs::write(&path, "too short").unwrap();
        assert!(SigningKey::load_or_create(&path).is_err());
        assert_eq!(fs::read(&path).unwrap(), b"too short");
        let absent = dir.path().join("no/key");
        let error = SigningKey::load_or_create(&absent).unwrap_err();
        assert!(matches!(error.kind(), KeyFileErrorKind::Make(_)), "{error}");
        let error = create(&path).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AlreadyExists);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
