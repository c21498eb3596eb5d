//! The credentials that this thread saw last: a comparison of bytes instead of a hash and a look-up.
//!
//! A job sends one token with all its requests, so a handful of slots answers nearly all of them.
//! Whole values are compared; which slot a value goes to is of no consequence for safety. What a slot
//! says is checked by [`super::memory::Memory`] like everything that it remembers.

use std::cell::RefCell;

use super::memory::Remembered;

/// A power of two; at most 16 KiB of credentials each.
const SLOTS: usize = 64;

struct Slot {
    /// The memory that this belongs to: there may be several in one process.
    owner: u64,
    value: Box<[u8]>,
    remembered: Remembered,
}

thread_local! {
    static RECENT: RefCell<[Option<Slot>; SLOTS]> = const { RefCell::new([const { None }; SLOTS]) };
}

/// The end of a token is the end of its signature, as good as random.
fn place(value: &[u8]) -> usize {
    let tail = value.iter().rev().skip(4).take(4);
    tail.fold(value.len(), |place, byte| {
        place.wrapping_mul(31) + usize::from(*byte)
    }) % SLOTS
}

/// What `owner` last remembered under exactly these bytes.
pub(super) fn get(owner: u64, value: &[u8]) -> Option<Remembered> {
    RECENT.with_borrow(|slots| {
        let slot = slots[place(value)].as_ref()?;
        (slot.owner == owner && *slot.value == *value).then(|| slot.remembered.clone())
    })
}

/// Puts `remembered` in the place of whatever was there.
pub(super) fn put(owner: u64, value: &[u8], remembered: Remembered) {
    RECENT.with_borrow_mut(|slots| {
        slots[place(value)] = Some(Slot {
            owner,
            value: value.into(),
            remembered,
        });
    });
}

/// Forgets these bytes.
pub(super) fn remove(owner: u64, value: &[u8]) {
    RECENT.with_borrow_mut(|slots| {
        let slot = &mut slots[place(value)];
        if slot
            .as_ref()
            .is_some_and(|slot| slot.owner == owner && *slot.value == *value)
        {
            *slot = None;
        }
    });
}

#[cfg(test)]
mod tests {
    use super::super::memory::sample;
    use super::*;

    #[test]
    fn only_equal_bytes_of_the_same_owner_are_found() {
        put(1, b"header.claims.signature", sample(1));
        assert!(get(1, b"header.claims.signature").is_some());
        assert!(get(2, b"header.claims.signature").is_none());
        assert!(
            get(1, b"Header.claims.signature").is_none(),
            "same place, other bytes"
        );
        remove(2, b"header.claims.signature");
        assert!(get(1, b"header.claims.signature").is_some());
        remove(1, b"header.claims.signature");
        assert!(get(1, b"header.claims.signature").is_none());
    }

    #[test]
    fn short_values_have_a_place_too() {
        for value in [&b""[..], b"a", b"a.b.c"] {
            put(1, value, sample(1));
            assert!(get(1, value).is_some());
        }
    }
}
