//! What things take in memory.

use std::collections::HashMap;

/// In front of what an `Arc` holds.
const COUNTS: usize = 2 * size_of::<usize>();

/// What an `Arc` of so many bytes takes.
pub(in crate::cache::actions) fn arc_bytes(bytes: usize) -> u64 {
    allocated(COUNTS + bytes)
}

/// What an allocation takes, as usual allocators give it.
fn allocated(bytes: usize) -> u64 {
    (bytes + size_of::<usize>()).next_multiple_of(16).max(32) as u64
}

/// A text of its own, beside what points to it.
pub(in crate::cache::actions) fn text_bytes(text: &str) -> u64 {
    arc_bytes(text.len())
}

/// What a list with room for so many values takes beside what points to it.
pub(super) fn vec_bytes<T>(capacity: usize) -> u64 {
    match capacity * size_of::<T>() {
        0 => 0,
        bytes => allocated(bytes),
    }
}

/// What a map takes beside what its keys and values point to.
pub(in crate::cache::actions) fn map_bytes<K, V>(map: &HashMap<K, V>) -> u64 {
    // Seven of eight places are used at most, and a byte beside each tells which.
    let places = match map.capacity() {
        0 => 0,
        capacity => (capacity * 8).div_ceil(7).next_power_of_two(),
    };
    (places * (size_of::<(K, V)>() + 1)) as u64
}
