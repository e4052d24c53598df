//! How the commands that speak to the daemon write for people: colours where they are wanted, times of the place, long lines
//! turned over.

use std::io::IsTerminal;

use jiff::tz::TimeZone;

use crate::model::{Level, Timestamp};

/// What a terminal has at the least.
const WIDTH: usize = 80;

/// How it is written.
#[derive(Debug, Clone)]
pub struct Page {
    /// Whether colours are wanted.
    pub colours: bool,
    /// Whose times.
    pub zone: TimeZone,
}

/// What a colour stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ink {
    /// A heading.
    Heading,
    /// Of less interest.
    Dim,
    /// A person should look.
    Alert,
}

impl Page {
    /// For this stream, in the machine's time zone.
    pub fn of(stream: &impl IsTerminal) -> Self {
        Self { colours: super::colours(stream), zone: TimeZone::system() }
    }

    /// The text in a colour.
    pub fn ink(&self, ink: Ink, text: &str) -> String {
        let code = match ink {
            Ink::Heading => "1",
            Ink::Dim => "2",
            Ink::Alert => "1;31",
        };
        if self.colours { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    /// `14:03:10`; on another day than that of `now`, `2026-11-20 14:03:10`.
    pub fn time(&self, time: Timestamp, now: Timestamp) -> String {
        let local = |time: Timestamp| {
            let time = jiff::Timestamp::from_millisecond(time.as_millis()).ok()?;
            Some(time.to_zoned(self.zone.clone()).datetime())
        };
        match (local(time), local(now)) {
            (Some(time), Some(now)) if time.date() == now.date() => time.strftime("%H:%M:%S").to_string(),
            (Some(time), _) => time.strftime("%Y-%m-%d %H:%M:%S").to_string(),
            (None, _) => time.to_string(),
        }
    }

    /// What follows a label that is as wide as `column`, turned over at the terminal's width and put below itself.
    pub fn hang(&self, column: usize, text: &str) -> String {
        let mut lines = String::new();
        let mut at = column;
        // A number and its unit stay together.
        let text = text.replace(" %", "\u{a0}%").replace(" °C", "\u{a0}°C");
        for word in text.split(' ') {
            let length = word.chars().count();
            if at > column && at + 1 + length > WIDTH {
                lines.push('\n');
                lines.extend(std::iter::repeat_n(' ', column));
                at = column;
            }
            if at > column {
                lines.push(' ');
                at += 1;
            }
            // No daemon's text moves the cursor of the person who reads it.
            lines.extend(word.chars().map(|c| if c.is_control() || c == '\u{a0}' { ' ' } else { c }));
            at += length;
        }
        lines
    }
}

/// `2 s ago`, `3 min ago`
pub fn ago(time: Timestamp, now: Timestamp) -> String {
    format!("{} ago", span(now.as_millis().saturating_sub(time.as_millis()).max(0).unsigned_abs() / 1000))
}

/// `2 s`, `3 min`, `5 h 20 min`, `12 d 3 h`
pub fn span(seconds: u64) -> String {
    let (minutes, hours) = (seconds / 60, seconds / 3600);
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{minutes} min"),
        3600..86_400 if minutes % 60 == 0 => format!("{hours} h"),
        3600..86_400 => format!("{hours} h {} min", minutes % 60),
        _ => format!("{} d {} h", hours / 24, hours % 24),
    }
}

/// `off`, `on`, `40 %`
pub fn level(part: f64) -> String {
    Level::clamped(part).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    pub const PLAIN: Page = Page { colours: false, zone: TimeZone::UTC };

    #[test]
    fn times_are_short_and_of_the_place() {
        let (now, hour) = (Timestamp::from_millis(1_795_250_000_250), 3_600_000);
        let earlier = |hours: i64| Timestamp::from_millis(now.as_millis() - hours * hour);
        let east = Page { zone: TimeZone::fixed(jiff::tz::offset(1)), ..PLAIN };
        assert_eq!((&*PLAIN.time(now, now), &*east.time(now, now)), ("08:33:20", "09:33:20"));
        assert_eq!(PLAIN.time(earlier(9), now), "2026-11-20 23:33:20");
        assert_eq!(east.time(earlier(9), now), "00:33:20");
        let spans = [
            (0, "0 s"),
            (59, "59 s"),
            (3599, "59 min"),
            (3600, "1 h"),
            (9000, "2 h 30 min"),
            (1e6 as u64, "11 d 13 h"),
        ];
        for (seconds, text) in spans {
            assert_eq!(span(seconds), text);
        }
        assert_eq!(ago(now, earlier(2)), "0 s ago", "a clock that was set back");
    }

    #[test]
    fn long_lines_are_turned_over_and_nothing_moves_the_cursor() {
        let text = format!("{} \x1b[2Jend", "word ".repeat(15));
        let lines = PLAIN.hang(14, &text);
        assert!(lines.lines().all(|line| line.chars().count() <= 80), "{lines}");
        assert_eq!(lines.lines().nth(1).map(|line| &line[..18]), Some("              word"));
        assert!(!lines.contains('\x1b'));
    }
}
