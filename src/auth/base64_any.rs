//! Base64 in any spelling: standard or URL-safe alphabet, padded or not.

use base64::Engine as _;
use base64::alphabet::{Alphabet, STANDARD, URL_SAFE};
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

/// `None` if the text is no base64.
pub(super) fn decode(text: &[u8]) -> Option<Vec<u8>> {
    const fn engine(alphabet: &Alphabet) -> GeneralPurpose {
        let padding = DecodePaddingMode::Indifferent;
        GeneralPurpose::new(
            alphabet,
            GeneralPurposeConfig::new().with_decode_padding_mode(padding),
        )
    }
    const STANDARD_ENGINE: GeneralPurpose = engine(&STANDARD);
    const URL_SAFE_ENGINE: GeneralPurpose = engine(&URL_SAFE);
    let is_url_safe = text.iter().any(|byte| matches!(byte, b'-' | b'_'));
    let engine = match is_url_safe {
        true => &URL_SAFE_ENGINE,
        false => &STANDARD_ENGINE,
    };
    engine.decode(text).ok()
}
