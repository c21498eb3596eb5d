//! What servers that share a far tier tell each other through it: small records on shelves, in the order of
//! time. Nobody changes or takes back a record; whoever reads must bear to see one twice.

use std::fmt::Debug;
use std::sync::{Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use bytes::Bytes;
pub use ulid::Ulid;

use super::Result;

/// How many random bits a ULID has; the others are milliseconds since 1970.
const RANDOM: usize = 80;

/// A record as a listing shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Note {
    /// The record.
    Here(Bytes),
    /// It is too long for a listing: ask [`Journal::read`].
    Apart,
}

/// A part of a shelf, oldest first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Page {
    /// The records by their names.
    pub records: Vec<(Ulid, Note)>,
    /// Names that nobody of us made.
    pub foreign: usize,
    /// For the page after this one; `None` if this is the last.
    pub next: Option<String>,
}

/// Records that all servers of a far tier see.
#[async_trait]
pub trait Journal: Debug + Send + Sync + 'static {
    /// Adds a record of at most some KiB under `shelf` (64 hex digits). `id` orders it: it has to be made just
    /// now ([`next_ulid`]), since readers only go back by the time that clocks may differ.
    ///
    /// # Errors
    /// [`super::Error::Remote`]; the record may be there all the same.
    async fn append(&self, shelf: &str, id: Ulid, record: &[u8]) -> Result<()>;

    /// The records of `shelf` whose names are greater than `after`, some hundreds at once. `page` is
    /// [`Page::next`] of the page before, with the same `after`.
    ///
    /// # Errors
    /// [`super::Error::Remote`].
    async fn list(&self, shelf: &str, after: Option<Ulid>, page: Option<String>) -> Result<Page>;

    /// A record that is [`Note::Apart`]; `None` if it is gone.
    ///
    /// # Errors
    /// [`super::Error::Remote`].
    async fn read(&self, shelf: &str, id: Ulid) -> Result<Option<Bytes>>;
}

/// A name that is greater than all that this process made before, and that no other process makes.
pub fn next_ulid() -> Ulid {
    static LAST: Mutex<Ulid> = Mutex::new(Ulid::nil());
    let mut bits = [0; 16];
    // Without random numbers it still grows, and nothing that talks to a far tier would work anyway.
    let _unlikely = aws_lc_rs::rand::fill(&mut bits[..RANDOM / 8]);
    let fresh = Ulid::from_parts(now_millis(), u128::from_le_bytes(bits));
    let mut last = LAST.lock().unwrap_or_else(PoisonError::into_inner);
    *last = after(*last, fresh);
    *last
}

/// `fresh`, or the next one after `last` if the clock stands still or goes back.
fn after(last: Ulid, fresh: Ulid) -> Ulid {
    if fresh.timestamp_ms() > last.timestamp_ms() {
        return fresh;
    }
    last.increment()
        .unwrap_or_else(|_| Ulid::from_parts(last.timestamp_ms() + 1, fresh.random()))
}

/// Reads the text of a ULID; `None` unless it is exactly the one that [`Ulid`] prints.
pub fn parse_ulid(text: &str) -> Option<Ulid> {
    let id = Ulid::from_string(text).ok()?;
    let mut buffer = [0; ulid::ULID_LEN];
    (id.array_to_str(&mut buffer) == text).then_some(id)
}

/// Milliseconds since 1970.
pub fn now_millis() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_grow_in_every_thread_and_never_repeat() {
        let make = || (0..2000).map(|_| next_ulid()).collect::<Vec<_>>();
        let before = now_millis();
        let threads: Vec<_> = (0..4).map(|_| std::thread::spawn(make)).collect();
        let mut all = Vec::new();
        for thread in threads {
            let names = thread.join().expect("thread");
            assert!(names.is_sorted());
            all.extend(names);
        }
        assert!(all.iter().all(|id| id.timestamp_ms() >= before));
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 8000);
    }

    #[test]
    fn a_clock_that_goes_back_does_not_break_the_order() {
        let last = Ulid::from_parts(1000, 7);
        assert_eq!(after(last, Ulid::from_parts(1001, 3)), Ulid::from_parts(1001, 3));
        for fresh in [1000, 999, 0] {
            assert_eq!(
                after(last, Ulid::from_parts(fresh, 900)),
                Ulid::from_parts(1000, 8)
            );
        }
        let full = Ulid::from_parts(1000, (1 << RANDOM) - 1);
        let next = after(full, Ulid::from_parts(1000, 5));
        assert!(next > full, "{next}");
    }

    #[test]
    fn texts_sort_as_the_names_do_and_have_one_spelling() {
        let mut names: Vec<Ulid> = (0..50)
            .map(|n| Ulid::from_parts(n * 37 % 11, (n * 13).into()))
            .collect();
        let mut texts: Vec<String> = names.iter().map(Ulid::to_string).collect();
        names.sort_unstable();
        texts.sort_unstable();
        let read: Vec<_> = texts.iter().filter_map(|text| parse_ulid(text)).collect();
        assert_eq!(read, names);
        let text = next_ulid().to_string();
        for bad in [
            text.to_lowercase(),
            text.replace('0', "O"),
            text[1..].into(),
            format!("{text}0"),
            "8".repeat(26),
        ] {
            assert_eq!(parse_ulid(&bad), None, "{bad}");
        }
    }
}
