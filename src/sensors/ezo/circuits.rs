//! The five circuits: what a person needs to know of each, and what each has of its own.

use std::ops::RangeInclusive;

use super::read;
use crate::model::Quantity;
use crate::sensors::{Channel, Entry};

macro_rules! about {
    ($own:literal) => {
        concat!(
            $own,
            "\
- Wiring: 3.3 to 5 V, ground, SDA to GPIO 2, SCL to GPIO 3; `dtparam=i2c_arm=on` in `/boot/firmware/config.txt`. Several circuits in
  one tank disturb each other unless each has its isolated carrier board.
- A circuit comes in UART mode, with a green light. To bring it to I²C and to a blue light, connect its PGND with its TX, switch it on,
  and disconnect them again. Its address can be changed by its command `I2C,n`; give the new one as `address`.
- A reading is the measurement that the reading before it began, so it is as old as `every`, if that is not longer than 30 s.
- Trouble: a value that jumps when a pump starts: use an isolated carrier board. \"no data\": its power was off for a moment.
"
        )
    };
}

pub(in crate::sensors) const PH: Entry = Entry {
    name: "ezo-ph",
    summary: "pH of water, I²C: Atlas Scientific EZO-pH",
    about: about!(
        "\
- Range: pH 0.001 to 14.000 (±0.002). Address: 0x63.
- `compensation = { temperature = \"water.temperature\" }`: what pH a voltage means depends on the temperature; 25 °C without the key.
- Calibration, in this order, as `mid` forgets the others: `mid 7.00`, `low 4.00`, `high 10.00`; `clear`. Wait in each until it is still.
"
    ),
    example: r#"
[sensors.water-ph]
driver = "ezo-ph"
bus = 1
address = 0x63
every = "10s"
"#,
    read: |section| read(section, &Kind::PH),
};

pub(in crate::sensors) const EC: Entry = Entry {
    name: "ezo-ec",
    summary: "conductivity, dissolved solids and salinity of water, I²C: Atlas Scientific EZO-EC",
    about: about!(
        "\
- Range: 0.07 to 500 000 µS/cm (±2 %), by its probe: K 0.1, K 1.0 or K 10. Address: 0x64. Outputs that are off in the circuit are
  switched on.
- `compensation = { temperature = \"water.temperature\" }`: it changes by 2 % for each °C; 25 °C without the key.
- Calibration: once `k 1.0` for another probe than K 1.0, then `dry`, and then either `one 1413` or `low 12880` and `high 80000` in
  µS/cm; `clear`.
"
    ),
    example: r#"
[sensors.water-ec]
driver = "ezo-ec"
bus = 1
address = 0x64
every = "10s"
"#,
    read: |section| read(section, &Kind::EC),
};

pub(in crate::sensors) const ORP: Entry = Entry {
    name: "ezo-orp",
    summary: "redox potential of water, I²C: Atlas Scientific EZO-ORP",
    about: about!(
        "\
- Range: ±1020 mV, newer ones ±2000 mV (±1 mV). Address: 0x62.
- Calibration: `at 225` in a solution of 225 mV; `clear`.
"
    ),
    example: r#"
[sensors.water-orp]
driver = "ezo-orp"
bus = 1
address = 0x62
every = "10s"
"#,
    read: |section| read(section, &Kind::ORP),
};

pub(in crate::sensors) const DO: Entry = Entry {
    name: "ezo-do",
    summary: "dissolved oxygen in water, I²C: Atlas Scientific EZO-DO",
    about: about!(
        "\
- Range: 0.01 to 100 mg/L (±0.05 mg/L). Address: 0x61. The output that is off in the circuit is switched on.
- `compensation = { temperature = \"water.temperature\" }`: warm water holds less oxygen; 20 °C without the key.
- In water above 2500 µS/cm it shows too much. `salinity = 35`, in g of salt in a kg of water (ppt), corrects that: 35 is the sea. Without
  the key it counts with what its own command `S` told it once, which it keeps without power; 0 from the factory.
- Calibration: `air` with the probe in air, or also `zero` in a solution without oxygen; `clear`.
"
    ),
    example: r#"
[sensors.water-oxygen]
driver = "ezo-do"
bus = 1
address = 0x61
every = "10s"
"#,
    read: |section| read(section, &Kind::DO),
};

pub(in crate::sensors) const RTD: Entry = Entry {
    name: "ezo-rtd",
    summary: "temperature by a PT100 or PT1000, I²C: Atlas Scientific EZO-RTD",
    about: about!(
        "\
- Range: -126 to 1254 °C (±0.1 °C), by its probe. Address: 0x66.
- Calibration: `at 100.0` in what has that temperature; `clear`.
"
    ),
    example: r#"
[sensors.water]
driver = "ezo-rtd"
bus = 1
address = 0x66
every = "10s"
"#,
    read: |section| read(section, &Kind::RTD),
};

/// What a circuit has of its own.
#[derive(Debug)]
pub(super) struct Kind {
    pub chip: &'static str,
    /// Its address when it leaves the factory.
    pub address: u8,
    /// What it calls itself, in capitals; firmwares differ.
    pub ids: &'static [&'static str],
    pub channels: &'static [Channel],
    /// The names of all that it can tell at once, in its order, that of the channels first. Nothing where it tells one thing only.
    pub outputs: &'static [&'static str],
    /// If it wants to know the temperature, what it takes it for when nobody has told it, in °C.
    pub compensated: Option<u8>,
    /// Whether it wants to know how salty the water is.
    pub salted: bool,
    /// What its first value can be with a probe that is connected.
    pub possible: RangeInclusive<f64>,
    /// Why it is something else.
    pub otherwise: &'static str,
    /// Of its calibration, with the command of each; a command that ends in a comma takes a value.
    pub steps: &'static [(&'static str, &'static str)],
}

const PROBE: &str = "check that its probe is connected";

impl Kind {
    const PH: Self = Self {
        chip: "EZO-pH",
        address: 0x63,
        ids: &["PH"],
        channels: &[Channel { name: "ph", quantity: Quantity::Acidity }],
        outputs: &[],
        compensated: Some(25),
        salted: false,
        // Without a probe it says 0 or 14.
        possible: 0.01..=13.99,
        otherwise: PROBE,
        steps: &[("mid", "Cal,mid,"), ("low", "Cal,low,"), ("high", "Cal,high,"), ("clear", "Cal,clear")],
    };
    const EC: Self = Self {
        chip: "EZO-EC",
        address: 0x64,
        ids: &["EC"],
        channels: &[
            Channel { name: "conductivity", quantity: Quantity::Conductivity },
            Channel { name: "dissolved_solids", quantity: Quantity::DissolvedSolids },
            Channel { name: "salinity", quantity: Quantity::Salinity },
        ],
        outputs: &["EC", "TDS", "S", "SG"],
        compensated: Some(25),
        salted: false,
        possible: 0.07..=1e6,
        otherwise: "its probe is dry or not connected, or the water is purer than it can measure",
        steps: &[
            ("k", "K,"),
            ("dry", "Cal,dry"),
            ("one", "Cal,"),
            ("low", "Cal,low,"),
            ("high", "Cal,high,"),
            ("clear", "Cal,clear"),
        ],
    };
    const ORP: Self = Self {
        chip: "EZO-ORP",
        address: 0x62,
        ids: &["ORP", "OR"],
        channels: &[Channel { name: "redox", quantity: Quantity::RedoxPotential }],
        outputs: &[],
        compensated: None,
        salted: false,
        possible: -2100.0..=2100.0,
        otherwise: PROBE,
        steps: &[("at", "Cal,"), ("clear", "Cal,clear")],
    };
    const DO: Self = Self {
        chip: "EZO-DO",
        address: 0x61,
        ids: &["DO", "D.O."],
        channels: &[
            Channel { name: "dissolved_oxygen", quantity: Quantity::DissolvedOxygen },
            Channel { name: "saturation", quantity: Quantity::Saturation },
        ],
        outputs: &["mg", "%"],
        compensated: Some(20),
        salted: true,
        possible: 0.0..=200.0,
        otherwise: PROBE,
        steps: &[("air", "Cal"), ("zero", "Cal,0"), ("clear", "Cal,clear")],
    };
    const RTD: Self = Self {
        chip: "EZO-RTD",
        address: 0x66,
        ids: &["RTD"],
        channels: &[Channel { name: "temperature", quantity: Quantity::Temperature }],
        outputs: &[],
        compensated: None,
        salted: false,
        // Without a probe it says -1023.
        possible: -200.0..=1254.0,
        otherwise: PROBE,
        steps: &[("at", "Cal,"), ("clear", "Cal,clear")],
    };

    /// The command of a step of its calibration; the error names the steps that there are.
    pub fn command(&self, step: &[&str]) -> Result<String, String> {
        let found = step.first().and_then(|name| self.steps.iter().find(|(known, _)| known == name));
        match (found, step.get(1..).unwrap_or_default()) {
            (Some((_, command)), []) if !command.ends_with(',') => Ok((*command).to_owned()),
            (Some((_, command)), [value])
                if command.ends_with(',') && value.parse().is_ok_and(|value: f64| value.is_finite()) =>
            {
                Ok(format!("{command}{value}"))
            }
            _ => {
                let value = |(name, command): &(&str, &str)| match command.ends_with(',') {
                    true => format!("`{name} VALUE`"),
                    false => format!("`{name}`"),
                };
                let known: Vec<String> = self.steps.iter().map(value).collect();
                Err(format!("`{}` is no step of its calibration; there are {}", step.join(" "), known.join(", ")))
            }
        }
    }
}
