//! The messages, for both forms at once. Numbers and names are those of the generated client; `metadata`
//! (field 1 of every request) is skipped: no client sends it.

use std::fmt;

use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// `CreateCacheEntryRequest`.
#[derive(Clone, PartialEq, prost::Message, Deserialize)]
#[serde(default)]
pub(crate) struct CreateRequest {
    #[prost(string, tag = "2")]
    #[serde(deserialize_with = "or_default")]
    pub(crate) key: String,
    #[prost(string, tag = "3")]
    #[serde(deserialize_with = "or_default")]
    pub(crate) version: String,
}

/// `CreateCacheEntryResponse`.
#[derive(Clone, PartialEq, prost::Message, Serialize)]
pub(crate) struct CreateResponse {
    #[prost(bool, tag = "1")]
    pub(crate) ok: bool,
    #[prost(string, tag = "2")]
    pub(crate) signed_upload_url: String,
    #[prost(string, tag = "3")]
    pub(crate) message: String,
}

/// `FinalizeCacheEntryUploadRequest`.
#[derive(Clone, PartialEq, prost::Message, Deserialize)]
#[serde(default)]
pub(crate) struct FinalizeRequest {
    #[prost(string, tag = "2")]
    #[serde(deserialize_with = "or_default")]
    pub(crate) key: String,
    #[prost(int64, tag = "3")]
    #[serde(alias = "sizeBytes", deserialize_with = "number")]
    pub(crate) size_bytes: i64,
    #[prost(string, tag = "4")]
    #[serde(deserialize_with = "or_default")]
    pub(crate) version: String,
}

/// `FinalizeCacheEntryUploadResponse`.
#[derive(Clone, PartialEq, prost::Message, Serialize)]
pub(crate) struct FinalizeResponse {
    #[prost(bool, tag = "1")]
    pub(crate) ok: bool,
    #[prost(int64, tag = "2")]
    #[serde(serialize_with = "text")]
    pub(crate) entry_id: i64,
    #[prost(string, tag = "3")]
    pub(crate) message: String,
}

/// `GetCacheEntryDownloadURLRequest`.
#[derive(Clone, PartialEq, prost::Message, Deserialize)]
#[serde(default)]
pub(crate) struct FindRequest {
    #[prost(string, tag = "2")]
    #[serde(deserialize_with = "or_default")]
    pub(crate) key: String,
    #[prost(string, repeated, tag = "3")]
    #[serde(alias = "restoreKeys", deserialize_with = "or_default")]
    pub(crate) restore_keys: Vec<String>,
    #[prost(string, tag = "4")]
    #[serde(deserialize_with = "or_default")]
    pub(crate) version: String,
}

/// `GetCacheEntryDownloadURLResponse`.
#[derive(Clone, PartialEq, prost::Message, Serialize)]
pub(crate) struct FindResponse {
    #[prost(bool, tag = "1")]
    pub(crate) ok: bool,
    #[prost(string, tag = "2")]
    pub(crate) signed_download_url: String,
    #[prost(string, tag = "3")]
    pub(crate) matched_key: String,
}

/// `null` is the default of a field.
fn or_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// The toolkit writes 64-bit numbers as strings, BuildKit as numbers.
fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
    deserializer.deserialize_any(NumberVisitor)
}

/// Writes a 64-bit number as a string, as the generated client does.
fn text<S: Serializer>(number: &i64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(number)
}

struct NumberVisitor;

impl Visitor<'_> for NumberVisitor {
    type Value = i64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a 64-bit number, also as a string")
    }

    fn visit_unit<E: de::Error>(self) -> Result<i64, E> {
        Ok(0)
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<i64, E> {
        Ok(number)
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<i64, E> {
        i64::try_from(number).map_err(E::custom)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<i64, E> {
        text.parse().map_err(E::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::super::form::{MessageForm, read};
    use super::*;
    use prost::Message;
    use serde_json::{Value, json};

    fn from_json<T: Message + Default + serde::de::DeserializeOwned>(text: &str) -> T {
        read(MessageForm::Json, text.as_bytes()).unwrap_or_else(|| panic!("{text}"))
    }

    #[test]
    fn the_numbers_of_fields_are_those_of_the_generated_client() {
        let create: CreateRequest = read(MessageForm::Protobuf, b"\x12\x01k\x1a\x02v1").unwrap();
        assert_eq!((create.key.as_str(), create.version.as_str()), ("k", "v1"));
        let finalize: FinalizeRequest =
            read(MessageForm::Protobuf, b"\x12\x01k\x18\xac\x02\x22\x02v1").unwrap();
        assert_eq!(
            (
                finalize.key.as_str(),
                finalize.size_bytes,
                finalize.version.as_str()
            ),
            ("k", 300, "v1")
        );
        let find: FindRequest =
            read(MessageForm::Protobuf, b"\x12\x01k\x1a\x01a\x1a\x02bc\x22\x02v1").unwrap();
        assert_eq!((find.key.as_str(), find.version.as_str()), ("k", "v1"));
        assert_eq!(find.restore_keys, ["a", "bc"]);
    }

    #[test]
    fn answers_are_those_bytes() {
        let create = CreateResponse {
            ok: true,
            signed_upload_url: "u".into(),
            message: String::new(),
        };
        assert_eq!(create.encode_to_vec(), b"\x08\x01\x12\x01u");
        let refused = CreateResponse {
            ok: false,
            signed_upload_url: String::new(),
            message: "no".into(),
        };
        assert_eq!(refused.encode_to_vec(), b"\x1a\x02no");
        let finalize = FinalizeResponse {
            ok: true,
            entry_id: 300,
            message: String::new(),
        };
        assert_eq!(finalize.encode_to_vec(), b"\x08\x01\x10\xac\x02");
        let find = FindResponse {
            ok: true,
            signed_download_url: "u".into(),
            matched_key: "k".into(),
        };
        assert_eq!(find.encode_to_vec(), b"\x08\x01\x12\x01u\x1a\x01k");
    }

    #[test]
    fn metadata_and_unknown_fields_are_skipped() {
        let create: CreateRequest = read(
            MessageForm::Protobuf,
            b"\x0a\x02\x08\x07\x12\x01k\x1a\x01v\x7a\x01x",
        )
        .unwrap();
        assert_eq!((create.key.as_str(), create.version.as_str()), ("k", "v"));
        let create: CreateRequest =
            from_json(r#"{"metadata":{"repository_id":"1","scope":[]},"key":"k","x":[{}],"version":"v"}"#);
        assert_eq!((create.key.as_str(), create.version.as_str()), ("k", "v"));
    }

    #[test]
    fn json_has_two_spellings_and_two_kinds_of_number() {
        for text in [
            r#"{"key":"k","size_bytes":"300","version":"v"}"#,
            r#"{"key":"k","size_bytes":300,"version":"v"}"#,
            r#"{"key":"k","sizeBytes":"300","version":"v"}"#,
            r#"{"version":"v","sizeBytes":300,"key":"k"}"#,
        ] {
            assert_eq!(from_json::<FinalizeRequest>(text).size_bytes, 300, "{text}");
        }
        for text in [
            r#"{"key":"k","restore_keys":["a"],"version":"v"}"#,
            r#"{"key":"k","restoreKeys":["a"],"version":"v"}"#,
        ] {
            assert_eq!(from_json::<FindRequest>(text).restore_keys, ["a"], "{text}");
        }
        for text in ["{}", r#"{"key":null,"restore_keys":null,"version":null}"#] {
            assert_eq!(from_json::<FindRequest>(text), FindRequest::default());
        }
        assert_eq!(
            from_json::<FinalizeRequest>(r#"{"size_bytes":null}"#).size_bytes,
            0
        );
    }

    #[test]
    fn what_is_no_message_is_refused() {
        for text in [
            "",
            "[]",
            "null",
            "{",
            r#"{"size_bytes":"x"}"#,
            r#"{"size_bytes":1.5}"#,
            r#"{"key":1}"#,
        ] {
            assert!(
                read::<FinalizeRequest>(MessageForm::Json, text.as_bytes()).is_none(),
                "{text}"
            );
        }
        for bytes in [
            &b"\x12\x05k"[..],
            b"\x12",
            b"\x18\xff",
            b"{}",
            b"\x12\x02\xff\xfe",
        ] {
            assert!(
                read::<FinalizeRequest>(MessageForm::Protobuf, bytes).is_none(),
                "{bytes:?}"
            );
        }
    }

    #[test]
    fn json_answers_have_all_fields_and_numbers_as_strings() {
        let value = |message: &FinalizeResponse| serde_json::to_value(message).unwrap();
        let mut finalize = FinalizeResponse::default();
        assert_eq!(
            value(&finalize),
            json!({"ok": false, "entry_id": "0", "message": ""})
        );
        finalize.entry_id = (1 << 53) - 1;
        assert_eq!(value(&finalize)["entry_id"], Value::from("9007199254740991"));
        assert_eq!(
            serde_json::to_value(FindResponse::default()).unwrap(),
            json!({"ok": false, "signed_download_url": "", "matched_key": ""})
        );
        assert_eq!(
            serde_json::to_value(CreateResponse::default()).unwrap(),
            json!({"ok": false, "signed_upload_url": "", "message": ""})
        );
    }
}
