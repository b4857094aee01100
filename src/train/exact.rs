//! Numbers in JSON that come back with every bit: as texts, because serde_json's reader may be off by one in the last place.

use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

/// For `#[serde(with = "exact")]`.
pub fn serialize<S: Serializer>(value: &Option<f64>, serializer: S) -> Result<S::Ok, S::Error> {
    match value {
        Some(value) => serializer.serialize_some(&format!("{value:?}")),
        None => serializer.serialize_none(),
    }
}

/// For `#[serde(with = "exact")]`.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<f64>, D::Error> {
    Option::<String>::deserialize(deserializer)?
        .map(|text| {
            text.parse()
                .map_err(|_| D::Error::custom(format!("`{text}` is no number")))
        })
        .transpose()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde::{Deserialize, Serialize};

    #[derive(Serialize, Deserialize)]
    struct Holder {
        #[serde(with = "super")]
        value: Option<f64>,
    }

    proptest! {
        #[test]
        fn every_number_comes_back(bits: u64) {
            let value = f64::from_bits(bits);
            let text = serde_json::to_string(&Holder { value: Some(value) }).unwrap();
            let back = serde_json::from_str::<Holder>(&text).unwrap().value.unwrap();
            prop_assert!(back.to_bits() == value.to_bits() || back.is_nan() && value.is_nan());
        }
    }
}
