//! Time windows: [start, start + size) for every multiple of the slide as start, also before the epoch.

/// Returns the ends of all sliding windows that contain a time: those that start at a multiple of the slide, at or
/// before the time, and less than a window's length before it.
pub(crate) fn sliding_ends(time: i64, size_ms: i64, slide_ms: i64) -> impl Iterator<Item = i64> {
    let last_start = time.div_euclid(slide_ms) * slide_ms;
    std::iter::successors(Some(last_start), move |start| Some(start - slide_ms))
        .take_while(move |start| start + size_ms > time)
        .map(move |start| start + size_ms)
}

/// Returns the end of the tumbling window that contains a time.
pub(crate) fn tumbling_end(time: i64, size_ms: i64) -> i64 {
    (time.div_euclid(size_ms) + 1) * size_ms
}
