//! The composition of the stream: an event's number determines its kind and how many of each kind precede it.

use std::ops::Range;

use events::Kind;

/// Persons, auctions (each preceded by its item) and bids per epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mix {
    persons: u64,
    auctions: u64,
    bids: u64,
    /// 2^64 divided by the events per epoch, rounded down.
    reciprocal: u64,
}

/// How many events of each kind have a smaller number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Persons.
    pub persons: u64,
    /// Items.
    pub items: u64,
    /// Auctions.
    pub auctions: u64,
    /// Bids.
    pub bids: u64,
}

impl Mix {
    /// Creates a mix with at least one person and one auction, so that every reference can resolve.
    pub(super) const fn new(persons: u64, auctions: u64, bids: u64) -> Option<Self> {
        if persons == 0 || auctions == 0 {
            return None;
        }
        // At least 3: a person, an item and an auction.
        let epoch = persons + 2 * auctions + bids;
        Some(Mix { persons, auctions, bids, reciprocal: ((1_u128 << 64) / epoch as u128) as u64 })
    }

    /// Returns the events per epoch.
    pub const fn epoch(&self) -> u64 {
        self.persons + 2 * self.auctions + self.bids
    }

    pub(super) const fn auctions(&self) -> u64 {
        self.auctions
    }

    /// Returns the epoch of a number and its position in it: a division by the reciprocal, whose result is at most
    /// one too small.
    #[inline]
    const fn divide(&self, number: u64) -> (u64, u64) {
        let epoch = ((number as u128 * self.reciprocal as u128) >> 64) as u64;
        let place = number - epoch * self.epoch();
        if place >= self.epoch() { (epoch + 1, place - self.epoch()) } else { (epoch, place) }
    }

    /// Returns the numbers of the bids in the epoch of `number`, and how many of each kind precede the first of them.
    pub(super) const fn bids_around(&self, number: u64) -> (Range<u64>, Counts) {
        let (epoch, _) = self.divide(number);
        let first = epoch * self.epoch() + self.persons + 2 * self.auctions;
        let auctions = (epoch + 1) * self.auctions;
        let persons = (epoch + 1) * self.persons;
        (first..first + self.bids, Counts { persons, items: auctions, auctions, bids: epoch * self.bids })
    }

    /// Returns the kind of event `number`, and how many of each kind precede it.
    #[inline]
    pub const fn locate(&self, number: u64) -> (Kind, Counts) {
        let (epoch, place) = self.divide(number);
        let first_bid = self.persons + 2 * self.auctions;
        let before = Counts {
            persons: epoch * self.persons,
            items: epoch * self.auctions,
            auctions: epoch * self.auctions,
            bids: epoch * self.bids,
        };
        let (persons, auctions) = (before.persons + self.persons, before.auctions + self.auctions);
        if place >= first_bid {
            let bids = before.bids + (place - first_bid);
            return (Kind::Bid, Counts { persons, items: auctions, auctions, bids });
        }
        if place < self.persons {
            return (Kind::Person, Counts { persons: before.persons + place, ..before });
        }
        let pairs = place - self.persons;
        let (items, auctions) = (before.items + pairs.div_ceil(2), before.auctions + pairs / 2);
        let kind = if pairs.is_multiple_of(2) { Kind::Item } else { Kind::Auction };
        (kind, Counts { persons, items, auctions, bids: before.bids })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_standard_epoch_is_a_person_three_pairs_and_46_bids() {
        let mix = Mix::new(1, 3, 46).unwrap();
        assert_eq!(mix.epoch(), 53);
        let kinds: Vec<Kind> = (53..106).map(|number| mix.locate(number).0).collect();
        let mut expected = vec![Kind::Person];
        expected.extend([Kind::Item, Kind::Auction].repeat(3));
        expected.extend([Kind::Bid; 46]);
        assert_eq!(kinds, expected);
    }

    #[test]
    fn division_by_the_reciprocal_is_division() {
        for mix in
            [Mix::new(1, 3, 46), Mix::new(1, 1, 0), Mix::new(1 << 32, 1 << 32, 1 << 32), Mix::new(3, 7, 15)]
        {
            let mix = mix.unwrap();
            let epoch = mix.epoch();
            let near = |number: u64| number.saturating_sub(2)..=number.saturating_add(2);
            let numbers =
                [0, epoch, 7 * epoch, u64::MAX / epoch * epoch, u64::MAX, 1 << 53, (1 << 53) / epoch * epoch];
            for number in numbers.into_iter().flat_map(near) {
                assert_eq!(mix.divide(number), (number / epoch, number % epoch), "{number} by {epoch}");
            }
        }
    }

    #[test]
    fn counts_are_those_of_counting() {
        for mix in [Mix::new(1, 3, 46), Mix::new(1, 1, 10), Mix::new(3, 2, 0), Mix::new(2, 5, 1)] {
            let mix = mix.unwrap();
            let mut counted = Counts::default();
            for number in 0..400 {
                let (kind, counts) = mix.locate(number);
                assert_eq!(counts, counted, "event {number}");
                let (bids, before) = mix.bids_around(number);
                assert_eq!(bids.contains(&number), kind == Kind::Bid, "event {number}");
                if kind == Kind::Bid {
                    let earlier = number - bids.start;
                    assert_eq!(Counts { bids: before.bids + earlier, ..before }, counted, "event {number}");
                }
                match kind {
                    Kind::Person => counted.persons += 1,
                    Kind::Item => counted.items += 1,
                    Kind::Auction => counted.auctions += 1,
                    _ => counted.bids += 1,
                }
            }
        }
    }
}
