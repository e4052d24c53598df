//! A pin that is on or off: a float switch, a door's contact, a button, a motion detector.
//!
//! It is read in its interval, and at once when it changes.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use super::{Channel, Driver, DriverError, Entry, SensorConfig};
use crate::config::Section;
use crate::hardware::simulated::Chip;
use crate::hardware::{DigitalInput, Hardware, Wake};
use crate::model::Quantity;
use crate::wiring::{OnInput, Wiring};

const ABOUT: &str = "\
- Channel `state`: 1 while the pin is active, else 0; told at once when it changes.
- Wiring: a contact between `pin` (Broadcom number; GPIO 27 is pin 13 of the header) and ground needs nothing else: it is active when
  closed (`active = \"low\"`, `pull = \"up\"`, as without these keys). What gives 3.3 V itself, such as a motion detector:
  `active = \"high\"`. Never connect 5 V.
- `debounce`: a level counts once it has stood so long; 20 ms without the key, which is enough for contacts.
- A wire that is off is the same as a contact that is open. Where that would do harm, use a contact that is closed while all is well.
- Trouble: it changes where there is nothing: a cable of more than a few metres needs a resistor of 1 to 10 kΩ to 3.3 V and
  `pull = \"none\"`. \"permission denied\": the user must be in the group `gpio`.
";

pub(super) const ENTRY: Entry = Entry {
    name: "digital-input",
    summary: "a pin that is on or off: float switch, door contact, button, motion detector",
    about: ABOUT,
    example: r#"
[sensors.float]
driver = "digital-input"
pin = 27
active = "low"
pull = "up"
debounce = "50ms"
every = "10s"
"#,
    read,
};

/// What the contacts of switches and relays take at most.
const BOUNCES: Duration = Duration::from_millis(20);

#[derive(Debug, Clone)]
struct Config(OnInput);

fn read(section: &Section<'_>) -> Option<Box<dyn SensorConfig>> {
    Some(Box::new(Config(OnInput::read(section, BOUNCES)?)))
}

const CHANNELS: &[Channel] = &[Channel { name: "state", quantity: Quantity::State }];

impl SensorConfig for Config {
    fn channels(&self) -> &[Channel] {
        CHANNELS
    }

    fn wiring(&self) -> Wiring {
        self.0.wiring()
    }

    fn open(&self, hardware: &dyn Hardware) -> Result<Box<dyn Driver>, DriverError> {
        // The pin is taken before anybody wants to be woken: the first read sees what changes until then.
        let (wake, wanted) = (Arc::new(OnceLock::<Wake>::new()), self.0);
        let woken = wake.clone();
        let changed: Wake = Arc::new(move || {
            if let Some(wake) = woken.get() {
                wake();
            }
        });
        let pin = hardware.input(wanted.pin, wanted.settings, Some(changed))?;
        Ok(Box::new(Contact { pin, wake }))
    }

    fn chip(&self) -> Option<Chip> {
        Some(Chip::Contact { pin: self.0.pin })
    }
}

struct Contact {
    pin: Box<dyn DigitalInput>,
    wake: Arc<OnceLock<Wake>>,
}

impl Driver for Contact {
    fn read(&mut self) -> Result<Vec<f64>, DriverError> {
        Ok(vec![if self.pin.get()? { 1.0 } else { 0.0 }])
    }

    fn wake_by(&mut self, wake: Wake) -> Result<(), DriverError> {
        // It is called once; were it not, the first would do as well.
        let _ = self.wake.set(wake);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::super::testing::{assert_near, mistakes, opened, world};
    use super::*;
    use crate::hardware::recorded::Recorded;
    use crate::hardware::{Active, InputSettings, Pull};

    #[test]
    fn it_is_active_at_the_level_that_the_file_says() {
        for (keys, high, state) in [
            ("pin = 27", true, 0.0),
            ("pin = 27", false, 1.0),
            ("pin = 27\nactive = \"high\"", true, 1.0),
            ("pin = 27\nactive = \"high\"", false, 0.0),
        ] {
            let board = Recorded::default();
            board.set_pin(27, high);
            assert_near(&opened(&ENTRY, keys, &board).unwrap().read().unwrap(), &[state], 0.0);
        }
    }

    #[test]
    fn a_wire_that_is_off_is_not_active() {
        for keys in ["pin = 27", "pin = 27\nactive = \"high\""] {
            let board = Recorded::default();
            assert_near(&opened(&ENTRY, keys, &board).unwrap().read().unwrap(), &[0.0], 0.0);
        }
    }

    #[test]
    fn a_change_wakes_and_what_is_no_change_does_not() {
        let world = world();
        let settings = InputSettings { active: Active::Low, pull: Pull::Up, debounce: BOUNCES };
        let mut contact = Config(OnInput { pin: 27, settings }).open(&world).unwrap();
        // Before anybody wants to hear of it.
        world.set_input(27, false);
        let count = Arc::new(AtomicU32::new(0));
        let counted = count.clone();
        let wake = move || {
            counted.fetch_add(1, Ordering::Relaxed);
        };
        contact.wake_by(Arc::new(wake)).unwrap();
        for (high, woken) in [(false, 0), (true, 1), (true, 1), (false, 2)] {
            world.set_input(27, high);
            assert_eq!(count.load(Ordering::Relaxed), woken);
            assert_near(&contact.read().unwrap(), &[if high { 0.0 } else { 1.0 }], 0.0);
        }
    }

    #[test]
    fn mistakes_are_told_with_what_would_do() {
        for (keys, expected) in [
            ("", "add `pin"),
            ("pin = 64", "0 to 27"),
            ("pin = 27\nactive = \"closed\"", "contacts to ground"),
            ("pin = 27\npull = true", "\"up\" for a contact to ground"),
            ("pin = 27\ndebounce = \"1m\"", "from 0s to 1s"),
        ] {
            let found = mistakes(&ENTRY, keys);
            assert!(found.len() == 1 && found[0].hint.contains(expected), "{keys}: {found:?}");
        }
    }
}
