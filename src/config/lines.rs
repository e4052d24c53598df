//! Where the lines of the file begin, so that a place can be told as a line and a column.

/// The lines of a text.
pub(super) struct Lines<'t> {
    text: &'t str,
    starts: Vec<usize>,
}

impl<'t> Lines<'t> {
    /// Finds the lines of `text`.
    pub(super) fn new(text: &'t str) -> Self {
        let ends = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        Self { text, starts: std::iter::once(0).chain(ends.map(|(at, _)| at + 1)).collect() }
    }

    /// The line that holds the byte at `at`, counted from 1.
    pub(super) fn line(&self, at: usize) -> usize {
        self.starts.partition_point(|&start| start <= at)
    }

    /// Where the line of `at` begins.
    pub(super) fn start(&self, at: usize) -> usize {
        self.starts.get(self.line(at) - 1).copied().unwrap_or_default()
    }

    /// Where the line after that of `at` begins, or the text ends.
    pub(super) fn end(&self, at: usize) -> usize {
        self.starts.get(self.line(at)).copied().unwrap_or(self.text.len())
    }

    /// The column of the character at `at`, counted from 1.
    pub(super) fn column(&self, at: usize) -> usize {
        self.text.get(self.start(at)..at).map_or(1, |before| before.chars().count() + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_told_as_lines_and_columns() {
        let lines = Lines::new("ab\nü=1\r\n");
        let told = [0, 2, 3, 5, 8, 9].map(|at| (lines.line(at), lines.column(at)));
        assert_eq!(told, [(1, 1), (1, 3), (2, 1), (2, 2), (2, 5), (3, 1)]);
        assert_eq!((lines.start(5), lines.end(5), lines.end(9)), (3, 9, 9));
        assert_eq!((Lines::new("").line(0), Lines::new("").end(0)), (1, 0));
    }
}
