//! Smoothing: the noise of a sensor taken out of its good values. What comes out lies between the values that went in.

use std::collections::VecDeque;
use std::time::Duration;

use crate::model::Monotonic;

/// How a channel is smoothed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Smoothing {
    /// The middle one of the last so many, which is odd: single spikes vanish.
    Median(usize),
    /// The mean of the last so many.
    Average(usize),
    /// A first-order lag with this time constant, whatever the interval.
    Exponential(Duration),
}

/// A smoothing and the values in it.
#[derive(Debug, Clone)]
pub(super) struct Smoother {
    how: Smoothing,
    /// After so long without a good value it begins anew.
    gap: Duration,
    /// What was entered, oldest first; of an exponential only the last result.
    values: VecDeque<f64>,
    /// What came out last, and when.
    last: Option<(f64, Monotonic)>,
}

impl Smoother {
    pub(super) fn new(how: Smoothing, gap: Duration) -> Self {
        Self { how, gap, values: VecDeque::new(), last: None }
    }

    /// Enters a good value and gives the smoothed one.
    pub(super) fn enter(&mut self, value: f64, at: Monotonic) -> f64 {
        if self.latest(at).is_none() {
            self.restart();
        }
        let smoothed = match self.how {
            Smoothing::Median(most) => {
                self.keep(value, most);
                median(&self.values)
            }
            Smoothing::Average(most) => {
                self.keep(value, most);
                mean(&self.values)
            }
            Smoothing::Exponential(constant) => match self.last {
                Some((before, then)) => {
                    let rest = (-at.since(then).as_secs_f64() / constant.as_secs_f64()).exp();
                    (before * rest + value * (1.0 - rest)).clamp(before.min(value), before.max(value))
                }
                None => value,
            },
        };
        self.last = Some((smoothed, at));
        smoothed
    }

    /// What came out last, unless that is too long ago.
    pub(super) fn latest(&self, at: Monotonic) -> Option<f64> {
        self.last.filter(|(_, then)| at.since(*then) <= self.gap).map(|(value, _)| value)
    }

    /// Forgets all that was entered.
    pub(super) fn restart(&mut self) {
        self.values.clear();
        self.last = None;
    }

    fn keep(&mut self, value: f64, most: usize) {
        while self.values.len() >= most.max(1) {
            self.values.pop_front();
        }
        self.values.push_back(value);
    }
}

/// Until the window is full its number may be even. Then it is the lower one of the middle two: a value that was measured.
fn median(values: &VecDeque<f64>) -> f64 {
    let mut sorted: Vec<f64> = values.iter().copied().collect();
    sorted.sort_unstable_by(f64::total_cmp);
    sorted.get(sorted.len().saturating_sub(1) / 2).copied().unwrap_or_default()
}

fn mean(values: &VecDeque<f64>) -> f64 {
    let (lowest, highest) =
        values.iter().fold((f64::MAX, f64::MIN), |(low, high), value| (low.min(*value), high.max(*value)));
    let number = values.len().max(1) as f64;
    // Divided first, so that the sum cannot overflow; what rounding adds must not leave the range.
    let mean: f64 = values.iter().map(|value| value / number).sum();
    mean.clamp(lowest, highest.max(lowest))
}
