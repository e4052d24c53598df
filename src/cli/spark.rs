//! A line of small columns that shows how something went: `▁▂▃▅▆▇█▇  ▅▃`. Pure.

/// As fine as it is kept: more than any terminal is wide.
const PARTS: usize = 240;

/// What was the case in each of many equal parts of a range of time.
#[derive(Debug, Clone)]
pub struct Spark {
    from: i64,
    to: i64,
    /// Of each part, the sum of what was there and how many.
    parts: Vec<(f64, u64)>,
}

impl Spark {
    /// An empty one, from a moment to another in milliseconds.
    pub fn new(from: i64, to: i64) -> Self {
        Self { from, to: to.max(from.saturating_add(1)), parts: vec![(0.0, 0); PARTS] }
    }

    /// At `time` the mean of `count` readings was `mean`. What is not in the range is left out.
    pub fn add(&mut self, time: i64, mean: f64, count: u64) {
        if !(self.from..self.to).contains(&time) || !mean.is_finite() {
            return;
        }
        let part = i128::from(time - self.from) * PARTS as i128 / i128::from(self.to.saturating_sub(self.from));
        if let Some((sum, known)) = usize::try_from(part).ok().and_then(|part| self.parts.get_mut(part)) {
            *sum += mean * count as f64;
            *known += count;
        }
    }

    /// So many columns, the least value as `▁` and the most as `█`; a blank where nothing was read. What is always the same stands in
    /// the middle.
    pub fn line(&self, width: usize) -> String {
        const LEVELS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
        let columns = filled(self.columns(width.clamp(1, PARTS)));
        let known = columns.iter().flatten();
        let (least, most) = known
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(least, most), value| (least.min(*value), most.max(*value)));
        let level = |value: f64| {
            let part = (value - least) / (most - least);
            // The difference may be nothing, or larger than a number can be.
            let part = if part.is_finite() { part } else { 0.5 };
            LEVELS[((part * 8.0) as usize).min(7)]
        };
        columns.into_iter().map(|column| column.map_or(' ', level)).collect()
    }

    /// The mean of each column.
    fn columns(&self, width: usize) -> Vec<Option<f64>> {
        let mut columns = vec![(0.0, 0); width];
        for (index, (sum, count)) in self.parts.iter().enumerate() {
            let (all, known) = &mut columns[index * width / PARTS];
            *all += sum;
            *known += count;
        }
        columns.into_iter().map(|(sum, count)| (count > 0).then(|| sum / count as f64)).collect()
    }
}

/// Where readings are further apart than columns, a column between two of them is no gap.
fn filled(mut columns: Vec<Option<f64>>) -> Vec<Option<f64>> {
    let known = columns.iter().flatten().count();
    let missing = columns.len() - known;
    // Where most columns are filled, every blank is a gap.
    if known == 0 || missing * 5 < columns.len() {
        return columns;
    }
    let usual = missing.div_ceil(known);
    let mut last: Option<(usize, f64)> = None;
    for index in 0..columns.len() {
        let Some(value) = columns[index] else { continue };
        if let Some((before, held)) = last.filter(|(before, _)| index - before <= usual + 1) {
            columns[before + 1..index].fill(Some(held));
        }
        last = Some((index, value));
    }
    columns
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(width: usize, readings: impl IntoIterator<Item = (i64, f64)>) -> String {
        let mut spark = Spark::new(1000, 3400);
        readings.into_iter().for_each(|(time, value)| spark.add(1000 + time, value, 1));
        spark.line(width)
    }

    #[test]
    fn the_least_is_low_the_most_is_high_and_a_gap_is_blank() {
        let every_ten = |to: i64| (0..to).step_by(10);
        assert_eq!(line(8, every_ten(2400).map(|time| (time, time as f64))), "▁▂▃▄▅▆▇█");
        assert_eq!(line(8, every_ten(1200).map(|time| (time, -(time as f64)))), "█▆▃▁    ");
        let outage = every_ten(2400).filter(|time| !(600..900).contains(time));
        assert_eq!(line(8, outage.map(|time| (time, 7.0))), "▅▅ ▅▅▅▅▅", "the same all the time");
        assert_eq!(line(4, [(-1, 1.0), (2400, 2.0), (0, f64::NAN)]), "    ", "nothing of that is in the range");
        assert_eq!(line(0, [(0, 1.0)]), "▅");
        assert_eq!(line(500, [(0, f64::MIN), (2399, f64::MAX)]).chars().count(), 240);
    }

    #[test]
    fn readings_that_are_far_apart_have_no_gaps_between_them() {
        let steps = |step: usize, to: i64| (0..to).step_by(step).map(|time| (time, 1.0));
        for width in [20, 33, 60, 100] {
            let text = line(width, steps(60, 2400));
            assert!(!text.trim_end().contains(' '), "{width}: {text:?}");
            let half = line(width, steps(60, 1200));
            assert!(half.ends_with(&" ".repeat(width / 2 - 2)) && !half.trim_end().contains(' '), "{width}: {half:?}");
        }
    }
}
