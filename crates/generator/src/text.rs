//! Strings without allocation: an event's strings are written into a reusable buffer, and the event borrows them from
//! there.

use crate::EventRandom;

/// Maximum number of strings of an event (a person).
const MOST_STRINGS: usize = 5;

/// Reusable buffer for the strings of one event at a time.
#[derive(Debug, Default, Clone)]
pub struct Scratch {
    text: Vec<u8>,
}

/// Writes the strings of one event.
pub(crate) struct Writer<'s> {
    text: &'s mut Vec<u8>,
    ends: [usize; MOST_STRINGS],
    count: usize,
    begin: usize,
}

impl Scratch {
    /// Clears the strings of the previous event.
    pub(crate) fn writer(&mut self) -> Writer<'_> {
        self.text.clear();
        Writer { text: &mut self.text, ends: [0; MOST_STRINGS], count: 0, begin: 0 }
    }
}

impl<'s> Writer<'s> {
    pub(crate) fn push(&mut self, part: &str) {
        self.text.extend_from_slice(part.as_bytes());
    }

    /// Appends the decimal digits of a number, with leading zeros up to `width` (at most 20).
    pub(crate) fn push_digits(&mut self, mut number: u64, width: usize) {
        let mut digits = [b'0'; 20];
        let mut at = digits.len();
        while number > 0 || digits.len() - at < width.min(20) {
            at -= 1;
            digits[at] = b'0' + (number % 10) as u8;
            number /= 10;
        }
        self.text.extend_from_slice(&digits[at..]);
    }

    /// Appends lower-case letters until the current string has `length` bytes; a longer one is unchanged.
    pub(crate) fn fill_to(&mut self, length: usize, random: EventRandom, first_lane: u64) {
        let begin = self.text.len();
        let missing = (self.begin + length).saturating_sub(begin);
        // Writes eight letters at a time and truncates the surplus.
        self.text.resize(begin + missing.next_multiple_of(8), 0);
        for (place, lane) in self.text[begin..].chunks_exact_mut(8).zip(first_lane..) {
            place.copy_from_slice(&letters(random.lane(lane)));
        }
        self.text.truncate(begin + missing);
    }

    /// Ends the current string.
    pub(crate) fn end(&mut self) {
        self.begin = self.text.len();
        self.ends[self.count] = self.begin;
        self.count += 1;
    }

    /// Returns the strings in order of writing; unwritten ones are empty.
    pub(crate) fn finish(self) -> [&'s str; MOST_STRINGS] {
        // Only complete strings, digits and letters were written, so the fallbacks never apply.
        let text: &'s str = std::str::from_utf8(self.text).unwrap_or_default();
        let mut begin = 0;
        let mut strings = [""; MOST_STRINGS];
        for (string, end) in strings.iter_mut().zip(&self.ends[..self.count]) {
            *string = text.get(begin..*end).unwrap_or_default();
            begin = *end;
        }
        strings
    }
}

/// Maps a random number to eight letters: each byte, 0 to 255, is scaled to 0 to 25, four at a time.
fn letters(random: u64) -> [u8; 8] {
    const EVERY_SECOND: u64 = 0x00ff_00ff_00ff_00ff;
    let even = (((random & EVERY_SECOND) * 26) >> 8) & EVERY_SECOND;
    let odd = ((((random >> 8) & EVERY_SECOND) * 26) >> 8) & EVERY_SECOND;
    ((even | (odd << 8)) + 0x6161_6161_6161_6161).to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_are_lower_case_and_all_of_them_occur() {
        let mut seen = [false; 26];
        for number in 0..200 {
            for letter in letters(EventRandom::new(1, number).lane(0)) {
                assert!(letter.is_ascii_lowercase());
                seen[usize::from(letter - b'a')] = true;
            }
        }
        assert_eq!(seen, [true; 26]);
        assert_eq!(letters(0), *b"aaaaaaaa");
        assert_eq!(letters(u64::MAX), *b"zzzzzzzz");
    }

    #[test]
    fn strings_come_back_as_written() {
        let mut scratch = Scratch::default();
        for _ in 0..2 {
            let mut writer = scratch.writer();
            writer.push("a");
            writer.push("bc");
            writer.end();
            writer.end();
            writer.push_digits(42, 4);
            writer.fill_to(3, EventRandom::new(0, 0), 0);
            writer.end();
            writer.fill_to(9, EventRandom::new(0, 0), 0);
            writer.end();
            let [first, second, third, fourth, fifth] = writer.finish();
            assert_eq!((first, second, third, fourth.len(), fifth), ("abc", "", "0042", 9, ""));
        }
    }
}
