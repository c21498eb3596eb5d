//! What one server says of a caller to another, in place of the caller's token: enough to write for it.
//!
//! The bytes prove nothing. They travel in a sealed statement, and whoever opens that one knows that a server with the
//! same key has verified the token.
//!
//! ```text
//! format 1, may write 1, rank 1, end of the token's life 8 (seconds since 1970), digest of the token 32,
//! then each behind its length (4 bytes, big endian): issuer, subject, the writable namespace, tenant, group
//! ```

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::identity::{ExpiredIdentity, Identity, Namespace, Scope, TokenDigest};
use crate::store::{Rank, Tenancy, Tenant};

/// Format 1 was without a tenant.
const FORMAT: u8 = 2;

/// The caller with its writable namespace. Those that it may read besides are left out: nothing that is passed on to
/// another server reads.
pub fn vouch(caller: &Identity) -> Vec<u8> {
    let Tenancy { tenant, rank } = &caller.tenancy;
    let mut bytes = vec![FORMAT, u8::from(caller.may_write), rank.number()];
    let expires = caller.expires.duration_since(UNIX_EPOCH).unwrap_or_default();
    bytes.extend_from_slice(&expires.as_secs().to_be_bytes());
    bytes.extend_from_slice(caller.token.as_bytes());
    let texts = [
        &caller.issuer,
        &caller.subject,
        &**caller.scope.writable().path(),
        tenant.name(),
        tenant.group(),
    ];
    for text in texts {
        bytes.extend_from_slice(&u32::try_from(text.len()).unwrap_or(u32::MAX).to_be_bytes());
        bytes.extend_from_slice(text.as_bytes());
    }
    bytes
}

/// The caller that another server vouches for. `None` if another version of this server wrote the bytes.
pub fn vouched(bytes: &[u8]) -> Option<Identity> {
    let (head, rest) = bytes.split_first_chunk::<3>()?;
    let (expires, rest) = rest.split_first_chunk()?;
    let (token, mut rest) = rest.split_first_chunk()?;
    let [FORMAT, may_write @ 0..=1, rank] = *head else {
        return None;
    };
    let mut text = || {
        let (length, after) = rest.split_first_chunk::<4>()?;
        let (text, after) = after.split_at_checked(u32::from_be_bytes(*length) as usize)?;
        rest = after;
        std::str::from_utf8(text).ok()
    };
    let issuer: Arc<str> = text()?.into();
    let subject = text()?.into();
    let writable = Namespace::new(Arc::clone(&issuer), text()?)?;
    let tenant = Tenant::from_names(text()?, text()?);
    rest.is_empty().then_some(())?;
    Some(Identity {
        scope: Scope::with_first(writable, false, []),
        issuer,
        subject,
        tenancy: Tenancy {
            tenant,
            rank: Rank::from_number(rank),
        },
        may_write: may_write == 1,
        expires: time(u64::from_be_bytes(*expires))?,
        token: TokenDigest::from_bytes(*token),
    })
}

/// [`vouched`] of a caller whose token has expired.
pub fn vouched_expired(bytes: &[u8]) -> Option<ExpiredIdentity> {
    vouched(bytes).map(ExpiredIdentity::new)
}

fn time(seconds: u64) -> Option<SystemTime> {
    UNIX_EPOCH.checked_add(Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller() -> Identity {
        let issuer: Arc<str> = "https://issuer.test".into();
        let namespaces = ["own", "other"].map(|path| Namespace::new(Arc::clone(&issuer), path).unwrap());
        Identity {
            scope: Scope::new(namespaces).unwrap(),
            issuer,
            subject: "repo:a/b".into(),
            tenancy: Tenancy {
                tenant: Tenant::new("https://issuer.test", "42", Some("7")).unwrap(),
                rank: Rank::Other,
            },
            may_write: true,
            expires: UNIX_EPOCH + Duration::from_secs(77),
            token: TokenDigest::of("token"),
        }
    }

    #[test]
    fn a_caller_is_read_back_without_what_it_may_read() {
        let (caller, read_only) = (
            caller(),
            Identity {
                may_write: false,
                ..caller()
            },
        );
        for caller in [caller, read_only] {
            let read = vouched(&vouch(&caller)).unwrap();
            assert_eq!(read.scope.writable(), caller.scope.writable());
            assert_eq!(read.scope.readable().len(), 0);
            assert_eq!((&read.issuer, &read.subject), (&caller.issuer, &caller.subject));
            assert_eq!((read.may_write, read.expires), (caller.may_write, caller.expires));
            assert!(read.token == caller.token);
            assert_eq!(read.tenancy, caller.tenancy);
        }
    }

    #[test]
    fn anything_else_is_refused() {
        let bytes = vouch(&caller());
        for end in 0..bytes.len() {
            assert!(vouched(&bytes[..end]).is_none(), "{end}");
        }
        assert!(vouched(&[&bytes[..], b"x"].concat()).is_none());
        for (at, value) in [(0, 1), (0, 3), (1, 2)] {
            let mut changed = bytes.clone();
            changed[at] = value;
            assert!(vouched(&changed).is_none(), "{at}");
        }
    }
}
