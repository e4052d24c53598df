//! Sensirion's VOC index of an SGP40's raw signal: 1 to 500, 100 being the air of the last day. Pure.
//!
//! Source: Sensirion's Gas Index Algorithm, version 3.2, for which there is no other description: its formulas and constants, without
//! its scaling. Own code, since the `gas-index-algorithm` crate takes square roots from `micromath` that are wrong by up to 6 %: what
//! it learns of the signal's deviation ends at 64 ticks, whatever that is.

/// The algorithm wants one sample a second.
const SECOND: f64 = 1.0;
const HOUR: f64 = 3600.0;
/// Until the sensor has warmed up.
const BLACKOUT: f64 = 45.0;
/// Ticks below which no signal is.
const LEAST: f64 = 20_000.0;
const MOST: f64 = LEAST + 32_767.0;

/// The index of a deviation of the signal.
const GAIN: f64 = 230.0;
const DEVIATION_BONUS: f64 = 220.0;
const STEEPNESS: f64 = -0.0065;
const MIDDLE: f64 = 213.0;
const MAX_INDEX: f64 = 500.0;
const MIN_INDEX: f64 = 0.5;

/// How fast it learns: at first, and later on.
const FIRST_MEAN: f64 = SECOND / (20.0 + SECOND);
const FIRST_VARIANCE: f64 = SECOND / (2500.0 + SECOND);
const LATER: f64 = SECOND / (12.0 * HOUR + SECOND);
const FIRST_DEVIATION: f64 = 50.0;
/// Seconds after which it learns the mean and the variance no longer as at first.
const SETTLING_MEAN: f64 = 0.75 * HOUR;
const SETTLING_VARIANCE: f64 = 1.45 * HOUR;
const SETTLING_STEEPNESS: f64 = 0.01;
/// Above this index it does not learn: what is foul is not usual.
const GATE: f64 = 340.0;
const FIRST_GATE: f64 = 510.0;
const GATE_STEEPNESS: f64 = 0.09;
/// After so many minutes above it is usual after all.
const LONGEST_GATING: f64 = 180.0;
const GATING_RATIO: f64 = 0.3;
/// Its clocks stop here.
const CLOCK_END: f64 = 32_766.0;

/// The time constants of the smoothing in seconds: of a signal that changes, and of one that does not.
const QUICK: f64 = 20.0;
const SLOW: f64 = 500.0;

/// What it has learned of the air.
#[derive(Debug, Clone, Default)]
pub struct VocIndex {
    uptime: f64,
    /// Of the signal above `LEAST`, as are the mean and the deviation.
    signal: f64,
    usual: Option<Usual>,
    smoothed: Option<Smoothed>,
}

impl VocIndex {
    /// The index after one more second; `None` while the sensor warms up.
    pub fn process(&mut self, ticks: u16) -> Option<u16> {
        if self.uptime <= BLACKOUT {
            self.uptime += SECOND;
            return None;
        }
        if (1..65_000).contains(&ticks) {
            self.signal = f64::from(ticks).clamp(LEAST + 1.0, MOST) - LEAST;
        }
        // Before it knows what is usual it takes any air for the best.
        let raw = self.usual.as_ref().map_or(0.0, |usual| usual.index(self.signal));
        let index = self.smoothed.get_or_insert(Smoothed::at(raw)).enter(raw).max(MIN_INDEX);
        match &mut self.usual {
            Some(usual) => usual.learn(self.signal, index),
            None => self.usual = Some(Usual::at(self.signal)),
        }
        Some((index + 0.5) as u16)
    }
}

/// The signal's usual mean and deviation.
#[derive(Debug, Clone)]
struct Usual {
    mean: f64,
    deviation: f64,
    /// Seconds since it began to learn.
    learning: f64,
    /// The same, begun anew when it was kept from learning for too long.
    gating: f64,
    /// Minutes for which it was kept from learning.
    gated: f64,
}

impl Usual {
    fn at(signal: f64) -> Self {
        Self { mean: signal, deviation: FIRST_DEVIATION, learning: 0.0, gating: 0.0, gated: 0.0 }
    }

    fn index(&self, signal: f64) -> f64 {
        let deviations = (signal - self.mean) / -(self.deviation + DEVIATION_BONUS) * GAIN;
        MAX_INDEX * falling(deviations, MIDDLE, STEEPNESS)
    }

    fn learn(&mut self, signal: f64, index: f64) {
        for clock in [&mut self.learning, &mut self.gating] {
            *clock = (*clock + SECOND).min(CLOCK_END);
        }
        let gate = |settling| {
            let gate = GATE + (FIRST_GATE - GATE) * falling(self.gating, settling, SETTLING_STEEPNESS);
            falling(index, gate, GATE_STEEPNESS)
        };
        let (mean_gate, variance_gate) = (gate(SETTLING_MEAN), gate(SETTLING_VARIANCE));
        let first_mean = falling(self.learning, SETTLING_MEAN, SETTLING_STEEPNESS);
        let first_variance = falling(self.learning, SETTLING_VARIANCE, SETTLING_STEEPNESS) - first_mean;
        let mean_rate = mean_gate * (LATER + (FIRST_MEAN - LATER) * first_mean);
        let variance_rate = variance_gate * (LATER + (FIRST_VARIANCE - LATER) * first_variance);

        self.gated += SECOND / 60.0 * ((1.0 - mean_gate) * (1.0 + GATING_RATIO) - GATING_RATIO);
        self.gated = self.gated.max(0.0);
        if self.gated > LONGEST_GATING {
            self.gating = 0.0;
        }

        let away = signal - self.mean;
        self.deviation = ((1.0 - variance_rate) * (self.deviation.powi(2) + variance_rate * away.powi(2))).sqrt();
        self.mean += mean_rate * away;
    }
}

/// The index without its noise: followed slowly, and quickly when it changes.
#[derive(Debug, Clone)]
struct Smoothed {
    quick: f64,
    slow: f64,
    index: f64,
}

impl Smoothed {
    fn at(index: f64) -> Self {
        Self { quick: index, slow: index, index }
    }

    fn enter(&mut self, index: f64) -> f64 {
        let follow = |value: &mut f64, time: f64| *value += SECOND / (time + SECOND) * (index - *value);
        follow(&mut self.quick, QUICK);
        follow(&mut self.slow, SLOW);
        let steady = (-0.2 * (self.quick - self.slow).abs()).exp();
        follow(&mut self.index, QUICK + (SLOW - QUICK) * steady);
        self.index
    }
}

/// From 1 to 0, or with a negative steepness from 0 to 1, being a half at `middle`.
fn falling(value: f64, middle: f64, steepness: f64) -> f64 {
    1.0 / (1.0 + (steepness * (value - middle)).exp())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A day of a signal with noise and drift, a strong event and a long one.
    fn day() -> impl Iterator<Item = u16> {
        let mut seed: u32 = 1;
        (0..86_400).map(move |second: i32| {
            seed = seed.wrapping_mul(1_103_515_245).wrapping_add(12_345) & 0x7fff_ffff;
            let event = match second {
                7200..7500 => -2500,
                30_000..45_000 => -400,
                _ => 0,
            };
            let noise = (seed >> 16) as i32 % 61 - 30;
            u16::try_from(30_000 + noise - second / 600 + event).unwrap()
        })
    }

    #[test]
    fn a_day_goes_as_with_sensirions_own_program() {
        // Of version 3.2.2 with the same signal; 0 is what it says while it warms up.
        let expected = [
            (0, 0),
            (45, 0),
            (46, 1),
            (60, 37),
            (120, 96),
            (600, 99),
            (3600, 102),
            (7199, 104),
            (7210, 263),
            (7260, 479),
            (7499, 500),
            (7600, 107),
            (8000, 103),
            (14400, 108),
            (30100, 362),
            (33000, 352),
            (44999, 240),
            (45100, 90),
            (60000, 97),
            (86399, 110),
        ];
        let mut index = VocIndex::default();
        let day: Vec<u16> = day().map(|ticks| index.process(ticks).unwrap_or(0)).collect();
        let ours = expected.map(|(second, _)| (second, day[second]));
        // It calculates with fewer digits.
        let near = ours.iter().zip(&expected).all(|((_, ours), (_, theirs))| ours.abs_diff(*theirs) <= 1);
        assert!(near, "{ours:?} is not {expected:?}");
    }
}
