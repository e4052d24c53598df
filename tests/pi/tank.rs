//! What the test is to the machine: a tank with a heater in it, whose time passes with the readings.
//!
//! A step for each reading and not for each second: a slow machine has a slow tank, and control is the same.

use crate::HEATER;
use crate::broker::Subscriber;
use crate::machine::Machine;

/// The topic of what is measured in it.
pub const WATER: &str = "homeostat/tank/water/temperature";

pub struct Tank {
    pub celsius: f64,
}

impl Tank {
    pub fn at(celsius: f64) -> Self {
        Self { celsius }
    }

    /// Makes the sensor feel it.
    pub fn tell(&self, pi: &mut Machine) {
        pi.qmp.set_temperature(self.celsius);
    }

    /// Lives until its temperature has been held for a while. The heater needs to be on for half of the time.
    pub async fn settles(&mut self, pi: &mut Machine, heard: &mut Subscriber) {
        let (mut held, before) = (0, pi.pins.edges(HEATER).len());
        // 200 steps bring it from anywhere to where it is to be.
        for _ in 0..1_000 {
            let reading = heard.next().await;
            if reading.topic != WATER {
                continue;
            }
            self.celsius += if pi.pins.is_high(HEATER) { -0.1 } else { 0.1 };
            self.tell(pi);
            let value = reading.json()["value"].as_f64().expect("a reading is bad");
            held = if (23.0..=25.5).contains(&value) { held + 1 } else { 0 };
            if held == 50 {
                let edges = pi.pins.edges(HEATER).len() - before;
                assert!(edges > 4, "the heater switched {edges} times only");
                return;
            }
        }
        panic!("it is not held: {} °C", self.celsius);
    }
}
