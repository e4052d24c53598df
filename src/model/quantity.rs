//! What a channel measures: one table of names, units and the classes that Home Assistant knows.

/// A row for each quantity: its name here and in the file, its unit, and its class in Home Assistant, where that unit is one of
/// the class.
macro_rules! quantities {
    ($($(#[$doc:meta])* $Name:ident: $name:literal, $unit:literal, $class:literal;)*) => {
        /// What a channel measures; each has one unit, in which all its readings are given.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Quantity {
            $($(#[$doc])* $Name,)*
        }

        impl Quantity {
            /// Every quantity there is.
            pub const ALL: &[Self] = &[$(Self::$Name),*];

            /// As it stands in the configuration: `temperature`.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$Name => $name,)*
                }
            }

            /// The quantity of that name.
            pub fn named(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|quantity| quantity.name() == name)
            }

            /// The unit's symbol; empty for what has none.
            pub fn unit(self) -> &'static str {
                match self {
                    $(Self::$Name => $unit,)*
                }
            }

            /// What Home Assistant calls it, for its icon and for conversions: the `device_class` of a sensor or a number.
            /// <https://www.home-assistant.io/integrations/sensor/#device-class>
            pub fn device_class(self) -> Option<&'static str> {
                let class = match self {
                    $(Self::$Name => $class,)*
                };
                Some(class).filter(|class| !class.is_empty())
            }
        }
    };
}

quantities! {
    /// °C
    Temperature: "temperature", "°C", "temperature";
    /// % relative humidity
    Humidity: "humidity", "%", "humidity";
    /// hPa
    Pressure: "pressure", "hPa", "atmospheric_pressure";
    /// V
    Voltage: "voltage", "V", "voltage";
    /// %, of a soil between its dry and its wet calibration point
    Moisture: "moisture", "%", "moisture";
    /// ppm of carbon dioxide
    CarbonDioxide: "co2", "ppm", "carbon_dioxide";
    /// ppm of carbon dioxide, as a gas sensor infers it from other gases
    EquivalentCarbonDioxide: "eco2", "ppm", "carbon_dioxide";
    /// ppb of volatile organic compounds
    OrganicCompounds: "tvoc", "ppb", "volatile_organic_compounds_parts";
    /// 1 to 500, 100 being the air of the last day: of a gas sensor without an absolute scale
    GasIndex: "gas_index", "", "";
    /// 1 (excellent) to 5 (unhealthy), or another index of air quality
    AirQualityIndex: "air_quality", "", "aqi";
    /// Ω
    Resistance: "resistance", "Ω", "";
    /// µg/m³ of particles below 1 µm
    ParticlesPm1: "pm1", "µg/m³", "pm1";
    /// µg/m³ of particles below 2.5 µm
    ParticlesPm25: "pm2_5", "µg/m³", "pm25";
    /// µg/m³ of particles below 10 µm
    ParticlesPm10: "pm10", "µg/m³", "pm10";
    /// lx
    Illuminance: "illuminance", "lx", "illuminance";
    /// A
    Current: "current", "A", "current";
    /// W
    Power: "power", "W", "power";
    /// mm
    Distance: "distance", "mm", "distance";
    /// g
    Mass: "mass", "g", "weight";
    /// pH
    Acidity: "ph", "", "ph";
    /// µS/cm
    Conductivity: "conductivity", "µS/cm", "conductivity";
    /// PSU, practical salinity units
    Salinity: "salinity", "PSU", "";
    /// ppm of dissolved solids
    DissolvedSolids: "dissolved_solids", "ppm", "";
    /// mV, of an electrode against its reference
    RedoxPotential: "redox", "mV", "voltage";
    /// mg/L of dissolved oxygen
    DissolvedOxygen: "dissolved_oxygen", "mg/L", "";
    /// % of what would be dissolved in equilibrium with air
    Saturation: "saturation", "%", "";
    /// L/min
    FlowRate: "flow", "L/min", "volume_flow_rate";
    /// L, since it began to count
    Volume: "volume", "L", "";
    /// mm, since it began to count
    Precipitation: "rain", "mm", "precipitation";
    /// mm/h
    PrecipitationIntensity: "rain_rate", "mm/h", "precipitation_intensity";
    /// Hz
    Frequency: "frequency", "Hz", "frequency";
    /// 1 while something is active, else 0
    State: "state", "", "";
    /// a number of things
    Count: "count", "", "";
    /// % of something
    Share: "share", "%", "";
    /// MB
    DataSize: "data_size", "MB", "data_size";
    /// kPa by which the air's water vapour falls short of saturation
    VapourPressureDeficit: "vpd", "kPa", "pressure";
    /// g/m³ of water vapour
    AbsoluteHumidity: "absolute_humidity", "g/m³", "";
    /// a number without a unit
    Number: "number", "", "";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_a_name_of_its_own_that_leads_back_to_it() {
        for quantity in Quantity::ALL {
            assert_eq!(Quantity::named(quantity.name()), Some(*quantity));
            assert!(quantity.name().bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_')));
        }
        assert_eq!(Quantity::named("warmth"), None);
    }
}
