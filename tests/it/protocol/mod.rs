//! The front-ends over real sockets; one file for each concern.

mod attacks;
mod conditions;
mod connection;
mod credentials;
mod floods;
mod framing;
mod frontends;
pub(crate) mod gha;
mod keys;
mod memory;
mod nx;
mod peers;
mod peers_changes;
mod ranges;
mod read;
mod reserved;
mod rules;
mod scopes;
mod tenancy;
mod tenants;
mod token;
mod turbo;
mod turbo_query;
mod webdav;
mod write;

/// Bytes that differ at every offset and between seeds, of any length.
pub(crate) fn bytes(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let mut bytes: Vec<u8> = (0..length.div_ceil(8))
        .flat_map(|_| next().to_le_bytes())
        .collect();
    bytes.truncate(length);
    bytes
}

/// Around every boundary of the three classes of body, of spools and of blocks.
pub(crate) const SIZES: [usize; 14] = [
    0,
    1,
    1023,
    16 << 10,
    (16 << 10) + 1,
    64 << 10,
    (64 << 10) + 1,
    (256 << 10) - 1,
    256 << 10,
    (512 << 10) + 1,
    1 << 20,
    (1 << 20) + 1,
    3 << 20,
    (5 << 20) + 77,
];
