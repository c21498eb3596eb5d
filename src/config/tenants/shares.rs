//! Whether reservations can hold.

use super::rule::TenantRule;

/// The bytes that reservations may take together of a tier with this limit: what it keeps filled, 95 % of the limit,
/// less 5 % of that for everybody else.
pub fn reservable(limit: u64) -> u64 {
    let kept = limit - limit / 20;
    kept - kept / 20
}

/// Why these reservations cannot hold in a tier with this limit.
pub fn shares_fault(rules: &[TenantRule], limit: u64) -> Option<String> {
    let shares = rules.iter().filter_map(|rule| rule.min_share);
    let sum = shares.fold(0_u64, |sum, share| sum.saturating_add(share.bytes(limit)));
    let most = reservable(limit);
    (sum > most).then(|| {
        format!(
            "the min_share of all rules come to {sum} bytes, and of a disk of {limit} bytes at most {most} can be \
             promised: it keeps 95 % filled, and a twentieth of that stays for everybody; lower them, or raise the limit"
        )
    })
}
