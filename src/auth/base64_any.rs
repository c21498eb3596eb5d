//! Base64 in any spelling: standard or URL-safe alphabet, padded or not.

use base64::Engine as _;
use base64::alphabet::{STANDARD, URL_SAFE};
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

/// `None` if the text is no base64.
pub(super) fn decode(text: &[u8]) -> Option<Vec<u8>> {
    let alphabet = match text.iter().any(|byte| matches!(byte, b'-' | b'_')) {
        true => &URL_SAFE,
        false => &STANDARD,
    };
    let config = GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    GeneralPurpose::new(alphabet, config).decode(text).ok()
}
