//! What a channel measures: one table of units and of the classes that Home Assistant knows.

/// What a channel measures; each has one unit, in which all its readings are given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Quantity {
    /// °C
    Temperature,
    /// % relative humidity
    Humidity,
    /// hPa
    Pressure,
    /// V
    Voltage,
    /// %, of a soil between its dry and its wet calibration point
    Moisture,
}

impl Quantity {
    /// The unit's symbol.
    pub fn unit(self) -> &'static str {
        match self {
            Self::Temperature => "°C",
            Self::Humidity | Self::Moisture => "%",
            Self::Pressure => "hPa",
            Self::Voltage => "V",
        }
    }
}
