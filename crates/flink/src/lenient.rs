//! Numbers that Flink answers as `null` or as -1 where they are not known.

use serde::{Deserialize, Deserializer};

/// A number that is 0 or more; [`None`] for `null`, for a negative one, and for what is no number.
pub(crate) fn non_negative<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: TryFrom<i64>,
{
    let value = Option::<serde_json::Value>::deserialize(deserializer)?;
    let number = value.as_ref().and_then(serde_json::Value::as_i64).filter(|number| *number >= 0);
    Ok(number.and_then(|number| T::try_from(number).ok()))
}

/// A count; 0 where it is not known.
pub(crate) fn count<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: TryFrom<i64> + Default,
{
    Ok(non_negative(deserializer)?.unwrap_or_default())
}

/// The default value for `null`.
pub(crate) fn or_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Ok(Option::<T>::deserialize(deserializer)?.unwrap_or_default())
}
