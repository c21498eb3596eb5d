//! The checksum of everything that is stored.

use crc_fast::CrcAlgorithm;

/// CRC-64/NVME of some bytes.
pub(crate) fn crc(bytes: &[u8]) -> u64 {
    crc_fast::checksum(CrcAlgorithm::Crc64Nvme, bytes)
}
