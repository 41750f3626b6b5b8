//! The orders that were carried out, so that none is twice.
//!
//! An order is told apart by its challenge. It is kept until its time is over; what is forgotten by then stays refused
//! whatever becomes of the clock, because no order is taken whose time ends before that of one that was forgotten.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::names::Digest;

/// More orders than anybody carries out in the longest time for which one is good.
pub const SPENT_MAX: usize = 4096;

/// What is known of an order's past.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Past {
    /// It was not carried out.
    Fresh,
    /// It was, or may have been.
    Spent,
    /// It is older than this list, which was begun anew because the one before it was lost.
    Unknown,
    /// There is no room to remember it.
    Full,
}

/// The list.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spent {
    /// Challenge, and the end of the order's time in milliseconds since 1970.
    orders: BTreeMap<String, i64>,
    /// The latest end of those that were forgotten.
    forgotten_until_ms: i64,
    /// Of orders drawn up before this nothing is known.
    begun_ms: i64,
}

impl Spent {
    /// A list in the place of one that was lost.
    #[must_use]
    pub fn anew(now_ms: i64) -> Self {
        Self {
            begun_ms: now_ms,
            ..Self::default()
        }
    }

    /// What is known now of an order that is good from and until these times.
    #[must_use]
    pub fn past(&self, challenge: &Digest, (from_ms, until_ms): (i64, i64), now_ms: i64) -> Past {
        if self.orders.contains_key(&challenge.to_string()) || until_ms <= self.forgotten_until_ms {
            Past::Spent
        } else if from_ms < self.begun_ms {
            Past::Unknown
        } else if self.orders.values().filter(|end_ms| **end_ms > now_ms).count() >= SPENT_MAX {
            Past::Full
        } else {
            Past::Fresh
        }
    }

    /// Notes that an order is carried out, and forgets those whose time is over.
    pub fn spend(&mut self, challenge: &Digest, until_ms: i64, now_ms: i64) {
        self.forget(now_ms);
        self.orders.insert(challenge.to_string(), until_ms);
    }

    fn forget(&mut self, now_ms: i64) {
        let over = self.orders.values().filter(|until_ms| **until_ms <= now_ms).max();
        self.forgotten_until_ms = over.map_or(self.forgotten_until_ms, |over| self.forgotten_until_ms.max(*over));
        self.orders.retain(|_, until_ms| *until_ms > now_ms);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(number: u32) -> Digest {
        Digest::of(&number.to_be_bytes())
    }

    #[test]
    fn an_order_is_carried_out_once_also_after_its_time_and_with_the_clock_set_back() {
        let mut spent = Spent::default();
        assert_eq!(spent.past(&order(1), (0, 1_000), 10), Past::Fresh);
        spent.spend(&order(1), 1_000, 10);
        assert_eq!(spent.past(&order(1), (0, 1_000), 10), Past::Spent);
        spent.spend(&order(2), 9_000, 5_000);
        assert_eq!(spent.orders.len(), 1, "what is over is forgotten");
        for (number, until_ms, wanted) in [
            (1, 1_000, Past::Spent),
            (3, 1_000, Past::Spent),
            (3, 1_001, Past::Fresh),
        ] {
            assert_eq!(
                spent.past(&order(number), (0, until_ms), 10),
                wanted,
                "{number} {until_ms}"
            );
        }
        assert_eq!(spent.past(&order(2), (0, 9_000), 10), Past::Spent);
    }

    #[test]
    fn a_lost_list_voids_what_was_drawn_up_before() {
        let spent = Spent::anew(5_000);
        assert_eq!(spent.past(&order(1), (4_999, 9_000), 5_000), Past::Unknown);
        assert_eq!(spent.past(&order(1), (5_000, 9_000), 5_000), Past::Fresh);
    }

    #[test]
    fn a_full_list_takes_no_more_until_something_is_over() {
        let mut spent = Spent::default();
        for number in 0..u32::try_from(SPENT_MAX).unwrap() {
            spent.spend(&order(number), 1_000, 0);
        }
        assert_eq!(spent.past(&order(9_999), (0, 2_000), 999), Past::Full);
        assert_eq!(spent.past(&order(9_999), (0, 2_000), 1_000), Past::Fresh);
    }
}
