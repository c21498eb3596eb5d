//! Names that grow with time, which order the records of a journal.

use std::sync::{Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

pub use ulid::Ulid;

/// How many random bits a ULID has; the others are milliseconds since 1970.
const RANDOM_BITS: usize = 80;

/// A name that is greater than all that this process made before, and that no other process makes.
pub fn next_ulid() -> Ulid {
    static LAST: Mutex<Ulid> = Mutex::new(Ulid::nil());
    let fresh = random_ulid(now_millis());
    let mut last = LAST.lock().unwrap_or_else(PoisonError::into_inner);
    *last = after(*last, fresh);
    *last
}

/// A name of this time, in milliseconds since 1970, that nobody else makes; greater than the one before it, if that is of
/// the same millisecond.
pub fn ulid_at(millis: u64) -> Ulid {
    static LAST: Mutex<Ulid> = Mutex::new(Ulid::nil());
    let fresh = random_ulid(millis);
    let mut last = LAST.lock().unwrap_or_else(PoisonError::into_inner);
    *last = match last.timestamp_ms() == millis {
        true => after(*last, fresh),
        // Another clock counts than that of the name before: it may have been put right.
        false => fresh,
    };
    *last
}

fn random_ulid(millis: u64) -> Ulid {
    let mut bits = [0; 16];
    // Without random numbers nothing that talks to a remote tier would work.
    let _unlikely = aws_lc_rs::rand::fill(&mut bits[..RANDOM_BITS / 8]);
    Ulid::from_parts(millis, u128::from_le_bytes(bits))
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
    millis(SystemTime::now())
}

/// A time in milliseconds since 1970; 0 for those before.
pub fn millis(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
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
        let full = Ulid::from_parts(1000, (1 << RANDOM_BITS) - 1);
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
