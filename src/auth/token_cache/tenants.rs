//! Which tenant has how many tokens in the token cache, and whose go when there is no room.
//!
//! The oldest of the tenant that takes most go. So a flood of tokens of one tenant pushes out its own.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::store::{Digest, Tenant};

/// Names a token in the cache.
pub(super) type TokenKey = [u8; 32];

#[derive(Debug)]
pub(super) struct TenantTokens {
    bound: u64,
    state: Mutex<TokenSums>,
}

#[derive(Debug, Default)]
struct TokenSums {
    bytes: u64,
    /// Numbers tokens in the order in which they came.
    next: u64,
    tenants: HashMap<Digest, OneTenant>,
    /// The tenants by their bytes.
    order: BTreeSet<(u64, Digest)>,
}

#[derive(Debug, Default)]
struct OneTenant {
    bytes: u64,
    tokens: BTreeMap<u64, (TokenKey, u64)>,
}

impl TenantTokens {
    /// All tokens together may take `bound` bytes.
    pub(super) fn new(bound: u64) -> Self {
        Self {
            bound,
            state: Mutex::default(),
        }
    }

    /// Counts a token that is about to be kept. Answers its number, and which have to go for it, with theirs.
    pub(super) fn add(&self, tenant: &Tenant, token: TokenKey, bytes: u64) -> (u64, Vec<(u64, TokenKey)>) {
        let mut state = self.lock();
        let number = state.next;
        state.next += 1;
        state.change(*tenant.digest(), |one| {
            one.tokens.insert(number, (token, bytes));
            one.bytes += bytes;
        });
        let mut gone = Vec::new();
        while state.bytes > self.bound
            && let Some((_, largest)) = state.order.last().copied()
        {
            state.change(largest, |one| {
                if let Some((number, (token, bytes))) = one.tokens.pop_first() {
                    one.bytes -= bytes;
                    gone.push((number, token));
                }
            });
        }
        (number, gone)
    }

    /// A token is no longer kept.
    pub(super) fn remove(&self, tenant: &Tenant, number: u64) {
        self.lock().change(*tenant.digest(), |one| {
            // Whoever made room may have counted it out before.
            one.bytes -= one.tokens.remove(&number).map_or(0, |(_, bytes)| bytes);
        });
    }

    /// Bytes that all tokens take.
    pub(super) fn bytes(&self) -> u64 {
        self.lock().bytes
    }

    fn lock(&self) -> MutexGuard<'_, TokenSums> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl TokenSums {
    /// Changes what a tenant has, and keeps sums and order. A tenant without tokens is forgotten.
    fn change(&mut self, tenant: Digest, change: impl FnOnce(&mut OneTenant)) {
        let one = self.tenants.entry(tenant).or_default();
        let before = one.bytes;
        change(one);
        let after = one.bytes;
        let is_gone = one.tokens.is_empty();
        self.order.remove(&(before, tenant));
        if is_gone {
            self.tenants.remove(&tenant);
        } else {
            self.order.insert((after, tenant));
        }
        self.bytes = self.bytes - before + after;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tenant(name: &str) -> Tenant {
        Tenant::new("https://issuer.example", name, None).unwrap()
    }

    fn key(nth: u64) -> TokenKey {
        *Digest::of(&nth.to_le_bytes()).as_bytes()
    }

    #[test]
    fn a_flood_of_tokens_pushes_out_the_oldest_of_its_own_tenant() {
        let tokens = TenantTokens::new(1000);
        for nth in 0..40 {
            assert!(tokens.add(&tenant("quiet"), key(nth), 10).1.is_empty());
        }
        let mut gone = Vec::new();
        for nth in 100..300 {
            gone.extend(tokens.add(&tenant("flood"), key(nth), 10).1);
            assert!(tokens.bytes() <= 1000);
        }
        let gone: Vec<_> = gone.into_iter().map(|(_, token)| token).collect();
        let expected: Vec<_> = (100..240).map(key).collect();
        assert_eq!(gone, expected);
    }

    #[test]
    fn tokens_that_ended_leave_nothing_behind() {
        let tokens = TenantTokens::new(1000);
        let numbers: Vec<_> = (0..10)
            .map(|nth| tokens.add(&tenant("a"), key(nth), 10).0)
            .collect();
        for number in numbers.iter().chain(&numbers) {
            tokens.remove(&tenant("a"), *number);
        }
        let state = tokens.lock();
        assert_eq!((state.bytes, state.tenants.len(), state.order.len()), (0, 0, 0));
    }

    #[test]
    fn a_token_larger_than_all_room_is_not_kept() {
        let tokens = TenantTokens::new(100);
        let (number, gone) = tokens.add(&tenant("a"), key(1), 101);
        assert_eq!(gone, [(number, key(1))]);
        assert_eq!(tokens.bytes(), 0);
    }
}
