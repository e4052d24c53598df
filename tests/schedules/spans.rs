//! Sets of time: half-open spans, sorted and apart. What an invariant is about is mostly such a set that must be empty.

use std::time::Duration;

/// Time since the schedule began, over all lives of the daemon.
pub type Moment = Duration;

#[derive(Debug, Clone, Default, PartialEq)]
pub struct Spans(Vec<(Moment, Moment)>);

impl Spans {
    pub fn iter(&self) -> impl Iterator<Item = (Moment, Moment)> + '_ {
        self.0.iter().copied()
    }

    pub fn contains(&self, at: Moment) -> bool {
        self.0.iter().any(|&(from, to)| from <= at && at < to)
    }

    /// Whether anything of `from..to` (or the moment itself, if it is one) is in the set.
    pub fn touches(&self, from: Moment, to: Moment) -> bool {
        self.0.iter().any(|&(start, end)| start < to.max(from + Duration::from_nanos(1)) && from < end)
    }

    pub fn union(&self, other: &Self) -> Self {
        self.iter().chain(other.iter()).collect()
    }

    /// What is in this set and not in `other`.
    pub fn without(&self, other: &Self) -> Self {
        let mut left = Vec::new();
        for (mut from, to) in self.iter() {
            let begin = from;
            for (start, end) in other.iter().filter(|(start, end)| *start < to && *end > begin) {
                if start > from {
                    left.push((from, start));
                }
                from = from.max(end);
            }
            if from < to {
                left.push((from, to));
            }
        }
        left.into_iter().collect()
    }

    /// Each span goes on for so much longer.
    pub fn longer(&self, by: Duration) -> Self {
        self.iter().map(|(from, to)| (from, to.saturating_add(by))).collect()
    }

    /// The first span that is longer than `tolerance`.
    pub fn first_over(&self, tolerance: Duration) -> Option<(Moment, Moment)> {
        self.iter().find(|(from, to)| *to - *from > tolerance)
    }
}

impl FromIterator<(Moment, Moment)> for Spans {
    fn from_iter<I: IntoIterator<Item = (Moment, Moment)>>(spans: I) -> Self {
        let mut sorted: Vec<_> = spans.into_iter().filter(|(from, to)| from < to).collect();
        sorted.sort();
        let mut joined: Vec<(Moment, Moment)> = Vec::new();
        for (from, to) in sorted {
            match joined.last_mut() {
                Some((_, end)) if from <= *end => *end = (*end).max(to),
                _ => joined.push((from, to)),
            }
        }
        Self(joined)
    }
}

#[test]
fn sets_of_time_add_and_subtract() {
    let set = |spans: &[(u64, u64)]| -> Spans {
        spans.iter().map(|(from, to)| (Duration::from_secs(*from), Duration::from_secs(*to))).collect()
    };
    assert_eq!(set(&[(5, 7), (1, 3), (3, 4), (6, 9), (8, 8)]), set(&[(1, 4), (5, 9)]));
    assert_eq!(set(&[(1, 10)]).without(&set(&[(0, 2), (3, 4), (9, 12)])), set(&[(2, 3), (4, 9)]));
    assert_eq!(set(&[(1, 2)]).without(&set(&[(0, 9)])), set(&[]));
    assert_eq!(set(&[(1, 2), (4, 5)]).longer(Duration::from_secs(2)), set(&[(1, 7)]));
    assert!(set(&[(1, 3)]).contains(Duration::from_secs(1)) && !set(&[(1, 3)]).contains(Duration::from_secs(3)));
}
