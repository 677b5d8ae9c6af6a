//! Results of ranges, case by case, and properties over random files. `python.rs` has the comparison with Python.

use std::path::{Path, PathBuf};

use crate::support::Archive;
use proptest::prelude::*;
use whisper::{Corruption, FetchError, Range, Series, fetch};

const NOW: i64 = 1_000_000_000;

struct File {
    _folder: tempfile::TempDir,
    path: PathBuf,
}

fn file(bytes: &[u8]) -> File {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("series.wsp");
    std::fs::write(&path, bytes).unwrap();
    File { _folder: folder, path }
}

fn read(path: &Path, from: i64, until: i64) -> Result<Option<Series>, FetchError> {
    fetch(path, Range { from, until, now: NOW })
}

/// Ten points 10 s apart and ten 60 s apart; the fine ones have wrapped around, one is missing, one is left over.
fn example() -> File {
    let second = |ago: u32| u32::try_from(NOW).unwrap() - ago;
    let fine: Vec<(u32, f64)> =
        [170, 80, 70, 50, 40, 30, 20, 10, 0].map(|ago| (second(ago), -f64::from(ago))).into();
    let coarse = [(second(520), 520.0), (second(100), 100.0), (second(40), 40.0)];
    file(&crate::support::file(&[Archive::new(10, 10, &fine), Archive::new(60, 10, &coarse)]))
}

#[track_caller]
fn check(file: &File, from: i64, until: i64, expected: Option<(i64, i64, i64, &[Option<f64>])>) {
    let found = read(&file.path, from, until).unwrap();
    let expected =
        expected.map(|(from, until, step, values)| Series { from, until, step, values: values.to_vec() });
    assert_eq!(found, expected);
}

/// Goal: each rule of the range, with values computed by hand.
#[test]
fn ranges_are_answered_as_the_reference_does() {
    let file = example();
    // NOW is a multiple of 10 and 40 more than one of 60.
    let fine = |from: i64, until: i64, values: &[Option<f64>]| {
        check(&file, NOW - from, NOW - until, Some((NOW - from + 10, NOW - until + 10, 10, values)));
    };
    // Both ends move up by one step; the slot of 60 s ago is empty; the end wraps around.
    fine(70, 20, &[None, Some(-50.0), Some(-40.0), Some(-30.0), Some(-20.0)]);
    // Times between two steps are rounded down first.
    check(&file, NOW - 36, NOW - 11, Some((NOW - 30, NOW - 10, 10, &[Some(-30.0), Some(-20.0)])));
    // An empty range contains the next value.
    check(&file, NOW - 35, NOW - 35, Some((NOW - 30, NOW - 20, 10, &[Some(-30.0)])));
    // The end is at most now, and the value after now is included.
    check(&file, NOW - 10, NOW + 1000, Some((NOW, NOW + 10, 10, &[Some(0.0)])));
    // 90 s ago has the slot of 10 years ago: the whole archive, each point once.
    let all: Vec<Option<f64>> =
        [80, 70, 60, 50, 40, 30, 20, 10, 0].map(|ago| (ago != 60).then(|| -f64::from(ago))).into();
    fine(90, 0, &all);
    // 100 s is the fine archive's retention; the slot of 90 s ago has no value of that time.
    let whole: Vec<Option<f64>> = std::iter::once(None).chain(all).collect();
    fine(100, 0, &whole);
    // One second more uses the coarse archive, whose first interval is after the beginning.
    let coarse = (NOW - 100, NOW + 20, 60, &[Some(100.0), Some(40.0)][..]);
    check(&file, NOW - 101, NOW - 1, Some(coarse));
    // Beyond retention: truncated, or nothing.
    let found = read(&file.path, NOW - 10_000, NOW - 590).unwrap().unwrap();
    assert_eq!((found.from, found.until, found.values), (NOW - 580, NOW - 520, vec![None]));
    check(&file, NOW - 10_000, NOW - 601, None);
    check(&file, NOW + 1, NOW + 20, None);
    let error = read(&file.path, NOW, NOW - 1).unwrap_err();
    assert!(matches!(error, FetchError::Range { .. }), "{error}");
}

/// Goal: a file without any write has as many unknown values as the range has steps.
#[test]
fn an_empty_file_is_unknown_not_absent() {
    let file = file(&crate::support::file(&[Archive::new(10, 10, &[])]));
    check(&file, NOW - 30, NOW, Some((NOW - 20, NOW + 10, 10, &[None, None, None])));
}

/// Goal: an incomplete or invalid Whisper file is rejected, and the message names the defect.
#[test]
fn broken_files_are_refused_with_the_reason() {
    let good = crate::support::file(&[Archive::new(10, 10, &[(10, 1.0)]), Archive::new(60, 10, &[])]);
    let word = |at: usize, value: u32| {
        let mut bytes = good.clone();
        bytes[at..at + 4].copy_from_slice(&value.to_be_bytes());
        bytes
    };
    let cases = [
        (Vec::new(), Corruption::HeaderCut { bytes: 0 }),
        (good[..15].to_vec(), Corruption::HeaderCut { bytes: 15 }),
        (good[..30].to_vec(), Corruption::HeaderCut { bytes: 30 }),
        (good[..41].to_vec(), Corruption::ArchivesCut { bytes: 41, expected: 280 }),
        (good[..279].to_vec(), Corruption::ArchivesCut { bytes: 279, expected: 280 }),
        (word(0, 9), Corruption::Aggregation(9)),
        (word(8, f32::NAN.to_bits()), Corruption::XFilesFactor),
        (word(12, 0), Corruption::ArchiveCount(0)),
        (word(12, u32::MAX), Corruption::ArchiveCount(u32::MAX)),
        (word(16, 41), Corruption::Misplaced { archive: 0, found: 41, expected: 40 }),
        (word(20, 0), Corruption::EmptyArchive(0)),
        (word(32, 5), Corruption::Order(1)),
        (word(4, 601), Corruption::Retention { stated: 601, found: 600 }),
        (vec![0; 280], Corruption::Aggregation(0)),
    ];
    for (bytes, expected) in cases {
        let file = file(&bytes);
        match read(&file.path, NOW - 10, NOW) {
            Err(FetchError::Corrupt { source, .. }) => assert_eq!(source, expected),
            other => panic!("{expected:?} was expected, not {other:?}"),
        }
    }
    let folder = tempfile::tempdir().unwrap();
    assert!(matches!(read(&folder.path().join("none.wsp"), 0, 1), Err(FetchError::Open { .. })));
    assert!(matches!(read(folder.path(), 0, 1), Err(FetchError::Open { .. })));
}

fn archives() -> impl Strategy<Value = Vec<Archive>> {
    let base = u32::try_from(NOW).unwrap();
    let writes = move |step: u32, points: u32| {
        let reach = 3 * points;
        let times = prop::collection::vec((0..reach, any::<f64>()), 0..60);
        times.prop_map(move |times| {
            let aligned = base - base % step;
            times.into_iter().map(|(ago, value)| (aligned - ago * step, value)).collect::<Vec<_>>()
        })
    };
    (1_u32..5, 1_u32..40, 2_u32..7, 2_u32..30).prop_flat_map(move |(step, points, factor, more)| {
        let (coarse_step, coarse_points) = (step * factor, points / factor + more);
        (writes(step, points), writes(coarse_step, coarse_points)).prop_map(move |(fine, coarse)| {
            vec![Archive::new(step, points, &fine), Archive::new(coarse_step, coarse_points, &coarse)]
        })
    })
}

proptest! {
    /// Goal: every value of a series is exactly the last one written to its slot at its time, or unknown.
    #[test]
    fn each_value_is_the_one_written_at_its_time(archives in archives(), ago in 0_i64..200, length in 0_i64..200) {
        let file = file(&crate::support::file(&archives));
        let (from, until) = (NOW - ago, NOW - ago + length);
        let Some(series) = read(&file.path, from, until).unwrap() else {
            prop_assert!(ago > 0 && until < NOW - archives[1].content().len() as i64);
            return Ok(());
        };
        let archive = archives.iter().find(|archive| i64::from(archive.step) == series.step).unwrap();
        let content = archive.content();
        let mut time = series.from;
        for value in &series.values {
            prop_assert_eq!(value.map(f64::to_bits), content.get(&time).map(|value| value.to_bits()));
            time += series.step;
        }
        prop_assert_eq!(time, series.until);
    }

    /// Goal: no damaged file makes the reader panic or return an unbounded result.
    #[test]
    fn damage_is_never_a_panic(
        archives in archives(),
        damage in prop::collection::vec((0_usize..80, any::<u8>()), 1..8),
        length in 0_usize..2000,
        (from, until, now) in any::<(i64, i64, i64)>(),
    ) {
        let mut bytes = crate::support::file(&archives);
        for (at, value) in damage {
            if let Some(byte) = bytes.get_mut(at) {
                *byte = value;
            }
        }
        bytes.truncate(length);
        let file = file(&bytes);
        for range in [Range { from, until, now }, Range { from: NOW - 50, until: NOW, now: NOW }] {
            if let Ok(Some(series)) = fetch(&file.path, range) {
                prop_assert!(series.values.len() <= bytes.len() / 12);
            }
        }
    }
}

proptest! {
    /// Goal: no times make the reader panic, whatever a valid file contains.
    #[test]
    fn no_range_is_a_panic(
        archives in archives(),
        times in prop::array::uniform3(prop_oneof![
            any::<i64>(),
            prop::sample::select(vec![i64::MIN, i64::MIN + 1, -1, 0, NOW, 1 << 32, i64::MAX - 1, i64::MAX]),
        ]),
    ) {
        let file = file(&crate::support::file(&archives));
        let [from, until, now] = times;
        let found = fetch(&file.path, Range { from, until, now });
        prop_assert!(found.is_ok() || from > until, "{:?}", found);
    }
}

/// Goal: a current time at the end of all times gives the result of one before the file: nothing.
#[test]
fn the_present_may_be_at_any_time() {
    let file = example();
    for (now, from) in [(i64::MIN, i64::MIN), (i64::MIN, NOW - 50), (i64::MAX, NOW - 50)] {
        let found = fetch(&file.path, Range { from, until: from.max(now), now }).unwrap();
        let values = found.map(|series| series.values).unwrap_or_default();
        assert!(values.iter().all(Option::is_none), "{now}: {values:?}");
    }
    // The real current time.
    let found = fetch(&file.path, Range { from: NOW - 50, until: NOW, now: NOW }).unwrap().unwrap();
    assert!(found.values.iter().any(Option::is_some));
}

/// Goal: anything but a regular file is rejected at once, and does not block the reader.
#[test]
fn only_regular_files_are_opened() {
    let folder = tempfile::tempdir().unwrap();
    let fifo = folder.path().join("series.wsp");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
    for path in [fifo.as_path(), folder.path(), Path::new("/dev/zero")] {
        assert!(matches!(read(path, NOW - 50, NOW), Err(FetchError::Open { .. })), "{}", path.display());
    }
}
