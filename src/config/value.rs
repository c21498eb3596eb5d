//! The values of a file, read past duplicate keys.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_yaml::{Mapping, Value};

/// A [`Value`] whose sections keep the first of two equal keys.
///
/// `serde_yaml` ends at a duplicate, and then nothing else in the file could be reported. The
/// duplicate itself is refused by [`super::locate`].
pub(super) struct TolerantValue(pub(super) Value);

impl<'de> Deserialize<'de> for TolerantValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reading).map(Self)
    }
}

struct Reading;

impl<'de> Visitor<'de> for Reading {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value of YAML")
    }

    /// A file without any document.
    fn visit_none<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    /// Numbers beyond 64 bits stay text: the reader of the key says which range is accepted.
    fn visit_u128<E: Error>(self, value: u128) -> Result<Value, E> {
        Ok(Value::String(value.to_string()))
    }

    /// As [`Self::visit_u128`].
    fn visit_i128<E: Error>(self, value: i128) -> Result<Value, E> {
        Ok(Value::String(value.to_string()))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(TolerantValue(item)) = list.next_element()? {
            items.push(item);
        }
        Ok(Value::Sequence(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut section: A) -> Result<Value, A::Error> {
        let mut entries = Mapping::new();
        while let Some((TolerantValue(key), TolerantValue(value))) = section.next_entry()? {
            entries.entry(key).or_insert(value);
        }
        Ok(Value::Mapping(entries))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_equal_those_of_serde_yaml() {
        let check = |text| {
            let TolerantValue(value) = serde_yaml::from_str(text).unwrap();
            assert_eq!(value, serde_yaml::from_str::<Value>(text).unwrap(), "{text}");
        };
        check("a: 1\nb: -1\nc: 1.5\nd: yes\ne: true\nf: ~\ng:\nh: [1, {i: 'x'}]");
        check("");
        check("a: &x [1, 2]\nb: *x");
        check("- off\n- !!str 5\n- |\n  lines\n  of text");
    }

    #[test]
    fn the_first_of_two_equal_keys_stays() {
        let TolerantValue(value) = serde_yaml::from_str("a: 1\nb: 2\na: 3").unwrap();
        assert_eq!(value["a"], Value::from(1));
        assert_eq!(value["b"], Value::from(2));
    }

    #[test]
    fn a_number_beyond_64_bits_is_text() {
        let TolerantValue(value) = serde_yaml::from_str("99999999999999999999999").unwrap();
        assert_eq!(value, Value::from("99999999999999999999999"));
    }
}
