//! Names of persons, cities and items.

pub(super) const FIRST: &[&str] = &[
    "Amara", "Bela", "Carlos", "Dana", "Elif", "Farid", "Greta", "Hiro", "Ines", "Jonas", "Kamala", "Liam",
    "Mei", "Noor", "Olga", "Pavel", "Quinn", "Rosa", "Samir", "Tove", "Uma", "Viktor", "Wanda", "Ximena",
    "Yusuf", "Zora",
];

pub(super) const LAST: &[&str] = &[
    "Abe", "Berger", "Costa", "Dahl", "Eze", "Fischer", "Garcia", "Huber", "Ivanov", "Jensen", "Kaya",
    "Lopez", "Moreau", "Nowak", "Okafor", "Petrov", "Rossi", "Sato", "Tanaka", "Ueda", "Varga", "Weber",
    "Yilmaz", "Zhang",
];

pub(super) const CITIES: &[&str] = &[
    "Albany", "Boise", "Chicago", "Denver", "El Paso", "Fresno", "Gary", "Houston", "Irvine", "Juneau",
    "Kent", "Lincoln", "Miami", "Newark", "Omaha", "Portland", "Quincy", "Reno", "Seattle", "Tampa", "Utica",
    "Waco",
];

pub(super) const STATES: &[&str] =
    &["AK", "AZ", "CA", "CO", "FL", "ID", "IL", "IN", "MA", "NE", "NJ", "NV", "NY", "OR", "TX", "WA"];

pub(super) const ITEMS: &[&str] = &[
    "armchair", "bicycle", "camera", "drum", "easel", "flute", "globe", "hammock", "inkwell", "jacket",
    "kettle", "lamp", "mirror", "necklace", "oboe", "painting", "quilt", "radio", "saddle", "teapot",
    "umbrella", "violin",
];

/// Picks an entry of the table by a random number.
pub(super) fn pick<'t>(table: &[&'t str], random: u64) -> &'t str {
    table[((u128::from(random) * table.len() as u128) >> 64) as usize]
}
