//! How many connections without a caller there are of one kind: those of one address must not make all the others give
//! way.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use tokio::task::AbortHandle;

/// The task of a connection, once it is known.
pub(super) type TaskCell = Arc<OnceLock<AbortHandle>>;

/// Connections that never had a caller, by what they have in common.
#[derive(Debug)]
pub(super) struct Strangers<K: Kind> {
    /// How many there may be of one kind.
    max: usize,
    open: Mutex<HashMap<K, BTreeMap<u64, TaskCell>>>,
    /// Connections that were ended for others of their kind.
    given_way: AtomicU64,
    /// The kind of the last one.
    last: Mutex<Option<K>>,
}

/// One of them, until this is dropped.
#[derive(Debug)]
pub(super) struct Stranger<K: Kind> {
    strangers: Arc<Strangers<K>>,
    kind: K,
    id: u64,
}

/// What connections have in common.
pub(super) trait Kind: Copy + Eq + Hash {}
impl<K: Copy + Eq + Hash> Kind for K {}

impl<K: Kind> Strangers<K> {
    pub(super) fn new(max: usize) -> Arc<Self> {
        Arc::new(Self {
            max,
            open: Mutex::default(),
            given_way: AtomicU64::new(0),
            last: Mutex::default(),
        })
    }

    /// Counts a connection. Ids ascend. If there are too many of its kind, the oldest of them ends.
    pub(super) fn enter(self: &Arc<Self>, kind: K, id: u64, task: &TaskCell) -> Stranger<K> {
        let mut open = self.open();
        let connections = open.entry(kind).or_default();
        let full = connections.len() >= self.max;
        if let Some((_, oldest)) = full.then(|| connections.pop_first()).flatten() {
            if let Some(task) = oldest.get() {
                task.abort();
            }
            self.given_way.fetch_add(1, Relaxed);
            *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(kind);
        }
        connections.insert(id, Arc::clone(task));
        Stranger {
            strangers: Arc::clone(self),
            kind,
            id,
        }
    }

    pub(super) fn given_way(&self) -> u64 {
        self.given_way.load(Relaxed)
    }

    /// The kind of the connection that was ended last.
    pub(super) fn last(&self) -> Option<K> {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn open(&self) -> MutexGuard<'_, HashMap<K, BTreeMap<u64, TaskCell>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Kind> Drop for Stranger<K> {
    fn drop(&mut self) {
        let mut open = self.strangers.open();
        if let Some(connections) = open.get_mut(&self.kind) {
            connections.remove(&self.id);
            if connections.is_empty() {
                open.remove(&self.kind);
            }
        }
    }
}

/// What counts as one address: of IPv6, where a machine has as many as it likes, the network of 64 bits.
pub(super) fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64)).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(tasks: &mut tokio::task::JoinSet<()>) -> TaskCell {
        let task = TaskCell::default();
        task.get_or_init(|| tasks.spawn(std::future::pending()));
        task
    }

    /// The addresses of connections that come one after the other, two of each may stay; which of them are ended.
    async fn check(addresses: &[&str], ended: &[u64]) {
        let (book, mut tasks) = (Strangers::new(2), tokio::task::JoinSet::new());
        let cells: Vec<TaskCell> = addresses.iter().map(|_| task(&mut tasks)).collect();
        let ids = 0..addresses.len() as u64;
        let enter = |id: u64| {
            let address = addresses[id as usize].parse().unwrap();
            book.enter(network(address), id, &cells[id as usize])
        };
        let entries: Vec<Stranger<IpAddr>> = ids.clone().map(enter).collect();
        for _ in ended {
            tasks.join_next().await.unwrap().unwrap_err();
        }
        let gone: Vec<u64> = ids
            .filter(|id| cells[*id as usize].get().unwrap().is_finished())
            .collect();
        assert_eq!(gone, ended, "{addresses:?}");
        assert_eq!(book.given_way(), ended.len() as u64);
        drop(entries);
        assert!(book.open().is_empty());
    }

    #[tokio::test]
    async fn the_oldest_of_an_address_ends_for_a_new_one_of_it() {
        check(&["192.0.2.1", "192.0.2.2", "192.0.2.1", "192.0.2.2"], &[]).await;
        check(&["192.0.2.1", "192.0.2.2", "192.0.2.1", "192.0.2.1"], &[0]).await;
        check(&["192.0.2.1"; 5], &[0, 1, 2]).await;
        check(&["192.0.2.1", "::ffff:192.0.2.1", "192.0.2.1"], &[0]).await;
        check(&["2001:db8::1", "2001:db8::2", "2001:db8::3:4:5:6"], &[0]).await;
        check(&["2001:db8::1", "2001:db8::2", "2001:db8:0:1::1"], &[]).await;
    }

    #[tokio::test]
    async fn who_has_left_the_book_counts_no_longer() {
        let (book, mut tasks) = (Strangers::new(2), tokio::task::JoinSet::new());
        let address = IpAddr::from([192, 0, 2, 1]);
        for id in 0..9 {
            let (one, other) = (task(&mut tasks), task(&mut tasks));
            drop([
                book.enter(address, 2 * id, &one),
                book.enter(address, 2 * id + 1, &other),
            ]);
        }
        assert_eq!((book.given_way(), book.last()), (0, None));
    }
}
