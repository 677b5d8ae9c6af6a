//! The composition of the stream, and what a number alone tells: its kind and how many of each kind came before.

use events::Kind;

/// Persons, auctions (each with its item before it) and bids in an epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mix {
    persons: u64,
    auctions: u64,
    bids: u64,
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
    /// A mix with at least one person and one auction, so that every reference can resolve.
    pub(super) const fn new(persons: u64, auctions: u64, bids: u64) -> Option<Self> {
        if persons == 0 || auctions == 0 { None } else { Some(Mix { persons, auctions, bids }) }
    }

    /// Events in an epoch.
    pub const fn epoch(&self) -> u64 {
        self.persons + 2 * self.auctions + self.bids
    }

    pub(super) const fn auctions(&self) -> u64 {
        self.auctions
    }

    /// The kind of event `number`, and how many of each kind came before it.
    #[inline]
    pub const fn locate(&self, number: u64) -> (Kind, Counts) {
        let (epoch, place) = (number / self.epoch(), number % self.epoch());
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
    fn counts_are_those_of_counting() {
        for mix in [Mix::new(1, 3, 46), Mix::new(1, 1, 10), Mix::new(3, 2, 0), Mix::new(2, 5, 1)] {
            let mix = mix.unwrap();
            let mut counted = Counts::default();
            for number in 0..400 {
                let (kind, counts) = mix.locate(number);
                assert_eq!(counts, counted, "event {number}");
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
