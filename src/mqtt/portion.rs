//! How many readings go on a page of the history. Pure.
//!
//! A broker to which a page is too large has no way to say so in MQTT 3.1.1 and ends the connection, every time it comes. So a page
//! that was sent on two connections and acknowledged on neither is halved, and halved again, down to a single reading. One that
//! is not taken even alone, on connection after connection on which the broker takes everything else, is held back: all others wait
//! behind it.

use super::history::MOST;

/// A connection breaks for many reasons, so the first time says nothing of the page.
const BENEFIT_OF_THE_DOUBT: u32 = 1;
/// How many connections a reading may break before it is looked at closely. Eight halvings have gone before.
const LAST_CHANCES: u32 = 5;
/// So many full pages arrive before a larger one is tried, and four times as many after each one that was too large.
const PATIENCE: u32 = 8;
const MOST_PATIENCE: u32 = 1 << 16;

/// What goes on the next page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// At most so many readings.
    Readings(usize),
    /// None, to see whether that arrives.
    Nothing,
}

/// What to do about a page that was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is read again, and may be smaller then.
    Again,
    /// It is a single reading, and is never taken.
    HoldBack,
}

#[derive(Debug)]
pub(super) struct Portion {
    most: usize,
    /// Readings on the page that is under way.
    under_way: usize,
    /// Whether a page without any has arrived on this connection.
    takes_none: bool,
    /// How often in a row it was not taken, at this size.
    strikes: u32,
    /// Full pages that have arrived at this size.
    arrived: u32,
    patience: u32,
    /// Whether no full page of this size has arrived yet, since it was made larger.
    on_trial: bool,
}

impl Default for Portion {
    fn default() -> Self {
        Self {
            most: MOST,
            under_way: 0,
            takes_none: false,
            strikes: 0,
            arrived: 0,
            patience: PATIENCE,
            on_trial: false,
        }
    }
}

impl Portion {
    pub(super) fn next(&self) -> Next {
        if self.most <= 1 && self.strikes >= LAST_CHANCES && !self.takes_none {
            Next::Nothing
        } else {
            Next::Readings(self.most)
        }
    }

    /// A page of so many goes out.
    pub(super) fn posted(&mut self, readings: usize) {
        self.under_way = readings;
    }

    /// It has arrived.
    pub(super) fn arrived(&mut self) {
        if self.under_way == 0 {
            self.takes_none = true;
            return;
        }
        self.strikes = 0;
        if self.under_way < self.most || self.most >= MOST {
            return;
        }
        self.on_trial = false;
        self.arrived += 1;
        if self.arrived >= self.patience {
            (self.most, self.arrived, self.on_trial) = ((self.most * 2).min(MOST), 0, true);
        }
    }

    /// It was handed over, and the connection broke before it was acknowledged.
    pub(super) fn lost(&mut self) -> Verdict {
        let takes_none = std::mem::take(&mut self.takes_none);
        if self.under_way == 0 {
            return Verdict::Again;
        }
        self.strikes = self.strikes.saturating_add(1);
        if self.most <= 1 {
            return if self.strikes > LAST_CHANCES && takes_none { Verdict::HoldBack } else { Verdict::Again };
        }
        if self.on_trial || self.strikes > BENEFIT_OF_THE_DOUBT {
            self.halve();
        }
        Verdict::Again
    }

    /// The broker says that it does not want it, and not why. Gives whether a smaller page is worth a try at once.
    pub(super) fn refused(&mut self) -> bool {
        let was_many = self.under_way > 1;
        self.halve();
        was_many
    }

    /// The reading that was not taken is left out.
    pub(super) fn held_back(&mut self) {
        self.strikes = 0;
    }

    fn halve(&mut self) {
        self.most = (self.under_way.min(self.most) / 2).max(1);
        if self.on_trial {
            self.patience = (self.patience * 4).min(MOST_PATIENCE);
        }
        (self.arrived, self.on_trial) = (0, false);
        if self.most == 1 {
            // From here on they count.
            self.strikes = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sends(portion: &mut Portion) -> usize {
        let readings = match portion.next() {
            Next::Readings(most) => most,
            Next::Nothing => 0,
        };
        portion.posted(readings);
        readings
    }

    /// Sends full pages to a broker that takes at most `limit` readings; gives how many connections broke.
    fn play(portion: &mut Portion, limit: usize, pages: u32) -> u32 {
        let mut broken = 0;
        for _ in 0..pages {
            if sends(portion) <= limit {
                portion.arrived();
            } else {
                assert_eq!(portion.lost(), Verdict::Again);
                broken += 1;
            }
        }
        broken
    }

    #[test]
    fn a_connection_that_breaks_now_and_then_changes_nothing() {
        let mut portion = Portion::default();
        for _ in 0..100 {
            sends(&mut portion);
            assert_eq!(portion.lost(), Verdict::Again);
            assert_eq!(sends(&mut portion), MOST);
            portion.arrived();
        }
    }

    #[test]
    fn pages_become_as_small_as_the_broker_wants_them_and_it_is_seldom_asked_again() {
        let mut portion = Portion::default();
        assert!(play(&mut portion, 100, 11) <= 5, "{portion:?}");
        assert_eq!(portion.most, 62);
        // A day of a page a second.
        let broken = play(&mut portion, 100, 86_400);
        assert!((1..=8).contains(&broken), "{broken} connections broke");
        // The limit is lifted, and nobody says so.
        assert_eq!(play(&mut portion, MOST, 300_000), 0);
        assert_eq!(portion.most, MOST);
    }

    #[test]
    fn a_page_of_few_is_halved_too() {
        let mut portion = Portion::default();
        for expected in [MOST, 20, 10] {
            portion.posted(portion.most.min(40));
            portion.lost();
            assert_eq!(portion.most, expected);
        }
    }

    #[test]
    fn a_reading_is_held_back_where_the_broker_takes_pages_but_not_this_one() {
        let mut portion = Portion::default();
        let mut connections = 0;
        let verdict = |portion: &mut Portion| {
            if sends(portion) == 0 {
                portion.arrived();
                assert_eq!(sends(portion), 1);
            }
            portion.lost()
        };
        while verdict(&mut portion) == Verdict::Again {
            connections += 1;
            assert!(connections < 100);
        }
        assert_eq!(connections, 1 + 8 + LAST_CHANCES);
        portion.held_back();
        assert_eq!(verdict(&mut portion), Verdict::Again, "the next one has its own chances");
    }

    #[test]
    fn where_nothing_arrives_nothing_is_held_back() {
        let mut portion = Portion::default();
        assert_eq!(play(&mut portion, 0, 9 + LAST_CHANCES), 9 + LAST_CHANCES);
        for _ in 0..1000 {
            assert_eq!(sends(&mut portion), 0);
            assert_eq!(portion.lost(), Verdict::Again);
        }
    }

    #[test]
    fn a_refusal_never_holds_back() {
        let mut portion = Portion::default();
        for _ in 0..8 {
            sends(&mut portion);
            assert!(portion.refused());
        }
        for _ in 0..100 {
            assert_eq!(sends(&mut portion), 1);
            assert!(!portion.refused());
        }
    }
}
