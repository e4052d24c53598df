//! From what a sensor says to what it should say: a straight line, or a line through measured points.

/// How a raw value is corrected.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Calibration {
    /// `raw * scale + offset`
    Line { scale: f64, offset: f64 },
    /// Straight between neighbouring points, and beyond the first and the last as between the two at that end.
    Points(Points),
}

/// Points of (raw, right): 2 to 16, raw ascending, and right only rising or only falling.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Points(Vec<(f64, f64)>);

/// Nobody measures more, and a longer table is a mistake in the file.
const MOST: usize = 16;

impl Default for Calibration {
    fn default() -> Self {
        Self::Line { scale: 1.0, offset: 0.0 }
    }
}

impl Calibration {
    /// The corrected value. Not finite where the arithmetic overflows.
    pub(super) fn apply(&self, raw: f64) -> f64 {
        match self {
            Self::Line { scale, offset } => raw * scale + offset,
            Self::Points(points) => points.apply(raw),
        }
    }
}

impl Points {
    /// The error is a hint at what would do.
    pub(super) fn new(points: Vec<(f64, f64)>) -> Result<Self, String> {
        if !(2..=MOST).contains(&points.len()) {
            return Err(format!("give 2 to {MOST} points; for one, write an `offset`"));
        }
        if let Some(pair) = points.windows(2).find(|pair| pair[0].0 >= pair[1].0) {
            let (first, second) = (pair[0].0, pair[1].0);
            return Err(format!("the raw values must ascend, and {second} comes after {first}"));
        }
        let rises = points.windows(2).filter(|pair| pair[0].1 < pair[1].1).count();
        let falls = points.windows(2).filter(|pair| pair[0].1 > pair[1].1).count();
        if rises.max(falls) + 1 < points.len() {
            return Err("the right values must only rise or only fall".into());
        }
        Ok(Self(points))
    }

    fn apply(&self, raw: f64) -> f64 {
        // The first point that is not below, but never the very first: there is one on either side, except of the ends.
        let last = self.0.len() - 1;
        let right = self.0.partition_point(|point| point.0 < raw).clamp(1, last);
        let ((x0, y0), (x1, y1)) = (self.0[right - 1], self.0[right]);
        // Each point is met exactly, which one formula for both ends would not do.
        if raw == x1 {
            return y1;
        }
        y0 + (raw - x0) / (x1 - x0) * (y1 - y0)
    }
}
