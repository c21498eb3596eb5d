//! The objects of revoked tokens in the bucket: `revoked/<end>-<id>`, with the tenant sealed inside. No two servers write one
//! name with different contents, so no write needs a condition.

use std::collections::HashSet;
use std::sync::Arc;

use bytes::Bytes;

use crate::auth::{MessageSealer, Revocation, RevokedTokens, TokenId};
use crate::store::Result;
use crate::store::shared::SharedObjects;

const PREFIX: &str = "revoked/";
/// An object stays this long after the end of its tokens, in seconds: clocks differ.
const STAYS: u64 = 60;
/// Names of objects that others wrote and that are passed over without another look.
const MAX_IGNORED: usize = 1000;

/// The objects, and what this server knows of them.
#[derive(Debug)]
pub(super) struct RevokedObjects {
    objects: Arc<dyn SharedObjects>,
    sealers: Vec<MessageSealer>,
    ignored: HashSet<String>,
}

impl RevokedObjects {
    pub(super) fn new(objects: Arc<dyn SharedObjects>, sealers: Vec<MessageSealer>) -> Self {
        Self {
            objects,
            sealers,
            ignored: HashSet::new(),
        }
    }

    /// Keeps one.
    pub(super) async fn put(&self, revocation: &Revocation) -> Result<()> {
        let name = name(revocation.first, revocation.until);
        // Never empty.
        let sealed = self.sealers[0].seal(name.as_bytes(), revocation.tenant.as_bytes());
        self.objects.put(&name, Bytes::from(sealed)).await
    }

    /// Reads what others have put there since, removes what is over, and puts back what is missing: whoever may write to the
    /// bucket must not bring a token back to life.
    pub(super) async fn look(&mut self, revoked: &RevokedTokens, now: u64) -> Result<()> {
        let (mut there, mut after) = (HashSet::new(), None);
        loop {
            let page = self.objects.list_page(PREFIX, after.as_deref()).await?;
            for object in &page.objects {
                if let Some(first) = self.look_at(&object.name, revoked, now).await? {
                    there.insert(first);
                }
            }
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        let missing = revoked
            .all()
            .into_iter()
            .filter(|one| !there.contains(&one.first));
        for revocation in missing.filter(|one| one.until > now) {
            self.put(&revocation).await?;
        }
        Ok(())
    }

    /// The chain that a name stands for, if it is in force now.
    async fn look_at(&mut self, name: &str, revoked: &RevokedTokens, now: u64) -> Result<Option<TokenId>> {
        let Some((first, until)) = read_name(name) else {
            return Ok(None);
        };
        if until.saturating_add(STAYS) <= now {
            self.objects.remove(name).await?;
            return Ok(None);
        }
        if revoked.holds(first) {
            return Ok(Some(first));
        }
        if until <= now || self.ignored.contains(name) {
            return Ok(None);
        }
        let Some(content) = self.objects.get(name).await? else {
            // Removed since it was listed. Whoever holds it puts it back.
            return Ok(None);
        };
        let Some(tenant) = self.open(name, &content) else {
            self.ignore(name);
            return Ok(None);
        };
        let revocation = Revocation {
            first,
            until,
            tenant: tenant.into(),
        };
        revoked.take([revocation], now);
        Ok(Some(first))
    }

    fn open(&self, name: &str, content: &[u8]) -> Option<String> {
        let mut sealers = self.sealers.iter();
        let opened = sealers.find_map(|sealer| sealer.open(name.as_bytes(), content));
        String::from_utf8(opened?).ok()
    }

    fn ignore(&mut self, name: &str) {
        if self.ignored.is_empty() {
            tracing::warn!(
                "an object below revoked/ in the bucket was not written with the key of this server and is skipped; all servers \
                 of a bucket need the same signing_key_file"
            );
        }
        if self.ignored.len() < MAX_IGNORED {
            self.ignored.insert(name.to_owned());
        }
    }
}

fn name(first: TokenId, until: u64) -> String {
    format!("{PREFIX}{until:012}-{first}")
}

fn read_name(name: &str) -> Option<(TokenId, u64)> {
    let (until, first) = name.strip_prefix(PREFIX)?.split_once('-')?;
    let (first, until) = (TokenId::try_from(first.to_owned()).ok()?, until.parse().ok()?);
    (self::name(first, until) == name).then_some((first, until))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_one_spelling() {
        let id = "0123456789abcdef".repeat(2);
        let first = TokenId::try_from(id.clone()).unwrap();
        let written = name(first, 1_800_000_000);
        assert_eq!(written, format!("revoked/001800000000-{id}"));
        assert_eq!(read_name(&written), Some((first, 1_800_000_000)));
        for bad in [
            format!("revoked/1800000000-{id}"),
            format!("revoked/+01800000000-{id}"),
            format!("revoked/001800000000-{id}x"),
            "revoked/".into(),
        ] {
            assert_eq!(read_name(&bad), None, "{bad}");
        }
    }
}
