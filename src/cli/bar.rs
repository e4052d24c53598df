//! One line on a terminal's standard error that says how far something is: `exporting ██████████░░░░░░░░░░ 52 %`.

use std::io::{self, IsTerminal, Write};

const WIDTH: u64 = 30;

/// It is wiped when it goes. Where nobody looks, it does nothing.
pub struct Bar {
    what: &'static str,
    /// What it says now, in percent; `None` where nobody looks.
    shown: Option<Option<u64>>,
}

impl Bar {
    /// For work that is called so: `exporting`. `is_wanted`: whether the terminal is not taken up by something else.
    pub fn new(what: &'static str, is_wanted: bool) -> Self {
        Self { what, shown: (is_wanted && io::stderr().is_terminal()).then_some(None) }
    }

    /// So much is done. The whole may be a guess: it is full only at the end.
    pub fn at(&mut self, done: u64, all: u64) {
        let percent = percent(done, all);
        if let Some(shown) = self.shown.as_mut().filter(|shown| **shown != Some(percent)) {
            *shown = Some(percent);
            // A terminal that is gone is no reason to end.
            let _ = write!(io::stderr(), "\r{}", line(self.what, percent));
        }
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        if let Some(Some(_)) = self.shown {
            // To the line's beginning, and nothing from there on.
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}

fn percent(done: u64, all: u64) -> u64 {
    match done.saturating_mul(100).checked_div(all) {
        Some(percent) => percent.min(99),
        None => 0,
    }
}

fn line(what: &str, percent: u64) -> String {
    let full = WIDTH * percent / 100;
    let bar: String = (0..WIDTH).map(|part| if part < full { '█' } else { '░' }).collect();
    format!("{what} {bar} {percent:>2} %")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_grows_and_is_not_full_before_the_end() {
        assert_eq!(
            [(0, 0), (1, 2), (2, 2), (9, 2), (u64::MAX, 3)].map(|(done, all)| percent(done, all)),
            [0, 50, 99, 99, 99]
        );
        assert_eq!(line("exporting", 50), format!("exporting {}{} 50 %", "█".repeat(15), "░".repeat(15)));
    }
}
