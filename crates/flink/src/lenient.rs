//! Deserialisation of numbers that Flink reports as `null` or -1 where unknown.

use serde::{Deserialize, Deserializer};

/// Deserialises a non-negative number; [`None`] for `null`, for a negative one, and for anything but a number.
pub(crate) fn non_negative<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: TryFrom<i64>,
{
    let value = Option::<serde_json::Value>::deserialize(deserializer)?;
    let number = value.as_ref().and_then(serde_json::Value::as_i64).filter(|number| *number >= 0);
    Ok(number.and_then(|number| T::try_from(number).ok()))
}

/// Deserialises a count; 0 where unknown.
pub(crate) fn count<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: TryFrom<i64> + Default,
{
    Ok(non_negative(deserializer)?.unwrap_or_default())
}

/// Deserialises `null` as the default value.
pub(crate) fn or_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Ok(Option::<T>::deserialize(deserializer)?.unwrap_or_default())
}
