//! DS18B20: temperature from -55 to 125 °C on the 1-Wire bus, good to 0.5 °C, and waterproof on a cable.
//!
//! Source: DS18B20 datasheet (Maxim 19-7487), "Memory" and table 1; the kernel's `w1_therm`.

use crate::config::Section;
use crate::hardware::simulated::{Chip, OneWireChip, Probe};
use crate::hardware::{Hardware, HardwareError, OneWire};
use crate::model::{Claim, Quantity};

use super::{Channel, Driver, DriverError, Entry, SensorConfig, crc};
use crate::wiring::Wiring;

const ABOUT: &str = "\
- Wiring: data to GPIO 4 with 4.7 kΩ to 3.3 V; power to 3.3 V, ground to ground. `dtoverlay=w1-gpio` in
  `/boot/firmware/config.txt`, then a reboot. `ls /sys/bus/w1/devices` shows the ids.
- The kernel speaks 1-Wire, since its timing is beyond user space. A read takes 750 ms at 12 bits.
- Trouble: 85 °C is what the chip holds after power-on, so a chip that loses power while it converts says 85 °C.
  A data line at ground gives zeros only, whose check sum is right. Neither is taken for a temperature.
";

pub(super) const ENTRY: Entry = Entry {
    name: "ds18b20",
    summary: "temperature, 1-Wire: -55 to 125 °C on a cable",
    about: ABOUT,
    example: r#"
[sensors.tank]
driver = "ds18b20"
id = "28-0316a2795cff"
every = "10s"
"#,
    read,
};

#[derive(Debug, Clone)]
struct Config {
    /// As the kernel writes it: family, dash, twelve digits. It becomes part of a path, so nothing else is let through.
    id: String,
}

fn read(section: &Section) -> Option<Box<dyn SensorConfig>> {
    let id: String = section.required("id")?;
    if let Some(hint) = misspelt(&id) {
        section.wrong("id", format!("`{id}` is not the id of a DS18B20"), hint);
        return None;
    }
    Some(Box::new(Config { id }))
}

/// What is wrong with an id.
fn misspelt(id: &str) -> Option<&'static str> {
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
    match id.split_once('-') {
        _ if id.bytes().any(|byte| byte.is_ascii_uppercase()) => Some("write it in lower case, as the kernel does"),
        Some(("28", serial)) if serial.len() == 12 && digits(serial) => None,
        Some((family, _)) if family.len() == 2 && digits(family) && family != "28" => {
            Some("a DS18B20 has an id that begins with `28-`; this is another chip")
        }
        _ => Some("write it as `ls /sys/bus/w1/devices` shows it: \"28-0316a2795cff\""),
    }
}

const CHANNELS: &[Channel] = &[Channel { name: "temperature", quantity: Quantity::Temperature }];

/// The kernel's file that converts, checks and tells both the scratchpad and the temperature.
const FILE: &str = "w1_slave";

impl SensorConfig for Config {
    fn channels(&self) -> &[Channel] {
        CHANNELS
    }

    fn wiring(&self) -> Wiring {
        Wiring { claims: vec![Claim::OneWire(self.id.clone())], lane: "w1".to_owned() }
    }

    fn open(&self, hardware: &dyn Hardware) -> Result<Box<dyn Driver>, DriverError> {
        Ok(Box::new(Ds18b20 { device: format!("DS18B20 {}", self.id), bus: hardware.one_wire(&self.id)?, last: None }))
    }

    fn chip(&self) -> Option<Chip> {
        Some(Chip::OneWire { id: self.id.clone(), model: Box::new(Model) })
    }
}

struct Ds18b20 {
    device: String,
    bus: Box<dyn OneWire>,
    /// The last good value.
    last: Option<f64>,
}

impl Driver for Ds18b20 {
    fn read(&mut self) -> Result<Vec<f64>, DriverError> {
        let text = self.bus.read(FILE)?;
        let value = temperature(&text, self.last).map_err(|fault| fault.of(&self.device))?;
        self.last = Some(value);
        Ok(vec![value])
    }
}

/// Why a text holds no temperature.
#[derive(Debug, Clone, PartialEq)]
enum Fault {
    Corrupt(&'static str),
    NoValue(&'static str),
}

impl Fault {
    fn of(self, device: &str) -> DriverError {
        let device = device.to_owned();
        match self {
            Self::Corrupt(what) => DriverError::Corrupt { device, what: what.to_owned() },
            Self::NoValue(what) => DriverError::NoValue { device, what: what.to_owned() },
        }
    }
}

/// So close to 85 °C the last value must have been for 85 °C to be believed.
const NEAR: f64 = 5.0;

/// The temperature in °C in the text of `w1_slave`, two lines:
///
/// ```text
/// 6e 01 4b 46 7f ff 02 10 71 : crc=71 YES
/// 6e 01 4b 46 7f ff 02 10 71 t=22875
/// ```
fn temperature(text: &str, last: Option<f64>) -> Result<f64, Fault> {
    let mut lines = text.lines();
    let check = lines.next().unwrap_or_default().trim_end();
    if check.is_empty() {
        return Err(Fault::NoValue("the kernel could not read it; is it still connected?"));
    }
    if !check.ends_with("YES") {
        return Err(Fault::Corrupt("its check sum is wrong; shorten the cable or lower the pull-up to 2.2 kΩ"));
    }
    if check.split_whitespace().take(9).all(|byte| byte == "00") {
        return Err(Fault::Corrupt("it sent zeros only; is the data line at ground?"));
    }
    let (_, milli) =
        lines.next().and_then(|line| line.split_once("t=")).ok_or(Fault::Corrupt("no `t=` in its text"))?;
    let milli: i32 = milli.trim().parse().map_err(|_| Fault::Corrupt("no number after `t=`"))?;
    let celsius = f64::from(milli) / 1000.0;
    if milli == 85_000 && !last.is_some_and(|last| (last - celsius).abs() <= NEAR) {
        return Err(Fault::NoValue("it says 85 °C, as after power-on, and has not converted; check its power"));
    }
    if milli == -127_000 {
        return Err(Fault::NoValue("it says -127 °C, which means that it is not connected"));
    }
    if !(-55.0..=125.0).contains(&celsius) {
        return Err(Fault::Corrupt("its value is outside -55 to 125 °C"));
    }
    Ok(celsius)
}

/// The chip behind the kernel's driver.
struct Model;

impl OneWireChip for Model {
    fn read(&mut self, _file: &str, probe: &mut dyn Probe) -> Result<String, HardwareError> {
        Ok(w1_slave(probe.feel(Quantity::Temperature)))
    }
}

/// What the kernel tells of a chip at so many °C: sixteenths of a degree in the first two bytes.
fn w1_slave(celsius: f64) -> String {
    let raw = (celsius.clamp(-55.0, 125.0) * 16.0).round() as i16;
    let [low, high] = raw.to_le_bytes();
    let mut scratchpad = vec![low, high, 0x4b, 0x46, 0x7f, 0xff, 0x10 - (low & 0x0f), 0x10];
    scratchpad.push(crc::maxim(&scratchpad));
    let bytes: Vec<String> = scratchpad.iter().map(|byte| format!("{byte:02x}")).collect();
    let (bytes, milli) = (bytes.join(" "), i32::from(raw) * 1000 / 16);
    format!("{bytes} : crc={:02x} YES\n{bytes} t={milli}\n", scratchpad[8])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::testing;
    use super::*;

    #[test]
    fn the_datasheets_temperatures_are_read() {
        // Table 1 of the datasheet.
        for (celsius, bytes) in [
            (125.0, "d0 07"),
            (25.0625, "91 01"),
            (10.125, "a2 00"),
            (0.5, "08 00"),
            (0.0, "00 00"),
            (-0.5, "f8 ff"),
            (-10.125, "5e ff"),
            (-25.0625, "6f fe"),
            (-55.0, "90 fc"),
        ] {
            let text = w1_slave(celsius);
            assert!(text.starts_with(bytes), "{text}");
            assert!((temperature(&text, None).unwrap() - celsius).abs() < 0.001, "{text}");
        }
        assert_eq!(w1_slave(22.875), "6e 01 4b 46 7f ff 02 10 71 : crc=71 YES\n6e 01 4b 46 7f ff 02 10 71 t=22875\n");
    }

    #[test]
    fn what_is_no_temperature_is_told_apart() {
        let cases = [
            ("", "could not read"),
            ("6e 01 4b 46 7f ff 02 10 70 : crc=71 NO\n6e 01 4b 46 7f ff 02 10 70 t=22875\n", "check sum"),
            ("00 00 00 00 00 00 00 00 00 : crc=00 YES\n00 00 00 00 00 00 00 00 00 t=0\n", "ground"),
            ("50 05 4b 46 7f ff 0c 10 1c : crc=1c YES\n50 05 4b 46 7f ff 0c 10 1c t=85000\n", "power-on"),
            ("10 f8 4b 46 7f ff 0c 10 1c : crc=1c YES\n10 f8 4b 46 7f ff 0c 10 1c t=-127000\n", "not connected"),
            ("ff ff ff ff ff ff ff ff c9 : crc=c9 YES\nff ff ff ff ff ff ff ff c9 t=200000\n", "outside"),
            ("6e 01 4b 46 7f ff 02 10 71 : crc=71 YES\n", "no `t=`"),
            ("6e 01 4b 46 7f ff 02 10 71 : crc=71 YES\n6e t=22.9\n", "no number"),
        ];
        for (text, expected) in cases {
            let error = temperature(text, None).unwrap_err().of("DS18B20").to_string();
            assert!(error.contains(expected), "{text:?}: {error}");
        }
    }

    #[test]
    fn eighty_five_degrees_are_believed_only_on_the_way_there() {
        let text = w1_slave(85.0);
        assert!(temperature(&text, None).is_err());
        assert!(temperature(&text, Some(24.0)).is_err());
        assert_eq!(temperature(&text, Some(84.9)), Ok(85.0));
    }

    #[test]
    fn it_reads_the_simulated_world() {
        let values = testing::in_room(&ENTRY, "id = \"28-0316a2795cff\"", -3.3, 50.0, 1000.0).unwrap();
        assert!((values[0] + 3.3).abs() <= 1.0 / 32.0, "{values:?}");
    }

    #[test]
    fn a_wrong_id_is_refused_with_a_hint() {
        for (id, expected) in [
            ("28-0316A2795CFF", "lower case"),
            ("10-0316a2795cff", "another chip"),
            ("28-0316", "ls /sys"),
            ("28-../../../etc", "ls /sys"),
            ("0316a2795cff", "ls /sys"),
        ] {
            let found = testing::mistakes(&ENTRY, &format!("id = \"{id}\""));
            assert!(found.len() == 1 && found[0].hint.contains(expected), "{found:?}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in ".{0,80}\n?.{0,80}", last in prop::option::of(any::<f64>())) {
            let _ = temperature(&text, last);
        }
    }
}
