//! The note of an upload: what must be known of it to go on after a restart.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::entry::{CommittedEntry, EntryRecord, NamespaceId};
use super::parts;
use super::{CacheKey, Error, Result, Version};
use crate::auth::Identity;
use crate::store::{Rank, StoreKey, Tenancy, Tenant};

/// Whose upload it is, and what entry it will be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct UploadNote {
    /// The namespace of the entry that it will be.
    pub(super) namespace: NamespaceId,
    pub(super) version: Version,
    pub(super) key: CacheKey,
    /// Its key in the tiers, made of namespace, version and key.
    pub(super) name: StoreKey,
    /// The label of the namespace, for counting and for the log.
    pub(super) label: Arc<str>,
    /// The subject of the token that began the upload, for the origin of the entry.
    pub(super) subject: Arc<str>,
    /// Whom the entry will belong to; not known of what a former version began.
    pub(super) tenancy: Option<Tenancy>,
    /// The digest of the token that began the upload.
    pub(super) holder: [u8; 32],
    /// When it was begun, in whole seconds.
    pub(super) began: SystemTime,
    /// The end of that token's life, in whole seconds.
    pub(super) expires: SystemTime,
}

/// First byte of an encoded note.
const NOTE_FORMAT: u8 = 1;
/// What a note takes beside its texts.
const NOTE_BYTES: usize = 800;
/// The last second of the year 9999.
const MAX_SECONDS: u64 = 253_402_300_799;

impl UploadNote {
    /// The note of an upload that `caller` begins or ends.
    ///
    /// # Errors
    /// [`Error::WriteDenied`].
    pub(super) fn of(caller: &Identity, key: &CacheKey, version: &Version) -> Result<Self> {
        if !caller.may_write {
            return Err(Error::WriteDenied);
        }
        let writable = caller.scope.writable();
        let tenancy = caller.tenancy.clone();
        let namespace = NamespaceId::of(writable).owned_by(Some(*tenancy.tenant.digest()));
        let name = namespace.store_key(version, key);
        Ok(Self {
            name: name.asked_by(tenancy.tenant.asker()),
            namespace,
            version: version.clone(),
            key: key.clone(),
            label: Arc::clone(writable.label()),
            subject: Arc::clone(&caller.subject),
            tenancy: Some(tenancy),
            holder: *caller.token.as_bytes(),
            began: from_seconds(seconds(SystemTime::now())),
            expires: from_seconds(seconds(caller.expires)),
        })
    }

    /// About the bytes that it takes in memory. The key is there twice: in the key of the tiers, too.
    pub(super) fn memory(&self) -> usize {
        let namespace = self.namespace.issuer().len() + self.namespace.path().len();
        let names = self.version.as_str().len() + 2 * self.key.as_str().len();
        let texts = namespace + names + self.label.len() + self.subject.len();
        texts + NOTE_BYTES
    }

    /// The entry as the catalog has it.
    pub(super) fn committed(&self, record: EntryRecord) -> CommittedEntry {
        CommittedEntry::new(&self.namespace, &self.version, self.key.clone(), record)
    }

    /// The bytes that are kept: the format, then every part behind its length (4 bytes, big endian).
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![NOTE_FORMAT];
        let texts = [
            self.namespace.issuer(),
            self.namespace.path(),
            self.version.text(),
            self.key.text(),
            &self.label,
            &self.subject,
        ];
        for text in texts {
            parts::push(&mut bytes, text.as_bytes());
        }
        parts::push(&mut bytes, &self.holder);
        for time in [self.began, self.expires] {
            parts::push(&mut bytes, &seconds(time).to_be_bytes());
        }
        if let Some(Tenancy { tenant, rank }) = &self.tenancy {
            for part in [
                tenant.name().as_bytes(),
                tenant.group().as_bytes(),
                &[rank.number()],
            ] {
                parts::push(&mut bytes, part);
            }
        }
        bytes
    }

    /// `None` if another version of this server wrote it. A note of 0.1.0 has no times: they count as now. What came
    /// before tenants has nobody.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let (format, mut rest) = bytes.split_first()?;
        (*format == NOTE_FORMAT).then_some(())?;
        let mut text = || parts::take_text(&mut rest);
        let namespace = NamespaceId::new(text()?.into(), text()?.into());
        let version = Version::new(text()?).ok()?;
        let key = CacheKey::new(text()?).ok()?;
        let (label, subject) = (text()?.into(), text()?.into());
        let holder = parts::take(&mut rest)?.try_into().ok()?;
        let now = seconds(SystemTime::now()).to_be_bytes();
        let mut time = || match rest.is_empty() {
            true => Some(from_seconds(u64::from_be_bytes(now))),
            false => Some(from_seconds(u64::from_be_bytes(
                parts::take(&mut rest)?.try_into().ok()?,
            ))),
        };
        let (began, expires) = (time()?, time()?);
        let tenancy = match rest.is_empty() {
            true => None,
            false => Some(take_tenancy(&mut rest)?),
        };
        let asker = tenancy.as_ref().map(|tenancy| tenancy.tenant.asker());
        let owner = tenancy.as_ref().map(|tenancy| *tenancy.tenant.digest());
        let namespace = namespace.owned_by(owner);
        Some(Self {
            name: namespace
                .store_key(&version, &key)
                .asked_by(asker.unwrap_or_default()),
            label,
            subject,
            tenancy,
            holder,
            began,
            expires,
            namespace,
            version,
            key,
        })
    }
}

fn take_tenancy(rest: &mut &[u8]) -> Option<Tenancy> {
    let tenant = Tenant::from_names(parts::take_text(rest)?, parts::take_text(rest)?);
    let rank = Rank::from_number(*parts::take(rest)?.first()?);
    Some(Tenancy { tenant, rank })
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// Later times than a clock can show are cut.
fn from_seconds(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds.min(MAX_SECONDS))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note() -> UploadNote {
        let namespace = NamespaceId::new("https://issuer.test".into(), "ns".into());
        let version = Version::new("v").expect("version");
        let key = CacheKey::new("Linux-ä").expect("key");
        let tenant = Tenant::new("https://issuer.test", "42", Some("7"));
        UploadNote {
            name: namespace.store_key(&version, &key),
            namespace,
            version,
            key,
            label: "0123456789ab".into(),
            subject: "repo:a/b".into(),
            tenancy: tenant.map(|tenant| Tenancy {
                tenant,
                rank: Rank::Other,
            }),
            holder: [7; 32],
            began: from_seconds(1_700_000_000),
            expires: from_seconds(1_700_000_300),
        }
    }

    /// Length of both times, each behind its own length.
    const TIMES: usize = 24;

    /// Length of what the note of a former version lacks.
    fn added() -> usize {
        let nobody = UploadNote {
            tenancy: None,
            ..note()
        };
        note().encode().len() - nobody.encode().len()
    }

    #[test]
    fn a_note_survives_a_restart() {
        let note = note();
        let bytes = note.encode();
        assert_eq!(UploadNote::decode(&bytes), Some(note));
        let before_tenants = bytes.len() - added();
        let old = before_tenants - TIMES;
        let whole = [old, old + TIMES / 2, before_tenants];
        for end in (0..bytes.len()).filter(|end| !whole.contains(end)) {
            assert_eq!(UploadNote::decode(&bytes[..end]), None, "{end}");
        }
        assert_eq!(UploadNote::decode(&[&[9], &bytes[1..]].concat()), None);
    }

    #[test]
    fn a_note_without_times_is_of_now() {
        let bytes = note().encode();
        let before = from_seconds(seconds(SystemTime::now()));
        let old = &bytes[..bytes.len() - added() - TIMES];
        let old = UploadNote::decode(old).expect("a note of 0.1.0");
        assert_eq!(old.tenancy, None);
        assert_eq!((old.holder, &old.label), ([7; 32], &note().label));
        for time in [old.began, old.expires] {
            assert!(before <= time && time <= SystemTime::now());
        }
    }
}
