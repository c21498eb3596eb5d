//! JSON objects without repeated names.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, Visitor};
use serde_json::{Map, Value};

/// A JSON object in which no name stands twice.
///
/// RFC 7519 section 4 lets a reader take the last of two equal names; two readers that disagree
/// are an attack, so the whole object is refused.
#[derive(Debug)]
pub(super) struct UniqueMap(pub(super) Map<String, Value>);

impl<'de> Deserialize<'de> for UniqueMap {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ObjectOnly;

        impl<'de> Visitor<'de> for ObjectOnly {
            type Value = UniqueMap;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<UniqueMap, A::Error> {
                let mut map = Map::new();
                while let Some((name, value)) = access.next_entry::<String, Value>()? {
                    if map.insert(name, value).is_some() {
                        return Err(A::Error::custom("a name stands there twice"));
                    }
                }
                Ok(UniqueMap(map))
            }
        }

        deserializer.deserialize_map(ObjectOnly)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeated_names_and_other_shapes_are_refused() {
        assert!(serde_json::from_str::<UniqueMap>(r#"{"a":1,"b":1}"#).is_ok());
        for text in [
            r#"{"a":1,"a":1}"#,
            r#"{"a":1,"\u0061":1}"#,
            "[]",
            "1",
            r#""a""#,
            r#"{"a":"\ud800"}"#,
        ] {
            assert!(serde_json::from_str::<UniqueMap>(text).is_err(), "{text}");
        }
    }
}
