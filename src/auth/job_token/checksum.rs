//! The checksum of a job token: six digits that tell a token that was cut or mistyped from one that is not ours.

use crc_fast::CrcAlgorithm;

/// Digits of a checksum.
pub(super) const DIGITS: usize = 6;

const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// CRC-32 (IEEE) of `text` in base 62, the most significant digit first.
pub(super) fn checksum(text: &str) -> String {
    let mut left = crc_fast::checksum(CrcAlgorithm::Crc32IsoHdlc, text.as_bytes());
    let mut digits = [b'0'; DIGITS];
    for digit in digits.iter_mut().rev() {
        *digit = ALPHABET[usize::try_from(left % 62).unwrap_or_default()];
        left /= 62;
    }
    digits.iter().copied().map(char::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_that_of_the_standard() {
        // The check value of CRC-32/ISO-HDLC, 0xcbf43926 = 3421780262.
        let value = checksum("123456789").bytes().fold(0u64, |sum, digit| {
            let at = ALPHABET.iter().position(|known| *known == digit).unwrap();
            sum * 62 + at as u64
        });
        assert_eq!(value, 0xcbf4_3926);
        assert_eq!(checksum(""), "000000");
    }
}
