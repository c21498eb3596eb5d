//! Parts of the local tier.

use super::super::size::{self, SizeFault};

/// How a share may be written.
const SHARE_FORMS: &str = "write a size such as 5GB, or a percentage of the limit such as 10%";
/// A percentage is kept in hundredths of a percent.
const WHOLE: u64 = 100 * 100;

/// A part of the local tier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Share {
    /// In bytes.
    Bytes(u64),
    /// Of the limit, in hundredths of a percent.
    Hundredths(u32),
}

impl Share {
    /// In bytes, of a tier with this limit.
    pub fn bytes(self, limit: u64) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes,
            Self::Hundredths(part) => {
                let bytes = u128::from(limit) * u128::from(part) / u128::from(WHOLE);
                u64::try_from(bytes).unwrap_or(u64::MAX)
            }
        }
    }
}

/// Reads `5GB` or `12.5%`.
pub(super) fn share(text: &str) -> Result<Share, String> {
    let Some(percent) = text.trim().strip_suffix('%') else {
        return size::read(text, 1)
            .map(Share::Bytes)
            .map_err(|fault| match fault {
                SizeFault::Form => format!("is no share; {SHARE_FORMS}"),
                SizeFault::Value(fault) => fault,
            });
    };
    let (whole, fraction) = percent
        .trim_end()
        .split_once('.')
        .unwrap_or((percent.trim_end(), "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|digit| digit.is_ascii_digit());
    if !digits(whole) || !digits(fraction) || fraction.len() > 2 {
        return Err(format!(
            "is no percentage with at most two decimals; {SHARE_FORMS}"
        ));
    }
    let hundredths = format!("{whole}{fraction:0<2}").parse().unwrap_or(u64::MAX);
    match u32::try_from(hundredths) {
        Ok(part @ 1..) if hundredths <= WHOLE => Ok(Share::Hundredths(part)),
        _ => Err("is not a part of the whole; write more than 0% and at most 100%".to_owned()),
    }
}
