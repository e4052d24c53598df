//! Freeing an I²C bus whose data line a device holds low: it was cut off in the midst of sending, and waits for clocks. Pure.
//!
//! Nine of them bring any byte and its acknowledgement to an end (I²C specification, UM10204, 3.1.16), and a STOP makes the device
//! forget the transfer. Lines are only ever pulled low or let go, so that nothing drives against a device.

use super::{HardwareError, Recovered};

/// The bits of a byte and its acknowledgement.
const MOST_CLOCKS: u8 = 9;

/// One of the bus's two lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Line {
    /// The data.
    Sda,
    /// The clock.
    Scl,
}

/// Both lines, as open-drain pins. Each change lasts for half a clock period, 5 µs or more.
pub(super) trait Lines {
    /// What the line is at.
    fn is_high(&mut self, line: Line) -> bool;
    /// Pulls the line low.
    fn pull(&mut self, line: Line);
    /// Lets the line go; its resistor brings it up unless somebody else pulls.
    fn release(&mut self, line: Line);
}

/// Clocks until SDA is let go, then gives a STOP. Touches nothing if SDA is high.
pub(super) fn free(bus: u8, lines: &mut impl Lines) -> Result<Recovered, HardwareError> {
    if lines.is_high(Line::Sda) {
        return Ok(Recovered::NotNeeded);
    }
    let stuck = |name| HardwareError::Io {
        what: format!("freeing I²C bus {bus}"),
        reason: format!("{name} stays low: switch the power of its devices off and on, or look for a short circuit"),
    };
    for clocks in 1..=MOST_CLOCKS {
        lines.pull(Line::Scl);
        lines.release(Line::Scl);
        if !lines.is_high(Line::Scl) {
            return Err(stuck("SCL"));
        }
        if lines.is_high(Line::Sda) {
            // A STOP is SDA going up while SCL is high; SDA itself may only change while SCL is low.
            lines.pull(Line::Scl);
            lines.pull(Line::Sda);
            lines.release(Line::Scl);
            lines.release(Line::Sda);
            return if lines.is_high(Line::Sda) { Ok(Recovered::Freed { clocks }) } else { Err(stuck("SDA")) };
        }
    }
    Err(stuck("SDA"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A device that lets SDA go after so many clocks, and everything that was done to the lines.
    struct Device {
        holds: u8,
        short: Option<Line>,
        pulled: Vec<Line>,
        log: String,
    }

    impl Lines for Device {
        fn is_high(&mut self, line: Line) -> bool {
            let held = line == Line::Sda && self.holds > 0;
            !held && self.short != Some(line) && !self.pulled.contains(&line)
        }

        fn pull(&mut self, line: Line) {
            self.pulled.push(line);
            self.log.push(if line == Line::Scl { 'c' } else { 'd' });
        }

        fn release(&mut self, line: Line) {
            self.pulled.retain(|pulled| *pulled != line);
            self.log.push(if line == Line::Scl { 'C' } else { 'D' });
            if line == Line::Scl {
                self.holds = self.holds.saturating_sub(1);
            }
        }
    }

    #[test]
    fn it_clocks_until_the_data_line_is_free_and_ends_with_a_stop() {
        for (holds, short, expected, log) in [
            (0, None, Ok(Recovered::NotNeeded), ""),
            (1, None, Ok(Recovered::Freed { clocks: 1 }), "cCcdCD"),
            (9, None, Ok(Recovered::Freed { clocks: 9 }), "cCcCcCcCcCcCcCcCcCcdCD"),
            (10, None, Err("SDA stays low"), "cCcCcCcCcCcCcCcCcC"),
            (0, Some(Line::Sda), Err("SDA stays low"), "cCcCcCcCcCcCcCcCcC"),
            (3, Some(Line::Scl), Err("SCL stays low"), "cC"),
        ] {
            let mut device = Device { holds, short, pulled: Vec::new(), log: String::new() };
            match (free(1, &mut device), expected) {
                (Err(error), Err(words)) => assert!(error.to_string().contains(words), "{error}"),
                (result, expected) => assert_eq!(result.map_err(|_| ""), expected, "held for {holds}"),
            }
            assert_eq!(device.log, log, "held for {holds}, {short:?}");
            assert_eq!(device.pulled, [], "both lines are let go");
        }
    }
}
