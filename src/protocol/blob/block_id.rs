//! Ids of blocks: bytes without a meaning. JavaScript sends 48, Go 64, OpenDAL 16 random ones.

use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

/// Longest id in bytes, as Azure has it.
const MAX_ID_BYTES: usize = 64;

/// Some clients leave the padding out.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// An id; `None` if the text is not the base64 of 1 to 64 bytes.
pub(super) fn decode(text: &[u8]) -> Option<Box<[u8]>> {
    // No id needs more characters; longer texts are not worth decoding.
    if text.len() > MAX_ID_BYTES.div_ceil(3) * 4 {
        return None;
    }
    let id = BASE64.decode(text).ok()?;
    (1..=MAX_ID_BYTES).contains(&id.len()).then(|| id.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::engine::general_purpose::STANDARD;

    #[test]
    fn ids_of_all_clients_come_through_unchanged() {
        let javascript = b"8c9b2e1c-6d0f-4b7e-9a51-2f8f5c0d7e11000000000007".to_vec();
        let go = [vec![0xa5; 16], vec![0, 0, 0, 7], vec![0; 44]].concat();
        let opendal: Vec<u8> = (0..16).map(|nth| nth * 17).collect();
        assert_eq!((javascript.len(), go.len(), opendal.len()), (48, 64, 16));
        for id in [javascript, go, opendal, vec![0]] {
            let text = STANDARD.encode(&id);
            assert_eq!(decode(text.as_bytes()).as_deref(), Some(&id[..]));
            assert_eq!(
                decode(text.trim_end_matches('=').as_bytes()).as_deref(),
                Some(&id[..])
            );
        }
    }

    #[test]
    fn other_texts_are_no_ids() {
        let long = STANDARD.encode([0; 65]);
        for text in ["", "=", "A", "A===", "*&^%", "-_-_", "AQ ID", long.as_str()] {
            assert_eq!(decode(text.as_bytes()), None, "{text}");
        }
    }
}
